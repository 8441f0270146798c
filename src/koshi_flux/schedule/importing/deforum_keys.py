"""Every key of Deforum's settings files, and what becomes of it: one row each.

The keys are those of sd-webui-deforum (253 in its settings files) and Forge (293); deforum-studio writes the same.
`notebook_keys` has the rows of the original notebook. Older spellings are in `RENAMED` and have the row of the new one.
"""

from typing import NamedTuple

from koshi_flux.schedule.importing.report import Fate


class Key(NamedTuple):
    """What becomes of an old key.

    Args:
        fate: of a key whose setting is in use.
        to: our setting.
        how: the converter that reads it (`deforum.CONVERTERS`).
        why: the reason why its number changes or why it has no meaning.
    """

    fate: Fate
    to: str = ""
    how: str = "nothing"
    why: str = ""


def kept(to: str, how: str, why: str = "") -> Key:
    """A row of a key whose value stays."""
    return Key("kept", to, how, why)


def becomes(to: str, how: str, why: str = "") -> Key:
    """A row of a key that is said in other words or numbers."""
    return Key("translated", to, how, why)


def nothing(why: str) -> Key:
    """A row of a key that has no meaning here."""
    return Key("meaningless", why=why)


_SAMPLER = nothing("FLUX is a flow and has one way down from noise: Euler's steps on its own curve")
_CHECKPOINT = nothing("a checkpoint of another program: choose a model with --model")
_CLIP = nothing("FLUX.2 has no CLIP, and no layer of FLUX's text encoders is skipped")
_ETA = nothing("noise that ancestral samplers add on the way; a flow adds none")
_SCREEN = nothing("a switch of the old program's screen")
_FILES = nothing("where and how the old program kept its files; ours are in the run folder")
_UPSCALE = nothing("done to a finished film by a program of its own")
_BETWEEN = nothing("made after the film: koshi interpolate RUN makes frames between frames, or slows it down")
_RESUME = nothing("an interrupted film goes on with koshi render RUN --resume")
_A1111 = nothing("a function of the program that Deforum ran in")
_REROLL = nothing("frames are never blank here: no filter blackens them")
_REDO = nothing("frames that were drawn to be thrown away; the start sigma says how much is redrawn")
_UNET = nothing("a trick for Stable Diffusion's U-Net; FLUX is a transformer")
_WAN = nothing("a setting of the video model Wan")
_PARSEQ = nothing("how a Parseq manifest is read")
_CONTROL = nothing(
    "a ControlNet of Stable Diffusion does not fit FLUX; FLUX.1 has its own, see the setting `controlnet`"
)
_PERLIN = nothing("the shape of Perlin noise; grain is Gaussian here")
_UNSHARP = nothing("the shape of the old sharpening; ours is 1 pixel wide, on brightness")

_FILM = {
    **dict.fromkeys(("W", "H"), becomes("size", "size")),
    "seed": kept("seed", "seed"),
    "seed_behavior": kept("seed_behavior", "seed_behavior"),
    "seed_iter_N": kept("seed_iter", "whole"),
    "seed_schedule": kept("seed_schedule", "seed_schedule"),
    "enable_subseed_scheduling": kept("subseed", "gate"),
    "subseed_schedule": kept("subseed", "subseed"),
    "subseed_strength_schedule": kept("subseed_strength", "subseed"),
    "animation_mode": becomes("mode", "mode"),
    "max_frames": kept("frames", "frames"),
    "fps": kept("fps", "fps"),
    "bpm": kept("bpm", "bpm"),
    "diffusion_cadence": becomes("cadence", "cadence"),
    "keyframe_distribution": becomes("keyframe_distribution", "choice"),
    "optical_flow_cadence": becomes("cadence_flow", "cadence_flow"),
    "cadence_flow_factor_schedule": kept("cadence_flow_factor", "cadence_flow"),
    **dict.fromkeys(("optical_flow_redo_generation", "redo_flow_factor_schedule", "diffusion_redo"), _REDO),
    **dict.fromkeys(("prompts", "animation_prompts"), becomes("prompts", "prompts")),
    **dict.fromkeys(("animation_prompts_positive", "positive_prompts"), becomes("prompts", "prefix")),
    **dict.fromkeys(("animation_prompts_negative", "negative_prompts"), becomes("negative_prompt", "negative")),
    **dict.fromkeys(("cond_prompts", "uncond_prompts"), becomes("prompts", "prompts")),
    "parseq_manifest": becomes("what it manages", "managed"),
    **dict.fromkeys(("parseq_use_deltas", "parseq_non_schedule_overrides"), _PARSEQ),
    "schedule_events": nothing("events at times of the sound: write their frames as keys"),
    "beat_offset": nothing("beats are counted from the first frame: write beat-0.5 and the like in a schedule"),
}
_CAMERA = {
    **{name: kept(name, "camera_2d") for name in ("angle", "zoom", "transform_center_x", "transform_center_y")},
    "translation_x": kept("translation_x", "across"),
    "translation_y": kept("translation_y", "along"),
    "translation_z": becomes("translation_z", "forward"),
    "rotation_3d_x": becomes("rotation_3d_x", "turn"),
    "rotation_3d_y": becomes("rotation_3d_y", "turn_across"),
    "rotation_3d_z": becomes("rotation_3d_z", "turn"),
    "fov_schedule": becomes("fov", "lens"),
    "aspect_ratio_schedule": becomes("aspect", "aspect"),
    "aspect_ratio_use_old_formula": becomes("aspect", "aspect"),
    **dict.fromkeys(("near_schedule", "far_schedule"), becomes("near", "reach")),
    "enable_perspective_flip": kept("perspective_flip", "gate"),
    **{
        f"perspective_flip_{part}": kept(f"perspective_flip_{part}", "flip") for part in ("theta", "phi", "gamma", "fv")
    },
    "border": kept("border", "border"),
    "padding_mode": becomes("border", "border"),
    "sampling_mode": becomes("kernel", "kernel"),
    "use_depth_warping": becomes("depth", "depth"),
    "depth_algorithm": becomes("depth", "depth"),
    "midas_weight": nothing("weighed MiDaS against a second depth network; here is one. Ours of that name sets relief"),
    "save_depth_maps": kept("save_depth", "flag"),
    "shake_name": becomes("shake", "shake"),
    "shake_intensity": becomes("shake_strength", "shake"),
    "shake_speed": becomes("shake_speed", "shake"),
}
_DRAWING = {
    "strength_schedule": becomes("strength_schedule", "strength"),
    "keyframe_strength_schedule": becomes("strength_schedule", "keyframe_strength"),
    "steps": becomes("steps", "steps"),
    "enable_steps_scheduling": kept("steps", "gate"),
    "steps_schedule": becomes("steps", "steps"),
    "cfg_scale_schedule": becomes("guidance", "guidance"),
    "distilled_cfg_scale_schedule": kept("guidance", "guidance"),
    **dict.fromkeys(("sampler", "sampler_schedule", "enable_sampler_scheduling"), _SAMPLER),
    **dict.fromkeys(("scheduler", "scheduler_schedule", "enable_scheduler_scheduling"), _SAMPLER),
    **dict.fromkeys(("checkpoint_schedule", "enable_checkpoint_scheduling", "sd_model_hash"), _CHECKPOINT),
    "sd_model_name": becomes("model", "checkpoint"),
    **dict.fromkeys(("clipskip_schedule", "enable_clipskip_scheduling"), _CLIP),
    **dict.fromkeys(("ddim_eta_schedule", "enable_ddim_eta_scheduling"), _ETA),
    **dict.fromkeys(("ancestral_eta_schedule", "enable_ancestral_eta_scheduling"), _ETA),
    "pix2pix_img_cfg_scale_schedule": nothing("guidance of InstructPix2Pix checkpoints"),
    **dict.fromkeys(
        ("noise_multiplier_schedule", "enable_noise_multiplier_scheduling"),
        nothing("told Stable Diffusion of less noise than there was; the start sigma is the noise itself here"),
    ),
    **dict.fromkeys(("tiling", "restore_faces", "seed_resize_from_w", "seed_resize_from_h"), _A1111),
    **dict.fromkeys(("reroll_blank_frames", "reroll_patience"), _REROLL),
}
_FEEDBACK = {
    "noise_schedule": becomes("noise", "noise"),
    "noise_type": becomes("noise", "noise_type"),
    **dict.fromkeys(("perlin_octaves", "perlin_persistence", "perlin_w", "perlin_h"), _PERLIN),
    "contrast_schedule": kept("contrast", "contrast"),
    "amount_schedule": kept("sharpen", "sharpen"),
    **dict.fromkeys(("kernel_schedule", "sigma_schedule", "threshold_schedule"), _UNSHARP),
    "color_coherence": becomes("color_coherence", "color"),
    **dict.fromkeys(
        ("color_coherence_image_path", "color_coherence_video_every_N_frames", "legacy_colormatch"),
        nothing("colours are kept to those of the first frame, before a frame is redrawn"),
    ),
    "color_force_grayscale": nothing("no setting makes a film grey: write it into the prompts"),
}
_VIDEO = {
    "video_init_path": kept("video", "video"),
    "extract_nth_frame": kept("video_step", "take"),
    "extract_from_frame": kept("video_start", "take"),
    "extract_to_frame": kept("video_end", "take"),
    **dict.fromkeys(
        ("overwrite_extracted_frames", "hybrid_generate_inputframes"), nothing("videos are read as they are")
    ),
    "hybrid_generate_human_masks": nothing("masks of people came from a network of its own: give them as mask_video"),
    "hybrid_comp_save_extra_frames": _FILES,
    "hybrid_use_first_frame_as_init_image": becomes("video_init", "video_init"),
    "hybrid_use_init_image": becomes("video", "gate"),
    "hybrid_motion": becomes("hybrid_motion", "hybrid"),
    "hybrid_motion_use_prev_img": becomes("hybrid_motion_source", "previous"),
    "hybrid_flow_method": becomes("flow_method", "flow_method"),
    "hybrid_flow_factor_schedule": kept("hybrid_flow_factor", "led"),
    **dict.fromkeys(
        ("hybrid_flow_consistency", "hybrid_consistency_blur"), nothing("flow is checked both ways wherever it is used")
    ),
    "hybrid_composite": becomes("hybrid_composite", "hybrid"),
    "hybrid_comp_alpha_schedule": kept("hybrid_alpha", "mixed"),
    "hybrid_comp_mask_type": becomes("hybrid_mask", "mixed"),
    "hybrid_comp_mask_inverse": kept("hybrid_mask_inverse", "hybrid_mask"),
    "hybrid_comp_mask_equalize": becomes("hybrid_mask_equalize", "hybrid_mask"),
    "hybrid_comp_mask_auto_contrast": kept("hybrid_mask_auto_contrast", "hybrid_mask"),
    "hybrid_comp_mask_blend_alpha_schedule": kept("hybrid_mask_blend", "hybrid_mask"),
    "hybrid_comp_mask_contrast_schedule": kept("hybrid_mask_contrast", "hybrid_mask"),
    "hybrid_comp_mask_auto_contrast_cutoff_high_schedule": kept("hybrid_mask_high", "cutoff"),
    "hybrid_comp_mask_auto_contrast_cutoff_low_schedule": kept("hybrid_mask_low", "cutoff"),
}
_PICTURES = {
    "use_init": kept("init_image", "gate"),
    "init_image": kept("init_image", "init_image"),
    "strength": becomes("init_denoise", "init_strength"),
    "strength_0_no_init": nothing("without a picture to start from frame 0 is drawn from noise, always"),
    "use_mask": kept("mask_image", "gate"),
    "mask_file": kept("mask_image", "mask_file"),
    "use_alpha_as_mask": kept("alpha_mask", "alpha_mask"),
    "invert_mask": kept("mask_invert", "masked_flag"),
    "mask_contrast_adjust": becomes("mask_brightness", "masked_number"),
    "mask_brightness_adjust": becomes("mask_contrast", "masked_number"),
    "overlay_mask": kept("mask_overlay", "masked_flag"),
    "mask_overlay_blur": kept("mask_blur", "masked_number"),
    "fill": becomes("what masked areas start from", "fill"),
    **dict.fromkeys(("full_res_mask", "full_res_mask_padding"), nothing("the whole frame is drawn at its own size")),
    "use_mask_video": kept("mask_video", "gate"),
    "video_mask_path": kept("mask_video", "mask_video"),
    "mask_schedule": kept("mask", "mask"),
    "use_noise_mask": kept("noise_mask", "gate"),
    "noise_mask_schedule": kept("noise_mask", "mask"),
    "use_looper": kept("guides", "gate"),
    "init_images": becomes("guides", "guides"),
    "image_strength_schedule": becomes("guide_denoise", "guide_strength"),
    "image_keyframe_strength_schedule": becomes("guide_denoise", "guide_strength"),
    "blendFactorMax": kept("guide_blend_max", "guide"),
    "blendFactorSlope": kept("guide_blend_slope", "guide"),
    "tweening_frames_schedule": kept("guide_tween", "guide"),
    "color_correction_factor": kept("guide_color", "guide"),
    "add_soundtrack": becomes("video_audio", "sound"),
    "soundtrack_path": kept("soundtrack", "soundtrack"),
}
_PROGRAM = {
    "show_info_on_ui": _SCREEN,
    "motion_preview_mode": nothing("koshi preview film.toml shows the camera without the model"),
    **dict.fromkeys(("batch_name", "image_path", "outdir", "init_image_box", "init_sample"), _FILES),
    **dict.fromkeys(("delete_imgs", "delete_input_frames", "store_frames_in_ram"), _FILES),
    **dict.fromkeys(("resume_from_timestring", "resume_timestring"), _RESUME),
    "skip_video_creation": nothing("frames are in the run folder, with or without a film"),
    "make_gif": nothing("koshi render film.toml --out film.gif"),
    **dict.fromkeys(("r_upscale_video", "r_upscale_factor", "r_upscale_model", "r_upscale_keep_imgs"), _UPSCALE),
    **{
        f"frame_interpolation_{part}": _BETWEEN
        for part in ("engine", "x_amount", "slow_mo_enabled", "slow_mo_amount", "keep_imgs", "use_upscaled")
    },
    "deforum_git_commit_id": nothing("the version of the old program"),
    "histogram_matching": nothing("an older name of nothing: Deforum itself drops it"),
}
_CONTROLNET = {
    f"cn_{unit}_{part}": _CONTROL
    for unit in range(1, 6)
    for part in (
        *("overwrite_frames", "vid_path", "mask_vid_path", "enabled", "low_vram", "pixel_perfect", "module", "model"),
        *("weight", "guidance_start", "guidance_end", "processor_res", "threshold_a", "threshold_b", "resize_mode"),
        *("control_mode", "loopback_mode"),
    )
}
_FORGE = {
    **{f"freeu_{part}": _UNET for part in ("enabled", "b1", "b2", "s1", "s2")},
    **{
        f"kohya_hrfix_{part}": _UNET
        for part in (
            *("enabled", "block_number", "downscale_factor", "start_percent", "end_percent"),
            *("downscale_after_skip", "downscale_method", "upscale_method"),
        )
    },
    "wan_prompts": _WAN,
    **{
        f"wan_{part}": _WAN
        for part in (
            *("t2v_model", "i2v_model", "auto_download", "preferred_size", "model_path", "resolution", "seed"),
            *("inference_steps", "guidance_scale", "strength_override", "fixed_strength", "guidance_override"),
            *("frame_overlap", "motion_strength", "motion_strength_override", "enable_interpolation"),
            *("interpolation_strength", "flash_attention_mode", "qwen_model", "qwen_auto_download", "qwen_language"),
            *("enhanced_prompts", "movement_description", "movement_sensitivity"),
        )
    },
}

KEYS: dict[str, Key] = {
    **_FILM,
    **_CAMERA,
    **_DRAWING,
    **_FEEDBACK,
    **_VIDEO,
    **_PICTURES,
    **_PROGRAM,
    **_CONTROLNET,
    **_FORGE,
}
"""What becomes of every key of the web UIs' settings files."""

RENAMED: dict[str, str] = {
    "flip_2d_perspective": "enable_perspective_flip",
    "skip_video_for_run_all": "skip_video_creation",
    "use_zoe_depth": "depth_algorithm",
    "width": "W",
    "height": "H",
    "sampler_name": "sampler",
    "fov": "fov_schedule",
    "near_plane": "near_schedule",
    "far_plane": "far_schedule",
    "scale": "cfg_scale_schedule",
    "ddim_eta": "ddim_eta_schedule",
    "hybrid_video_generate_inputframes": "hybrid_generate_inputframes",
    "hybrid_video_use_first_frame_as_init_image": "hybrid_use_first_frame_as_init_image",
    "hybrid_video_motion": "hybrid_motion",
    "hybrid_video_flow_method": "hybrid_flow_method",
    "hybrid_video_composite": "hybrid_composite",
    **{
        f"hybrid_video_{part}": f"hybrid_{part}"
        for part in (
            *("comp_mask_type", "comp_mask_inverse", "comp_mask_equalize", "comp_mask_auto_contrast"),
            *("comp_save_extra_frames", "comp_alpha_schedule", "comp_mask_blend_alpha_schedule"),
            *("comp_mask_contrast_schedule", "comp_mask_auto_contrast_cutoff_high_schedule"),
            *("comp_mask_auto_contrast_cutoff_low_schedule",),
        )
    },
}
"""Older spellings, and those of other programs, of keys above."""
