"""What trainers write into a LoRA's header beside the weights: trigger words, base model, scale. Imports no torch."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_TRIGGERS = (
    "modelspec.trigger_phrase",
    "trigger_phrase",
    "ss_trigger_words",
    "trigger_words",
    "trigger_word",
    "instance_prompt",
)
_BASE_MODEL = ("modelspec.architecture", "ss_base_model_version", "base_model", "ss_sd_model_name")
_MOST_TRIGGERS = 5
"""So many words of the captions are shown; a trigger that the trainer stated is shown whole."""


def triggers(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The words that call a LoRA up in a prompt: as stated, else what stood in every caption it was trained with."""
    for key in _TRIGGERS:
        if words := _words(metadata.get(key, "")):
            return words
    folders = _object(metadata.get("ss_dataset_dirs", ""))
    seen = {
        tag.strip(): None
        for folder, tags in _object(metadata.get("ss_tag_frequency", "")).items()
        for tag in _in_every_caption(tags, folders.get(folder))
    }
    return tuple(seen)[:_MOST_TRIGGERS]


def base_model(metadata: Mapping[str, str]) -> str:
    """What a LoRA was trained on, as its trainer called it; "" where nothing is said."""
    return next((metadata[key].removesuffix("/lora") for key in _BASE_MODEL if metadata.get(key)), "")


def says_family(metadata: Mapping[str, str]) -> str:
    """The family that a LoRA was trained on, "flux1" or "flux2", as far as the names of its base model tell; or ""."""
    said = " ".join(metadata.get(key, "") for key in _BASE_MODEL).lower()
    if re.search(r"flux[ ._-]?2|klein", said):
        return "flux2"
    return "flux1" if "flux" in said else ""


def peft_settings(metadata: Mapping[str, str], file: Path, is_peft: bool) -> dict[str, Any]:
    """How peft scales a LoRA: in the header where diffusers saved it, else in the adapter_config.json beside it."""
    stated = _object(metadata.get("lora_adapter_metadata", ""))
    if stated:
        return {key.removeprefix("transformer."): value for key, value in stated.items() if "text_encoder" not in key}
    beside = file.with_name("adapter_config.json")
    return _object(beside.read_text(encoding="utf-8", errors="replace")) if is_peft and beside.is_file() else {}


def peft_scale(settings: Mapping[str, Any], module: str, rank: int) -> float:
    """What peft multiplies a layer's change with: alpha / rank, or alpha / sqrt(rank) where rank is stabilised.

    Args:
        settings: see `peft_settings`; without an alpha the scale is 1.
        module: the layer's name in the file, without the prefix.
    """
    patterns = settings.get("alpha_pattern")
    stated = patterns.items() if isinstance(patterns, Mapping) else ()
    alphas = [alpha for pattern, alpha in stated if _is_meant(pattern, module)]
    alpha = alphas[0] if alphas else settings.get("lora_alpha")
    if not isinstance(alpha, int | float) or not rank:
        return 1.0
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _is_meant(pattern: str, module: str) -> bool:
    """Whether peft's pattern is for that layer; a broken pattern is for none."""
    try:
        return re.fullmatch(rf"(.*\.)?{pattern.removeprefix('^')}", module) is not None
    except re.error:
        return False


def _in_every_caption(tags: object, folder: object) -> Iterator[str]:
    """Tags as often as there are pictures or, where their number is not said, as the most frequent one; never once."""
    if not isinstance(tags, Mapping):
        return
    counts = {tag: count for tag, count in tags.items() if isinstance(count, int) and count > 1}
    pictures = folder.get("img_count") if isinstance(folder, Mapping) else None
    enough = pictures if isinstance(pictures, int) else max(counts.values(), default=0)
    yield from (tag for tag, count in counts.items() if count >= enough and tag.strip())


def _words(text: str) -> tuple[str, ...]:
    """Words apart by commas, or a list as JSON has it."""
    try:
        listed = json.loads(text)
    except ValueError:
        listed = text.split(",")
    if not isinstance(listed, list):
        listed = [text]
    return tuple(word.strip() for word in map(str, listed) if word.strip())


def _object(text: str) -> dict[str, Any]:
    """A JSON object; {} for anything else, for metadata is only as good as who wrote it."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
