"""Every field that Parseq manages: its default there, Deforum's key for it, and the setting it becomes here."""

from typing import NamedTuple


class Field(NamedTuple):
    """A field of Parseq.

    Args:
        default: its value where no keyframe gives one.
        deforum: the key of Deforum's settings that it takes the place of.
        setting: ours; "" where it has no meaning.
        why: the reason why it has none, or why its number changes.
        moves: whether Deforum reads the change from frame to frame, `_delta`, and not the value.
    """

    default: float
    deforum: str
    setting: str = ""
    why: str = ""
    moves: bool = False


def _same(name: str, default: float, schedule: str = "", setting: str = "") -> Field:
    return Field(default, schedule or name, setting or name)


_DELTA = "the change from frame to frame, which is what Deforum reads"
_FLIP = f"{_DELTA}; the web UI itself left the flip out of films with Parseq"
_WEIGHT = "a weight of the prompts, which have it written in"
_CONTROL = "a ControlNet of Stable Diffusion does not fit FLUX; FLUX.1 has its own, see the setting `controlnet`"
_UNSHARP = "the shape of the old sharpening; ours is 1 pixel wide, on brightness"
_UNET = "a trick for Stable Diffusion's U-Net; FLUX is a transformer"


def _motion(name: str, default: float = 0, why: str = _DELTA) -> Field:
    return Field(default, name, name, why, moves=True)


GRAIN = "Deforum mixes this share of Perlin noise in, whose standard deviation is 0.2425 of it"
STRENGTHS = {
    "snr": "Deforum's strength (1 keeps everything), converted to a start sigma by signal-to-noise ratio",
    "steps": "Deforum's strength, as the share of the steps that is left out",
    "direct": "1 - strength, taken for a start sigma as it is",
}

FIELDS: dict[str, Field] = {
    "seed": Field(-1, "seed_schedule", "seed_schedule", "without its fraction, which is `subseed_strength`"),
    "scale": Field(7, "cfg_scale_schedule", why="CFG of Stable Diffusion; FLUX's guidance is another number: its own"),
    "noise": Field(0.08, "noise_schedule", "noise", GRAIN),
    "noise_multiplier": Field(
        1.05, "noise_multiplier_schedule", why="told Stable Diffusion of less noise than there was"
    ),
    "strength": Field(0.6, "strength_schedule", "strength_schedule"),
    "clipskip": Field(0, "clipskip_schedule", why="no layer of FLUX's text encoders is skipped"),
    "contrast": _same("contrast", 1, "contrast_schedule"),
    **{f"prompt_weight_{n}": Field(1 if n in (1, 8) else 0, "", why=_WEIGHT) for n in range(1, 9)},
    "angle": _motion("angle"),
    "zoom": _motion("zoom", 1),
    "transform_center_x": _same("transform_center_x", 0.5),
    "transform_center_y": _same("transform_center_y", 0.5),
    **{
        f"perspective_flip_{part}": _motion(f"perspective_flip_{part}", why=_FLIP) for part in ("theta", "phi", "gamma")
    },
    "perspective_flip_fv": _same("perspective_flip_fv", 50),
    "translation_x": _motion("translation_x"),
    "translation_y": _motion("translation_y"),
    "translation_z": _motion("translation_z", 10),
    "rotation_3d_x": _motion("rotation_3d_x"),
    "rotation_3d_y": _motion("rotation_3d_y"),
    "rotation_3d_z": _motion("rotation_3d_z"),
    "fov": _same("fov", 40, "fov_schedule"),
    "near": _same("near", 200, "near_schedule"),
    "far": _same("far", 10000, "far_schedule"),
    "antiblur_amount": _same("antiblur_amount", 0.2, "amount_schedule", "sharpen"),
    "antiblur_kernel": Field(5, "kernel_schedule", why=_UNSHARP),
    "antiblur_sigma": Field(1, "sigma_schedule", why=_UNSHARP),
    "antiblur_threshold": Field(0, "threshold_schedule", why=_UNSHARP),
    "hybrid_comp_alpha": _same("hybrid_comp_alpha", 1, "hybrid_comp_alpha_schedule", "hybrid_alpha"),
    **{
        f"hybrid_comp_mask_{part}": _same(part, default, f"hybrid_comp_mask_{part}_schedule", setting)
        for part, default, setting in (
            ("blend_alpha", 0.5, "hybrid_mask_blend"),
            ("contrast", 1, "hybrid_mask_contrast"),
            ("auto_contrast_cutoff_low", 0, "hybrid_mask_low"),
            ("auto_contrast_cutoff_high", 100, "hybrid_mask_high"),
        )
    },
    "hybrid_flow_factor": _same("hybrid_flow_factor", 1, "hybrid_flow_factor_schedule"),
    "cadence_flow_factor": _same("cadence_flow_factor", 1, "cadence_flow_factor_schedule"),
    "redo_flow_factor": Field(1, "redo_flow_factor_schedule", why="frames that were drawn to be thrown away"),
    **{
        f"cn_{unit}_{part}": Field(default, f"cn_{unit}_{part}", why=_CONTROL)
        for unit in range(1, 6)
        for part, default in (("weight", 1), ("guidance_start", 0), ("guidance_end", 1))
    },
    "guided_blendFactorMax": _same("blendFactorMax", 0.35, setting="guide_blend_max"),
    "guided_blendFactorSlope": _same("blendFactorSlope", 0.25, setting="guide_blend_slope"),
    "guided_tweening_frames": _same("tweening_frames_schedule", 20, setting="guide_tween"),
    "guided_color_correction_factor": _same("color_correction_factor", 0.075, setting="guide_color"),
    "guidedcolor_correction_factor": _same("color_correction_factor", 0.075, setting="guide_color"),
    **{
        f"freeu_{part}": Field(default, f"freeu_{part}", why=_UNET)
        for part, default in (("b1", 1.3), ("b2", 1.4), ("s1", 0.9), ("s2", 0.2))
    },
}
"""By the name that Parseq gives them."""

SPACE = ("translation_z", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z")
"""Fields that only a camera in space follows."""
