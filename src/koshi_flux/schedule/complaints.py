"""What to say about a setting that is wrong, in the words of a film file."""

from difflib import get_close_matches
from typing import Any


def in_words(error: Any, known: list[str]) -> str:
    """One pydantic error as a sentence; `known` are the settings that there are."""
    key = str(error["loc"][0]) if error["loc"] else "film"
    if error["type"] == "extra_forbidden":
        return unknown_key(key, known)
    if error["type"] == "missing" or (key == "prompts" and error["type"] == "too_short"):
        return f"{key}: a film needs at least one, e.g. prompts = {{0 = 'a quiet lake at dawn'}}"
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("Input ")
    return (
        f"{key}: should be {said}, got {error['input']!r}"
        if said[0] != "m"
        else f"{key}: {said}, got {error['input']!r}"
    )


ELSEWHERE = {
    "prompt": "prompts",
    "animation_prompts": "prompts",
    "width": "size",
    "height": "size",
    "w": "size",
    "h": "size",
    "max_frames": "frames",
    "num_frames": "frames",
    "diffusion_cadence": "cadence",
    "strength": "strength_schedule",
    "num_inference_steps": "steps",
    "steps_schedule": "steps",
    "guidance_scale": "guidance",
    "cfg_scale_schedule": "guidance",
    "distilled_cfg_scale_schedule": "guidance",
    "noise_schedule": "noise",
    "contrast_schedule": "contrast",
    "amount_schedule": "sharpen",
    "animation_mode": "mode",
    "version": "model",
}
"""What our settings are called in Deforum and diffusers."""


def unknown_key(key: str, known: list[str]) -> str:
    """What to say about a setting that does not exist."""
    meant = ELSEWHERE.get(key.lower()) or next(iter(get_close_matches(key.lower(), known, n=1, cutoff=0.5)), None)
    return f"unknown key {key!r}" + (f", did you mean {meant!r}?" if meant else f"; known keys are {', '.join(known)}")
