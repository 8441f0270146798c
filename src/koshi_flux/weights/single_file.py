"""What a single file of weights holds, told from its header before anything is loaded. Imports no torch.

A file is known by its contents: the names of its tensors say which parts of which family are in it, their shapes which
model that is, and their types how the numbers are written. Its own name decides only what no content shows, namely
whether a Klein is distilled: the base models have the same shapes.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from koshi_flux.errors import ModelError
from koshi_flux.weights.header import Entry, Header, read_header
from koshi_flux.weights.layouts import LAYOUTS, Config, Layout, Piece, Pieces, Shapes

PLAIN = frozenset({"F64", "F32", "F16", "BF16", "I64"})
"""Types that are taken as they are; an autoencoder of FLUX.2 has a counter among its weights."""
FP8 = frozenset({"F8_E4M3", "F8_E5M2"})
PACKED = {
    "Q8_0": 8.5,
    "Q6_K": 6.5625,
    "Q5_0": 5.5,
    "Q5_1": 6.0,
    "Q5_K": 5.5,
    "Q4_0": 4.5,
    "Q4_1": 5.0,
    "Q4_K": 4.5,
    "IQ4_NL": 4.5,
    "IQ4_XS": 4.25,
    "Q3_K": 3.4375,
    "Q2_K": 2.625,
}
"""Types of .gguf files that diffusers computes with (SUPPORTED_GGUF_QUANT_TYPES), and their bits a weight."""

_SCALES = (".weight_scale", ".scale_weight")
"""What ComfyUI, now and formerly, adds to a layer's name for what its 8-bit weights are to be multiplied with."""
_BESIDE = (*_SCALES, ".input_scale", ".scale_input", ".comfy_quant")
_MARKERS = ("scaled_fp8",)
"""Tensors that say how others are to be computed with, and are no weights."""

_SHARD = re.compile(r"-\d+-of-\d+$")
"""What the names of files end in over which one part is spread."""

_OTHER_PRECISIONS = {
    ".weight_scale_2": "NVFP4",
    ".pre_quant_scale": "weights smoothed for 4 bits",
    ".qweight": "Nunchaku's 4 bits",
    ".wscales": "Nunchaku's 4 bits",
    ".absmax": "bitsandbytes' 4 bits",
    ".quant_state.": "bitsandbytes' 4 bits",
    ".weight_s_rel": "weights by a codebook",
}
"""Ways to write numbers that cannot be read, by a piece of the names of their tensors."""

_FOREIGN = {
    ("lora_A.", "lora_B.", "lora_up.", "lora_down.", ".lokr_w", ".hada_w"): "a LoRA, to be named under lora",
    ("conditioner.embedders.1.",): "an SDXL checkpoint",
    ("cond_stage_model.",): "a Stable Diffusion checkpoint",
    (".input_blocks.1.", "down_blocks.0.attentions."): "the UNet of a Stable Diffusion",
    ("joint_blocks.",): "a Stable Diffusion 3",
    ("distilled_guidance_layer.",): "Chroma",
    ("redux_up.",): "FLUX.1 Redux",
    ("controlnet_blocks.", "controlnet_x_embedder.", "input_hint_block."): "a ControlNet",
    ("double_stream_blocks.",): "HiDream",
    ("mode_blocks.",): "FLUX.3",
    ("cap_embedder.",): "Z-Image or Lumina 2",
    ("blk.0.attn_q.", "enc.blk.0."): "a text encoder as .gguf; text encoders are read as .safetensors or as folders",
}
"""What else people have, by a piece of the names of its tensors."""


@dataclass(frozen=True, slots=True)
class Content:
    """One part of a model in a file.

    Args:
        layout: which part it is.
        pieces: where each of its weights lies.
        types: how the numbers of each tensor are written.
        scales: the names of the tensors that others are to be multiplied with, by the names of those.
    """

    file: Path
    layout: Layout
    pieces: Pieces
    types: dict[str, str]
    scales: dict[str, str]

    @property
    def precision(self) -> str:
        """How most of it is written, e.g. "BF16", "F8_E4M3, scaled", "Q4_K"."""
        large = Counter(self.types[piece.name] for piece in self.pieces.values() if len(piece.shape) > 1)
        return f"{large.most_common(1)[0][0]}{', scaled' if self.scales else ''}"

    @property
    def shapes(self) -> Shapes:
        """Its weights' shapes by the names that diffusers and transformers have for them."""
        return {name: piece.shape for name, piece in self.pieces.items()}

    def held(self) -> Iterator[tuple[str, float]]:
        """The name of each weight, and how many bytes it takes once it is read in 16 bits; packed ones stay packed."""
        for name, piece in self.pieces.items():
            yield name, math.prod(piece.shape) * PACKED.get(self.types[piece.name], 16.0) / 8

    def config(self) -> Config:
        """What its config.json would state.

        Raises:
            ModelError: a weight is absent, or draws after a second picture.
        """
        try:
            config = self.layout.config(self.shapes)
        except (KeyError, ValueError, IndexError, ZeroDivisionError) as absent:
            raise ModelError(f"{self.file} is not whole: as {self.layout.words} it lacks {absent}") from absent
        if config.get("in_channels", 0) != config.get("out_channels", 0):
            raise ModelError(
                f"{self.file} reads {config['in_channels']} values a token and gives {config['out_channels']}: it is a "
                "FLUX that draws after a second picture (Fill, Canny, Depth); give one that draws after words"
            )
        return config


def contents(file: Path) -> dict[str, Content]:
    """The parts in a file, by the names of their folders in a model: one, or several in a ComfyUI checkpoint.

    Raises:
        ModelError: the file is absent, damaged, of another kind of model, or in a precision that cannot be read.
    """
    if _SHARD.search(file.stem):
        raise ModelError(f"{file} is one of several pieces of a part: give the folder that holds all of them")
    header = read_header(file)
    _refuse_foreign(file, header)
    weights = {name: entry.shape for name, entry in header.items() if _is_weight(name)}
    found: dict[str, Content] = {}
    for layout in LAYOUTS:
        for prefix in layout.prefixes:
            inside = {name.removeprefix(prefix): shape for name, shape in weights.items() if name.startswith(prefix)}
            pieces = layout.sort(inside)
            if layout.part not in found and layout.fits(pieces):
                _check_whole(file, layout, inside, pieces)
                found[layout.part] = _content(file, header, layout, prefix, pieces)
    if not found:
        example = f" (it has {next(iter(header))})" if header else ""
        raise ModelError(f"{file} holds no part of a FLUX model that is known{example}")
    return found


def part_of(file: Path, part: str) -> Content:
    """The part of that name in a file.

    Raises:
        ModelError: as above, or there is none; the message says what the file holds instead.
    """
    found = contents(file)
    if part not in found:
        raise ModelError(f"{file} is {in_words(found)}; it holds no {part}")
    return found[part]


def in_words(found: dict[str, Content]) -> str:
    """What there is in a file."""
    return " with ".join(f"{content.layout.words} ({content.precision})" for content in found.values())


def _is_weight(name: str) -> bool:
    return not name.endswith(_BESIDE) and name.rpartition(".")[2] not in _MARKERS


def _refuse_foreign(file: Path, header: Header) -> None:
    """Name what is no FLUX model, and what is one in a precision that cannot be read."""
    for pieces, words in _FOREIGN.items():
        for name in header:
            if any(piece in name for piece in pieces):
                raise ModelError(f"{file} is {words} (it has {name}), not a FLUX model")
    for piece, words in _OTHER_PRECISIONS.items():
        if any(piece in name for name in header):
            raise _unreadable(file, words)


def _unreadable(file: Path, words: str) -> ModelError:
    return ModelError(f"{file} holds {words}, which cannot be read: give the same model in bf16, fp16, fp8 or as .gguf")


def _content(file: Path, header: Header, layout: Layout, prefix: str, pieces: Pieces) -> Content:
    """A part with its scales, once all its numbers are known to be readable."""
    whole = {own: Piece(prefix + piece.name, piece.rows, piece.shape) for own, piece in pieces.items()}
    tensors = {piece.name: header[piece.name] for piece in whole.values()}
    scales = dict(_scales(tensors, header))
    for name, entry in tensors.items():
        _check_precision(file, layout, name, entry, header.get(scales.get(name, "")))
    return Content(file, layout, whole, {name: entry.dtype for name, entry in tensors.items()}, scales)


def _scales(tensors: Header, header: Header) -> Iterator[tuple[str, str]]:
    for name in tensors:
        for end in _SCALES:
            scale = name.removesuffix(".weight") + end
            if scale in header:
                yield name, scale


def _check_precision(file: Path, layout: Layout, name: str, entry: Entry, scale: Entry | None) -> None:
    """Refuse numbers that cannot be read; a scale is one number for all, or one for each row."""
    if entry.dtype in PACKED and layout.part != "transformer":
        raise _unreadable(file, f"{layout.words} in {entry.dtype}")
    if entry.dtype not in PLAIN | FP8 | PACKED.keys():
        raise _unreadable(file, f"numbers of type {entry.dtype} (in {name})")
    if scale is not None and scale.shape not in ((), (1,), (1, 1), entry.shape[:1], (*entry.shape[:1], 1)):
        raise _unreadable(file, f"scales for blocks of weights (in {name})")


def _check_whole(file: Path, layout: Layout, inside: Shapes, pieces: Pieces) -> None:
    """Refuse a part with layers that are not its own, and one of whose blocks some lack what others have."""
    if layout.part == "transformer":
        used = {piece.name for piece in pieces.values()}
        if odd := [name for name in inside if name not in used]:
            raise ModelError(f"{file} is {layout.words}, but with layers that none has: {', '.join(odd[:3])}")
    for blocks in ("transformer_blocks", "single_transformer_blocks", "model.layers", "encoder.layers"):
        _check_blocks(file, blocks, pieces)


def _check_blocks(file: Path, blocks: str, pieces: Pieces) -> None:
    """Blocks are alike: whatever most of them hold, none may lack."""
    held: dict[int, Shapes] = {}
    for own, piece in pieces.items():
        if own.startswith(f"{blocks}."):
            number, _, rest = own.removeprefix(f"{blocks}.").partition(".")
            held[int(number)] = {**held.get(int(number), {}), rest: piece.shape}
    common = Counter(item for block in held.values() for item in block.items())
    for place in range(max(held, default=-1) + 1):
        for (rest, shape), times in common.items():
            if 2 * times > len(held) and held.get(place, {}).get(rest) != shape:
                raise ModelError(
                    f"{file} is not whole: {blocks}.{place}.{rest} is absent, or not {shape} large as in other blocks"
                )
