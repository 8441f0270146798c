"""ControlNets and IP-Adapters of FLUX.1 on disk: are they whole, and made for this transformer? Imports no torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from koshi_flux.errors import ModelError
from koshi_flux.weights.files import check_weights, must_exist, read_json, weight_files
from koshi_flux.weights.header import Entry, Header, Shape, read_header
from koshi_flux.weights.hub import find_file, find_part

ENCODERS = {768: "openai/clip-vit-large-patch14"}
"""Which image encoder the published IP-Adapters were trained with, by how many values it sums a picture up in."""

_SHARED = ("in_channels", "joint_attention_dim", "pooled_projection_dim", "num_attention_heads", "attention_head_dim")
"""What a ControlNet must have as its transformer has it."""
_PART = "diffusion_pytorch_model.safetensors"
_ENCODER = "model.safetensors"
_SUMMARY = "visual_projection.weight"
"""The layer of a CLIP that gives the vector which sums a picture up."""
_UNUSABLE = "which looks through SigLIP and cannot be used: take one of XLabs, such as XLabs-AI/flux-ip-adapter-v2"


def find_controlnet(source: str, transformer: Mapping[str, Any], *, download: bool = True) -> Path:
    """The folder of a ControlNet that fits.

    Args:
        source: the folder, or owner/name on the hub.
        transformer: what the transformer's config states.

    Raises:
        ModelError: it is not there, damaged or incomplete, or for another model.
    """
    folder = find_part(source, download=download)
    must_exist(folder / "config.json")
    config = read_json(folder / "config.json")
    if config.get("_class_name") != "FluxControlNetModel":
        raise ModelError(f"{folder} holds a {config.get('_class_name')}, not a ControlNet of FLUX.1")
    if config.get("conditioning_embedding_channels") is not None:
        raise ModelError(
            f"{folder} is a ControlNet that reads pixels, as those of XLabs do, which cannot be used: take one that "
            "reads latents, such as InstantX/FLUX.1-dev-Controlnet-Canny"
        )
    for key in _SHARED:
        if config.get(key) != transformer.get(key):
            raise ModelError(
                f"{folder} is a ControlNet for another model: its {key} is {config.get(key)}, "
                f"the model's {transformer.get(key)}"
            )
    for file in weight_files(folder / _PART):
        check_weights(file)
    return folder


@dataclass(frozen=True, slots=True)
class Spelling:
    """What the tensors of an IP-Adapter are called."""

    projection: str
    block: str

    def layer(self, block: int, what: str) -> str:
        """What makes the keys ("k") or values ("v") of a block."""
        return self.block.format(block, what)

    def layers(self, blocks: int) -> Iterator[str]:
        """All layers of an adapter for so many blocks."""
        yield from (f"{self.projection}.{part}" for part in ("proj", "norm"))
        yield from (self.layer(block, what) for block in range(blocks) for what in ("k", "v"))


SPELLINGS = (
    Spelling("ip_adapter_proj_model", "double_blocks.{}.processor.ip_adapter_double_stream_{}_proj"),
    Spelling("image_proj", "ip_adapter.{}.to_{}_ip"),
)
"""XLabs', and diffusers' own."""


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An IP-Adapter that fits its model.

    Args:
        encoder: the folder of the CLIP that it looks through.
        spelling: of the tensors in `file`.
        blocks: how many double blocks attend to it.
        tokens: how many tokens it makes of CLIP's summary of a picture.
    """

    file: Path
    encoder: Path
    spelling: Spelling
    blocks: int
    tokens: int

    def tensors(self) -> Iterator[str]:
        """The names of all its tensors in `file`."""
        return (f"{layer}.{end}" for layer in self.spelling.layers(self.blocks) for end in ("weight", "bias"))


def find_ip_adapter(
    source: str, encoder: str, transformer: Mapping[str, Any], *, download: bool = True
) -> AdapterFiles:
    """Where an IP-Adapter that fits and its image encoder are.

    Args:
        source: the file, or owner/name or owner/name/file on the hub.
        encoder: the folder of a CLIP, or owner/name on the hub; "" for the one that such adapters are trained with.
        transformer: what the transformer's config states.

    Raises:
        ModelError: one is not there, damaged or incomplete, or for another model.
    """
    if source.lower().startswith("instantx/"):
        raise ModelError(f"{source} is an IP-Adapter of InstantX, {_UNUSABLE}")
    file = find_file(source, download=download)
    header = read_header(file)
    spelling = _spelling(file, header)
    made, summary = header[f"{spelling.projection}.proj.weight"].shape
    for name, shape in _expected(spelling, transformer, made, summary):
        if name not in header or header[name].shape != shape:
            found = f"its {name} is {header[name].shape}" if name in header else f"it has no {name}"
            raise ModelError(f"{file} is an IP-Adapter for another model, or not whole: {found}, expected {shape}")
    blocks, reads = transformer["num_layers"], transformer["joint_attention_dim"]
    if f"{spelling.layer(blocks, 'k')}.weight" in header or made % reads:
        raise ModelError(f"{file} is an IP-Adapter for another model: it is for more blocks, or wider tokens")
    if not encoder and summary not in ENCODERS:
        raise ModelError(f"{file} looks through an unknown CLIP, one of {summary} values: name it as `encoder`")
    folder = find_part(encoder or ENCODERS[summary], _ENCODER, download=download)
    _check_encoder(folder, file, summary)
    return AdapterFiles(file, folder, spelling, blocks, made // reads)


def _spelling(file: Path, header: Header) -> Spelling:
    for spelling in SPELLINGS:
        if f"{spelling.projection}.proj.weight" in header:
            return spelling
    if any(name.startswith("image_proj.proj.0.") for name in header):
        raise ModelError(f"{file} is an IP-Adapter of InstantX, {_UNUSABLE}")
    raise ModelError(f"{file} is no IP-Adapter of FLUX.1 (it has {next(iter(header), 'nothing')})")


def _expected(
    spelling: Spelling, transformer: Mapping[str, Any], made: int, summary: int
) -> Iterator[tuple[str, Shape]]:
    """The shapes of all tensors, for this transformer."""
    reads = transformer["joint_attention_dim"]
    width = transformer["num_attention_heads"] * transformer["attention_head_dim"]
    shapes = {f"{spelling.projection}.proj": (made, summary), f"{spelling.projection}.norm": (reads,)}
    for layer in spelling.layers(transformer["num_layers"]):
        shape = shapes.get(layer, (width, reads))
        yield f"{layer}.weight", shape
        yield f"{layer}.bias", shape[:1]


def _check_encoder(folder: Path, adapter: Path, summary: int) -> None:
    """Refuse what is no CLIP, or one that sums pictures up otherwise than the adapter reads."""
    must_exist(folder / "config.json")
    kind = read_json(folder / "config.json").get("model_type")
    if kind not in ("clip", "clip_vision_model"):
        raise ModelError(f"{folder} is a {kind}, expected the CLIP that {adapter} looks through")
    layers: dict[str, Entry] = {}
    for file in weight_files(folder / _ENCODER):
        must_exist(file)
        layers |= read_header(file)
    if _SUMMARY not in layers:
        raise ModelError(f"{folder} is a CLIP without {_SUMMARY}: take one that is published with its projection")
    gives = layers[_SUMMARY].shape[0]
    if gives != summary:
        raise ModelError(
            f"{folder} sums a picture up in {gives} values, {adapter} reads {summary}: name another encoder"
        )
