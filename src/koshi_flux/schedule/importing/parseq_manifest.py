"""A Parseq manifest as numbers and prompts per frame."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.curve import Array
from koshi_flux.schedule.importing.parseq_fields import FIELDS

_MOST_FRAMES = 1_000_000
_DERIVED = ("frame", "info", "deforum_prompt", "subseed", "subseed_strength")
DELTA = "_delta"


@dataclass(frozen=True)
class Rendered:
    """What Parseq has calculated: `rendered_frames`.

    Args:
        rows: its frames, by number; the last of several for one frame counts.
        repeated: frames that there were several of.
        missing: frames that there were none of; they have the values of the frame before.
    """

    rows: Mapping[int, Mapping[str, Any]]
    repeated: tuple[int, ...]
    missing: tuple[int, ...]

    @cached_property
    def frames(self) -> int:
        """How long the film is."""
        return max(self.rows) + 1

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that it has values of."""
        names = dict.fromkeys(name for row in self.rows.values() for name in row)
        return tuple(n for n in names if n not in _DERIVED and not n.endswith((DELTA, "_pc")))

    def column(self, name: str) -> Array | None:
        """A field's value at every frame, held where there is none; None when no frame has one."""
        found = {frame: value for frame, row in self.rows.items() if (value := _number(row, name, frame)) is not None}
        return _held(found, self.frames) if found else None

    def prompts(self) -> list[str] | None:
        """The prompt of every frame, for A1111; None when no frame has one."""
        texts = {frame: row["deforum_prompt"] for frame, row in self.rows.items() if "deforum_prompt" in row}
        for frame, text in texts.items():
            if not isinstance(text, str):
                raise SettingsError(f"rendered_frames: deforum_prompt of frame {frame} should be a text, got {text!r}")
        if not texts:
            return None
        held, current = [], texts[min(texts)]
        for frame in range(self.frames):
            current = texts.get(frame, current)
            held.append(current)
        return held


def rendered(content: Mapping[str, Any]) -> Rendered | None:
    """The rendered frames of a manifest; None when it has none.

    Raises:
        SettingsError: they are not what Parseq writes.
    """
    listed = content.get("rendered_frames")
    if not listed:
        return None
    if not isinstance(listed, list):
        raise SettingsError(f"rendered_frames: expected a list of frames, got {_kind(listed)}")
    rows: dict[int, Mapping[str, Any]] = {}
    repeated = []
    for place, row in enumerate(listed):
        if row is None:  # frames before the first keyframe
            continue
        if not isinstance(row, dict):
            raise SettingsError(f"rendered_frames[{place}]: expected a frame such as {{'frame': 0}}, got {_kind(row)}")
        frame = frame_of(row, f"rendered_frames[{place}]")
        if frame in rows:
            repeated.append(frame)
        rows[frame] = row
    if not rows:
        return None
    return Rendered(rows, tuple(repeated), tuple(sorted(set(range(max(rows))) - rows.keys())))


def frame_of(row: Mapping[str, Any], where: str) -> int:
    """The frame that a row of the manifest is about."""
    frame = number(row.get("frame"), f"{where}: frame")
    if frame is None or frame % 1 or not 0 <= frame < _MOST_FRAMES:
        raise SettingsError(
            f"{where}: frame should be a whole number from 0 to {_MOST_FRAMES - 1:,}, got {row.get('frame')!r}"
        )
    return int(frame)


def number(value: object, where: str) -> float | None:
    """A number, which may be written as a text; None for what stands for nothing.

    Raises:
        SettingsError: it is something else.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.inf
        if math.isnan(found):
            return None
        if math.isfinite(found):
            return found
    raise SettingsError(f"{where} should be a number, got {value!r}")


def changes(name: str, values: Array) -> Array:
    """What Parseq calls a field's `_delta`: the change since the last frame, 1 more for zoom; frame 0 has the value."""
    return np.concatenate((values[:1], np.diff(values) + (1.0 if name == "zoom" else 0.0)))


def read_of_a_frame(name: str, column: Callable[[str], Array | None]) -> Array | None:
    """What Deforum reads a field as at every frame: motions as changes, everything else as it is."""
    if not (name in FIELDS and FIELDS[name].moves):
        return column(name)
    written = column(name + DELTA)
    if written is not None:
        return written
    values = column(name)
    return None if values is None else changes(name, values)


def subseeds(seeds: Array) -> tuple[Array, Array]:
    """The second seed and how far to go over to it, which Parseq hides in a fraction: 55.3 is 0.3 of the way to 56."""
    return np.ceil(seeds), np.fmod(seeds, 1)


def _number(row: Mapping[str, Any], name: str, frame: int) -> float | None:
    return number(row.get(name), f"rendered_frames: {name} of frame {frame}")


def _held(found: Mapping[int, float], frames: int) -> Array:
    known = np.array(sorted(found))
    values = np.array([found[frame] for frame in known.tolist()])
    return values[np.clip(np.searchsorted(known, np.arange(frames), side="right") - 1, 0, None)]


def _kind(value: object) -> str:
    return f"{type(value).__name__} {str(value)[:40]!r}"
