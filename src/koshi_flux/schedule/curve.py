"""Schedules: keyframed numbers, one value per frame."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule import deforum, parseq
from koshi_flux.schedule.easing import LINEAR, Easing
from koshi_flux.schedule.expression import Expression, Scope
from koshi_flux.schedule.grammar import Keyframe, Parser, check_finite, places, read_keyframes

Array: TypeAlias = NDArray[np.float64]


class _Dialect(NamedTuple):
    """How another program's schedules are read and evaluated."""

    read: Callable[[str, str], tuple[Keyframe, ...]]
    places: Callable[[list[Expression], Scope], Iterable[int]]
    values: Callable[[tuple[Keyframe, ...], Scope], Array]


_OTHERS = {
    "deforum": _Dialect(partial(deforum.read, dialect="deforum"), deforum.places, deforum.values),
    "notebook": _Dialect(partial(deforum.read, dialect="notebook"), deforum.places, deforum.values),
    "parseq": _Dialect(parseq.read, parseq.places, parseq.values),
}
DIALECTS = ("koshi", *_OTHERS)
_OTHER_DIALECT = re.compile(rf" ?@[ ]*({'|'.join(_OTHERS)})\s*$")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A number for every frame of a film, of whatever length: keyframes, and the way between them.

    `Schedule.parse(str(schedule)) == schedule`. Equality looks at what a schedule does, not at how it was typed.

    Args:
        entries: the keyframes, in the order they were written.
        easing: the way from number to number.
        dialect: how it was read: "koshi", one of Deforum's two ways, or Parseq's.
        text: as it was typed, without the dialect.
        name: the parameter it belongs to, for messages.
    """

    entries: tuple[Keyframe, ...]
    easing: Easing = LINEAR
    dialect: str = "koshi"
    text: str = field(default="", compare=False)
    name: str = field(default="schedule", compare=False)

    @classmethod
    def parse(
        cls, text: "str | float | Schedule", name: str = "schedule", dialect: str = "koshi", easing: str | None = None
    ) -> "Schedule":
        """Read a schedule such as "0:(1.0), 60:(1.05) @ ease-in-out", or take a number as one that stays.

        Args:
            text: a schedule text, a number, or a schedule, which stays as it is.
            name: the parameter, for messages.
            dialect: how to read a text that does not end in "@ deforum", "@ notebook" or "@ parseq".
            easing: the way between numbers; it takes the place of the text's own.

        Raises:
            ScheduleError: the text cannot be read; it has the column and what was expected there.
        """
        if dialect not in DIALECTS:
            raise SettingsError(f"unknown dialect {dialect!r}, known are {', '.join(DIALECTS)}")
        if isinstance(text, cls):
            schedule = text
        elif isinstance(text, str):
            schedule = cls._read(text, name, dialect)
        else:
            schedule = cls._read(_number_text(text, name), name, "koshi")
        if easing is None:
            return schedule
        if schedule.dialect != "koshi":
            raise ScheduleError(f"the {schedule.dialect} dialect knows no easing, leave {easing!r} out", name=name)
        return replace(schedule, easing=Easing.parse(easing, name))

    @classmethod
    def _read(cls, text: str, name: str, dialect: str) -> "Schedule":
        if other := _OTHER_DIALECT.search(text):
            text, dialect = text[: other.start()], other[1]
        if dialect != "koshi":
            return cls(_OTHERS[dialect].read(text, name), LINEAR, dialect, text, name)
        parser = Parser(text, name)
        entries = read_keyframes(parser)
        easing = Easing.parse(text, name, parser.token.start) if parser.accept("@") else LINEAR
        return cls(entries, easing, dialect, text, name)

    def __str__(self) -> str:
        """Its canonical text, which reads back as the same schedule."""
        if self.dialect != "koshi":
            return f"{self.text} @ {self.dialect}"
        keyframes = ", ".join(f"{keyframe.key}:({keyframe.value})" for keyframe in self.entries)
        return keyframes if self.easing == LINEAR else f"{keyframes} @ {self.easing}"

    @property
    def is_constant(self) -> bool:
        """Whether it is one plain number in every film."""
        numbers = {float(keyframe.value.evaluate()) for keyframe in self.entries if not keyframe.value.names}
        return len(numbers) == 1 and not any(keyframe.value.names for keyframe in self.entries)

    def keyframes(self, frames: int, seed: int = 0, fps: float = 24.0, bpm: float = 120.0) -> tuple[int, ...]:
        """The frames of its keys, rising, in a film of `frames` frames; some may lie after its end."""
        scope = Scope(frames, seed, fps, bpm)
        keys = [keyframe.key for keyframe in self.entries]
        return tuple(sorted((places if self.dialect == "koshi" else _OTHERS[self.dialect].places)(keys, scope)))

    def values(self, frames: int, seed: int = 0, fps: float = 24.0, bpm: float = 120.0) -> Array:
        """Its value at each frame of a film, float64 (frames,), all finite.

        Args:
            frames: length of the film; `max_f` is frames - 1.
            seed: the variable `s`.
            fps: frames per second, for `fps`, `sec` and `beat`.
            bpm: beats per minute, for `bpm` and `beat`.

        Raises:
            ScheduleError: a key or value comes to nothing in this film; it says at which frame.
        """
        scope = Scope(frames, seed, fps, bpm)
        if self.dialect != "koshi":
            return _OTHERS[self.dialect].values(self.entries, scope)
        keys = places([keyframe.key for keyframe in self.entries], scope)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        return _values([keys[i] for i in order], [self.entries[i] for i in order], self.easing, scope)


def _values(keys: list[int], keyframes: list[Keyframe], easing: Easing, scope: Scope) -> Array:
    """The series of rising keys: eased through runs of numbers, evaluated where an expression holds."""
    t = np.arange(scope.frames, dtype=np.float64)
    positions = np.array(keys, dtype=np.float64)
    numbers = np.array([keyframe.value.at(key, scope) for key, keyframe in zip(keys, keyframes, strict=True)])
    series = np.full(scope.frames, numbers[0])  # a first key after 0 is held back to 0
    first = 0
    for last, keyframe in enumerate(keyframes):
        is_end = last + 1 == len(keys)
        if keyframe.is_number and not is_end:
            continue
        if last > first:
            run, span = slice(first, last + 1), slice(keys[first], keys[last])
            series[span] = easing.between(positions[run], numbers[run], t[span])
        span = slice(keys[last], None if is_end else keys[last + 1])
        series[span] = numbers[last] if keyframe.is_number else keyframe.value.evaluate(scope.variables(t[span]))
        first = last + 1
    check_finite(series, keys, keyframes)
    return series


def _number_text(number: object, name: str) -> str:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ScheduleError(f"expected a number or a schedule such as '0:(1.0), 60:(1.05)', not {number!r}", name=name)
    return repr(float(number) + 0.0)  # which makes -0.0 the 0 that it means
