"""Parseq documents that were never rendered: their keyframes, formulas and prompts, evaluated here.

Formulas keep their own language ("... @ parseq"). What draws random numbers or remembers is refused, with what to do.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.curve import Array, Schedule
from koshi_flux.schedule.expression import show_number
from koshi_flux.schedule.importing.parseq_fields import FIELDS
from koshi_flux.schedule.importing.parseq_manifest import frame_of, number

_FORMULA = re.compile(r"\$\{(.*?)\}", re.DOTALL)
_NOT_RENDERED = "the document has not been rendered: open it in Parseq, render it, and import that"


@dataclass(frozen=True)
class Document:
    """A Parseq document without rendered frames.

    Args:
        content: the whole document.
        fps: frames per second.
        bpm: beats per minute.
    """

    content: Mapping[str, Any]
    fps: float
    bpm: float

    @cached_property
    def keyframes(self) -> dict[int, Mapping[str, Any]]:
        """Its keyframes by frame, rising; the last of several for one frame counts."""
        listed = self.content.get("keyframes")
        if not isinstance(listed, list) or not listed or not all(isinstance(row, dict) for row in listed):
            raise SettingsError(f"a Parseq manifest has 'rendered_frames' or at least 'keyframes': {_NOT_RENDERED}")
        rows = {frame_of(row, f"keyframes[{place}]"): row for place, row in enumerate(listed)}
        return dict(sorted(rows.items()))

    @cached_property
    def frames(self) -> int:
        """How long the film is."""
        return max(self.keyframes) + 1

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that it manages; all that its keyframes have, if it does not say."""
        managed = self.content.get("managedFields")
        if isinstance(managed, list):
            return tuple(str(name) for name in managed)
        names = dict.fromkeys(name for row in self.keyframes.values() for name in row)
        return tuple(name for name in names if name not in ("frame", "info") and not name.endswith("_i"))

    def schedule(self, name: str) -> Schedule | None:
        """A field as a schedule: in Parseq's language where it has formulas. None of a field that nobody knows.

        Raises:
            ScheduleError: a formula cannot be read here.
        """
        values = {f: number(row.get(name), f"keyframes: {name} of frame {f}") for f, row in self.keyframes.items()}
        formulas = {frame: row[f"{name}_i"] for frame, row in self.keyframes.items() if row.get(f"{name}_i")}
        given = {frame: value for frame, value in values.items() if value is not None}
        if not given and name not in FIELDS:
            return None
        given = given or {0: float(FIELDS[name].default)}
        entries = {frame: _entry(given.get(frame), formulas.get(frame)) for frame in sorted(given.keys() | formulas)}
        text = ", ".join(f"{frame}:({entry})" for frame, entry in entries.items())
        return Schedule.parse(text, name, "parseq" if formulas else "koshi")

    def values(self, schedule: Schedule) -> Array:
        """What a schedule comes to in this film."""
        return schedule.values(self.frames, fps=self.fps, bpm=self.bpm)

    def column(self, name: str) -> Array | None:
        """A field's value at every frame; None of one that nobody knows, and of the changes, which it does not hold."""
        schedule = self.schedule(name)
        return None if schedule is None else self.values(schedule)

    def prompts(self) -> list[str] | None:
        """The prompt of every frame, for A1111, as Parseq renders it; None when Parseq did not manage prompts."""
        prompts = self.content.get("prompts")
        if not prompts or (isinstance(prompts, dict) and prompts.get("enabled") is False):
            return None
        listed = prompts.get("promptList", [prompts]) if isinstance(prompts, dict) else prompts
        if not isinstance(listed, list):
            raise SettingsError(f"prompts: expected a list of prompts, got {prompts!r}")
        shared = prompts if isinstance(prompts, dict) else {}
        written = [self._prompt(_table(prompt, "prompts"), shared) for prompt in listed]
        return [_joined([now for side in written if (now := side[frame])]) for frame in range(self.frames)]

    def _prompt(self, prompt: Mapping[str, Any], prompts: Mapping[str, Any]) -> list[tuple[str, str, float] | None]:
        """One prompt at every frame: its words, those to avoid, its weight; None where it is not active."""
        first, last = self._active(prompt)
        weights = self._weights(_table(prompt.get("overlap"), "overlap"), first, last)
        common, place = _table(prompts.get("commonPrompt"), "commonPrompt"), prompts.get("commonPromptPos")
        positive, negative = (
            self._filled(_with_common(str(prompt.get(side) or ""), str(common.get(side) or ""), place))
            for side in ("positive", "negative")
        )
        return [
            (positive[f], negative[f], float(weights[f])) if first <= f <= last else None for f in range(self.frames)
        ]

    def _active(self, prompt: Mapping[str, Any]) -> tuple[int, int]:
        if prompt.get("allFrames", True):
            return 0, self.frames - 1
        first, last = (number(prompt.get(end), f"prompts: {end}") for end in ("from", "to"))
        return int(first or 0), int(self.frames - 1 if last is None else last)

    def _weights(self, overlap: Mapping[str, Any], first: int, last: int) -> Array:
        """How much a prompt counts among others at every frame; its fades are rounded to four digits, as in Parseq."""
        t = np.arange(self.frames, dtype=np.float64)
        if overlap.get("type") == "custom":
            return self._formula(str(overlap.get("custom", "")))
        if overlap.get("type") != "linear":
            return np.ones(self.frames)
        fade_in, fade_out = (number(overlap.get(end), f"prompts: {end}") or 0.0 for end in ("inFrames", "outFrames"))
        weights = np.ones(self.frames)
        if fade_out:
            weights = np.where(t > last - fade_out, 1 - (t - (last - fade_out)) / fade_out, weights)
        if fade_in:
            weights = np.where(t < first + fade_in, (t - first) / fade_in, weights)
        return np.array([float(f"{weight:.4g}") for weight in weights])

    def _filled(self, text: str) -> list[str]:
        """A text at every frame, with the values of its `${formulas}`."""
        words = _FORMULA.split(text)
        series = [self._formula(formula) for formula in words[1::2]]
        texts = []
        for frame in range(self.frames if series else 1):
            words[1::2] = [f"{values[frame]:.5f}" for values in series]
            texts.append("".join(words))
        return texts if series else texts * self.frames

    def _formula(self, text: str) -> Array:
        """A formula in a prompt: a field, or maths without one."""
        if text.strip() in self.fields and (values := self.column(text.strip())) is not None:
            return values
        try:
            return self.values(Schedule.parse(text, "prompts", "parseq"))
        except ScheduleError as unread:
            raise SettingsError(f"{unread}\n{_NOT_RENDERED}") from None


def _table(value: object, where: str) -> Mapping[str, Any]:
    """An object of the document; an empty one where it is left out."""
    if not value:
        return {}
    if not isinstance(value, dict):
        raise SettingsError(f"{where}: expected an object with settings, got {value!r}")
    return value


def _entry(value: float | None, formula: object) -> str:
    written = "" if value is None else show_number(value)
    return f"{written}; {formula}" if formula else written


def _with_common(text: str, common: str, place: object) -> str:
    """A prompt with the words that all have: after it, before it, or around it."""
    if not common:
        return text
    if place == "template":
        return common.replace("[prompt]", text)
    return f"{common} {text}" if place == "prepend" else f"{text} {common}"


def _joined(active: Sequence[tuple[str, str, float]]) -> str:
    """The prompts of a frame in A1111's words."""
    if len(active) == 1:
        positive, negative = active[0][:2]
    else:
        positive, negative = (
            " AND ".join(f"{prompt[side]}: {show_number(prompt[2])}" for prompt in active) for side in (0, 1)
        )
    return f"{positive} --neg {negative}" if any(prompt[1] for prompt in active) else positive
