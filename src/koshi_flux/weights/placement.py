"""Puts a part of a model where its memory plan says, so that computing with it stays what it was."""

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import torch
from diffusers.hooks import apply_group_offloading, apply_layerwise_casting

from koshi_flux.errors import ModelError
from koshi_flux.weights.files import caches
from koshi_flux.weights.memory import MemoryPlan, Placement, Precision
from koshi_flux.weights.speed import PLAIN, Speed

ROUNDED_BADLY = ("norm", "embed", "proj_out", "modulation", "time_", "guidance")
"""Layers that are kept in full where others are held in 8 bits: few weights, and everything passes through them."""


@dataclass(frozen=True)
class Holding:
    """How the parts of one model are held: by which plan, on which device, computing in which type and how fast."""

    device: torch.device
    computing: torch.dtype
    plan: MemoryPlan
    speed: Speed = PLAIN

    @classmethod
    def of(
        cls, device: str | torch.device, dtype: torch.dtype | None, plan: MemoryPlan | None, speed: Speed = PLAIN
    ) -> "Holding":
        """By default all on the device, computing in bfloat16, on a CPU in float32.

        Raises:
            ModelError: it cannot compute that fast.
        """
        device = torch.device(device)
        on_cpu = device.type == "cpu"
        plan = plan or MemoryPlan("fp32" if on_cpu else "bf16")
        exact = {"fp32": torch.float32, "bf16": torch.bfloat16}
        computing = dtype or exact.get(plan.precision, torch.float32 if on_cpu else torch.bfloat16)
        speed.check(plan, device, computing)
        return cls(device, computing, plan, speed)

    @cached_property
    def reading(self) -> Any:
        """What to tell diffusers as it reads a transformer: in how many bits, where they are fewer than 8."""
        return nf4_settings(self.plan.precision, self.computing)

    def transformer(self, part: Any) -> Any:
        """Put the transformer in its place."""
        placed = place(hold_in(part, self.plan.precision, self.computing), self.plan.transformer, self.device)
        self.speed.give(placed)
        return placed

    def beside(self, part: Any) -> Any:
        """Put in its place what computes together with the transformer, in full."""
        return place(part, self.plan.transformer, self.device)

    def encoder(self, part: Any) -> Any:
        """Put a text encoder in its place."""
        return place(part, self.plan.encoder, self.device)

    def autoencoder(self, part: Any) -> Any:
        """Put the autoencoder on the device, working in tiles if the plan says so."""
        if self.plan.tiled:
            part.enable_tiling()
        # torch's `to`, because diffusers' own warns of parts to be kept in float32, of which ours have none
        return torch.nn.Module.to(part, self.device, self.computing)


def place(part: Any, placement: Placement, device: torch.device) -> Any:
    """Move a part to the device, or have its blocks fetched from memory or disk whenever they compute.

    What is fetched is what was there, so pictures stay the same; on the CPU within 1e-6, because weights read from disk
    lie at other addresses, for which other instructions serve.
    """
    if placement == "device":
        return torch.nn.Module.to(part, device)
    options: dict[str, Any] = {"use_stream": device.type == "cuda"}
    if placement == "disk":
        if _is_packed(part):
            raise ModelError("packed weights, such as a GGUF's, cannot be fetched from disk: take --memory full")
        _untie(part)
        options["offload_to_disk_path"] = str(_folder_for(part))
    apply_group_offloading(part, device, torch.device("cpu"), **_grouping(part), **options)
    return part


def _is_packed(part: Any) -> bool:
    """Whether weights are held in fewer bits already, as in a GGUF."""
    return bool(getattr(part, "is_quantized", False))


def _folder_for(part: Any) -> Path:
    """A folder that lives as long as the part, having removed those of processes that were killed."""
    shelf = caches() / "weights"
    shelf.mkdir(parents=True, exist_ok=True)
    for left in shelf.glob("[0-9]*-*"):
        if not psutil.pid_exists(int(left.name.partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=shelf))
    weakref.finalize(part, shutil.rmtree, folder, ignore_errors=True)
    return folder


def _untie(part: torch.nn.Module) -> None:
    """Give every layer weights of its own: of shared ones, diffusers would write an emptied copy."""
    seen: set[int] = set()
    for layer in part.modules():
        for name, weight in list(layer.named_parameters(recurse=False)):
            if id(weight) in seen:
                layer.register_parameter(name, torch.nn.Parameter(weight.detach().clone(), requires_grad=False))
            seen.add(id(weight))


def _grouping(part: torch.nn.Module) -> dict[str, Any]:
    """Block by block where a part has blocks at its top, as FLUX has; a text encoder's lie deeper: leaf by leaf."""
    blocks = any(isinstance(child, torch.nn.ModuleList) for child in part.children())
    return {"offload_type": "block_level", "num_blocks_per_group": 1} if blocks else {"offload_type": "leaf_level"}


def hold_in(part: Any, precision: Precision, computing: torch.dtype) -> Any:
    """Hold a transformer's weights in 8 bits; they become `computing` again, layer by layer, when they are used.

    Raises:
        ModelError: the library that this precision needs is not installed.
    """
    if _is_packed(part):
        return part
    if precision == "fp8":
        apply_layerwise_casting(part, torch.float8_e4m3fn, computing, skip_modules_pattern=ROUNDED_BADLY)
    if precision == "int8":
        _to_int8(part)
    return part


def _to_int8(part: torch.nn.Module) -> None:
    """Round the weights of large linear layers to 8 bits, row by row."""
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as missing:
        raise ModelError("precision int8 needs torchao: pip install 'koshi-flux[quant]'") from missing
    quantize_(part, Int8WeightOnlyConfig(), filter_fn=_is_rounded)


def _is_rounded(layer: torch.nn.Module, name: str) -> bool:
    return isinstance(layer, torch.nn.Linear) and not any(word in name for word in ROUNDED_BADLY)


def nf4_settings(precision: Precision, computing: torch.dtype) -> Any:
    """How diffusers is to read a transformer in 4 bits; None where that was not asked for.

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    if precision != "nf4":
        return None
    from diffusers import BitsAndBytesConfig
    from diffusers.utils import is_bitsandbytes_available

    if not is_bitsandbytes_available():
        raise ModelError("precision nf4 needs bitsandbytes: pip install 'koshi-flux[quant]'")
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computing, llm_int8_skip_modules=["norm"]
    )
