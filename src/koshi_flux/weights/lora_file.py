"""The header of a LoRA file, sorted out by the layers it changes. Imports no torch and reads no weight.

Files name layers in many ways: diffusers ("transformer."), kohya's sd-scripts and musubi-tuner ("lora_unet_"), ComfyUI
and ai-toolkit ("diffusion_model."), peft and fal ("base_model.model."), OneTrainer ("lora_transformer_"), LyCORIS and
SimpleTuner ("lycoris_"), XLabs and DiffSynth (no prefix). Behind any prefix may stand BFL's or diffusers' names.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from koshi_flux.errors import ModelError
from koshi_flux.weights.files import check_weights
from koshi_flux.weights.lora_layers import spelled
from koshi_flux.weights.lora_metadata import peft_scale, peft_settings

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

LAYOUTS = {
    "base_model.model.": "peft",
    "model.diffusion_model.": "ComfyUI",
    "diffusion_model.": "ComfyUI",
    "transformer.": "diffusers",
    "unet.": "diffusers",
    "lora_unet_": "kohya",
    "lora_transformer_": "OneTrainer",
    "lycoris_": "LyCORIS",
}
"""Who writes which prefix; a file without one is "bare"."""

_PARTS = {
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".down.weight": "down",
    ".up.weight": "up",
    ".alpha": "alpha",
    **{f".lokr_{part}": part for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")},
}
"""What the end of a tensor's name says it is: a factor of a LoRA or of a LoKr, or the scale of either."""

_ADAPTER_NAME = re.compile(r"(?<=\.lora_[AB])\.(?!weight$)\w+(?=\.weight$)")
"""Some files keep the name that peft gave the adapter, as in "to_q.lora_A.default.weight"."""

_TEXT_ENCODER = re.compile(r"lora_te|text_encoder|text_model|te\d?\.|clip_[lg]\.|t5xxl\.")
_BESIDE = (".diff", ".diff_b")

_OTHER_KINDS = {
    ".dora_scale": "a DoRA",
    ".lora_magnitude_vector": "a DoRA",
    ".hada_w1_a": "a LoHa",
    ".lokr_t2": "a LoKr of convolutions",
    ".lora_mid": "a LoRA of convolutions",
    ".oft_": "an OFT",
    ".on_input": "an (IA)3",
    "norm.query_norm.scale": "a control LoRA (FLUX.1 Canny or Depth, which draws after a second picture)",
}
"""Adapters that are no plain LoRA, by a piece of their tensors' names."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a LoRA does to one layer.

    Args:
        key: the layer as the file names it.
        name: the layer as LAYERS does.
        block: the number of its block; -1 outside of blocks.
        parts: the names of its tensors by what they are: "down" and "up", or "w1", "w1_a" ... "w2_b", and "alpha".
        reads: how many values the layer reads; 0 if its parts do not go together.
        rows: how many it gives; 0 as above.
        rank: of the change; 0 for a LoKr of two whole factors.
        scale: what it is multiplied with where no "alpha" says it.
    """

    key: str
    name: str
    block: int
    parts: dict[str, str]
    reads: int
    rows: int
    rank: int
    scale: float

    @property
    def is_lokr(self) -> bool:
        """Whether it is a Kronecker product rather than a product of matrices."""
        return not {"down", "up"} & set(self.parts)

    @property
    def is_single(self) -> bool:
        """Whether its layer is in a single block."""
        return self.name.startswith("single") and self.block >= 0


@dataclass(frozen=True, slots=True)
class Content:
    """What a LoRA file holds.

    Args:
        changes: layer by layer.
        kind: what it is if no plain LoRA, in words.
        layout: one of LAYOUTS, or "bare".
        odd: tensors of no known kind.
        left_out: what films do not use of it, in words.
        metadata: what its trainer wrote beside the weights.
    """

    changes: tuple[Change, ...]
    kind: str
    layout: str
    odd: tuple[str, ...]
    left_out: tuple[str, ...]
    metadata: dict[str, str]


def read_content(file: Path) -> Content:
    """Sort out a file's header.

    Raises:
        ModelError: there is no such file, or it is damaged.
    """
    shapes, metadata = _header(file)
    found = _Keys()
    for key in shapes:
        found.add(key)
    settings = peft_settings(metadata, file, is_peft="peft" in found.layouts)
    plain = [key for key in shapes if not key.endswith(_BESIDE)]
    kinds = [words for piece, words in _OTHER_KINDS.items() if any(piece in key for key in plain)]
    return Content(
        changes=tuple(_change(key, parts, shapes, settings) for key, parts in found.each_once()),
        kind=next(iter(kinds), "a DoRA" if settings.get("use_dora") else ""),
        layout=next(iter(found.layouts), "bare"),
        odd=tuple(found.odd),
        left_out=tuple(found.left_out),
        metadata=metadata,
    )


def _header(file: Path) -> tuple[Shapes, dict[str, str]]:
    """The shapes of a file's tensors by name, and what is written beside them."""
    if not file.is_file():
        raise ModelError(f"there is no LoRA at {file}")
    if file.suffix.lower() != ".safetensors":
        raise ModelError(f"{file} is no .safetensors file; other kinds may run programs when read, so they are refused")
    check_weights(file)
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    try:
        metadata = {key: str(value) for key, value in header.pop("__metadata__", {}).items()}
        return {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}, metadata
    except (KeyError, TypeError, ValueError, AttributeError) as broken:
        raise ModelError(f"{file} is damaged: its header states no shapes. Download it again") from broken


@dataclass(frozen=True, slots=True)
class _Keys:
    """A file's tensors by what they are; dicts stand for sets that keep their order."""

    layers: dict[str, dict[str, str]] = field(default_factory=dict)
    layouts: dict[str, None] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        """Sort in one tensor."""
        plain = _ADAPTER_NAME.sub("", key)
        name, layout = _without_prefix(plain)
        ending = next((ending for ending in _PARTS if plain.endswith(ending)), "")
        if _TEXT_ENCODER.match(key) or _TEXT_ENCODER.match(name):
            self.left_out["its changes to the text encoder"] = None
        elif ending:
            self.layers.setdefault(plain.removesuffix(ending), {})[_PARTS[ending]] = key
            self.layouts[layout] = None
        elif key.endswith(_BESIDE):
            self.left_out["its whole differences (of biases and norms)"] = None
        else:
            self.odd.append(key)

    def each_once(self) -> Iterable[tuple[str, dict[str, str]]]:
        """Layers with their parts. Some files hold all of them once more in another layout: the first counts."""
        met: dict[tuple[str, int], str] = {}
        for key, parts in self.layers.items():
            if set(parts) != {"alpha"}:
                met.setdefault(spelled(_without_prefix(key)[0]), key)
        return ((key, self.layers[key]) for key in met.values())


def _without_prefix(key: str) -> tuple[str, str]:
    """A key without what stands before its layer's name, and whose layout that is."""
    layout = ""
    while prefix := next((prefix for prefix in LAYOUTS if key.startswith(prefix)), ""):
        key, layout = key.removeprefix(prefix), layout or LAYOUTS[prefix]
    return re.sub(r"^sformer_blocks\.", "transformer_blocks.", key), layout or "bare"  # some exports cut "tran" off


def _change(key: str, parts: dict[str, str], shapes: Shapes, settings: Mapping[str, Any]) -> Change:
    plain, _ = _without_prefix(key)
    name, block = spelled(plain)
    of_parts = {part: shapes[tensor] for part, tensor in parts.items() if part != "alpha"}
    reads, rows, rank = _low_rank(of_parts) or _kronecker(of_parts) or (0, 0, 0)
    return Change(key, name, block, parts, reads, rows, rank, peft_scale(settings, plain, rank))


def _low_rank(shapes: Shapes) -> tuple[int, int, int] | None:
    """What a LoRA's layer reads, what it gives, and the rank; None if the parts are no LoRA's."""
    match shapes.get("down"), shapes.get("up"):
        case (rank, reads), (rows, inner) if rank == inner and len(shapes) == 2:
            return reads, rows, rank
    return None


def _kronecker(shapes: Shapes) -> tuple[int, int, int] | None:
    """The same of a LoKr, whose two factors may be products themselves."""
    left, right = (_factor(shapes, which) for which in ("w1", "w2"))
    if left is None or right is None:
        return None
    return left[0] * right[0], left[1] * right[1], right[2] or left[2]


def _factor(shapes: Shapes, which: str) -> tuple[int, int, int] | None:
    match shapes.get(which), shapes.get(f"{which}_a"), shapes.get(f"{which}_b"):
        case (rows, reads), None, None:
            return reads, rows, 0
        case None, (rows, rank), (inner, reads) if rank == inner:
            return reads, rows, rank
    return None
