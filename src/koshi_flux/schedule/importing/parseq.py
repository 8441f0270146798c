"""Parseq manifests -> films: every rendered frame's values, in as few keyframes as say the same.

A manifest rules over the fields that it manages. What it does not say, such as the size and the picture to start from,
stood in Deforum's settings: `deforum_keys` is what it puts there in their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Array, Schedule
from koshi_flux.schedule.importing.parseq_fields import FIELDS, SPACE, STRENGTHS, Field
from koshi_flux.schedule.importing.parseq_manifest import DELTA, Rendered, number, read_of_a_frame, rendered, subseeds
from koshi_flux.schedule.importing.parseq_native import Document
from koshi_flux.schedule.importing.parseq_prompts import prompts_by_frame
from koshi_flux.schedule.importing.programs import WEBUI
from koshi_flux.schedule.importing.report import Entry, Fate, Imported, Options
from koshi_flux.schedule.keyframed import keyframed, keyframes_text
from koshi_flux.schedule.settings.ranges import RANGES

_RENDERED = "read from rendered_frames"
_SCREEN = "a matter of Parseq's screen"
_SUMMARY = "a summary of rendered_frames"
_ELSEWHERE: dict[str, str] = {
    "meta": "which version wrote it, and when",
    "header": "which version wrote it, and when",
    "displayedFields": _SCREEN,
    "displayFields": _SCREEN,
    "keyframeLock": _SCREEN,
    "rendered_frames_meta": _SUMMARY,
    "timeSeries": "series that formulas used; what came of them is in rendered_frames",
    "reverseRender": "drawing a film from its end; frames are drawn in order here",
    "audio": "a sound that formulas were written to",
    "videoSrc": "a video to look at beside the film",
}
_OPTIONS = {"output_fps": ("fps", 20.0), "cadence": ("cadence", 1.0), "bpm": ("bpm", 140.0)}
"""Our names of Parseq's options, and what it takes where they are missing."""
_PREFIXES = ("animation_prompts_positive", "animation_prompts_negative")
"""What Deforum adds to its own prompts, and not to Parseq's."""


def is_parseq(content: object) -> bool:
    """Whether a JSON object is a Parseq manifest or document."""
    return isinstance(content, dict) and (
        "rendered_frames" in content or ("keyframes" in content and bool({"options", "managedFields"} & content.keys()))
    )


def read_parseq(content: dict[str, Any], options: Options) -> Imported:
    """Read a Parseq manifest; of a document that was never rendered, its keyframes and formulas.

    Raises:
        SettingsError: it is no manifest; the message says what was expected where.
        ScheduleError: a formula of a document that was never rendered cannot be evaluated here.
    """
    manifest = Manifest(content)
    settings, entries = manifest.options()
    settings["mode"] = "3d" if manifest.is_in_space else "2d"
    if options.model is not None:
        settings["model"] = options.model
    prompts, entry = manifest.prompts()
    settings["prompts"] = prompts
    entries.append(entry)
    for name in manifest.source.fields:
        given, entry = manifest.field(name, options)
        settings |= given
        entries.append(entry)
    entries += manifest.others()
    return Imported(Animation(**settings), tuple(entries), "Parseq manifest")


def deforum_keys(content: dict[str, Any], deltas: bool = True, overrides: bool = True) -> dict[str, object]:
    """What a manifest puts in the place of Deforum's own settings, under Deforum's keys.

    Args:
        content: the manifest.
        deltas: Deforum's `parseq_use_deltas`: read motions as the change from frame to frame.
        overrides: Deforum's `parseq_non_schedule_overrides`: take length, frame rate and cadence too.
    """
    manifest = Manifest(content)
    keys: dict[str, object] = {}
    if overrides:
        settings = manifest.options()[0]
        keys |= {"max_frames": settings["frames"], "fps": settings["fps"], "diffusion_cadence": settings["cadence"]}
    for name in manifest.source.fields:
        if name == "seed" or name not in FIELDS or not FIELDS[name].deforum:
            continue
        values = read_of_a_frame(name, manifest.source.column) if deltas else manifest.source.column(name)
        if values is not None:
            keys[FIELDS[name].deforum] = keyframes_text(values)
    if seeds := manifest.seeds():
        keys |= {"seed_behavior": "schedule", "enable_subseed_scheduling": True}
        names = ("seed_schedule", "subseed_schedule", "subseed_strength_schedule")
        keys |= {name: keyframes_text(values) for name, values in zip(names, seeds, strict=True)}
    if "strength_schedule" in keys:
        keys["image_strength_schedule"] = keys["strength_schedule"]
    if manifest.texts is not None:
        keys |= {"prompts": prompts_by_frame(manifest.texts), **dict.fromkeys(_PREFIXES, "")}
    return keys


@dataclass(frozen=True)
class Manifest:
    """A manifest, and what becomes of it."""

    content: dict[str, Any]

    @cached_property
    def source(self) -> Rendered | Document:
        """Where values and prompts are read."""
        return rendered(self.content) or Document(self.content, self._option("output_fps"), self._option("bpm"))

    @cached_property
    def is_in_space(self) -> bool:
        """Whether a field moves that only a camera in space follows."""
        columns = (read_of_a_frame(name, self.source.column) for name in SPACE if name in self.source.fields)
        return any(column is not None and column[1:].any() for column in columns)

    @cached_property
    def texts(self) -> list[str] | None:
        """The prompt of every frame, for A1111."""
        return self.source.prompts()

    def _option(self, name: str) -> float:
        options = self.content.get("options") or {}
        if not isinstance(options, dict):
            raise SettingsError(f"options: expected settings such as {{'output_fps': 20}}, got {options!r}")
        found = number(options.get(name), f"options: {name}")
        return _OPTIONS[name][1] if found is None else found

    def options(self) -> tuple[dict[str, Any], list[Entry]]:
        """The film's length and clock."""
        settings: dict[str, Any] = {"frames": self.source.frames}
        settings |= {ours: self._option(name) for name, (ours, _) in _OPTIONS.items()}
        settings["cadence"] = max(1, round(settings["cadence"]))
        entries = [
            Entry(f"options.{name}", value, "kept", f"{_OPTIONS[name][0]} = {settings[_OPTIONS[name][0]]:g}")
            if name in _OPTIONS
            else Entry(f"options.{name}", value, "meaningless", why="for Parseq's own screen and sums")
            for name, value in (self.content.get("options") or {}).items()
        ]
        return settings, entries

    def prompts(self) -> tuple[dict[str, str], Entry]:
        """The prompts, and what became of them."""
        said = self.content.get("prompts")
        if self.texts is None:
            why = "Parseq did not manage them, they stood in Deforum's settings: write them into the film"
            return {"0": ""}, Entry("prompts", said, "meaningless", 'prompts = {0 = ""}', why)
        prompts = prompts_by_frame(self.texts)
        why = "as Parseq renders them for each frame"
        if any(" AND " in text for text in self.texts):
            why += "; prompts joined by AND are mixed, with weights that sum to 1"
        return prompts, Entry("prompts", said, "translated", f"prompts, {len(prompts)} of them", why)

    def seeds(self) -> tuple[Array, Array, Array] | None:
        """Seed, second seed, and how far to go over to it, at every frame; None when Parseq does not manage them."""
        seeds = self.source.column("seed")
        if seeds is None:
            return None
        second, share = subseeds(seeds)
        if isinstance(self.source, Rendered):
            written, share_written = self.source.column("subseed"), self.source.column("subseed_strength")
            second = second if written is None else written
            share = share if share_written is None else share_written
        return np.trunc(seeds), second, share

    def field(self, name: str, options: Options) -> tuple[dict[str, Any], Entry]:
        """What one field becomes."""
        field = FIELDS.get(name)
        if field is None:
            near = get_close_matches(name, FIELDS, n=1)
            return {}, Entry(name, None, "unknown", why=f"did you mean {near[0]!r}?" if near else "no field of Parseq")
        values = read_of_a_frame(name, self.source.column)
        if values is None:
            return {}, Entry(name, None, "meaningless", why="no frame has a value")
        key = name + DELTA if field.moves else name
        if not field.setting:
            return {}, Entry(key, _span(values), "meaningless", why=field.why)
        if name == "seed":
            return self._seed(values)
        return self._schedule(name, field, values, options)

    def _seed(self, seeds: Array) -> tuple[dict[str, Any], Entry]:
        found = self.seeds()
        assert found is not None  # whoever asks has found the field
        first, second, share = (
            _inside(n, v)[0] for n, v in zip(("seed_schedule", "subseed", "subseed_strength"), found, strict=True)
        )
        settings = {
            "seed_behavior": "schedule",
            "seed_schedule": _simplest(first, "seed_schedule"),
            "subseed": _simplest(second, "subseed"),
            "subseed_strength": _simplest(share, "subseed_strength"),
        }
        why = "whole part and fraction: the fraction is how far the noise goes over to the next seed's"
        if (first < 0).any():
            why += "; -1 picks one"
        return settings, Entry("seed", _span(seeds), "translated", "seed_schedule, subseed, subseed_strength", why)

    def _schedule(self, name: str, field: Field, values: Array, options: Options) -> tuple[dict[str, Any], Entry]:
        setting, why = field.setting, [field.why]
        settings: dict[str, Any] = {}
        if name == "strength":
            why = [STRENGTHS[options.strength]]
            if options.strength != "snr":
                setting, values = "denoise", 1 - values
            if options.strength == "steps":
                settings["denoise_mode"] = "steps"
        elif name == "noise":
            values = values * WEBUI.grain["perlin"]
        inside, outside = _inside(setting, values, field.moves)
        if outside:
            why.append(f"cut to [{RANGES[setting][0]:g}, {RANGES[setting][1]:g}] at {outside} frames")
        settings[setting] = self._native(name, inside) or _simplest(inside, setting)
        changed = field.moves or outside or name in ("strength", "noise")
        key = name + DELTA if field.moves else name
        said = "; ".join(filter(None, why))
        return settings, Entry(key, _span(values), "translated" if changed else "kept", setting, said)

    def _native(self, name: str, values: Array) -> Schedule | None:
        """The formulas themselves, where the film needs no other numbers than they give."""
        if isinstance(self.source, Rendered) or FIELDS[name].moves:
            return None
        schedule = self.source.schedule(name)
        return schedule if schedule and np.array_equal(self.source.values(schedule), values) else None

    def others(self) -> Iterator[Entry]:
        """What became of the manifest's other keys."""
        for key, value in self.content.items():
            if key in ("options", "prompts"):
                continue
            if key == "rendered_frames":
                yield Entry(
                    key, f"{len(value or ())} frames", "translated", f"frames = {self.source.frames}", self._gaps()
                )
            elif key in ("keyframes", "managedFields"):
                fate: Fate = "meaningless" if isinstance(self.source, Rendered) else "translated"
                yield Entry(
                    key, value, fate, why=_RENDERED if fate == "meaningless" else "evaluated: nothing is rendered"
                )
            elif key in _ELSEWHERE:
                yield Entry(key, value, "meaningless", why=_ELSEWHERE[key])
            else:
                yield Entry(key, value, "unknown", why="no key of Parseq's manifests")

    def _gaps(self) -> str:
        if not isinstance(self.source, Rendered):
            return "empty"
        told = []
        if repeated := self.source.repeated:
            told.append(f"frame {repeated[0]} stands there twice, the later one counts")
        if missing := self.source.missing:
            told.append(f"frame {missing[0]} is missing ({len(missing)} in all), it has the values of the one before")
        return "; ".join(told)


def _inside(setting: str, values: Array, moves: bool = False) -> tuple[Array, int]:
    """Values cut to what a setting may be, and at how many frames that counts: at frame 0 nothing moves."""
    low, high = RANGES.get(setting, (-np.inf, np.inf))
    cut = np.clip(values, low, high)
    return cut, int(np.count_nonzero((cut != values)[1 if moves else 0 :]))


def _simplest(values: Array, name: str) -> Schedule | float:
    """A schedule with these values, or the number that they all are."""
    return float(values[0]) if np.ptp(values) == 0 else keyframed(values, name)


def _span(values: Array) -> str:
    """The range of some values, for a report."""
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
