"""The keys that only the original notebook and its ports have, and what becomes of them."""

from koshi_flux.schedule.importing.deforum_keys import Key, becomes, nothing

_GRADIENT = nothing("steered Stable Diffusion by gradients, which cost a second model; FLUX follows its prompt")
_WEIGHTS = nothing("weights in prompts always count, in their proportion: a:0.5 b:1.5")
_STILLS = nothing("how single pictures were made and kept")
_THRESHOLD = nothing("kept Stable Diffusion's latents in bounds at a high scale")

NOTEBOOK_KEYS: dict[str, Key] = {
    **dict.fromkeys(("dynamic_threshold", "static_threshold"), _THRESHOLD),
    **dict.fromkeys(
        (
            *("mean_scale", "var_scale", "exposure_scale", "exposure_target", "colormatch_scale", "colormatch_image"),
            *("colormatch_n_colors", "ignore_sat_weight", "clip_name", "clip_scale", "aesthetics_scale", "cutn"),
            *("cut_pow", "init_mse_scale", "init_mse_image", "blue_scale", "gradient_wrt", "gradient_add_to"),
            *("decode_method", "grad_threshold_type", "clamp_grad_threshold", "clamp_start", "clamp_stop"),
            *("grad_inject_timing", "cond_uncond_sync", "hybrid_video_use_video_as_mse_image"),
            "hybrid_use_video_as_mse_image",
        ),
        _GRADIENT,
    ),
    **dict.fromkeys(("prompt_weighting", "normalize_prompt_weights", "log_weighted_subprompts"), _WEIGHTS),
    **dict.fromkeys(
        (
            *("save_samples", "save_settings", "display_samples", "save_sample_per_step", "show_sample_per_step"),
            *("n_batch", "n_samples", "filename_format", "make_grid", "grid_rows", "timestring", "precision"),
            *("C", "f", "prompt", "seed_internal", "init_latent", "init_c", "save_8_16_or_32bpc", "bit_depth_output"),
            *("path_name_modifier", "render_steps", "image_path", "mp4_path", "cond_prompt", "uncond_prompt"),
        ),
        _STILLS,
    ),
    **dict.fromkeys(
        ("enable_schedule_samplers", "schedule_samplers"),
        nothing("FLUX is a flow and has one way down from noise: Euler's steps on its own curve"),
    ),
    **dict.fromkeys(("interpolate_key_frames", "interpolate_x_frames"), becomes("frames", "interpolated")),
}
"""What becomes of them, by key."""
