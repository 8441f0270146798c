"""What both exporters need: strengths and prompts in Stable Diffusion's words, and what is left unsaid."""

import re
from bisect import bisect_right
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Array, Schedule
from koshi_flux.schedule.expression import Scope, show_number
from koshi_flux.schedule.grammar import places
from koshi_flux.schedule.prompts import PromptKeyframe, PromptSchedule
from koshi_flux.schedule.strength import denoise_from_strength
from koshi_flux.shared.parameters import PromptBlend

_NEGATIVE = re.compile(r"(?<!\S)--[ ]?neg(?!\S)")
_BISECTIONS = 60
_LEAST = 1e-9
"""A strength that is next to nothing: at 0 itself Stable Diffusion's noisiest step gives way to pure noise."""


def clock(film: Animation) -> dict[str, Any]:
    """What schedules are evaluated with."""
    return {"frames": film.frames, "seed": film.seed, "fps": film.fps, "bpm": film.bpm}


def strength_from_denoise(denoise: Array) -> Array:
    """The KEEP strength whose start sigma this is; 0 for sigmas that no strength above it has."""
    low, high = np.zeros_like(denoise), np.ones_like(denoise)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        noisier = denoise_from_strength(middle) > denoise
        low, high = np.where(noisier, middle, low), np.where(noisier, high, middle)
    return np.where(denoise > denoise_from_strength(np.full(1, _LEAST)), 0.0, (low + high) / 2)


def kept_strength(film: Animation) -> tuple[Array | None, list[str]]:
    """The film's denoise as a strength at every frame, and what that does not say; None when it is the model's own."""
    if film.denoise_mode == "steps":
        return 1 - film.values("denoise"), ["denoise_mode = steps: strength counts steps of Stable Diffusion there"]
    if film.strength_schedule is not None:
        return film.scheduled("strength_schedule"), []
    if film.denoise is None:
        return None, ["denoise: it is the model's own here, and the program's default there"]
    denoise = film.scheduled("denoise")
    strength = strength_from_denoise(denoise)
    lost = np.abs(denoise_from_strength(strength) - denoise) > 1e-6
    note = f"denoise: above {denoise_from_strength(np.full(1, _LEAST))[0]:.2f} no strength but 0 is so noisy"
    return strength, [note] if lost.any() else []


def keyed_prompts(film: Animation) -> dict[int, PromptKeyframe] | None:
    """The prompts by frame as they were typed; None when they are blended in a way that only their weights tell."""
    parsed = PromptSchedule.parse(film.prompts)
    usual = "linear" if film.mode == "interpolation" else "hold"
    typed = all(
        len(side.parts) == 1 and "`" not in k.text for k in parsed.keyframes for side in (k.positive, k.negative)
    )
    if not typed or (film.prompt_blend or usual) != usual:
        return None
    frames = places([keyframe.key for keyframe in parsed.keyframes], Scope(**clock(film)))
    return dict(sorted(zip(frames, parsed.keyframes, strict=True)))


def prompts_at_frames(film: Animation) -> tuple[list[str], list[str]]:
    """The prompt of every frame in A1111's words, with AND between those that are blended, and what is lost."""
    typed = keyed_prompts(film)
    if typed is not None and film.prompt_blend != "linear" and film.mode != "interpolation":
        return _held([_with_film(keyframe.text, film) for keyframe in typed.values()], list(typed), film.frames), []
    texts, lost = [], False
    for blends in film.prompt_values:
        wanted, unwanted = (_and(blend) for blend in blends)
        texts.append(f"{wanted} --neg {unwanted}" if unwanted else wanted)
        lost = lost or any(weight < 0 for blend in blends for _, weight in blend)
    return texts, ["prompts: emphasis within prompts that are blended"] if lost else []


def _held(texts: list[str], frames: list[int], length: int) -> list[str]:
    """Each text from its frame on, the first also before it."""
    return [texts[max(0, bisect_right(frames, frame) - 1)] for frame in range(length)]


def _with_film(text: str, film: Animation) -> str:
    """A prompt with what the whole film avoids."""
    wanted, *unwanted = (side.strip() for side in _NEGATIVE.split(text))
    avoided = ", ".join(filter(None, (*unwanted, film.negative_prompt)))
    return f"{wanted} --neg {avoided}" if avoided else wanted


def is_given(film: Animation, name: str) -> bool:
    """Whether a film says something of its own about a setting."""
    return name in film.model_fields_set and getattr(film, name) != Animation.model_fields[name].get_default(
        call_default_factory=True
    )


def left_unsaid(film: Animation, said: Collection[str], reasons: Mapping[str, str]) -> list[str]:
    """The settings of a film that a format has no word for."""
    return [
        f"{name} = {_shown(getattr(film, name))}" + (f": {reasons[name]}" if name in reasons else "")
        for name in Animation.model_fields
        if name not in said and is_given(film, name)
    ]


def _and(blend: PromptBlend) -> str:
    parts = [(text, weight) for text, weight in blend if weight > 0]
    if len(parts) == 1:
        return parts[0][0]
    return " AND ".join(f"{text}: {show_number(weight)}" for text, weight in parts)


def _shown(value: object) -> str:
    return str(value) if isinstance(value, Schedule) else repr(value)
