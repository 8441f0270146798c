"""A model as a diffusers folder: is it complete, do its parts fit each other, which model is it? Imports no torch.

All of it is read off JSON files and the headers of the weights, in well under a second, so that a bad download is named
before anything is loaded: not after a minute, and not by a film of noise.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from koshi_flux.errors import ModelError
from koshi_flux.flux2.config import KLEIN_4B, KLEIN_BASE_4B, PUBLISHED
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.files import check_weights, must_exist, read_json, weight_files

KLEIN_PIPELINES = {"Flux2KleinPipeline": False, "Flux2KleinInpaintPipeline": False, "Flux2KleinKVPipeline": True}
"""The pipelines that draw with a Klein, and whether its weights are distilled where model_index.json does not say."""

OTHER_PIPELINES = {"FluxPipeline": "FLUX.1", "Flux2Pipeline": "FLUX.2-dev", "StableDiffusionXLPipeline": "SDXL"}
"""What people may have at hand instead."""

WEIGHTS = {
    "transformer": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
"""The parts that hold weights, and the file they are in unless an index lists several."""

NEEDED = {
    "transformer": ("in_channels", "joint_attention_dim", "num_layers", "num_single_layers", "num_attention_heads"),
    "vae": ("latent_channels", "block_out_channels"),
    "text_encoder": ("hidden_size", "num_hidden_layers"),
}
"""What the config.json of each part must state."""

TEXT_LAYERS = (9, 18, 27)
"""The text encoder's hidden states that the transformer reads side by side (OUTPUT_LAYERS_QWEN3 of BFL's flux2)."""

DOWNLOAD = f"`hf download {KLEIN_4B.hub_id} --local-dir klein-4b`"
"""The command that makes a folder as it should be."""


def check_folder(folder: Path) -> FluxSpec:
    """Refuse a folder that would fail, or draw nonsense, once loaded; otherwise say which model it holds.

    A folder with the shape of a published model takes that model's row; any other is named after its folder.
    """
    distilled = _is_distilled(folder)
    transformer, vae, encoder = (_config(folder / part) for part in WEIGHTS)
    for misfit in _misfits(transformer, vae, encoder):
        raise ModelError(f"the parts of {folder} do not fit: {misfit}. Take all of them from one model")
    for part, single in WEIGHTS.items():
        for file in weight_files(folder / part / single):
            check_weights(file)
    _check_tokenizer(folder / "tokenizer")
    shape = (transformer["num_layers"], transformer["num_single_layers"], transformer["num_attention_heads"], distilled)
    return PUBLISHED.get(shape) or _own_row(folder, vae, distilled)


def _own_row(folder: Path, vae: dict[str, Any], distilled: bool) -> FluxSpec:
    """The row of a model that nobody published: a Klein of which nothing is claimed that its files do not say."""
    downscale = 2 ** (len(vae["block_out_channels"]) - 1)
    return replace(
        KLEIN_4B if distilled else KLEIN_BASE_4B,
        name=folder.resolve().name,
        aliases=(),
        hub_id="",
        licence="",
        channels=vae["latent_channels"],
        downscale=downscale,
        multiple=2 * downscale,
        default_size=(512, 512),
        text_encoder="Qwen3",
        text_tokens=_text_tokens(folder / "tokenizer"),
        memory_gb=(0.0, 0.0),
    )


def _text_tokens(part: Path) -> int:
    """How many tokens of a prompt are read: a Klein's 512, or fewer where the tokenizer says so."""
    longest = read_json(part / "tokenizer_config.json").get("model_max_length")
    return min(KLEIN_4B.text_tokens, longest) if isinstance(longest, int) and longest > 0 else KLEIN_4B.text_tokens


def _is_distilled(folder: Path) -> bool:
    """Read model_index.json: this must be a Klein; does it ignore guidance?"""
    if folder.is_file():
        raise ModelError(
            f"{folder} is a single file; models are read from folders with a model_index.json and a folder for each "
            f"part, such as {DOWNLOAD} makes"
        )
    if not (folder / "model_index.json").is_file():
        raise ModelError(
            f"{folder} is not a model folder: it has no model_index.json. Give the folder that holds it next to "
            f"transformer/, vae/, text_encoder/ and tokenizer/, such as {DOWNLOAD} makes"
        )
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if pipeline not in KLEIN_PIPELINES:
        known = f" ({OTHER_PIPELINES[pipeline]})" if pipeline in OTHER_PIPELINES else ""
        raise ModelError(
            f"{folder} holds a {pipeline}{known}; this family draws with FLUX.2 Klein (Flux2KleinPipeline): "
            f"give the folder of one, such as {DOWNLOAD} makes"
        )
    return bool(index.get("is_distilled", KLEIN_PIPELINES[pipeline]))


def _config(part: Path) -> dict[str, Any]:
    """What a part says of itself."""
    must_exist(part / "config.json")
    config = read_json(part / "config.json")
    for key in NEEDED[part.name]:
        if key not in config:
            raise ModelError(f"{part / 'config.json'} states no {key}: this is not the {part.name} of a FLUX.2 Klein")
    return config


def _misfits(transformer: dict[str, Any], vae: dict[str, Any], encoder: dict[str, Any]) -> Iterator[str]:
    """What does not fit, in words; nothing if all is well."""
    kind, wanted = transformer.get("_class_name"), "Flux2Transformer2DModel"
    if kind != wanted:
        yield f"transformer/ is a {kind}, expected a {wanted}"
    kind, wanted = vae.get("_class_name"), "AutoencoderKLFlux2"
    if kind != wanted:
        yield f"vae/ is an {kind}, expected an {wanted}"
    given, read = 4 * vae["latent_channels"], transformer["in_channels"]
    if given != read:
        yield f"vae/ gives 4 x {vae['latent_channels']} = {given} values a token, transformer/ reads {read}"
    given, read = len(TEXT_LAYERS) * encoder["hidden_size"], transformer["joint_attention_dim"]
    if given != read:
        yield f"text_encoder/ gives 3 x {encoder['hidden_size']} = {given} values a token, transformer/ reads {read}"
    given, read = encoder["num_hidden_layers"], TEXT_LAYERS[-1]
    if given < read:
        yield f"text_encoder/ has {given} layers, layer {read} is read"


def _check_tokenizer(part: Path) -> None:
    """Can the tables be read that cut a prompt into tokens? The older form of them is vocab.json with merges.txt."""
    older = (part / "vocab.json").is_file() and not (part / "tokenizer.json").is_file()
    for file in (part / "tokenizer_config.json", part / ("vocab.json" if older else "tokenizer.json")):
        must_exist(file)
        read_json(file)
