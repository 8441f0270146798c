"""A film as a settings file of Deforum's web UIs.

Deforum's 3D camera is a pinhole only at one distance: the fov is the one at which its moves count there as ours do.
"""

import json
import math
from typing import Any

import numpy as np

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Array, Schedule
from koshi_flux.schedule.export_words import (
    clock,
    is_given,
    kept_strength,
    keyed_prompts,
    left_unsaid,
    prompts_at_frames,
    strength_from_denoise,
)
from koshi_flux.schedule.importing.programs import WEBUI
from koshi_flux.schedule.keyframed import corners, keyframes_text, plain
from koshi_flux.version import VERSION

_UNIT = 200.0
_FLIPS = tuple(f"perspective_flip_{part}" for part in ("theta", "phi", "gamma"))
_SCHEDULES = {
    **{name: name for name in ("angle", "zoom", "transform_center_x", "transform_center_y")},
    **{name: name for name in ("translation_x", "translation_y", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z")},
    **{name: name for name in (*_FLIPS, "perspective_flip_fv")},
    "contrast": "contrast_schedule",
    "sharpen": "amount_schedule",
    "subseed": "subseed_schedule",
    "subseed_strength": "subseed_strength_schedule",
    "cadence_flow_factor": "cadence_flow_factor_schedule",
    "hybrid_flow_factor": "hybrid_flow_factor_schedule",
    "hybrid_alpha": "hybrid_comp_alpha_schedule",
    "hybrid_mask_blend": "hybrid_comp_mask_blend_alpha_schedule",
    "hybrid_mask_contrast": "hybrid_comp_mask_contrast_schedule",
    "hybrid_mask_low": "hybrid_comp_mask_auto_contrast_cutoff_low_schedule",
    "hybrid_mask_high": "hybrid_comp_mask_auto_contrast_cutoff_high_schedule",
    "guide_blend_max": "blendFactorMax",
    "guide_blend_slope": "blendFactorSlope",
    "guide_tween": "tweening_frames_schedule",
    "guide_color": "color_correction_factor",
}
"""Schedules that mean the same there, by our names."""
_SAME = {
    "frames": "max_frames",
    "fps": "fps",
    "cadence": "diffusion_cadence",
    "seed": "seed",
    "seed_behavior": "seed_behavior",
    "seed_iter": "seed_iter_N",
    "video": "video_init_path",
    "video_start": "extract_from_frame",
    "video_end": "extract_to_frame",
    "video_step": "extract_nth_frame",
    "init_image": "init_image",
    "mask_image": "mask_file",
    "mask_video": "video_mask_path",
    "mask_invert": "invert_mask",
    "mask_blur": "mask_overlay_blur",
    "mask_overlay": "overlay_mask",
    "alpha_mask": "use_alpha_as_mask",
    "hybrid_mask_inverse": "hybrid_comp_mask_inverse",
    "hybrid_mask_auto_contrast": "hybrid_comp_mask_auto_contrast",
    "video_init": "hybrid_use_first_frame_as_init_image",
}
"""Settings that are the same there."""
_FLOWS = {"none": "None", "dis": "DIS Medium", "dis-fine": "DIS Fine", "farneback": "Farneback", "raft": "RAFT"}
_WORDS: dict[str, tuple[str, dict[str, str]]] = {
    "mode": (
        "animation_mode",
        {"2d": "2D", "3d": "3D", "video": "Video Input", "interpolation": "Interpolation", "ransac": "2D"},
    ),
    "color_coherence": ("color_coherence", {"lab": "LAB", "none": "None"}),
    "cadence_flow": ("optical_flow_cadence", _FLOWS),
    "flow_method": ("hybrid_flow_method", _FLOWS),
    "hybrid_motion": (
        "hybrid_motion",
        {"none": "None", "affine": "Affine", "perspective": "Perspective", "flow": "Optical Flow"},
    ),
    "hybrid_composite": (
        "hybrid_composite",
        {"none": "None", "normal": "Normal", "before-motion": "Before Motion", "after-generation": "After Generation"},
    ),
    "hybrid_mask": (
        "hybrid_comp_mask_type",
        {"none": "None", "blend": "Blend", "depth": "Depth", "video-depth": "Video Depth", "difference": "Difference"},
    ),
    "hybrid_mask_equalize": (
        "hybrid_comp_mask_equalize",
        {"none": "None", "before": "Before", "after": "After", "both": "Both"},
    ),
}
"""Settings that are chosen by a word: Deforum's key, and its words."""
_DEPTHS = {"nano": "Midas-3-Hybrid", "midas": "Midas-3-Hybrid", "depth-anything": "Zoe"}
_LENS = ("fov", "aspect", "near", "far")
_SPACE = ("translation_z", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z", "depth")
_OWN = {
    *("dialect", "prompts", "prompt_blend", "negative_prompt", "size", "denoise", "denoise_mode", "strength_schedule"),
    *(
        "bpm",
        "noise",
        "seed_schedule",
        "init_denoise",
        "border",
        "kernel",
        "keyframe_distribution",
        "hybrid_motion_source",
    ),
    *_LENS,
    *_SPACE,
}
"""Settings that functions of this file say."""


def deforum_settings(film: Animation) -> tuple[str, list[str]]:
    """The text of a settings file, and what it leaves unsaid."""
    settings: dict[str, Any] = {"deforum_git_commit_id": f"koshi-flux {VERSION}"}
    unsaid: list[str] = []
    for said in (_film, _pictures, _strength, _prompts, _camera):
        more, notes = said(film)
        settings |= more
        unsaid += notes
    reasons = {
        "guidance": "Deforum's scale is that of Stable Diffusion",
        "steps": "Deforum's are those of its samplers",
    }
    unsaid += left_unsaid(film, {*_SCHEDULES, *_SAME, *_WORDS, *_OWN}, reasons)
    return json.dumps(settings, ensure_ascii=False, indent=4), unsaid


def _film(film: Animation) -> tuple[dict[str, Any], list[str]]:
    """All that is the same, or has another name."""
    settings: dict[str, Any] = {key: getattr(film, name) for name, key in _SAME.items()}
    settings |= {key: words[getattr(film, name)] for name, (key, words) in _WORDS.items()}
    settings |= {key: _text(film, film.schedules[name], key) for name, key in _SCHEDULES.items()}
    settings["noise_type"] = "uniform"
    settings["noise_schedule"] = keyframes_text(film.scheduled("noise") / WEBUI.grain["uniform"])
    settings["enable_subseed_scheduling"] = bool(film.scheduled("subseed_strength").any())
    if film.seed_schedule is not None:
        settings["seed_schedule"] = _text(film, film.seed_schedule, "seed_schedule")
    if film.size is not None:
        settings["W"], settings["H"] = film.size
    notes = [] if film.size is not None else ["size: it is the model's own here, and 512 x 512 there"]
    if film.keyframe_distribution != "uniform":
        words = {"prompts": "Keyframes Only", "additive": "Additive", "redistributed": "Redistributed"}
        settings["keyframe_distribution"] = words[film.keyframe_distribution]
        notes.append("keyframe_distribution: only Forge's Deforum knows it")
    if film.mode == "ransac":
        settings["hybrid_motion"] = {"none": "Affine"}.get(film.hybrid_motion, settings["hybrid_motion"])
        notes.append("mode = 'ransac': written as 2D with hybrid motion")
    return settings, notes


def _pictures(film: Animation) -> tuple[dict[str, Any], list[str]]:
    """The switches of pictures and videos, and guided images."""
    settings: dict[str, Any] = {
        "use_init": bool(film.init_image),
        "use_mask": bool(film.mask_image),
        "use_mask_video": bool(film.mask_video),
        "use_looper": bool(film.guides),
        "hybrid_generate_inputframes": "none" not in (film.leading, film.hybrid_composite),
        "hybrid_motion_use_prev_img": film.hybrid_motion_source == "previous",
    }
    if film.guides:
        settings["init_images"] = json.dumps(film.guides, ensure_ascii=False)
    if film.guide_denoise is not None:
        settings["image_strength_schedule"] = keyframes_text(strength_from_denoise(film.scheduled("guide_denoise")))
    if film.init_denoise is not None:
        settings["strength"] = float(strength_from_denoise(np.array([film.init_denoise]))[0])
    return settings, []


def _strength(film: Animation) -> tuple[dict[str, Any], list[str]]:
    strength, notes = kept_strength(film)
    if strength is None:
        return {}, notes
    if film.strength_schedule is not None:
        return {"strength_schedule": _text(film, film.strength_schedule, "strength_schedule")}, notes
    return {"strength_schedule": keyframes_text(strength)}, notes


def _prompts(film: Animation) -> tuple[dict[str, Any], list[str]]:
    """The prompts as they were typed; blended ones frame by frame, with A1111's AND."""
    typed = keyed_prompts(film)
    if typed is not None:
        prompts = {str(frame): keyframe.text for frame, keyframe in typed.items()}
        return {
            "prompts": prompts,
            "animation_prompts_positive": "",
            "animation_prompts_negative": film.negative_prompt,
        }, []
    texts, lost = prompts_at_frames(film)
    prompts = {str(frame): text for frame, text in enumerate(texts) if frame == 0 or text != texts[frame - 1]}
    notes = [*lost, "prompt_blend: prompts that are blended stand there frame by frame, joined by AND"]
    return {"prompts": prompts, "animation_prompts_positive": "", "animation_prompts_negative": ""}, notes


def _camera(film: Animation) -> tuple[dict[str, Any], list[str]]:
    """What differs between the cameras."""
    flips = any(film.scheduled(name).any() for name in _FLIPS)
    settings: dict[str, Any] = {"enable_perspective_flip": flips}
    settings["border"] = "wrap" if film.border == "wrap" else "replicate"
    notes = []
    if flips and film.mode == "2d" and (film.scheduled("translation_x").any() or film.scheduled("translation_y").any()):
        notes.append("translation_x, translation_y: Deforum's perspective flip loses them")
    if film.mode != "3d":
        if film.border == "reflect":
            notes.append("border = 'reflect': Deforum's 2D camera repeats the edge instead")
        return settings, [
            *notes,
            *(f"{name}: {film.mode} films do not use it" for name in _SPACE if is_given(film, name)),
        ]
    distance = 1.0 if film.depth == "plane" else 1.5
    settings |= {
        "padding_mode": "reflection" if film.border == "reflect" else "border",
        "sampling_mode": "bilinear" if film.kernel == "bilinear" else "bicubic",
        "use_depth_warping": film.depth != "plane",
        "depth_algorithm": _DEPTHS.get(film.depth, "Midas-3-Hybrid"),
        "fov_schedule": f"0:({plain(2 * math.degrees(math.atan(1 / distance)))})",
        "aspect_ratio_schedule": "0:(1)",
        "near_schedule": "0:(200)",
        "far_schedule": "0:(10000)",
        "translation_z": _forward(film.scheduled("translation_z"), _UNIT * distance),
    }
    if film.border == "wrap":
        notes.append("border = 'wrap': Deforum's 3D camera repeats the edge instead")
    if film.depth not in (*_DEPTHS, "plane"):
        notes.append(f"depth = {film.depth!r}: MiDaS there")
    return settings, [*notes, *_lens(film, distance)]


def _lens(film: Animation, distance: float) -> list[str]:
    """What of our lens Deforum's cannot say: it sees what is `distance` away in a frame 2 high, whatever its fov."""
    width, height = film.size or (1, 1)
    sees = {
        "fov": 2 * math.degrees(math.atan(1 / distance)),
        "aspect": width / height,
        "near": _UNIT,
        "far": 2 * _UNIT,
    }
    return [
        f"{name}: Deforum's camera sees as with {value:.4g}, whatever is set"
        for name, value in sees.items()
        if np.abs(film.scheduled(name) - value).max() > 1e-3 * value
    ]


def _forward(travelled: Array, reach: float) -> str:
    """`translation_z`, which Deforum magnifies by the distance where the move ends."""
    there = travelled / (1 + travelled / reach)
    if not (np.abs(there) <= reach / 2).all():
        there = travelled
    return ", ".join(f"{frame}:({plain(there[frame])})" for frame in corners(travelled).tolist())


def _text(film: Animation, schedule: Schedule, key: str) -> str:
    """A schedule as it stands where Deforum reads it alike, as numbers where it would not."""
    values = schedule.values(**clock(film))
    text = schedule.text if schedule.dialect == "deforum" else str(schedule)
    try:
        alike = np.allclose(Schedule.parse(text, key, "deforum").values(**clock(film)), values, 0, 1e-9)
    except ScheduleError:
        alike = False
    return text if alike else keyframes_text(values)
