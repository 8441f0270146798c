"""What Parseq's maths knows at a frame: its place in time and between keyframes, and four ways from value to value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from koshi_flux.schedule.expression import Scope
from koshi_flux.schedule.functions import Value
from koshi_flux.schedule.wiggle import Reals

CONSTANTS: dict[str, float] = {
    "PI": np.pi,
    "E": np.e,
    "SQRT2": np.sqrt(2.0).item(),
    "SQRT1_2": np.sqrt(0.5).item(),
    "LN2": np.log(2.0).item(),
    "LN10": np.log(10.0).item(),
    "LOG2E": 1 / np.log(2.0).item(),
    "LOG10E": 1 / np.log(10.0).item(),
    "true": 1.0,
    "false": 0.0,
}
PREVIOUS = "prev_computed_value"
SECOND, BEAT = "1s", "1b"
"""Frames per second and per beat, which `2s` and `4b` are multiples of; nobody can write these names."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Some frames, among the keyframes that have a value.

    Args:
        t: the frames.
        keys: the keyframes with a value, at least two; they rise, from frame 0 to the film's last or beyond.
        numbers: their values.
        scope: the film.
    """

    t: Reals
    keys: Reals
    numbers: Reals
    scope: Scope

    def active(self) -> Reals:
        """Which keyframe each frame is at or after, as an index."""
        return np.asarray(np.searchsorted(self.keys, self.t, side="right") - 1, dtype=np.float64)

    def keyframe(self, ahead: int = 0) -> Reals:
        """The frame of the active keyframe, or of the one after it."""
        return self._of(self.keys, ahead)

    def value(self, ahead: int = 0) -> Reals:
        """The value of the active keyframe, or of the one after it."""
        return self._of(self.numbers, ahead)

    def _of(self, series: Reals, ahead: int) -> Reals:
        return series[np.clip(self.active() + ahead, 0, len(series) - 1).astype(np.intp)]

    def beats(self) -> Reals:
        """Beats since frame 0."""
        return np.divide(self.t, frames_per_beat(self.scope))


def frames_per_beat(scope: Scope) -> float:
    """As many as there are frames in a minute, by the beats in it."""
    return scope.fps * 60 / scope.bpm


def linear(moment: Moment) -> Reals:
    """In a line from value to value."""
    return np.interp(moment.t, moment.keys, moment.numbers)


def spline(moment: Moment) -> Reals:
    """Along the natural cubic spline: twice differentiable, without curvature at both ends."""
    keys, numbers = moment.keys, moment.numbers
    steps, rises = np.diff(keys), np.diff(numbers)
    inverse = 1 / steps
    diagonal = 2 * (np.append(inverse, 0) + np.append(0, inverse))
    pull = 3 * rises * inverse**2
    slopes = _tridiagonal(inverse, diagonal, np.append(pull, 0) + np.append(0, pull))
    i = np.clip(moment.active(), 0, len(steps) - 1).astype(np.intp)
    u = (moment.t - keys[i]) / steps[i]
    bend_in, bend_out = slopes[i] * steps[i] - rises[i], rises[i] - slopes[i + 1] * steps[i]
    return numbers[i] + u * rises[i] + u * (1 - u) * (bend_in * (1 - u) + bend_out * u)


def _tridiagonal(off: Reals, diagonal: Reals, right: Reals) -> Reals:
    """Solve a symmetric tridiagonal system by elimination (Thomas)."""
    pivots, solution = diagonal.copy(), right.copy()
    for i in range(1, len(pivots)):
        share = off[i - 1] / pivots[i - 1]
        pivots[i] -= share * off[i - 1]
        solution[i] -= share * solution[i - 1]
    solution[-1] /= pivots[-1]
    for i in range(len(pivots) - 2, -1, -1):
        solution[i] = (solution[i] - off[i] * solution[i + 1]) / pivots[i]
    return solution


def polynomial(moment: Moment) -> Reals:
    """Along the one polynomial through all values (Neville's scheme)."""
    keys, t = moment.keys, moment.t
    through = np.repeat(moment.numbers[:, None], len(t), axis=1)
    for n in range(1, len(keys)):
        low, high = keys[:-n, None], keys[n:, None]
        through = ((t - low) * through[1:] - (t - high) * through[:-1]) / (high - low)
    return through[0]


VARIABLES: Mapping[str, Callable[[Moment], Value]] = {
    "L": linear,
    "C": spline,
    "P": polynomial,
    "S": Moment.value,
    "f": lambda moment: moment.t,
    "s": lambda moment: np.divide(moment.t, moment.scope.fps),
    "b": Moment.beats,
    "wb": lambda moment: np.floor(moment.beats()),
    "k": lambda moment: moment.t - moment.keyframe(),
    "fps": lambda moment: moment.scope.fps,
    "bpm": lambda moment: moment.scope.bpm,
    "active_keyframe": Moment.keyframe,
    "prev_keyframe": Moment.keyframe,
    "next_keyframe": lambda moment: moment.keyframe(1),
    "active_keyframe_value": Moment.value,
    "prev_keyframe_value": Moment.value,
    "next_keyframe_value": lambda moment: moment.value(1),
    "final_frame": lambda moment: moment.scope.frames - 1.0,
    "last_frame": lambda moment: moment.scope.frames - 1.0,
    "span": lambda moment: moment.keyframe(1) - moment.keyframe(),
    SECOND: lambda moment: moment.scope.fps,
    BEAT: lambda moment: frames_per_beat(moment.scope),
}
"""What a name stands for. `b` and `s` are the place in beats and seconds, not the units of `4b` and `2s`."""

OF_VALUES = frozenset(["L", "C", "P", "S", "active_keyframe_value", "prev_keyframe_value", "next_keyframe_value"])
"""Names that mean nothing in a schedule without a single value."""
OF_THE_FILM = frozenset({"fps", "bpm", "final_frame", "last_frame", SECOND, BEAT})
"""Names that are the same in the whole film, so that keys may use them."""
