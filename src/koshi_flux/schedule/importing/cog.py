"""Deforum on Replicate: its prompt string `0: a | 50: b | 100: c`, and whole inputs of its predictor.

The predictor runs the original notebook, so an input is read as the notebook's settings under the predictor's names;
what an input leaves out has the predictor's defaults, which move the camera.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.importing.deforum import read_deforum
from koshi_flux.schedule.importing.prompt_text import keyed_prompts
from koshi_flux.schedule.importing.report import Entry, Imported, Options

SOURCE = "Deforum on Replicate"
PROMPTS = "animation_prompts"
_PROMPT_STRING = re.compile(r"\s*\d+\s*:(?!\d)[^|]*(\|\s*\d+\s*:(?!\d)[^|]*)*", re.DOTALL)

_NOTEBOOK = {
    "num_inference_steps": "steps",
    "guidance_scale": "scale",
    "model_checkpoint": "sd_model_name",
    PROMPTS: "prompts",
}
"""What the notebook calls the predictor's own names."""

DEFAULTS: dict[str, Any] = {
    **{"max_frames": 200, "width": 512, "height": 512, "fps": 15, "animation_mode": "2D", "border": "replicate"},
    **{"angle": "0:(0)", "zoom": "0:(1.04)", "translation_x": "0:(10*sin(2*3.14*t/10))", "translation_y": "0:(0)"},
    **{"translation_z": "0:(10)", "rotation_3d_x": "0:(0)", "rotation_3d_y": "0:(0)", "rotation_3d_z": "0:(0)"},
    **{"flip_2d_perspective": False, "perspective_flip_theta": "0:(0)", "perspective_flip_phi": "0:(t%15)"},
    **{"perspective_flip_gamma": "0:(0)", "perspective_flip_fv": "0:(53)", "fov": 40},
    **{"noise_schedule": "0: (0.02)", "strength_schedule": "0: (0.65)", "contrast_schedule": "0: (1.0)"},
    **{"amount_schedule": "0: (0.2)", "color_coherence": "Match Frame 0 LAB", "diffusion_cadence": "1"},
    **{"use_depth_warping": True, "padding_mode": "border", "sampling_mode": "bicubic", "seed": -1},
}
"""The predictor's defaults of what a film here has a setting for. Source: predict.py of deforum-stable-diffusion."""


def is_cog(content: object) -> bool:
    """Whether a file's content is a prompt string of Replicate, or an input of its Deforum."""
    if isinstance(content, str):
        return _PROMPT_STRING.fullmatch(content) is not None
    if not isinstance(content, Mapping):
        return False
    inner = _input(content)
    prompts = inner.get(PROMPTS)
    named = inner is not content or bool((_NOTEBOOK.keys() - {PROMPTS}) & inner.keys())
    return isinstance(prompts, str) and (named or _PROMPT_STRING.fullmatch(prompts) is not None)


def read_cog(content: Mapping[str, Any] | str, options: Options) -> Imported:
    """The film of a prompt string or an input.

    Raises:
        SettingsError: a value is of the wrong kind.
        ScheduleError: a schedule cannot be read.
    """
    return _of_prompts(content, options) if isinstance(content, str) else _of_input(content, options)


def _of_prompts(text: str, options: Options) -> Imported:
    """Prompts alone: a film with our defaults, in which the last prompt lasts as long as the one before."""
    prompts = keyed_prompts(text)
    keys = sorted(int(key) for key in prompts if key.isdecimal() and len(key) < 10)
    length = {"frames": 2 * keys[-1] - keys[-2]} if len(keys) > 1 else {}
    settings: dict[str, Any] = {"prompts": prompts, **length, **({"model": options.model} if options.model else {})}
    entries = [Entry(PROMPTS, text, "kept", f"{len(prompts)} prompt{'s' if len(prompts) > 1 else ''}")]
    if length:
        why = "the last prompt lasts as long as the one before"
        entries.append(Entry("max_frames", None, "translated", f"frames = {length['frames']}", why))
    return Imported(Animation(**settings), tuple(entries), SOURCE)


def _of_input(content: Mapping[str, Any], options: Options) -> Imported:
    """An input of the predictor, or a prediction that holds one."""
    given = {str(key): value for key, value in _input(content).items()}
    settings = DEFAULTS | {key: value for key, value in given.items() if value is not None}
    settings[PROMPTS] = keyed_prompts(settings[PROMPTS])
    try:
        read = read_deforum({_NOTEBOOK.get(key, key): value for key, value in settings.items()}, options)
    except ScheduleError:
        raise
    except SettingsError as wrong:  # which names the notebook as the source
        raise SettingsError(f"{SOURCE}: {str(wrong).partition(': ')[2] or wrong}") from None
    told = {entry.key: entry for entry in read.entries}
    entries = [_entry(key, given, told) for key in (*given, *(key for key in DEFAULTS if key not in given))]
    outside = {} if _input(content) is content else {key: value for key, value in content.items() if key != "input"}
    entries += [
        Entry(str(key), value, "meaningless", why="of the prediction, no setting") for key, value in outside.items()
    ]
    return Imported(read.animation, tuple(entries), SOURCE)


def _entry(key: str, given: Mapping[str, Any], told: Mapping[str, Entry]) -> Entry:
    """What became of a key; one that the input leaves out stands with the predictor's default."""
    if key in given and given[key] is None and key not in DEFAULTS:
        return Entry(key, None, "meaningless", why="null: nothing was given")
    entry = replace(told[_NOTEBOOK.get(key, key)], key=key)
    if given.get(key) is not None:
        return replace(entry, value=given[key])
    return replace(entry, why=f"not given: Replicate's default; {entry.why}".removesuffix("; "))


def _input(content: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = content.get("input")
    return inner if isinstance(inner, Mapping) else content
