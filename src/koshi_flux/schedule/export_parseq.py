"""A film as a Parseq manifest: rendered, and with keyframes that Parseq can open and change."""

import json
from typing import Any

import numpy as np

from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Array
from koshi_flux.schedule.export_words import kept_strength, left_unsaid, prompts_at_frames
from koshi_flux.schedule.importing.parseq_fields import FIELDS
from koshi_flux.schedule.importing.programs import WEBUI
from koshi_flux.schedule.keyframed import corners
from koshi_flux.version import VERSION

_SAID = {
    *("frames", "fps", "bpm", "cadence", "prompts", "prompt_blend", "negative_prompt", "dialect", "seed"),
    *("seed_behavior", "seed_iter", "seed_schedule", "subseed", "subseed_strength"),
    *("denoise", "denoise_mode", "strength_schedule", "noise", "mode"),
}
_REASONS = {
    "size": "Deforum's settings hold it",
    "guidance": "Parseq's scale is that of Stable Diffusion",
    "keyframe_distribution": "Forge's settings hold it",
}
_OLD_SPELLINGS = ("guidedcolor_correction_factor",)


def parseq_manifest(film: Animation) -> tuple[str, list[str]]:
    """The text of a manifest, and what it leaves unsaid."""
    columns, notes = _columns(film)
    texts, lost = prompts_at_frames(film)
    settings = {field.setting for name, field in FIELDS.items() if name in columns}
    unsaid = [*notes, *lost, *left_unsaid(film, _SAID | settings, _REASONS)]
    if film.mode not in ("2d", "3d"):
        unsaid.insert(0, f"mode = {film.mode!r}: Deforum's settings hold it")
    values = {
        name: np.cumsum(_steps(name, column)) if FIELDS[name].moves else column for name, column in columns.items()
    }
    manifest: dict[str, Any] = {
        "meta": {"generated_by": "koshi-flux", "version": VERSION},
        "prompts": _prompts(texts),
        "options": {"input_fps": film.fps, "output_fps": film.fps, "bpm": film.bpm, "cadence": film.cadence},
        "managedFields": list(columns),
        "displayedFields": list(columns),
        "keyframes": _keyframes(values),
        "timeSeries": [],
        "keyframeLock": "frames",
        "reverseRender": False,
        "rendered_frames": _rendered(film, values, columns, texts),
        "rendered_frames_meta": {name: _summary(column) for name, column in values.items()},
    }
    return json.dumps(manifest, ensure_ascii=False, indent=1), unsaid


def _columns(film: Animation) -> tuple[dict[str, Array], list[str]]:
    """What Deforum is to read of each field, at every frame, and what that leaves unsaid."""
    columns: dict[str, Array] = {"seed": film.seeds.astype(np.float64)}
    strength, notes = kept_strength(film)
    if strength is not None:
        columns["strength"] = strength
    if "noise" in film.model_fields_set:
        columns["noise"] = film.scheduled("noise") / WEBUI.grain["perlin"]
    for name, field in FIELDS.items():
        if field.setting in film.model_fields_set - _SAID and name not in _OLD_SPELLINGS:
            columns[name] = film.scheduled(field.setting)
    return columns, notes


def _steps(name: str, changes: Array) -> Array:
    """What to add up for the value that changes so: a zoom of 1 adds nothing."""
    return np.concatenate((changes[:1], changes[1:] - (1.0 if name == "zoom" else 0.0)))


def _keyframes(values: dict[str, Array]) -> list[dict[str, float]]:
    """Keyframes between which Parseq's own straight lines say the same, and which hold every field at both ends."""
    last = len(values["seed"]) - 1
    rows: dict[int, dict[str, float]] = {0: {}, last: {}}
    for name, column in values.items():
        for frame in {0, last, *corners(column).tolist()}:
            rows.setdefault(frame, {})[name] = float(column[frame])
    if last == 0:
        rows[1] = dict(rows[0])  # Parseq wants two
    return [{"frame": frame, **rows[frame]} for frame in sorted(rows)]


def _rendered(
    film: Animation, values: dict[str, Array], columns: dict[str, Array], texts: list[str]
) -> list[dict[str, Any]]:
    subseed, share = film.scheduled("subseed"), film.scheduled("subseed_strength")
    rows: list[dict[str, Any]] = []
    for frame, text in enumerate(texts):
        row: dict[str, Any] = {"frame": frame}
        for name, column in values.items():
            row[name] = float(column[frame])
            before = float(column[frame - 1]) if frame else 0.0
            row[f"{name}_delta"] = float(columns[name][frame]) if FIELDS[name].moves else row[name] - before
        rows.append(
            row | {"deforum_prompt": text, "subseed": float(subseed[frame]), "subseed_strength": float(share[frame])}
        )
    return rows


def _prompts(texts: list[str]) -> dict[str, Any]:
    """The prompts as Parseq lists them: one entry for each stretch of frames."""
    starts = [frame for frame, text in enumerate(texts) if frame == 0 or text != texts[frame - 1]]
    overlap = {"inFrames": 0, "outFrames": 0, "type": "none", "custom": "prompt_weight_1"}
    listed = []
    for place, (start, stop) in enumerate(zip(starts, [*starts[1:], len(texts)], strict=True), 1):
        positive, _, negative = texts[start].partition(" --neg ")
        span = {"allFrames": len(starts) == 1, "from": start, "to": stop - 1, "overlap": overlap}
        listed.append({"name": f"Prompt {place}", "positive": positive, "negative": negative, **span})
    common = {"name": "Common", "positive": "", "negative": "", "allFrames": True, "from": 0, "to": len(texts) - 1}
    return {
        "format": "v2",
        "enabled": True,
        "commonPrompt": common | {"overlap": overlap},
        "commonPromptPos": "append",
        "promptList": listed,
    }


def _summary(column: Array) -> dict[str, Any]:
    return {
        "max": float(np.abs(column).max()),
        "min": float(column.min()),
        "isFlat": bool(np.ptp(column) == 0),
    }
