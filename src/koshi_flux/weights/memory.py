"""Which way of holding a model fits into this machine, told before anything is loaded. Imports no torch.

A film has two phases: the text encoder reads all prompts and goes, then transformer and autoencoder draw. The peak is
the larger of both. All sizes are GiB (2**30 bytes); weights count as bfloat16 unless something else is said.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.files import weight_files
from koshi_flux.weights.model_files import ModelFiles
from koshi_flux.weights.single_file import PACKED, part_of

Precision = Literal["fp32", "bf16", "fp8", "int8", "nf4"]
Placement = Literal["device", "ram", "disk"]
"""Where weights wait: on the device, or in main memory or on disk, from where a block at a time is fetched."""

MEMORY = ("auto", "full", "offload", "minimal")
"""What `--memory` may be: the fastest that fits; all on the device; blocks fetched from main memory; the least."""
PRECISIONS: dict[str, float] = {"fp32": 2.0, "bf16": 1.0, "fp8": 0.5, "int8": 0.5, "nf4": 0.28}
"""Size of a transformer's weights against bfloat16; nf4 keeps scales and some layers in more bits."""

AUTOENCODER = 0.16
"""Weights of both families' autoencoders (84 million parameters)."""
_POSSIBLE: dict[str, tuple[Precision, ...]] = {
    "cuda": ("bf16", "fp8", "int8", "nf4", "fp32"),
    "mps": ("bf16", "fp32"),
    "cpu": ("fp32", "bf16", "fp8", "int8"),
}
"""What weights can be held in; the first two are chosen from where nobody asks for one."""
_WORK = 3.0
"""Activations at a megapixel, of which the autoencoder's are the largest: an estimate, not measured."""
_WORK_TILED = 1.0
"""The same where the autoencoder works tile by tile; the transformer's activations are what remains."""
_BLOCKS_IN_FLIGHT = 2
"""The block that computes and the one that is on its way."""
_SHARE_OF_A_BLOCK = 1 / 12
"""The largest block's share of a transformer, where no file is there to look it up in."""
_BLOCK = re.compile(r"(?:^|\.)((?:\w*blocks|layers|block)\.\d+)\.")


@dataclass(frozen=True, slots=True)
class Part:
    """A part's weights.

    Args:
        whole: all of them, as bfloat16 unless they are packed.
        block: its largest block with what belongs to no block.
        packed: whether they are in few bits already, as in a GGUF, and stay as they are.
    """

    whole: float
    block: float
    packed: bool = False

    @classmethod
    def guessed(cls, whole: float) -> "Part":
        """Of a published model that is not here."""
        return cls(whole, whole * _SHARE_OF_A_BLOCK)

    def resident(self, placement: Placement) -> float:
        """What of it is on the device at a time."""
        return self.whole if placement == "device" else min(self.whole, _BLOCKS_IN_FLIGHT * self.block)


@dataclass(frozen=True, slots=True)
class Need:
    """What a film asks for: weights in bfloat16, and pixels a frame.

    Args:
        beside: what computes together with the transformer, such as ControlNets; it waits where that does.
    """

    transformer: Part
    encoder: Part
    pixels: int
    beside: tuple[Part, ...] = ()

    @classmethod
    def of(
        cls, spec: FluxSpec, folder: Path | ModelFiles | None, size: tuple[int, int], beside: Iterable[Path] = ()
    ) -> "Need":
        """From the files where they are, else from the model's row.

        Args:
            beside: folders and files of what computes together with the transformer.
        """
        others, pixels = tuple(map(weigh_alone, beside)), size[0] * size[1]
        if folder is None:
            drawing, reading = map(Part.guessed, spec.memory_gb)
            return cls(drawing, reading, pixels, others)
        places = {part: folder / part for part in ("text_encoder", "text_encoder_2")}
        texts = [weigh(place, part) for part, place in places.items() if place.exists()]
        encoder = Part(sum(text.whole for text in texts), max((text.block for text in texts), default=0.0))
        return cls(weigh(folder / "transformer", "transformer"), encoder, pixels, others)

    def work(self, tiled: bool) -> float:
        """Activations, the autoencoder's weights included; tiles make them small, whatever the size of the frame."""
        megapixels = self.pixels / 2**20
        return AUTOENCODER + (_WORK_TILED if tiled else _WORK) * max(megapixels, 0.1)


@dataclass(frozen=True, slots=True)
class Machine:
    """What is free here: on the device, and beside it."""

    device: Literal["cuda", "mps", "cpu"]
    device_gb: float
    ram_gb: float


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """One way to hold a model.

    Args:
        precision: of the transformer's weights while they wait; computing is in bf16 (fp32 on the CPU).
        transformer: where they wait.
        encoder: where the text encoder's wait while prompts are read.
        tiled: whether the autoencoder works tile by tile, which leaves faint traces where tiles meet.
        packed: whether the transformer's weights stay as they are in their file, in few bits.
        peak_gb: what the device will hold at most, an estimate.
        ram_gb: what main memory will hold beside it.
    """

    precision: Precision = "bf16"
    transformer: Placement = "device"
    encoder: Placement = "device"
    tiled: bool = False
    packed: bool = False
    peak_gb: float = 0.0
    ram_gb: float = 0.0

    def filled(self, need: Need) -> "MemoryPlan":
        """With the sizes that it comes to."""
        size = 1.0 if need.transformer.packed else PRECISIONS[self.precision]
        full = 2.0 if self.precision == "fp32" else 1.0
        others = sum(part.resident(self.transformer) for part in need.beside) * full
        encoder = need.encoder.resident(self.encoder) * full
        drawing = need.transformer.resident(self.transformer) * size + others + need.work(self.tiled) * full
        waiting = [need.encoder.whole * full] if self.encoder == "ram" else [0.0]
        if self.transformer == "ram":
            waiting.append(need.transformer.whole * size + sum(part.whole for part in need.beside) * full)
        return replace(self, packed=need.transformer.packed, peak_gb=max(encoder, drawing), ram_gb=max(waiting))

    def fits(self, machine: Machine) -> bool:
        """Whether there is room, with a tenth left over."""
        on_cpu = machine.device == "cpu"
        beside = 0.0 if on_cpu else self.ram_gb
        return 1.1 * self.peak_gb <= machine.device_gb and 1.1 * beside <= machine.ram_gb

    def is_possible(self, need: Need) -> bool:
        """Whether weights can wait there: packed ones cannot be fetched from disk."""
        return not (need.transformer.packed and self.transformer == "disk")

    @property
    def relief(self) -> str:
        """What to change when memory runs out all the same."""
        if self.transformer == "device":
            return "take --memory offload, or --memory minimal"
        return "take a smaller size or a smaller model" if self.tiled else "take --memory minimal"

    def in_words(self) -> str:
        """What is done where, and the peak that is expected."""
        wait = {"device": "on the device", "ram": "fetched from main memory block by block", "disk": "read from disk"}
        encoder = "" if self.encoder == self.transformer else f", text encoder {wait[self.encoder]}"
        tiles = ", autoencoder in tiles" if self.tiled else ""
        beside = f" and {self.ram_gb:.1f} GB of main memory" if self.ram_gb else ""
        bits = "in its own bits" if self.packed else f"in {self.precision}"
        return (
            f"transformer {bits} {wait[self.transformer]}{encoder}{tiles}: about {self.peak_gb:.1f} GB at most{beside}"
        )


def plan_memory(need: Need, machine: Machine, memory: str = "auto", precision: str = "auto") -> MemoryPlan:
    """The fastest plan that fits, among those that `memory` and `precision` allow.

    Raises:
        SettingsError: `memory` or `precision` is none of those known, or does not work on this device.
        ModelError: nothing fits; the message says what the smallest would need.
    """
    plans = [plan.filled(need) for plan in _candidates(machine, memory, precision, need) if plan.is_possible(need)]
    if not plans:
        raise ModelError(
            f"packed weights, such as a GGUF's, cannot be fetched from disk, as memory = {memory!r} asks for on "
            f"{machine.device}: take --memory auto, or full"
        )
    for plan in plans:
        if plan.fits(machine):
            return plan
    least = min(plans, key=lambda plan: plan.peak_gb)
    cheaper = "" if memory in ("auto", "minimal") else "; try --memory auto"
    raise ModelError(
        f"too large for this machine: {least.in_words()}, but {machine.device_gb:.1f} GB are free on {machine.device}"
        f" and {machine.ram_gb:.1f} GB beside it{cheaper or '; take a smaller model or a smaller size'}"
    )


def _candidates(machine: Machine, memory: str, precision: str, need: Need) -> Iterator[MemoryPlan]:
    """Plans from the fastest to the smallest."""
    if memory not in MEMORY:
        raise SettingsError(f"memory: should be one of {', '.join(MEMORY)}, got {memory!r}")
    precisions = _precisions(machine, precision)
    # what computes in main memory has nowhere to fetch from but the disk
    beside: tuple[Placement, ...] = ("ram", "disk") if machine.device == "cuda" else ("disk",)
    tiles = (True,) if need.pixels > 2**20 else (False, True)
    if memory in ("auto", "full"):
        for kind, encoder, tiled in product(precisions, ("device", *beside[:1]), tiles):
            yield MemoryPlan(kind, "device", encoder, tiled)
    if memory in ("auto", "offload"):
        for kind, placement in product(precisions, beside):
            yield MemoryPlan(kind, placement, placement, tiles[0])
    if memory in ("auto", "minimal"):
        for placement in beside:
            yield MemoryPlan(precisions[-1], placement, placement, tiled=True)


def _precisions(machine: Machine, wanted: str) -> tuple[Precision, ...]:
    """What weights can be held in on this device, the best first."""
    possible = _POSSIBLE[machine.device]
    if wanted == "auto":
        return possible[:2]
    if wanted not in possible:
        raise SettingsError(
            f"precision: {wanted!r} does not work on {machine.device}; there are {', '.join(('auto', *possible))}"
        )
    return tuple(kind for kind in possible if kind == wanted)


def weigh(place: Path, part: str) -> Part:
    """The weights of a part of a model as bfloat16, from the headers of its files; packed ones as they are.

    Args:
        place: the part's folder, or a file that it is in, maybe with others.
        part: which part of that file.
    """
    if not place.is_file():
        return weigh_alone(place)
    content = part_of(place, part)
    return replace(_weighed(content.held()), packed=not PACKED.keys().isdisjoint(content.types.values()))


def weigh_alone(place: Path) -> Part:
    """All weights of a folder or .safetensors file as bfloat16, whatever they belong to."""
    names = ("diffusion_pytorch_model.safetensors", "model.safetensors")
    single = next((place / name for name in names if any(place.glob(f"{name}*"))), place / names[0])
    files = [place] if place.is_file() else weight_files(single)
    return _weighed((name, 2.0 * count) for file in files for name, count in tensors(file))


def _weighed(sizes: Iterable[tuple[str, float]]) -> Part:
    """A part from the bytes of its weights by name."""
    blocks: dict[str, float] = {}
    for name, size in sizes:
        found = _BLOCK.search(name)
        key = found[1] if found else ""
        blocks[key] = blocks.get(key, 0.0) + size / 2**30
    loose = blocks.pop("", 0.0)
    return Part(loose + sum(blocks.values()), loose + max(blocks.values(), default=0.0))


def tensors(file: Path) -> Iterator[tuple[str, int]]:
    """Name and number of values of every tensor of a safetensors file; it must have been checked."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for side in entry["shape"]:
                count *= side
            yield name, count
