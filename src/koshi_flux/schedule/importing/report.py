"""What became of every key of an imported file: nothing is dropped in silence."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from koshi_flux.schedule.animation import Animation

Fate = Literal["translated", "kept", "meaningless", "unknown"]

FATES: dict[Fate, str] = {
    "translated": "Translated",
    "kept": "Kept as it was",
    "meaningless": "Has no meaning here",
    "unknown": "Unknown",
}
"""The fates of keys in the order they are reported, with their headings."""

Strength = Literal["snr", "steps", "direct"]
"""What an old strength becomes: the start sigma with the noise it had, the same share of the steps, or 1 less it."""

STRENGTHS: dict[str, Strength] = {"snr": "snr", "steps": "steps", "direct": "direct"}
"""Those by name."""

_SHOWN = 60
"""Characters up to which a value is shown whole in a table."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one key of an old file.

    Args:
        key: its name there.
        value: what it held.
        fate: "kept" when a setting of ours has the same value, "translated" when it stands in other words or numbers.
        to: our setting, or what it came to, e.g. "denoise = 0.5".
        why: the reason when a number changes or a key has no meaning; the nearest known name of an unknown one.
    """

    key: str
    value: object
    fate: Fate
    to: str = ""
    why: str = ""

    def row(self) -> tuple[str, ...]:
        """Its line in a table: fate, key, value, what it became, why."""
        return FATES[self.fate], self.key, shown(self.value), self.to, self.why


@dataclass(frozen=True, slots=True)
class Options:
    """What whoever imports a film wants of it.

    Args:
        model: the model it is to be drawn with; None leaves that open.
        strength: what its strengths become.
    """

    model: str | None = None
    strength: Strength = "snr"


@dataclass(frozen=True, slots=True)
class Imported:
    """A film that was read from another program's file.

    Args:
        animation: the film.
        entries: one for each key of the file, in the file's order.
        source: which kind of file it was, e.g. "sd-webui Deforum settings".
    """

    animation: Animation
    entries: tuple[Entry, ...]
    source: str

    def of(self, fate: Fate) -> tuple[Entry, ...]:
        """The keys that fared so."""
        return tuple(entry for entry in self.entries if entry.fate == fate)

    def reasons(self) -> dict[str, tuple[str, ...]]:
        """The keys that have no meaning here, by why: of two hundred there are fifty reasons."""
        reasons: dict[str, tuple[str, ...]] = {}
        for entry in self.of("meaningless"):
            reasons[entry.why] = (*reasons.get(entry.why, ()), entry.key)
        return reasons

    def table(self) -> list[tuple[str, ...]]:
        """Rows of fate, key, value, what it became and why, grouped by fate."""
        return [entry.row() for fate in FATES for entry in self.of(fate)]

    def summary(self) -> str:
        """How many keys fared how, in one line."""
        counts = ", ".join(f"{len(self.of(fate))} {fate}" for fate in FATES if self.of(fate))
        return f"{self.source}: {len(self.entries)} keys, {counts or 'none of them of use'}"

    def markdown(self) -> str:
        """The report as the text of a Markdown file."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from ("# What became of the old film", "", f"{self.summary()}.")
        for fate, heading in FATES.items():
            if entries := self.of(fate):
                yield from ("", f"## {heading}", "", "| key | value | here | why |", "|---|---|---|---|")
                yield from (_markdown_row(entry.row()[1:]) for entry in entries)


def shown(value: object) -> str:
    """A value of an old file, short enough for a table."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
