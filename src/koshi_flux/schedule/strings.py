"""Schedules of words, such as sampler names: each holds from its key to the next."""

import re
from dataclasses import dataclass, field

from koshi_flux.errors import SettingsError
from koshi_flux.schedule import deforum
from koshi_flux.schedule.curve import DIALECTS
from koshi_flux.schedule.expression import Expression, Number, Scope
from koshi_flux.schedule.grammar import Parser, check_keys, places

_STRING = re.compile(
    r"""(?P<open>\(\s*)?
        (?: "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<bare>(?(open)[^()"']+|[^(),:"']+)) )
        (?(open)\s*\))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class StringSchedule:
    """A word or phrase for every frame of a film.

    Args:
        entries: keys and strings, in the order they were written.
        dialect: how it was read: "koshi", or one of Deforum's two ways; Parseq has no schedules of words.
        text: as it was typed.
        name: the parameter it belongs to, for messages.
    """

    entries: tuple[tuple[Expression, str], ...]
    dialect: str = "koshi"
    text: str = field(default="", compare=False)
    name: str = field(default="schedule", compare=False)

    @classmethod
    def parse(cls, text: str, name: str = "schedule", dialect: str = "koshi") -> "StringSchedule":
        """Read a schedule such as `0: ("Euler a"), "max_f-1": ("Euler")`; a text without a key is one that stays.

        Raises:
            ScheduleError: the text cannot be read; it has the column and what was expected there.
        """
        if dialect not in DIALECTS:
            raise SettingsError(f"unknown dialect {dialect!r}, known are {', '.join(DIALECTS)}")
        if dialect not in ("koshi", "parseq"):
            return cls(deforum.read_strings(text, name, dialect), dialect, text, name)
        return cls(_entries(text, name), "koshi", text, name)

    def __str__(self) -> str:
        return self.text

    def values(self, frames: int, seed: int = 0, fps: float = 24.0, bpm: float = 120.0) -> list[str]:
        """Its string at each frame of a film.

        Raises:
            ScheduleError: a key comes to no frame in this film.
        """
        scope = Scope(frames, seed, fps, bpm)
        keys = [key for key, _ in self.entries]
        if self.dialect == "koshi":
            taken = {frame: index for index, frame in enumerate(places(keys, scope))}
        else:
            taken = deforum.places(keys, scope)
        strings, current = [], self.entries[taken[min(taken)]][1]
        for frame in range(frames):
            if frame in taken:
                current = self.entries[taken[frame]][1]
            strings.append(current)
        return strings


def _entries(text: str, name: str) -> tuple[tuple[Expression, str], ...]:
    if constant := _STRING.fullmatch(text.strip()):
        return ((Expression((Number(0.0),), text, 1, name), _string(constant)),)
    parser = Parser(text, name)
    if parser.at_end:
        parser.fail('expected a keyframe such as 0:("words")')
    entries = [_entry(parser)]
    while parser.accept(",") and not parser.at_end:
        entries.append(_entry(parser))
    if not parser.at_end:
        parser.fail("expected ','")
    check_keys([key for key, _ in entries])
    return tuple(entries)


def _entry(parser: Parser) -> tuple[Expression, str]:
    key = parser.expression()
    parser.expect(":")
    string = parser.take(_STRING)
    if string is None:
        parser.fail('expected ("words")')
    return key, _string(string)


def _string(found: re.Match[str]) -> str:
    quoted = found["double"] if found["single"] is None else found["single"]
    return found["bare"].strip() if quoted is None else quoted
