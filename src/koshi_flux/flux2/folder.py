"""A model as a diffusers folder: is it complete, do its parts fit each other, which model is it? Imports no torch.

All of it is read off JSON files and the headers of the weights, in well under a second, so that a bad download is named
before anything is loaded: not after a minute, and not by a film of noise.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from koshi_flux.errors import ModelError
from koshi_flux.flux2.config import KLEIN_4B, LIKE, PUBLISHED, Kind
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.files import must_exist, read_json
from koshi_flux.weights.folder import check_parts, check_tokenizer, own_row, read_config, read_index
from koshi_flux.weights.model_files import ModelFiles

PIPELINES: dict[str, Kind] = {
    "Flux2Pipeline": "dev",
    "Flux2KleinPipeline": "klein-base",
    "Flux2KleinInpaintPipeline": "klein-base",
    "Flux2KleinKVPipeline": "klein-kv",
}
"""The pipelines that draw with a FLUX.2, and what they hold unless model_index.json says that it is distilled."""

OTHER_PIPELINES = {"FluxPipeline": "FLUX.1", "StableDiffusionXLPipeline": "SDXL"}
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
    "text_encoder": ("model_type", "hidden_size", "num_hidden_layers"),
}
"""What the config.json of each part must state; Mistral, which can also see, states it of the half that reads."""

TEXT_ENCODERS: dict[Kind, tuple[str, ...]] = {
    "klein": ("qwen3",),
    "klein-base": ("qwen3",),
    "klein-kv": ("qwen3",),
    "dev": ("mistral3", "mistral"),
}
"""What the text encoder must be, as its config.json puts it (model_type): a Mistral that can also see, or not."""

DOWNLOAD = f"`hf download {KLEIN_4B.hub_id} --local-dir klein-4b`"
"""The command that makes a folder as it should be."""


def check_folder(model: Path | ModelFiles) -> FluxSpec:
    """Refuse a folder that would fail, or draw nonsense, once loaded; otherwise say which model it holds.

    A folder with the shape of a published model takes that model's row; any other is named after its folder.
    """
    folder = ModelFiles.of(model)
    kind = _kind(folder)
    transformer, vae, encoder = (
        read_config(folder, part, needed, _in_words(kind), half="text_config") for part, needed in NEEDED.items()
    )
    for misfit in (*_strangers(kind, transformer, vae, encoder), *_misfits(LIKE[kind], transformer, vae, encoder)):
        raise ModelError(f"the parts of {folder} do not fit: {misfit}. Take all of them from one model")
    check_parts(folder, WEIGHTS)
    check_tokenizer(folder / "tokenizer", older=("vocab.json",))
    _check_chat_template(folder / "tokenizer")
    shape = (kind, transformer["num_layers"], transformer["num_single_layers"], transformer["num_attention_heads"])
    encoder_in_words = LIKE[kind].text_encoder.partition("-")[0]
    return folder.spec or PUBLISHED.get(shape) or own_row(folder, LIKE[kind], vae, encoder_in_words, "tokenizer")


def _kind(folder: ModelFiles) -> Kind:
    """Read model_index.json: which kind of FLUX.2 must this be?"""
    index = read_index(folder, "transformer/, vae/, text_encoder/ and tokenizer/", DOWNLOAD)
    pipeline = index.get("_class_name")
    if pipeline not in PIPELINES:
        known = f" ({OTHER_PIPELINES[pipeline]})" if pipeline in OTHER_PIPELINES else ""
        raise ModelError(
            f"{folder} holds a {pipeline}{known}; this family draws with FLUX.2-dev (Flux2Pipeline) and FLUX.2 Klein "
            f"(Flux2KleinPipeline): give the folder of one, such as {DOWNLOAD} makes"
        )
    kind = PIPELINES[pipeline]
    return "klein" if kind == "klein-base" and index.get("is_distilled", False) else kind


def _in_words(kind: Kind) -> str:
    return "FLUX.2-dev" if kind == "dev" else "FLUX.2 Klein"


def _strangers(kind: Kind, transformer: dict[str, Any], vae: dict[str, Any], encoder: dict[str, Any]) -> Iterator[str]:
    """The parts that are of another model than this kind, in words."""
    of = _in_words(kind)
    guided = LIKE[kind].guidance == "embedded"
    if (found := transformer.get("_class_name")) != "Flux2Transformer2DModel":
        yield f"transformer/ is a {found}, expected a Flux2Transformer2DModel"
    if (found := vae.get("_class_name")) != "AutoencoderKLFlux2":
        yield f"vae/ is an {found}, expected an AutoencoderKLFlux2"
    if (found := encoder["model_type"]) not in TEXT_ENCODERS[kind]:
        yield f"text_encoder/ is a {found}, expected the {TEXT_ENCODERS[kind][0]} of a {of}"
    if transformer.get("guidance_embeds", True) != guided:
        yield f"transformer/ {'reads no' if guided else 'reads a'} guidance scale, unlike that of a {of}"


def _misfits(
    like: FluxSpec, transformer: dict[str, Any], vae: dict[str, Any], encoder: dict[str, Any]
) -> Iterator[str]:
    """What does not fit, in words; nothing if all is well."""
    given, read = 4 * vae["latent_channels"], transformer["in_channels"]
    if given != read:
        yield f"vae/ gives 4 x {vae['latent_channels']} = {given} values a token, transformer/ reads {read}"
    layers, width = like.text_layers, encoder["hidden_size"]
    given, read = len(layers) * width, transformer["joint_attention_dim"]
    if given != read:
        yield f"text_encoder/ gives {len(layers)} x {width} = {given} values a token, transformer/ reads {read}"
    given, read = encoder["num_hidden_layers"], layers[-1]
    if given < read:
        yield f"text_encoder/ has {given} layers, layer {read} is read"


def _check_chat_template(tokenizer: Path) -> None:
    """Does the folder say how the text encoder is spoken to, among the tokenizer's settings or in a file of its own?"""
    if "chat_template" not in read_json(tokenizer / "tokenizer_config.json"):
        must_exist(tokenizer / "chat_template.jinja")
