"""How a transformer computes: by which attention, compiled or not. What it draws stays the same to rounding."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _check_attention_backend_requirements,
    attention_backend,
    dispatch_attention_fn,
)

from koshi_flux.errors import ModelError
from koshi_flux.weights.memory import MemoryPlan


@dataclass(frozen=True, slots=True)
class Speed:
    """How the transformer of a model computes.

    Args:
        compiled: whether its repeated blocks are compiled, once for each size of pictures, when they first compute:
            LoRAs that are loaded until then are compiled with it, those that come later compile it anew.
        attention: one of diffusers' attention backends; "auto" leaves that to diffusers.
        compiler: one of torch.compile's backends.
    """

    compiled: bool = False
    attention: str = "auto"
    compiler: str = "inductor"

    def check(self, plan: MemoryPlan, device: torch.device, dtype: torch.dtype) -> None:
        """Refuse what cannot work here, before anything is loaded.

        Raises:
            ModelError: no such attention works on this device, or weights that are to be compiled are fetched or
                widened on the way, which interrupts what is compiled.
        """
        if self.attention != "auto":
            _check_attention(self.attention, device, dtype)
        if self.compiled and (plan.transformer != "device" or plan.precision not in ("fp32", "bf16", "int8")):
            raise ModelError(
                "compile needs all of the transformer on the device, in fp32, bf16 or int8, but planned is: "
                f"{plan.in_words()}. Do without compile, or choose memory full and precision bf16 or int8"
            )

    def give(self, transformer: Any) -> None:
        """Have a transformer compute this way from now on."""
        if self.attention != "auto":
            with attention_backend("native"):  # diffusers would also make it the default of all other models
                _use_attention(transformer, self.attention)
        if self.compiled:
            transformer.compile_repeated_blocks(dynamic=False, backend=self.compiler)


PLAIN = Speed()


def _use_attention(transformer: Any, name: str) -> None:
    try:
        transformer.set_attention_backend(name)
    except (RuntimeError, OSError) as failed:  # a kernel of the hub that cannot be brought here
        raise ModelError(f"attention {name!r} cannot be had: {failed}") from failed


def _check_attention(name: str, device: torch.device, dtype: torch.dtype) -> None:
    names = [backend.value for backend in AttentionBackendName]
    if name in names and _works(name, device, dtype):
        return
    here = ", ".join(other for other in names if _works(other, device, dtype))
    why = "is not to be had or does not work" if name in names else "is unknown"
    raise ModelError(f"attention {name!r} {why} on this {device.type} in {dtype}; those that do: auto, {here}")


def _works(name: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether an attention is installed and computes; those of the hub are only tried once they are here."""
    backend = AttentionBackendName(name)
    try:
        _check_attention_backend_requirements(backend)
        if not name.endswith("_hub"):
            few = torch.zeros(1, 16, 2, 128, device=device, dtype=dtype)  # heads as large as those of all FLUX
            dispatch_attention_fn(few, few, few, backend=backend)
    except (RuntimeError, ValueError, ImportError):
        return False
    return True
