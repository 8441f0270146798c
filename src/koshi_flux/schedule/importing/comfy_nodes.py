"""The Deforum nodes of ComfyUI: which pack they are of, and in which order they write the values of their widgets.

A saved graph holds values without names, in the order of a node's widgets, which changed from version to version of a
pack; graphs in the API format name them. The packs are XmYx/deforum-comfy-nodes (`XMYX`) and
A043-studios/comfyui-deforum-x-flux-nodes (`A043`), whose nodes have the same names.
"""

from collections.abc import Sequence
from typing import Any

CONTROL = "control_after_generate"
"""The widget beside a seed that says how it goes on: fixed, increment, decrement, randomize."""

_CONTROLS = ("fixed", "increment", "decrement", "randomize")
_WEIGHTING = ("prompt_weighting", "normalize_prompt_weights", "log_weighted_subprompts")
_CAMERA = (
    *("angle", "zoom", "translation_x", "translation_y", "translation_z"),
    *("transform_center_x", "transform_center_y", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z"),
)
_RESETS = ("reset_counter", "reset_latent", "enable_autoqueue")
_MIXING = ("subseed", "subseed_strength", "slerp_strength")
_SCHEDULES = ("noise_schedule", "strength_schedule", "contrast_schedule", "cfg_scale_schedule")

LAYOUTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "DeforumBaseParamsNode": (
        ("width", "height", "seed_schedule", "seed_behavior", "sampler_name", "scheduler", *_WEIGHTING),
        (
            *("width", "height", "seed_schedule", "seed_behavior", "sampler_name", "scheduler"),
            *("steps", "cfg_scale", "clip_skip", *_WEIGHTING),
        ),
        (
            *("width", "height", "sampler_name", "scheduler", "steps", "scale", "n_batch", "batch_name"),
            *("seed_behavior", "seed_iter_N", "outdir", "strength", "save_settings", "save_sample_per_step"),
            *_WEIGHTING,
        ),
    ),
    "DeforumAnimParamsNode": (
        ("animation_mode", "max_frames", "border"),
        ("animation_mode", "max_frames", "border", "resume_from_timestring", "resume_timestring", "use_looper"),
    ),
    "DeforumTranslationParamsNode": (_CAMERA,),
    "DeforumDepthParamsNode": (
        ("use_depth_warping", "depth_algorithm", "midas_weight", "padding_mode", "sampling_mode", "save_depth_maps"),
    ),
    "DeforumNoiseParamsNode": (
        (
            *("enable_noise_multiplier_scheduling", "noise_multiplier_schedule"),
            *("amount_schedule", "kernel_schedule", "sigma_schedule", "threshold_schedule"),
            *("noise_type", "perlin_w", "perlin_h", "perlin_octaves", "perlin_persistence"),
        ),
    ),
    "DeforumColorParamsNode": (
        (
            *("color_coherence", "color_coherence_image_path", "color_coherence_video_every_N_frames"),
            *("color_force_grayscale", "legacy_colormatch"),
        ),
    ),
    "DeforumDiffusionParamsNode": (
        (
            *_SCHEDULES,
            *("enable_steps_scheduling", "steps_schedule", "enable_ddim_eta_scheduling", "ddim_eta_schedule"),
            *("enable_ancestral_eta_scheduling", "ancestral_eta_schedule"),
        ),
        (
            *_SCHEDULES,
            *("ddim_eta_schedule", "ancestral_eta_schedule", "enable_steps_scheduling", "steps_schedule"),
            *("enable_ddim_eta_scheduling", "enable_ancestral_eta_scheduling"),
        ),
    ),
    "DeforumCadenceParamsNode": (
        (
            *("diffusion_cadence", "optical_flow_cadence", "cadence_flow_factor_schedule"),
            *("optical_flow_redo_generation", "redo_flow_factor_schedule", "diffusion_redo"),
        ),
    ),
    "DeforumHybridParamsNode": (
        (
            *("hybrid_use_first_frame_as_init_image", "hybrid_motion", "hybrid_motion_use_prev_img"),
            *("hybrid_flow_consistency", "hybrid_consistency_blur", "hybrid_flow_method", "hybrid_composite"),
        ),
        (
            *("hybrid_generate_inputframes", "hybrid_generate_human_masks", "hybrid_use_first_frame_as_init_image"),
            *("hybrid_motion", "hybrid_motion_use_prev_img", "hybrid_flow_consistency", "hybrid_consistency_blur"),
            *("hybrid_flow_method", "hybrid_composite", "hybrid_use_init_image", "hybrid_comp_mask_type"),
            *("hybrid_comp_mask_inverse", "hybrid_comp_mask_equalize", "hybrid_comp_mask_auto_contrast"),
            "hybrid_comp_save_extra_frames",
        ),
    ),
    "DeforumHybridScheduleNode": (
        ("hybrid_flow_factor_schedule",),
        (
            *("hybrid_comp_alpha_schedule", "hybrid_comp_mask_blend_alpha_schedule"),
            *("hybrid_comp_mask_contrast_schedule", "hybrid_comp_mask_auto_contrast_cutoff_high_schedule"),
            *("hybrid_comp_mask_auto_contrast_cutoff_low_schedule", "hybrid_flow_factor_schedule"),
        ),
    ),
    "DeforumPromptNode": (("prompts",),),
    "DeforumUnformattedPromptNode": (("unformatted_prompts", "keyframe_interval"),),
    "DeforumAreaPromptNode": (("keyframe", "mode", "prompt", "width", "height", "x", "y", "strength"),),
    "DeforumIteratorNode": (
        ("latent_type", "seed", *_MIXING, *_RESETS),
        ("latent_type", "seed", *_MIXING, *_RESETS[:2]),
        ("seed", "reset"),
    ),
    "DeforumConditioningBlendNode": (("blend_method",),),
    "DeforumSeedNode": (("seed",),),
    "DeforumVideoSaveNode": (
        ("filename_prefix", "fps"),
        (
            *("filename_prefix", "fps", "codec", "pixel_format", "format", "quality", "dump_by", "dump_every"),
            *("dump_now", "skip_save", "skip_return", "enable_preview", "restore", "clear_cache"),
        ),
    ),
    "DeforumLoadVideo": (
        ("video",),
        ("video", "upload"),
        ("video", "reset", "iterative", "start_frame", "return_frames"),
    ),
    "CheckpointLoaderSimple": (("ckpt_name",),),
    "CheckpointLoader": (("config_name", "ckpt_name"),),
    "UNETLoader": (("unet_name", "weight_dtype"),),
    "UnetLoaderGGUF": (("unet_name",),),
    "LoraLoader": (("lora_name", "strength_model", "strength_clip"),),
    "LoraLoaderModelOnly": (("lora_name", "strength_model"),),
}
"""By kind of node: the names of its widgets, for each version of its pack."""

PARAMETERS = tuple(kind for kind in LAYOUTS if kind.endswith(("ParamsNode", "ScheduleNode")))
"""Nodes whose inputs are settings of Deforum under Deforum's names."""

ENDS = ("DeforumIteratorNode", "DeforumSingleSampleNode")
"""Nodes to which a chain of settings leads."""


def named(kind: str, values: Sequence[Any]) -> dict[str, Any] | None:
    """The values of a node's widgets by name; None when no known version of the node has such a row of them.

    A row may go on after what is known, with what the screen keeps for itself.
    """
    kept = [value for value in values if not isinstance(value, dict)]
    controls = [value for place, value in enumerate(kept) if place and value in _CONTROLS and _is_seed(kept[place - 1])]
    if controls:
        kept.remove(controls[0])
    for layout in LAYOUTS.get(kind, ()):
        if len(layout) == len(kept) and all(map(_fits, layout, kept)):
            control = {CONTROL: controls[0]} if controls else {}
            return dict(zip(layout, kept, strict=True)) | control
    return None


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fits(name: str, value: object) -> bool:
    """Whether a value can be that of a widget: schedules are texts, switches are true or false."""
    if name.startswith(("enable_", "reset_", "use_")) or name.endswith(("_inverse", "_consistency")):
        return isinstance(value, bool)
    if name.endswith("_schedule") or name in _CAMERA or name == "latent_type":
        return isinstance(value, str)
    if name in ("width", "height", "max_frames", "steps", "seed", "fps", "diffusion_cadence"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True
