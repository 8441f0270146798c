"""The layers of FLUX.1 and FLUX.2 that a LoRA can change, under all names that files give them. Imports no torch.

Read off diffusers' loaders/lora_conversion_utils.py (0.42.1) and the code of the trainers that are named in `lora.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal, TypeAlias

from koshi_flux.errors import ModelError

Family: TypeAlias = Literal["flux1", "flux2"]
FAMILIES: dict[Family, str] = {"flux1": "FLUX.1", "flux2": "FLUX.2"}
"""How people call them."""

CLASSES: dict[str, Family] = {"FluxTransformer2DModel": "flux1", "Flux2Transformer2DModel": "flux2"}
"""Whose transformer a class of diffusers is."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A linear layer as one piece, or as the several that diffusers made of it.

    Args:
        name: what a file calls it, with "{}" for the number of the block.
        reads: how many values it reads, in widths of the model; 0 where that does not go with the width.
        modules: the layers of diffusers' transformer that its rows are handed to, in order, with the rows of each in
            widths of the model; a 0 as above.
        swapped: whether diffusers holds the two halves of its rows the other way round (scale before shift).
    """

    name: str
    reads: int
    modules: dict[str, int]
    swapped: bool = False

    @property
    def rows(self) -> int:
        """How many values it gives, in widths of the model."""
        return sum(self.modules.values())

    def widths(self, reads: int, rows: int) -> set[float]:
        """How wide a model would be whose layer reads and gives so many values; two answers mean that it is none."""
        return {size / ours for size, ours in ((reads, self.reads), (rows, self.rows)) if ours}

    def pieces(self, rows: int) -> dict[str, tuple[slice, ...]]:
        """Which of its `rows` each module gets, one slice after the other."""
        if self.swapped:
            return dict.fromkeys(self.modules, (slice(rows // 2, rows), slice(0, rows // 2)))
        if len(self.modules) == 1:
            return dict.fromkeys(self.modules, (slice(0, rows),))
        ends = [rows * share // self.rows for share in accumulate(self.modules.values())]
        spans = pairwise([0, *ends])
        return {module: (slice(*span),) for module, span in zip(self.modules, spans, strict=True)}


@dataclass(frozen=True, slots=True)
class Target:
    """A model that a LoRA is to fit.

    Args:
        name: what messages call it.
        width: values a token (attention heads times values a head).
    """

    name: str
    family: Family
    double_blocks: int
    single_blocks: int
    width: int

    @classmethod
    def of_config(cls, name: str, config: Mapping[str, Any]) -> "Target":
        """The model whose transformer/config.json this is.

        Raises:
            ModelError: it is the transformer of another family.
        """
        kind = config.get("_class_name")
        if kind not in CLASSES:
            raise ModelError(f"{name} takes no LoRAs: its transformer is a {kind}, not a {' or '.join(CLASSES)}")
        return cls(
            name=name,
            family=CLASSES[kind],
            double_blocks=config["num_layers"],
            single_blocks=config["num_single_layers"],
            width=config["num_attention_heads"] * config["attention_head_dim"],
        )

    def holds(self, family: str, width: float, double_block: int, single_block: int) -> bool:
        """Whether it is of that family and width and has blocks of these numbers; -1 for none, width 0 for any."""
        return (
            self.family == family
            and width in (0, self.width)
            and double_block < self.double_blocks
            and single_block < self.single_blocks
        )


_SHAPES: dict[tuple[Family, int, int, int], tuple[str, ...]] = {
    ("flux1", 19, 38, 3072): ("flux.1-dev", "flux.1-schnell", "flux.1-krea-dev"),
    ("flux2", 5, 20, 3072): ("flux.2-klein-4b", "flux.2-klein-base-4b"),
    ("flux2", 8, 24, 4096): ("flux.2-klein-9b", "flux.2-klein-base-9b", "flux.2-klein-9b-kv"),
    ("flux2", 8, 48, 6144): ("flux.2-dev",),
}
PUBLISHED: dict[str, Target] = {name: Target(name, *shape) for shape, names in _SHAPES.items() for name in names}
"""The models that LoRAs are trained for, by the name of their row (`FluxSpec.name`)."""

_D, _S = "transformer_blocks.{}.", "single_transformer_blocks.{}."
_IMAGE_QKV = {_D + "attn.to_q": 1, _D + "attn.to_k": 1, _D + "attn.to_v": 1}
_TEXT_QKV = {_D + "attn.add_q_proj": 1, _D + "attn.add_k_proj": 1, _D + "attn.add_v_proj": 1}
_SINGLE_QKV = {_S + "attn.to_q": 1, _S + "attn.to_k": 1, _S + "attn.to_v": 1}

_BOTH = (
    Layer("double_blocks.{}.img_attn.qkv", 1, _IMAGE_QKV),
    Layer("double_blocks.{}.txt_attn.qkv", 1, _TEXT_QKV),
    Layer("double_blocks.{}.img_attn.proj", 1, {_D + "attn.to_out.0": 1}),
    Layer("double_blocks.{}.txt_attn.proj", 1, {_D + "attn.to_add_out": 1}),
    Layer(_D + "attn.to_qkv", 1, _IMAGE_QKV),  # diffusers' own name once projections are fused
    Layer(_D + "attn.to_added_qkv", 1, _TEXT_QKV),
    Layer("img_in", 0, {"x_embedder": 1}),
    Layer("txt_in", 0, {"context_embedder": 1}),
    Layer("final_layer.linear", 1, {"proj_out": 0}),
    Layer("final_layer.adaLN_modulation.1", 1, {"norm_out.linear": 2}, swapped=True),
)

_FLUX1 = (
    Layer("double_blocks.{}.img_mlp.0", 1, {_D + "ff.net.0.proj": 4}),
    Layer("double_blocks.{}.img_mlp.2", 4, {_D + "ff.net.2": 1}),
    Layer("double_blocks.{}.txt_mlp.0", 1, {_D + "ff_context.net.0.proj": 4}),
    Layer("double_blocks.{}.txt_mlp.2", 4, {_D + "ff_context.net.2": 1}),
    Layer("double_blocks.{}.img_mod.lin", 1, {_D + "norm1.linear": 6}),
    Layer("double_blocks.{}.txt_mod.lin", 1, {_D + "norm1_context.linear": 6}),
    Layer("single_blocks.{}.linear1", 1, {**_SINGLE_QKV, _S + "proj_mlp": 4}),
    Layer("single_blocks.{}.linear1_qkv", 1, _SINGLE_QKV),  # ComfyUI's name for the first three of these
    Layer("single_blocks.{}.linear2", 5, {_S + "proj_out": 1}),
    Layer("single_blocks.{}.modulation.lin", 1, {_S + "norm.linear": 3}),
    Layer("time_in.in_layer", 0, {"time_text_embed.timestep_embedder.linear_1": 1}),
    Layer("time_in.out_layer", 1, {"time_text_embed.timestep_embedder.linear_2": 1}),
    Layer("vector_in.in_layer", 0, {"time_text_embed.text_embedder.linear_1": 1}),
    Layer("vector_in.out_layer", 1, {"time_text_embed.text_embedder.linear_2": 1}),
    Layer("guidance_in.in_layer", 0, {"time_text_embed.guidance_embedder.linear_1": 1}),
    Layer("guidance_in.out_layer", 1, {"time_text_embed.guidance_embedder.linear_2": 1}),
    # XLabs' names
    Layer("double_blocks.{}.processor.qkv_lora1", 1, _IMAGE_QKV),
    Layer("double_blocks.{}.processor.qkv_lora2", 1, _TEXT_QKV),
    Layer("double_blocks.{}.processor.proj_lora1", 1, {_D + "attn.to_out.0": 1}),
    Layer("double_blocks.{}.processor.proj_lora2", 1, {_D + "attn.to_add_out": 1}),
    Layer("single_blocks.{}.processor.qkv_lora", 1, _SINGLE_QKV),
    Layer("single_blocks.{}.processor.proj_lora", 5, {_S + "proj_out": 1}),
)

_FLUX2 = (
    Layer("double_blocks.{}.img_mlp.0", 1, {_D + "ff.linear_in": 6}),
    Layer("double_blocks.{}.img_mlp.2", 3, {_D + "ff.linear_out": 1}),
    Layer("double_blocks.{}.txt_mlp.0", 1, {_D + "ff_context.linear_in": 6}),
    Layer("double_blocks.{}.txt_mlp.2", 3, {_D + "ff_context.linear_out": 1}),
    Layer("single_blocks.{}.linear1", 1, {_S + "attn.to_qkv_mlp_proj": 9}),
    Layer("single_blocks.{}.linear2", 4, {_S + "attn.to_out": 1}),
    Layer("double_stream_modulation_img.lin", 1, {"double_stream_modulation_img.linear": 6}),
    Layer("double_stream_modulation_txt.lin", 1, {"double_stream_modulation_txt.linear": 6}),
    Layer("single_stream_modulation.lin", 1, {"single_stream_modulation.linear": 3}),
    Layer("time_in.in_layer", 0, {"time_guidance_embed.timestep_embedder.linear_1": 1}),
    Layer("time_in.out_layer", 1, {"time_guidance_embed.timestep_embedder.linear_2": 1}),
    Layer("guidance_in.in_layer", 0, {"time_guidance_embed.guidance_embedder.linear_1": 1}),
    Layer("guidance_in.out_layer", 1, {"time_guidance_embed.guidance_embedder.linear_2": 1}),
)

_IN_BLOCK = re.compile(r"((?:double|single|(?:single_)?transformer)_blocks)[._](\d+)[._](.+)")


def spelled(name: str) -> tuple[str, int]:
    """A layer's name in the one spelling that all files share, "{}" for the number of its block; that number, or -1."""
    if found := _IN_BLOCK.fullmatch(name):
        return _flat(f"{found[1]}.{{}}.{found[3]}"), int(found[2])
    return _flat(name), -1


def _flat(name: str) -> str:
    return name.replace(".", "_").strip("_")  # some of TheLastBen's keys end in "_"


def _by_name(layers: tuple[Layer, ...]) -> dict[str, Layer]:
    """Layers by the names that files give them, and each of diffusers' modules by its own."""
    known = {_flat(layer.name): layer for layer in layers}
    for layer in layers:
        for module, rows in layer.modules.items():
            known.setdefault(_flat(module), Layer(module, layer.reads, {module: rows}))
    return known


LAYERS: dict[Family, dict[str, Layer]] = {"flux1": _by_name(_BOTH + _FLUX1), "flux2": _by_name(_BOTH + _FLUX2)}
"""Each family's layers by `spelled` name."""
