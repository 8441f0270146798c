"""What Parseq's maths may call: its oscillators, transitions, rounding and raw maths.

Source: the documentation of Parseq 0.1 (rewbs, github.com/rewbs/sd-parseq) and its published expected values. As there,
a phase is added to the frame, `%` has the sign of the dividend, and an oscillator beyond its limit is 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from koshi_flux.schedule.easing import CSS, Points, css_bezier
from koshi_flux.schedule.functions import BINARY, Function, Value
from koshi_flux.schedule.wiggle import Reals

Default: TypeAlias = float | str | tuple[float, ...] | None
"""A number, a variable, the numbers that a word stands for, or None where an argument is needed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a function.

    Args:
        names: what it may be called, the longest first.
        default: what it is when it is left out.
        words: for an argument in quotes, the numbers that each word stands for.
        within: what a plain number must lie in.
    """

    names: tuple[str, ...]
    default: Default = None
    words: dict[str, tuple[float, ...]] | None = field(default=None, compare=False)
    within: tuple[float, float] = (-math.inf, math.inf)


class Callee(NamedTuple):
    """A function with the parameters that users give, in their order."""

    function: Function
    parameters: tuple[Parameter, ...]


def _oscillate(wave: Callable[..., Value], f: Value, k: Value, period: Value, phase: Value, *rest: Value) -> Value:
    """Swings about the centre, and is 0 later than `limit` periods after the active keyframe."""
    amp, centre, limit, width = rest
    swings = np.add(centre, np.multiply(wave(np.add(f, phase), period, width), amp))
    over = np.greater(limit, 0) & np.greater(k, np.multiply(limit, period))
    return np.where(over, 0.0, swings)


def _sine(at: Value, period: Value, width: Value) -> Value:
    return np.sin(np.divide(np.multiply(np.multiply(at, np.pi), 2), period))


def _square(at: Value, period: Value, width: Value) -> Value:
    sine = _sine(at, period, width)
    return np.where(np.isnan(sine), math.nan, np.where(np.greater_equal(sine, 0), 1.0, -1.0))


def _saw(at: Value, period: Value, width: Value) -> Value:
    return np.divide(np.fmod(at, period), period)


def _triangle(at: Value, period: Value, width: Value) -> Value:
    return np.multiply(np.arcsin(_sine(at, period, width)), 2 / np.pi)


def _pulse(at: Value, period: Value, width: Value) -> Value:
    since = np.fmod(at, period)
    return np.where(np.isnan(since), math.nan, np.where(np.less(since, width), 1.0, 0.0))


def _slide(k: Value, start: Value, end: Value, span: Value, offset: Value) -> Value:
    """In a line from `start` to `end` in `span` frames; an offset within (-1, 1) is the place on that line instead."""
    along = np.where(np.less(np.abs(offset), 1), np.multiply(offset, span), k)
    line = np.add(start, np.multiply(np.divide(np.subtract(end, start), span), along))
    return np.where(np.equal(span, 0), start, np.where(np.greater_equal(k, span), end, line))


def _bezier(k: Value, *rest: Value) -> Value:
    """As `_slide`, but along a Bezier curve, which `curve` may name, and to `start` + `delta` unless that is 0."""
    points, (start, end, span, offset), curve, delta = rest[:4], rest[4:8], rest[8:12], rest[12]
    x1, y1, x2, y2 = (np.where(np.isnan(named), point, named) for point, named in zip(points, curve, strict=True))
    end = np.where(np.equal(delta, 0), end, np.add(start, delta))
    along: Reals = np.asarray(np.where(np.less(np.abs(offset), 1), offset, np.divide(k, span)))
    shape = np.broadcast_shapes(along.shape, x1.shape, y1.shape, x2.shape, y2.shape)
    u = css_bezier(np.broadcast_to(np.clip(along, 0, 1), shape), (x1, y1, x2, y2))
    valid = (x1 >= 0) & (x1 <= 1) & (x2 >= 0) & (x2 <= 1)
    curved = np.where(valid, np.add(start, np.multiply(u, np.subtract(end, start))), math.nan)
    return np.where(np.equal(span, 0), start, np.where(np.greater(along, 1), end, curved))


def _rounded(how: Callable[..., Value], value: Value, places: Value) -> Value:
    scale = np.power(10.0, places)
    return np.divide(how(np.multiply(value, scale)), scale)


def _half_up(value: Value) -> Value:
    return np.floor(np.add(value, 0.5))


def _per_beat(fps: Value, bpm: Value) -> Value:
    return np.divide(np.multiply(fps, 60), bpm)


def _per_second(fps: Value, bpm: Value) -> Value:
    return fps


def _converted(unit: Callable[..., Value], how: Callable[..., Value], fps: Value, bpm: Value, value: Value) -> Value:
    return how(value, unit(fps, bpm))


def _whole_beat_start(fps: Value, bpm: Value, f: Value, how: Value) -> Value:
    """The frame at which the beat of frame `f` begins, rounded down, up or to the nearest."""
    beat = _per_beat(fps, bpm)
    start = np.multiply(np.floor(np.divide(f, beat)), beat)
    return np.choose(np.asarray(how, dtype=np.int64), [np.floor(start), np.ceil(start), np.asarray(_half_up(start))])


def _leading_zeros(value: Value) -> Value:
    bits = np.mod(np.trunc(value), 2.0**32)
    return np.where(np.equal(bits, 0), 32.0, 31 - np.floor(np.log2(bits)))


def choose(condition: Value, then: Value, otherwise: Value) -> Value:
    """Parseq's `if`: what is more than 0 is true."""
    return np.where(np.greater(condition, 0), then, otherwise)


def _both(left: Value, right: Value) -> Value:
    return np.greater(left, 0) & np.greater(right, 0)


def _either(left: Value, right: Value) -> Value:
    return np.greater(left, 0) | np.greater(right, 0)


def _operators(**levels: str) -> dict[str, int]:
    return {sign: index for index, signs in enumerate(levels.values()) for sign in signs.split()}


LEVELS = _operators(words="and or", comparisons="> >= < <= == != && ||", sums="+ -", products="* / % ^")
"""How tightly each sign binds; all are right-associative, so that `10-5-2` is 10-(5-2)."""

OPERATORS: dict[str, Function] = {
    **{sign: BINARY[sign] for sign in [">", ">=", "<", "<=", "==", "!=", "+", "-", "*", "/"]},
    **{sign: Function(sign, _both, 2, 2) for sign in ("and", "&&")},
    **{sign: Function(sign, _either, 2, 2) for sign in ("or", "||")},
    "%": Function("%", np.fmod, 2, 2),
    "^": Function("^", np.power, 2, 2),
}
IF = Function("if", choose, 3, 3)

_EASINGS: dict[str, Points] = {
    "Sine": (0.37, 0, 0.63, 1),
    "Quad": (0.45, 0, 0.55, 1),
    "Cubic": (0.65, 0, 0.35, 1),
    "Quart": (0.76, 0, 0.24, 1),
    "Quint": (0.83, 0, 0.17, 1),
    "Expo": (0.87, 0, 0.13, 1),
    "Circ": (0.85, 0, 0.15, 1),
    "Back": (0.68, -0.6, 0.32, 1.6),
}
"""The control points of easings.net for easing in and out."""
_IN: dict[str, Points] = {
    "Sine": (0.12, 0, 0.39, 0),
    "Quad": (0.11, 0, 0.5, 0),
    "Cubic": (0.32, 0, 0.67, 0),
    "Quart": (0.5, 0, 0.75, 0),
    "Quint": (0.64, 0, 0.78, 0),
    "Expo": (0.7, 0, 0.84, 0),
    "Circ": (0.55, 0, 1, 0.45),
    "Back": (0.36, 0, 0.66, -0.56),
}
_OUT: dict[str, Points] = {
    "Sine": (0.61, 1, 0.88, 1),
    "Quad": (0.5, 1, 0.89, 1),
    "Cubic": (0.33, 1, 0.68, 1),
    "Quart": (0.25, 1, 0.5, 1),
    "Quint": (0.22, 1, 0.36, 1),
    "Expo": (0.16, 1, 0.3, 1),
    "Circ": (0, 0.55, 0.45, 1),
    "Back": (0.34, 1.56, 0.64, 1),
}
_KINDS = {"easeIn": _IN, "easeOut": _OUT, "easeInOut": _EASINGS}
CURVES: dict[str, tuple[float, ...]] = {
    **CSS,
    **{kind: CSS[css] for kind, css in zip(_KINDS, ("ease-in", "ease-out", "ease-in-out"), strict=True)},
    **{f"{kind}{name}": points for kind, table in _KINDS.items() for name, points in table.items()},
    **{f"{kind}{n}": table[name] for kind, table in _KINDS.items() for n, name in enumerate([*_IN][:6], 1)},
    "linear": (0, 0, 1, 1),
    "step-start": (0, 0, 0, 1),
    "stepStart": (0, 0, 0, 1),
    "step-end": (1, 0, 1, 1),
    "stepEnd": (1, 0, 1, 1),
}
"""The words that `bez(curve="...")` knows, as x1, y1, x2, y2."""

_WAVE = (
    Parameter(("period", "p")),
    Parameter(("phase", "ps"), 0),
    Parameter(("amp", "a"), 1),
    Parameter(("centre", "c"), 0),
    Parameter(("limit", "li"), 0),
    Parameter(("pulse", "pw"), 5),
)
_WAVES = {"sin": _sine, "sq": _square, "saw": _saw, "tri": _triangle, "pulse": _pulse}
_POINTS = (
    Parameter(("x1",), 0.5, within=(0, 1)),
    Parameter(("y1",), 0),
    Parameter(("x2",), 0.5, within=(0, 1)),
    Parameter(("y2",), 1),
)
_ROUTE = (
    Parameter(("from", "start", "s"), "S"),
    Parameter(("to", "end", "t"), "next_keyframe_value"),
    Parameter(("span", "in", "s"), "span"),  # `s` is both, there too
    Parameter(("offset", "os"), 2),
)
_V = Parameter(("v",))
_RAW = {
    **{
        name: getattr(np, name)
        for name in ["sin", "cos", "tan", "log", "exp", "sqrt", "cbrt", "expm1", "log1p", "log10", "log2", "sign"]
    },
    **{name: getattr(np, name) for name in ["sinh", "cosh", "tanh"]},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ["sin", "cos", "tan", "sinh", "cosh", "tanh"]},
    "clz32": _leading_zeros,
}
_UNITS = {
    "f2b": (_per_beat, np.divide),
    "b2f": (_per_beat, np.multiply),
    "f2s": (_per_second, np.divide),
    "s2f": (_per_second, np.multiply),
}
_ROUND: dict[str, Callable[..., Value]] = {"round": _half_up, "floor": np.floor, "ceil": np.ceil}
_CLOCK = ("fps", "bpm")


def _callee(name: str, compute: Callable[..., Value], *parameters: Parameter, knows: tuple[str, ...] = ()) -> Callee:
    return Callee(Function(name, compute, implicit=knows), parameters)


_CALLEES = (
    *(_callee(name, partial(_oscillate, wave), *_WAVE, knows=("f", "k")) for name, wave in _WAVES.items()),
    _callee("slide", _slide, *_ROUTE, knows=("k",)),
    _callee(
        "bez",
        _bezier,
        *_POINTS,
        *_ROUTE,
        Parameter(("curve", "c"), (math.nan,) * 4, CURVES),
        Parameter(("delta", "d"), 0),
        knows=("k",),
    ),
    _callee("min", np.minimum, Parameter(("a",)), Parameter(("b",))),
    _callee("max", np.maximum, Parameter(("a",)), Parameter(("b",))),
    _callee("abs", np.absolute, _V),
    *(_callee(name, partial(_rounded, how), _V, Parameter(("p",), 0)) for name, how in _ROUND.items()),
    *(_callee(f"_{name}", compute, _V) for name, compute in _RAW.items()),
    *(_callee(name, partial(_converted, *how), _V, knows=_CLOCK) for name, how in _UNITS.items()),
    _callee(
        "start_of_beat",
        _whole_beat_start,
        Parameter(("f",), "f"),
        Parameter(("round", "r"), (2,), {"d": (0,), "u": (1,), "r": (2,)}),
        knows=_CLOCK,
    ),
)
FUNCTIONS: dict[str, Callee] = {callee.function.name: callee for callee in _CALLEES}

_RENDER_FIRST = "render the document in Parseq and import that, or write the numbers here"
_RANDOM = (
    "draws random numbers from Parseq's own generator: write wiggle(period) in a schedule of koshi's own dialect, or "
    "render the document in Parseq and import that"
)
_LABELS = f"looks at the labels of Parseq's keyframes, which schedules do not have: {_RENDER_FIRST}"
_MEMORY = f"depends on what Parseq has calculated before: {_RENDER_FIRST}"
_WORDS = "makes text, and a schedule holds numbers: write the prompt itself"
REFUSED: dict[str, str] = {
    **dict.fromkeys(("rand", "smrand", "smoothrand", "perlin", "vibe"), _RANDOM),
    **dict.fromkeys(("posneg", "posneg_lora"), _WORDS),
    **dict.fromkeys(("computed_at", "recompute_if", "dangerous", "is_generation"), _MEMORY),
    **{
        f"info_match{rest}": _LABELS
        for rest in ("", "_count", "_prev", "_last", "_next", "_gap", "_progress", "_since", "_until")
    },
}
"""What Parseq has and schedules have not, and what to write instead."""
