"""Every key of Koshi-Flux's dicts, and what becomes of it: one row each."""

from collections.abc import Mapping
from dataclasses import dataclass

from koshi_flux.schedule.importing.report import Fate

TABLES = ("parameters", "config", "motion_params", "motion_schedules", "animation_config", "feedback_config")
"""Keys that hold further keys."""

NAMES: dict[str, str] = {
    **dict.fromkeys(("num_frames", "max_frames", "iterations"), "frames"),
    **dict.fromkeys(("num_inference_steps",), "steps"),
    **dict.fromkeys(("guidance_scale", "cfg", "guidance"), "guidance"),
    **dict.fromkeys(("prompt", "positive_prompts"), "prompts"),
    **dict.fromkeys(("model_name",), "model"),
    **dict.fromkeys(("feedback_denoise", "denoise_strength"), "strength"),
    **dict.fromkeys(("color_mode",), "color_coherence"),
    **dict.fromkeys(("seed_variation",), "noise_mode"),
    **dict.fromkeys(("output_path", "output_dir", "output"), "output"),
}
"""Other names of the keys below."""

FAMILY_DEFAULTS: dict[str, Mapping[str, float]] = {
    "flux1": {"strength": 0.65, "side": 1024},
    "flux2": {"strength": 0.25, "side": 768},
}
"""What Koshi-Flux took where nothing is said, by its two pipelines."""


@dataclass(frozen=True, slots=True)
class Key:
    """What becomes of a key.

    Args:
        name: the key.
        fate: of it.
        to: our setting.
        how: what reads it (`koshi._READERS`).
        why: the reason why its number changes or why it has no meaning.
        factor: "scaled": what its number is multiplied by.
        offset: "scaled": what is then added.
    """

    name: str
    fate: Fate
    to: str = ""
    how: str = "nothing"
    why: str = ""
    factor: float = 1.0
    offset: float = 0.0


def _nothing(names: tuple[str, ...], why: str) -> tuple[Key, ...]:
    return tuple(Key(name, "meaningless", why=why) for name in names)


_SNAPPED = "in pixels as documented; its engine went in steps of 64 or 128 pixels, and the other way"
_GAIN = "a gain of latent channels, which moved nothing: for a way into depth say mode = '3d' and translation_z"

_ROWS = (
    Key("frames", "kept", "frames", "frames"),
    Key("width", "translated", "size", "size"),
    Key("height", "translated", "size", "size"),
    Key("fps", "kept", "fps", "scaled"),
    Key("seed", "kept", "seed", "seed", "-1 or none: picked now and written down"),
    Key("steps", "kept", "steps", "steps", "all of them run below the start level"),
    Key("guidance", "kept", "guidance", "scaled"),
    Key("prompts", "translated", "prompts", "prompts", "the first one also holds before its frame"),
    Key("texture_prompt", "translated", "prompts", "prompts", "was added to every prompt unseen; now it is seen"),
    Key("model", "translated", "model", "model"),
    Key("version", "translated", "model", "model"),
    Key("strength", "translated", "denoise", "strength"),
    Key("strength_schedule", "translated", "denoise", "strength"),
    Key("zoom", "kept", "zoom", "schedule"),
    Key("zoom_value", "translated", "zoom", "scaled", "what was added to 1", offset=1.0),
    Key("angle", "kept", "angle", "schedule", "its engine sheared pictures that are not square; this turns them"),
    Key("translation_x", "kept", "translation_x", "schedule", _SNAPPED),
    Key("translation_y", "kept", "translation_y", "schedule", _SNAPPED),
    *_nothing(("translation_z",), _GAIN),
    *_nothing(("rotation_3d_x", "rotation_3d_y", "rotation_3d_z"), "Koshi-Flux never used it; mode = '3d' does"),
    Key("init_image", "kept", "init_image", "text"),
    Key("color_coherence", "translated", "color_coherence", "colors", "mean and spread in Lab, not whole histograms"),
    Key("sharpen_amount", "kept", "sharpen", "scaled", "on brightness alone; lower it if the film grows harsh"),
    Key("contrast_boost", "kept", "contrast", "scaled", "about the picture's own mean"),
    Key("noise_amount", "translated", "noise", "grain", "as standard deviation: 15/255 of it, of Perlin noise 7.5/255"),
    Key("noise_mode", "translated", "seed_behavior", "seeds", "slerp and subseed: a share of each frame's own noise"),
    Key("noise_delta", "translated", "subseed_strength", why="counts with noise_mode slerp and subseed"),
    Key("static_seed", "translated", "seed_behavior", "seeds"),
    Key("feedback_decay", "kept", "echo", "scaled", "a share of the last picture, taken before it is redrawn"),
    *_nothing(("noise_type",), "grain is Gaussian here; its size takes account of Perlin's"),
    *_nothing(("noise_schedule", "denoise"), "Koshi-Flux never used it"),
    *_nothing(("noise_scale",), "mixed in less noise than the model was told, which left a grid; mixing is exact here"),
    *_nothing(("noise_coherence",), "noise was dragged along by the camera until it was no noise; it stays white here"),
    *_nothing(("feedback_mode",), "the feedback chain is always there: colour, contrast, sharpening, noise"),
    *_nothing(("correction_config",), "corrected what its own loop burnt and blurred; a film that stands still stays"),
    *_nothing(("motion_space", "mode"), "pixels are moved here: moved latents lose some 10 dB at every step"),
    *_nothing(("animation_mode",), "it had one way of moving, the 2D one"),
    *_nothing(("loop",), "played the film backwards at its end; mode = 'interpolation' with loop = true closes one"),
    *_nothing(("interpolation", "enable_interpolation", "interpolation_method"), "afterwards: koshi interpolate RUN"),
    *_nothing(("prompt_2",), "a text for one of FLUX.1's two readers; both read the prompt"),
    *_nothing(("output", "output_type", "batch_name", "save_samples", "video"), "where films go: koshi render --out"),
    *_nothing(
        ("device", "offload", "compile_model", "enable_attention_slicing", "enable_vae_tiling", "dtype"),
        "how the model is held: koshi render --memory, --precision, --compile",
    ),
    *_nothing(("callback", "client_id", "priority", "tags", "webhook_url", "api_port", "api_host"), "of its server"),
    *_nothing(("timestamp", "status", "preset", "name", "description", "duration", "error"), "a note on the old film"),
    *_nothing(("apply_stabilization", "enhance_quality"), "Koshi-Flux never used it"),
    *_nothing(("input",), "the video of a script of its own: set mode = 'video' and video = '...'"),
)

KEYS: dict[str, Key] = {key.name: key for key in _ROWS}
"""What becomes of them, by key."""
