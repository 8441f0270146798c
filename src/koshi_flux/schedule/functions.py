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

from koshi_flux.schedule.shake import handheld, vehicle, walk
from koshi_flux.schedule.wiggle import Reals, wiggle

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
        logical: whether it tells truths from numbers; all others are given 0 and 1 for truths.
    """

    name: str
    compute: Compute = field(compare=False, repr=False)
    least: int = 1
    most: int | None = 1
    implicit: tuple[str, ...] = ()
    level: int = ATOM
    logical: bool = False

    def __call__(self, *arguments: Value) -> Value:
        """Its value, broadcast over the arguments."""
        return self.compute(*(arguments if self.logical else map(_as_reals, arguments)))


def _as_reals(value: Value) -> float | Reals:
    return value if isinstance(value, float) else np.asarray(value, dtype=np.float64)


def _least(*values: Value) -> Value:
    return reduce(np.minimum, values)


def _greatest(*values: Value) -> Value:
    return reduce(np.maximum, values)


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


def _quotient(value: Value, divisor: Value) -> Value:
    return np.floor(np.divide(value, divisor))


def _remainder(value: Value, divisor: Value) -> Value:
    """With the divisor's sign. From the rounded quotient, as numexpr does, so that 3 % 0.1 is 0 and not 0.0999..."""
    return np.subtract(value, np.multiply(divisor, _quotient(value, divisor)))


def saw(t: Value, period: Value, phase: Value = 0.0) -> Value:
    """Rises from 0 towards 1 every `period` frames, starting at frame `phase`."""
    return np.divide(_remainder(np.subtract(t, phase), period), period)


def tri(t: Value, period: Value, phase: Value = 0.0) -> Value:
    """Rises from 0 to 1 and falls back to 0 every `period` frames, starting at frame `phase`."""
    return np.subtract(1, np.abs(np.subtract(np.multiply(2, saw(t, period, phase)), 1)))


def pulse(t: Value, period: Value, width: Value | None = None, phase: Value = 0.0) -> Value:
    """1 for the first `width` frames (half of them) of every `period` frames, else 0, starting at frame `phase`."""
    width = np.divide(period, 2) if width is None else width
    since = _remainder(np.subtract(t, phase), period)
    return np.where(np.isnan(since), np.nan, np.less(since, width))


def ease(t: Value, start: Value, end: Value, low: Value = 0.0, high: Value = 1.0) -> Value:
    """`low` until frame `start`, `high` from frame `end`, between them the smoothstep 3u^2 - 2u^3."""
    ramp = np.divide(np.subtract(t, start), np.subtract(end, start))
    u = np.where(np.equal(start, end), np.greater_equal(t, end), ramp)
    return low + np.subtract(high, low) * smoothstep(np.asarray(np.clip(u, 0, 1)))


def smoothstep(u: Reals) -> Reals:
    """3u^2 - 2u^3: from 0 to 1, level at both ends."""
    return np.asarray(u * u * (3 - 2 * u))


def _table(*functions: Function) -> dict[str, Function]:
    return {function.name: function for function in functions}


def _binary(name: str, level: int, compute: Compute) -> Function:
    return Function(name, compute, 2, 2, level=level, logical=name in {"|", "^", "&"})


PREFIX: dict[str, Function] = _table(
    Function("-", np.negative, level=UNARY),
    Function("+", np.positive, level=UNARY),
    Function("~", partial(_bits, np.invert), level=UNARY, logical=True),
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
    _binary("+", 6, np.add),
    _binary("-", 6, np.subtract),
    _binary("*", 7, np.multiply),
    _binary("/", 7, np.divide),
    _binary("//", 7, _quotient),
    _binary("%", 7, _remainder),
    _binary("**", POWER, np.power),
)
XOR = _binary("^", 3, partial(_bits, np.bitwise_xor))
"""Deforum's `^`. Koshi refuses the sign, because nearly everybody who writes it means a power."""

_SAME_NAME_IN_NUMPY = (
    "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp expm1 log log10 log1p log2 sqrt floor "
    "ceil trunc sign"
)
NUMEXPR: dict[str, Function] = _table(
    *(Function(name, getattr(np, name)) for name in _SAME_NAME_IN_NUMPY.split()),
    *(Function(name, getattr(np, name)) for name in ("isnan", "isinf", "isfinite")),
    *(Function(name, getattr(np, name), 2, 2) for name in ("arctan2", "fmod", "hypot", "copysign", "nextafter")),
    *(Function(name, getattr(np, name), 2, 2) for name in ("minimum", "maximum")),
    Function("abs", np.absolute),
    Function("round", np.rint),
    Function("signbit", np.signbit),
    Function("real", np.positive),
    Function("conj", np.positive),
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
    Function("handheld", handheld, implicit=("s", "t", "fps")),
    Function("walk", walk, implicit=("s", "t", "fps")),
    Function("vehicle", vehicle, implicit=("s", "t", "fps")),
)
"""Everything that koshi's own dialect may call."""
