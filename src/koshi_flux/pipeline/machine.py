"""What this machine has free, and how a model is to be held on it."""

import psutil
import torch

from koshi_flux.weights.memory import Machine, MemoryPlan, Need, plan_memory

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


def plan_for(need: Need, device: str | torch.device, memory: str, precision: str) -> MemoryPlan:
    """How a model is held here."""
    return plan_memory(need, this_machine(device), memory, precision)
