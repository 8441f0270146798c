"""Schedules exactly as Deforum read them, for films that were tuned on its quirks.

"deforum" is the web UI's and Forge's way, "notebook" that of the original notebook. Both
- evaluate with `^` as xor and numexpr's functions alone, and skip over frames where there is no value;
- drop keys after the last frame instead of going towards them, and need one at frame 0;
- interpolate only what looks like a plain number (`1.5`, but not `1e-3`, `5.` or `( 0 )`), and hold the rest;
- let the last of several keys for one frame win.
What made Deforum crash, and infinite values, are a ScheduleError here. Not copied: that whole numbers divided by 0
leave and give 0 (`t%0`, `t//0`), and that numexpr knows no `-(t>3)`.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.expression import Expression, Number, Scope
from koshi_flux.schedule.functions import BINARY, NUMEXPR, XOR
from koshi_flux.schedule.grammar import Keyframe, Language, Parser, check_finite

_OPERATORS = {**BINARY, "^": XOR}
_KEYS = Language(frozenset({"max_f", "s"}), NUMEXPR, _OPERATORS, quotes=False)
_VALUES = {
    # `i` is the loop variable, which leaks into Deforum's maths
    "deforum": Language(frozenset({"t", "i", "max_f", "s"}), NUMEXPR, _OPERATORS, quotes=False),
    "notebook": Language(frozenset({"t", "i"}), NUMEXPR, _OPERATORS, quotes=False),
}
_NUMBER = re.compile(r"[+-]?[0-9]*(?:\.[0-9]+)?")
_NOTEBOOK_ENTRY = re.compile(r"([0-9]+):\s*\(([\s\S]*?)\)(?:,\s?|\s?$)")
_BRACKETS_AND_QUOTES = str.maketrans("", "", "'\"()")
_QUOTES = str.maketrans("", "", "'\"")

StringKeyframe: TypeAlias = tuple[Expression, str]


class _Entry(NamedTuple):
    """A key, and where its value stands in the text."""

    key: Expression
    start: int
    stop: int


def read(text: str, name: str, dialect: str) -> tuple[Keyframe, ...]:
    """The keyframes of a schedule of numbers, in either dialect."""
    return tuple(_keyframe(entry, text, name, dialect) for entry in _entries(text, name, dialect))


def parts(text: str, dialect: str) -> list[tuple[str, str]]:
    """Key and value of each keyframe of a text that can be read, as they were typed."""
    if dialect == "notebook":
        return [(match[1], match[2]) for match in _NOTEBOOK_ENTRY.finditer(text)]
    halves = (part.partition(":") for part in text.split(","))
    return [(key.strip(), value.partition(":")[0].strip()) for key, _, value in halves]


def read_strings(text: str, name: str, dialect: str) -> tuple[StringKeyframe, ...]:
    """The keyframes of a schedule of strings, in either dialect."""
    unwanted = _BRACKETS_AND_QUOTES if dialect == "deforum" else _QUOTES
    return tuple(
        (entry.key, text[entry.start : entry.stop].translate(unwanted)) for entry in _entries(text, name, dialect)
    )


def places(keys: Sequence[Expression], scope: Scope) -> dict[int, int]:
    """Which key counts for which frame, as {frame: index}, by frame.

    Raises:
        ScheduleError: there is none for frame 0.
    """
    taken: dict[int, int] = {}
    for index, key in enumerate(keys):
        value = float(key.evaluate(scope.constants()))
        if not np.isfinite(value):
            raise key.error(f"the key is {value:g}, which is no frame")
        taken[int(value)] = index
    if 0 not in taken:
        raise keys[0].error("Deforum needs a key for frame 0")
    return {frame: taken[frame] for frame in sorted(taken) if 0 <= frame < scope.frames}


def values(keyframes: Sequence[Keyframe], scope: Scope) -> NDArray[np.float64]:
    """One number per frame."""
    taken = places([keyframe.key for keyframe in keyframes], scope)
    frames, live = list(taken), [keyframes[index] for index in taken.values()]
    series = np.full(scope.frames, np.nan)
    for keyframe, (frame, following) in zip(live, pairwise((*frames, scope.frames)), strict=True):
        stop = frame + 1 if keyframe.is_number else following
        t = np.arange(frame, stop, dtype=np.float64)
        series[frame:stop] = keyframe.value.evaluate({**scope.variables(t), "i": t})
    check_finite(np.where(np.isnan(series), 0.0, series), frames, live)
    known = np.flatnonzero(~np.isnan(series))
    if not known.size:
        raise live[0].value.not_finite(0, float("nan"))
    with np.errstate(over="ignore", invalid="ignore"):
        series = np.interp(np.arange(scope.frames), known, series[known])
    check_finite(series, frames, live)
    return series


def _entries(text: str, name: str, dialect: str) -> list[_Entry]:
    return _notebook_entries(text, name) if dialect == "notebook" else _webui_entries(text, name)


def _notebook_entries(text: str, name: str) -> list[_Entry]:
    """Whatever looks like `frame:(value)`, wherever it stands."""
    found = list(_NOTEBOOK_ENTRY.finditer(text))
    if not found:
        raise _error("expected a keyframe such as 0:(1.0)", text, 0, name)
    return [_Entry(_number(match[1], text, match.start(1), name), *match.span(2)) for match in found]


def _webui_entries(text: str, name: str) -> list[_Entry]:
    """Every comma separates keyframes, in functions too; of several colons the first counts, up to the second."""
    entries, start = [], 0
    for part in text.split(","):
        key, colon, rest = part.partition(":")
        middle = start + len(key) + 1
        if not colon and start:
            raise _error("to Deforum this comma ends a keyframe, expected another after it", text, start - 1, name)
        if not colon:
            raise _error("expected ':'", text, len(part), name)
        value = rest.partition(":")[0]
        entries.append(_Entry(_webui_key(key, text, start, name), *_span(value, middle)))
        start += len(part) + 1
    return entries


def _webui_key(key: str, text: str, start: int, name: str) -> Expression:
    number = key.translate(_BRACKETS_AND_QUOTES).strip()
    start, stop = _span(key, start, " \t\r\n'\"")
    if not _looks_like_number(number):
        return Parser(text, name, _KEYS, start, stop).whole()
    if not number.lstrip("+-").isdigit():
        raise _error(f"expected a whole frame, not {number!r}", text, start, name)
    return _number(number, text, start, name)


def _keyframe(entry: _Entry, text: str, name: str, dialect: str) -> Keyframe:
    key, start, stop = entry
    written = text[start:stop]
    number = written.translate(_BRACKETS_AND_QUOTES) if dialect == "deforum" else written
    if _looks_like_number(number):
        if not number[-1].isdigit():
            raise _error("expected a number", text, start, name)
        return Keyframe(key, _number(number, text, start, name), is_number=True)
    if written[0:1].isspace():
        raise _error("expected maths without a space before it", text, start, name)
    return Keyframe(key, Parser(text, name, _VALUES[dialect], start, stop).whole(), is_number=False)


def _looks_like_number(text: str) -> bool:
    return text != "" and _NUMBER.fullmatch(text) is not None


def _number(number: str, text: str, start: int, name: str) -> Expression:
    return Expression((Number(float(number)),), text, start + 1, name)


def _error(problem: str, text: str, start: int, name: str) -> ScheduleError:
    return ScheduleError(problem, text=text, column=start + 1, name=name)


def _span(part: str, start: int, unwanted: str | None = None) -> tuple[int, int]:
    """Where `part`, which begins at `start`, stands without the unwanted characters around it."""
    start += len(part) - len(part.lstrip(unwanted))
    return start, start + len(part.strip(unwanted))
