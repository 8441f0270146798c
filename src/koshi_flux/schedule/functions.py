"""What maths in a schedule may use: operators, numexpr's functions and the animator's own.

Each one works on all frames at once and never raises: what does not exist is nan or inf, and whoever asked for it says
so with the frame. Truths count as 0 and 1 in sums.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.float64]
Truths: TypeAlias = NDArray[np.bool_]
Value: TypeAlias = float | np.bool_ | Reals | Truths
"""A number or truth: one for the whole film, or one per frame."""
Compute: TypeAlias = Callable[..., Value]

COMPARISON, UNARY, POWER, ATOM = 1, 8, 9, 10
"""How tightly things bind, as in Python; `BINARY` has the levels between."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or operator.

    Args:
        name: what users write.
        compute: the work.
        least: the fewest arguments that users give.
        most: the most arguments that users give; None for any number.
        implicit: variables handed over before the users' arguments, e.g. ("t",).
        level: how tightly an operator binds.
    """

    name: str
    compute: Compute = field(compare=False, repr=False)
    least: int = 1
    most: int | None = 1
    implicit: tuple[str, ...] = ()
    level: int = ATOM


def _real(ufunc: np.ufunc) -> Compute:
    """The ufunc in double precision: left alone, numpy would add truths with "or" and take their sine in 16 bits."""
    return partial(ufunc, dtype=np.float64)


def _least(*values: Value) -> Value:
    return reduce(_real(np.minimum), values)


def _greatest(*values: Value) -> Value:
    return reduce(_real(np.maximum), values)


def _clip(value: Value, low: Value, high: Value) -> Value:
    return _least(_greatest(value, low), high)


def _where(condition: Value, then: Value, otherwise: Value) -> Value:
    chosen: Reals = np.where(np.not_equal(condition, 0), then, otherwise)
    return chosen


def _imaginary_part(value: Value) -> Value:
    return np.multiply(value, 0.0)


def _is_whole(value: Value) -> Truths:
    number = np.asarray(value, dtype=np.float64)
    return np.asarray((np.abs(number) < 2.0**53) & (np.floor(number) == number))


def _bits(ufunc: np.ufunc, *values: Value) -> Value:
    """Logic between truths, bits of whole numbers; nan for the bits of a fraction."""
    if all(np.asarray(value).dtype == np.bool_ for value in values):
        truth: Truths = ufunc(*values)
        return truth
    whole = reduce(np.logical_and, map(_is_whole, values))
    return np.where(whole, ufunc(*(np.asarray(value).astype(np.int64) for value in values)), np.nan)


def _shift_left(value: Value, places: Value) -> Value:
    """In floats, so that a shift by a billion is inf and not a gigabyte."""
    return np.where(_is_whole(value) & _is_whole(places), np.multiply(value, np.exp2(places)), np.nan)


def _shift_right(value: Value, places: Value) -> Value:
    return np.where(_is_whole(value) & _is_whole(places), np.floor(np.divide(value, np.exp2(places))), np.nan)


def saw(t: Value, period: Value, phase: Value = 0.0) -> Value:
    """Rises from 0 towards 1 every `period` frames, starting at frame `phase`."""
    return np.mod(np.subtract(t, phase), period) / period


def tri(t: Value, period: Value, phase: Value = 0.0) -> Value:
    """Rises from 0 to 1 and falls back to 0 every `period` frames, starting at frame `phase`."""
    return 1 - np.abs(2 * saw(t, period, phase) - 1)


def pulse(t: Value, period: Value, width: Value | None = None, phase: Value = 0.0) -> Value:
    """1 for the first `width` frames (half of them) of every `period` frames, else 0, starting at frame `phase`."""
    width = np.divide(period, 2) if width is None else width
    return np.where(np.equal(period, 0), np.nan, np.mod(np.subtract(t, phase), period) < width)


def ease(t: Value, start: Value, end: Value, low: Value = 0.0, high: Value = 1.0) -> Value:
    """`low` until frame `start`, `high` from frame `end`, between them the smoothstep 3u^2 - 2u^3."""
    ramp = np.divide(np.subtract(t, start), np.subtract(end, start))
    u = np.clip(np.where(np.equal(start, end), np.greater_equal(t, end), ramp), 0, 1)
    return low + np.subtract(high, low) * smoothstep(u)


def smoothstep(u: Reals) -> Reals:
    """3u^2 - 2u^3: from 0 to 1, level at both ends."""
    return u * u * (3 - 2 * u)


def wiggle(seed: Value, t: Value, period: Value, stream: Value = 0.0) -> Value:
    """Smooth noise in [-1, 1] with a new random value every `period` frames; each `stream` is another noise.

    A uniform cubic B-spline over the random values: twice differentiable, and never outside their range.
    """
    x = np.divide(t, period)
    u = np.asarray(x - np.floor(x))
    v, square, cube = 1 - u, u * u, u * u * u
    basis = (v * v * v, 3 * cube - 6 * square + 4, -3 * cube + 3 * square + 3 * u + 1, cube)
    chain, knot = _scrambled(_scrambled(_bits_of(seed)) ^ _bits_of(stream)), _bits_of(x)
    before = np.uint64(2**64 - 1)  # adding it takes 1 away
    weighted = [weight * _uniform(chain ^ (knot + before + np.uint64(i))) for i, weight in enumerate(basis)]
    smooth: Reals = np.add.reduce(weighted) / 6
    return smooth


def _bits_of(number: Value) -> NDArray[np.uint64]:
    return np.asarray(np.mod(np.floor(number), 2.0**53)).astype(np.uint64)


def _scrambled(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of SplitMix64 (Steele, Lea and Flood 2014): the same on every machine, and in any order."""
    state = np.asarray(state + np.uint64(0x9E3779B97F4A7C15))
    state = np.asarray((state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    state = np.asarray((state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return np.asarray(state ^ (state >> np.uint64(31)))


def _uniform(state: NDArray[np.uint64]) -> Reals:
    """From [-1, 1)."""
    return np.asarray((_scrambled(state) >> np.uint64(11)) * 2.0**-52 - 1)


def _table(*functions: Function) -> dict[str, Function]:
    return {function.name: function for function in functions}


def _binary(name: str, level: int, compute: Compute) -> Function:
    return Function(name, compute, 2, 2, level=level)


PREFIX: dict[str, Function] = _table(
    Function("-", _real(np.negative), level=UNARY),
    Function("+", _real(np.positive), level=UNARY),
    Function("~", partial(_bits, np.invert), level=UNARY),
)
BINARY: dict[str, Function] = _table(
    _binary("<", COMPARISON, np.less),
    _binary("<=", COMPARISON, np.less_equal),
    _binary(">", COMPARISON, np.greater),
    _binary(">=", COMPARISON, np.greater_equal),
    _binary("==", COMPARISON, np.equal),
    _binary("!=", COMPARISON, np.not_equal),
    _binary("|", 2, partial(_bits, np.bitwise_or)),
    _binary("&", 4, partial(_bits, np.bitwise_and)),
    _binary("<<", 5, _shift_left),
    _binary(">>", 5, _shift_right),
    _binary("+", 6, _real(np.add)),
    _binary("-", 6, _real(np.subtract)),
    _binary("*", 7, _real(np.multiply)),
    _binary("/", 7, _real(np.divide)),
    _binary("//", 7, _real(np.floor_divide)),
    _binary("%", 7, _real(np.remainder)),
    _binary("**", POWER, _real(np.power)),
)
XOR = _binary("^", 3, partial(_bits, np.bitwise_xor))
"""Deforum's `^`. Koshi refuses the sign, because nearly everybody who writes it means a power."""

_SAME_NAME_IN_NUMPY = (
    "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp expm1 log log10 log1p log2 sqrt floor "
    "ceil trunc sign"
)
NUMEXPR: dict[str, Function] = _table(
    *(Function(name, _real(getattr(np, name))) for name in _SAME_NAME_IN_NUMPY.split()),
    *(Function(name, getattr(np, name)) for name in ("isnan", "isinf", "isfinite")),
    *(Function(name, _real(getattr(np, name)), 2, 2) for name in ("arctan2", "fmod", "hypot", "copysign", "nextafter")),
    *(Function(name, _real(getattr(np, name)), 2, 2) for name in ("minimum", "maximum")),
    Function("abs", _real(np.absolute)),
    Function("round", _real(np.rint)),
    Function("signbit", np.signbit),
    Function("real", _real(np.positive)),
    Function("conj", _real(np.positive)),
    Function("imag", _imaginary_part),
    Function("where", _where, 3, 3),
)
"""The functions of numexpr, which Deforum evaluates with, that mean something for one real number a frame."""

KOSHI: dict[str, Function] = NUMEXPR | _table(
    Function("min", _least, 1, None),
    Function("max", _greatest, 1, None),
    Function("clip", _clip, 3, 3),
    Function("saw", saw, 1, 2, implicit=("t",)),
    Function("tri", tri, 1, 2, implicit=("t",)),
    Function("pulse", pulse, 1, 3, implicit=("t",)),
    Function("ease", ease, 2, 4, implicit=("t",)),
    Function("wiggle", wiggle, 1, 2, implicit=("s", "t")),
)
"""Everything that koshi's own dialect may call."""
