"""What this machine has free, and how a model is to be held on it."""

import psutil
import torch

from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.memory import Machine, MemoryPlan, Need, plan_memory
from koshi_flux.weights.model_files import ModelFiles

_GIB = 2**30


def best_device() -> str:
    """Where models run fastest on this machine."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def this_machine(device: str | torch.device) -> Machine:
    """What is free now, in GiB."""
    ram = psutil.virtual_memory().available / _GIB
    match torch.device(device).type:
        case "cuda":
            return Machine("cuda", torch.cuda.mem_get_info(torch.device(device))[0] / _GIB, ram)
        case "mps":
            return Machine("mps", ram, ram)
        case _:
            return Machine("cpu", ram, ram)


def plan_for(
    spec: FluxSpec,
    files: ModelFiles | None,
    device: str | torch.device,
    size: tuple[int, int] | None,
    memory: str,
    precision: str,
) -> MemoryPlan:
    """How a model is held here, for pictures of that size.

    Args:
        files: where they are; None guesses from the model's row.
    """
    return plan_memory(Need.of(spec, files, size or spec.default_size), this_machine(device), memory, precision)
