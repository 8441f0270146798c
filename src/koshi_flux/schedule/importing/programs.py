"""The programs whose settings files are read, how to tell them apart, and what differs in what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of the Deforum family.

    Args:
        name: what reports call its files.
        dialect: how it reads schedules.
        strength: what a strength is: "keep" the share of the picture that stays, "redraw" the share that goes.
        lens: its field of view in degrees where a file does not say.
        grain: standard deviation of the noise that an amount of 1 adds, in the range of a picture, by `noise_type`.
    """

    name: str
    dialect: Literal["deforum", "notebook"] = "deforum"
    strength: Literal["keep", "redraw"] = "keep"
    lens: float = 70.0
    grain: Mapping[str, float]


_WEBUI_GRAIN = {"uniform": 0.366, "perlin": 0.2425}
"""Measured on sd-webui-deforum: an amount of 0.065 leaves 6.06 and 4.02 levels of 255."""
_NOTEBOOK_GRAIN = {"uniform": 0.5}
"""The notebook adds it to a picture from -1 to 1."""

WEBUI = Program(name="sd-webui Deforum settings", grain=_WEBUI_GRAIN)
FORGE = Program(name="Forge Deforum settings", grain=_WEBUI_GRAIN)
STUDIO = Program(name="deforum-studio settings", grain=_WEBUI_GRAIN)
NOTEBOOK = Program(name="Deforum notebook settings", dialect="notebook", lens=40.0, grain=_NOTEBOOK_GRAIN)
X_FLUX = Program(
    name="deforum-x-flux settings", dialect="notebook", strength="redraw", lens=40.0, grain=_NOTEBOOK_GRAIN
)

_FORGE_KEYS = {"keyframe_distribution", "keyframe_strength_schedule", "distilled_cfg_scale_schedule", "shake_name"}
_NOTEBOOK_KEYS = {
    *("near_plane", "far_plane", "dynamic_threshold", "static_threshold", "flip_2d_perspective", "n_batch"),
    *("prompt_weighting", "interpolate_key_frames", "bit_depth_output", "colormatch_scale", "ddim_eta", "make_grid"),
}
_WEBUI_KEYS = {"fov_schedule", "near_schedule", "show_info_on_ui", "cfg_scale_schedule", "soundtrack_path"}
_X_FLUX_KEYS = {"cond_prompts", "uncond_prompts", "enable_schedule_samplers"}


def program_of(settings: Mapping[str, Any]) -> Program:
    """Which program wrote a file of Deforum settings."""
    keys = set(settings)
    if keys & _FORGE_KEYS:
        return FORGE
    if keys & _NOTEBOOK_KEYS and not keys & _WEBUI_KEYS:
        return X_FLUX if _is_x_flux(settings) else NOTEBOOK
    if keys & _X_FLUX_KEYS and not keys & _WEBUI_KEYS:
        return X_FLUX
    return STUDIO if {"bpm", "schedule_events"} & keys or ("W" not in keys and {"width", "height"} <= keys) else WEBUI


def _is_x_flux(settings: Mapping[str, Any]) -> bool:
    """Of two files with the notebook's keys the one for FLUX has hybrid video's without `_video`, or says so."""
    hybrid = any(key.startswith("hybrid_") and not key.startswith("hybrid_video_") for key in settings)
    return hybrid or bool(set(settings) & _X_FLUX_KEYS) or "flux" in str(settings.get("sampler", "")).lower()
