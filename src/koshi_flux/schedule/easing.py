"""How a schedule goes from one number to the next.

Sources: CSS Easing Functions Level 1 (W3C) for the named curves; Fritsch and Carlson, "Monotone piecewise cubic
interpolation", SIAM J. Numer. Anal. 17 (1980), for `cubic`.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.expression import show_number

Array: TypeAlias = NDArray[np.float64]
Points: TypeAlias = tuple[float, float, float, float]

CSS: dict[str, Points] = {
    "ease": (0.25, 0.1, 0.25, 1.0),
    "ease-in": (0.42, 0.0, 1.0, 1.0),
    "ease-out": (0.0, 0.0, 0.58, 1.0),
    "ease-in-out": (0.42, 0.0, 0.58, 1.0),
}
"""Control points x1, y1, x2, y2 of the curves that CSS names."""
NAMES = ("linear", "step", "cubic", *CSS)

_BEZIER = re.compile(r"cubic-bezier\s*\(([^()]*)\)")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_BISECTIONS = 45  # leaves 2**-45 of the curve: far below what a float of a film can show


@dataclass(frozen=True, slots=True)
class Easing:
    """A way from number to number: one of NAMES, or "cubic-bezier" with its points."""

    name: str = "linear"
    points: Points | None = None

    @classmethod
    def parse(cls, text: str, name: str = "easing", start: int = 0) -> "Easing":
        """Read "ease-in" or "cubic-bezier(.4, 0, .2, 1)" from place `start` of a text to its end.

        Raises:
            ScheduleError: there is no such easing.
        """
        word = text[start:].strip()
        if word in NAMES:
            return cls(word, CSS.get(word))
        try:
            if bezier := _BEZIER.fullmatch(word):
                return cls("cubic-bezier", _points(bezier[1]))
        except ValueError as wrong:
            raise ScheduleError(str(wrong), text=text, column=start + 1, name=name) from None
        near = get_close_matches(word.lower(), NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(NAMES)}, cubic-bezier(x1,y1,x2,y2)"
        raise ScheduleError(f"unknown easing {word!r}, {hint}", text=text, column=start + 1, name=name)

    def __str__(self) -> str:
        if self.name == "cubic-bezier" and self.points is not None:
            return f"cubic-bezier({','.join(map(show_number, self.points))})"
        return self.name

    def between(self, keys: Array, numbers: Array, frames: Array) -> Array:
        """The numbers at all `frames` of a film from keys[0] to before keys[-1]; `keys` rise and are at least two.

        Not finite where numbers are so large that their difference is not.
        """
        with np.errstate(all="ignore"):
            return self._between(keys, numbers, frames)

    def _between(self, keys: Array, numbers: Array, frames: Array) -> Array:
        if self.name == "linear":
            return np.interp(frames, keys, numbers)
        i = np.repeat(np.arange(len(keys) - 1), np.diff(np.searchsorted(frames, keys)))
        if self.name == "step":
            return numbers[i]
        u = (frames - keys[i]) / (keys[i + 1] - keys[i])
        if self.name == "cubic":
            return _monotone_cubic(keys, numbers, i, u)
        if self.points is not None:
            u = css_bezier(u, self.points)
        return numbers[i] + (numbers[i + 1] - numbers[i]) * u


LINEAR = Easing()


def css_bezier(x: Array, points: Points | tuple[Array, Array, Array, Array]) -> Array:
    """y of the Bezier curve (0, 0), (x1, y1), (x2, y2), (1, 1) where it has the given x in [0, 1].

    The points are the same for all of `x`, or have its shape.
    """
    x1, y1, x2, y2 = points
    low, high = np.zeros_like(x), np.ones_like(x)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        left = _bezier(middle, x1, x2) < x
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return np.where(x <= 0, 0.0, _bezier((low + high) / 2, y1, y2))


def _bezier(s: Array, p1: float | Array, p2: float | Array) -> Array:
    """One coordinate of a cubic Bezier curve from 0 over p1 and p2 to 1, at parameter s."""
    return s * (3 * p1 + s * (3 * (p2 - 2 * p1) + s * (1 + 3 * (p1 - p2))))


def _monotone_cubic(keys: Array, numbers: Array, i: NDArray[np.intp], u: Array) -> Array:
    """Hermite cubics that never overshoot: between two keys the values stay between their numbers."""
    steps = np.diff(keys)
    slopes = np.diff(numbers) / steps
    tangents = np.concatenate((slopes[:1], (slopes[:-1] + slopes[1:]) / 2, slopes[-1:]))
    tangents[1:-1][np.sign(slopes[:-1]) * np.sign(slopes[1:]) <= 0] = 0.0
    size = np.hypot(tangents[:-1], tangents[1:]) / np.where(slopes == 0, 1.0, np.abs(slopes))
    limit = 3 / np.maximum(size, 3)
    tangents *= np.minimum(np.append(limit, 1.0), np.append(1.0, limit))
    across = steps[i] * (u * (1 - u) ** 2 * tangents[i] - u**2 * (1 - u) * tangents[i + 1])
    return numbers[i] + (numbers[i + 1] - numbers[i]) * (u * u * (3 - 2 * u)) + across


def _points(text: str) -> Points:
    numbers = [float(part) for part in text.split(",") if _DECIMAL.fullmatch(part.strip())]
    if len(numbers) != 4 or text.count(",") != 3:
        raise ValueError(f"cubic-bezier takes four numbers x1, y1, x2, y2, not {text!r}")
    x1, y1, x2, y2 = numbers
    if not (0 <= x1 <= 1 and 0 <= x2 <= 1):
        raise ValueError(f"cubic-bezier needs x1 and x2 in [0, 1], not {x1:g} and {x2:g}")
    return x1, y1, x2, y2
