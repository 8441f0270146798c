"""A model as a diffusers folder: is it complete, do its parts fit each other, which model is it? Imports no torch.

All of it is read off JSON files and the headers of the weights, in well under a second, so that a bad download is named
before anything is loaded: not after a minute, and not by a film of noise.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from koshi_flux.errors import ModelError
from koshi_flux.flux1.config import BENT, EVEN, FLUX_1_DEV, FLUX_1_SCHNELL, PUBLISHED, NoiseCurve
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.files import read_json
from koshi_flux.weights.folder import check_parts, check_tokenizer, own_row, read_config, read_index
from koshi_flux.weights.model_files import ModelFiles

PIPELINES = ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline")
"""The pipelines that draw with a plain FLUX.1: they hold the same parts."""

OTHER_PIPELINES = {
    "FluxKontextPipeline": "FLUX.1 Kontext",
    "FluxFillPipeline": "FLUX.1 Fill",
    "FluxControlPipeline": "FLUX.1 Canny or Depth",
    "FluxPriorReduxPipeline": "FLUX.1 Redux",
    "ChromaPipeline": "Chroma",
    "Flux2Pipeline": "FLUX.2-dev",
    "Flux2KleinPipeline": "FLUX.2 Klein",
    "StableDiffusionXLPipeline": "SDXL",
}
"""What people may have at hand instead."""

WEIGHTS = {
    "transformer": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
}
"""The parts that hold weights, and the file they are in unless an index lists several."""

NEEDED = {
    "transformer": (
        "in_channels",
        "joint_attention_dim",
        "pooled_projection_dim",
        "num_layers",
        "num_single_layers",
        "num_attention_heads",
    ),
    "vae": ("latent_channels", "block_out_channels"),
    "text_encoder": ("model_type", "hidden_size"),
    "text_encoder_2": ("model_type", "d_model"),
}
"""What the config.json of each part must state."""

TOKENIZERS = {"tokenizer": ("vocab.json", "merges.txt"), "tokenizer_2": ()}
"""The parts that cut prompts into tokens, and their tables if not tokenizer.json: CLIP's is published that way."""

PARTS = "transformer/, vae/, text_encoder/, text_encoder_2/, tokenizer/ and tokenizer_2/"

DOWNLOAD = f'`hf download {FLUX_1_DEV.hub_id} --exclude "flux1*" --local-dir flux-dev`'
"""The command that makes a folder as it should be, without the same weights once more as a single file."""


def check_folder(model: Path | ModelFiles) -> FluxSpec:
    """Refuse a folder that would fail, or draw nonsense, once loaded; otherwise say which model it holds.

    A folder with the shape of a published model takes that model's row; any other is named after its folder.
    """
    folder = ModelFiles.of(model)
    _check_pipeline(folder)
    configs = {part: read_config(folder, part, keys, "FLUX.1") for part, keys in NEEDED.items()}
    for misfit in _misfits(*configs.values()):
        raise ModelError(f"the parts of {folder} do not fit: {misfit}. Take all of them from one model")
    check_parts(folder, WEIGHTS)
    for part, older in TOKENIZERS.items():
        check_tokenizer(folder / part, older)
    transformer = configs["transformer"]
    is_guided = bool(transformer.get("guidance_embeds", False))
    read_curve(folder, is_guided=is_guided)
    shape = (transformer["num_layers"], transformer["num_single_layers"], transformer["num_attention_heads"], is_guided)
    like = FLUX_1_DEV if is_guided else FLUX_1_SCHNELL
    return folder.spec or PUBLISHED.get(shape) or own_row(folder, like, configs["vae"], "CLIP + T5", "tokenizer_2")


def read_curve(folder: Path | ModelFiles, *, is_guided: bool) -> NoiseCurve:
    """How a model bends its noise levels: as its scheduler says, or without one as dev (`is_guided`) or schnell does.

    Of a scheduler's other ways to space noise levels (Karras, exponential, beta) none is followed.
    """
    file = folder / "scheduler" / "scheduler_config.json"
    if not file.is_file():
        return BENT if is_guided else EVEN
    settings = read_json(file)
    try:
        if not settings.get("use_dynamic_shifting", False):
            return NoiseCurve(math.log(settings.get("shift", 1.0)))
        return NoiseCurve.through(
            (float(settings.get("base_image_seq_len", 256)), float(settings.get("base_shift", 0.5))),
            (float(settings.get("max_image_seq_len", 4096)), float(settings.get("max_shift", 1.15))),
        )
    except (TypeError, ValueError, ZeroDivisionError) as senseless:
        raise ModelError(f"{file} states no noise levels ({senseless}). Download it again") from senseless


def _check_pipeline(folder: ModelFiles) -> None:
    """Read model_index.json: this must be a FLUX.1."""
    pipeline = read_index(folder, PARTS, DOWNLOAD).get("_class_name")
    if pipeline not in PIPELINES:
        known = f" ({OTHER_PIPELINES[pipeline]})" if pipeline in OTHER_PIPELINES else ""
        raise ModelError(
            f"{folder} holds a {pipeline}{known}; this family draws with FLUX.1 ({PIPELINES[0]}): "
            f"give the folder of one, such as {DOWNLOAD} makes"
        )


def _misfits(
    transformer: dict[str, Any], vae: dict[str, Any], clip: dict[str, Any], t5: dict[str, Any]
) -> Iterator[str]:
    """What does not fit, in words; nothing if all is well."""
    kind, wanted = transformer.get("_class_name"), "FluxTransformer2DModel"
    if kind != wanted:
        yield f"transformer/ is a {kind}, expected a {wanted}"
    kind, wanted = vae.get("_class_name"), "AutoencoderKL"
    if kind != wanted:
        yield f"vae/ is an {kind}, expected an {wanted}"
    for part, encoder, wanted in (("text_encoder", clip, "clip_text_model"), ("text_encoder_2", t5, "t5")):
        if encoder["model_type"] != wanted:
            yield f"{part}/ is a {encoder['model_type']}, expected a {wanted}"
    for key in ("scaling_factor", "shift_factor"):
        if vae.get(key) is None:
            yield f"vae/ states no {key}, so it is not that of a FLUX.1"
    given, read = 4 * vae["latent_channels"], transformer["in_channels"]
    if given != read:
        yield f"vae/ gives 4 x {vae['latent_channels']} = {given} values a token, transformer/ reads {read}"
    given, read = clip["hidden_size"], transformer["pooled_projection_dim"]
    if given != read:
        yield f"text_encoder/ gives a summary of {given} values, transformer/ reads {read}"
    given, read = t5["d_model"], transformer["joint_attention_dim"]
    if given != read:
        yield f"text_encoder_2/ gives {given} values a token, transformer/ reads {read}"
