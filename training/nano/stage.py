"""What every stage shares: its table of nano.toml, its folder, its checkpoint, its curve and its learning rate.

Stages that train may be run by several processes, which share a batch and average their gradients: on a CPU one thread
each wastes least, `OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m training.nano.autoencoder`.
"""

import json
import math
import os
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import torch.distributed as dist
import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from torch import Tensor, nn

CONFIG = Path(__file__).with_name("nano.toml")
WORK = Path("build/nano")
"""Where data, checkpoints and sample sheets go: one folder per stage."""

Device = Annotated[str, typer.Option(help="cpu, cuda; by default a GPU if there is one")]
Work = Annotated[Path, typer.Option(help="the folder of all stages")]
ConfigFile = Annotated[Path, typer.Option("--config", help="the settings of all stages")]

C = TypeVar("C", bound="StageConfig")


class StageConfig(BaseModel):
    """The settings of one stage: a table of nano.toml, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingConfig(StageConfig):
    """The settings of a stage that trains.

    Args:
        steps: optimiser steps, unless the time is up before.
        minutes: time to train in, over all resumes; the learning rate falls to zero by then.
        batch: samples per step.
        rate: highest learning rate.
        save_every: minutes between checkpoints.
    """

    steps: int
    minutes: float
    batch: int
    rate: float
    save_every: float = 3.0


def read_config(kind: type[C], stage: str, file: Path = CONFIG) -> C:
    """The table of a stage."""
    return kind.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))[stage])


def best_device(wanted: str = "") -> torch.device:
    """The device that was asked for, or the GPU if there is one."""
    return torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))


class Training:
    """The clock of a stage that trains: which step it is, how far along, when to save; it resumes where it stopped.

    Args:
        folder: for the checkpoint, the curve (curve.jsonl) and the sheets; made if absent.
        config: how long and how fast.
        parts: all that must survive a stop (model, optimiser, average ...), by name.
    """

    def __init__(self, folder: Path, config: TrainingConfig, parts: dict[str, Any]):
        folder.mkdir(parents=True, exist_ok=True)
        join_others()
        self.folder, self.config, self.parts = folder, config, parts
        self.step, self.seconds = 0, 0.0
        self._console = Console()
        self._resume()
        if self.step:
            torch.manual_seed(1000 * self.step + (dist.get_rank() if dist.is_initialized() else 0))

    @property
    def progress(self) -> float:
        """From 0 to 1, by steps or by time, whichever is further."""
        return min(1.0, max(self.step / self.config.steps, self.seconds / 60 / self.config.minutes))

    @property
    def rate(self) -> float:
        """The learning rate now: up over the first 100 steps, flat for half of the time, then a half cosine to zero."""
        fall = max(0.0, self.progress - 0.5) / 0.5
        return self.config.rate * min(1.0, (self.step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * fall))

    def run(self) -> Iterator[int]:
        """Yield step after step until the end, saving on the way."""
        saved = self.seconds
        while self.progress < 1:
            began = time.perf_counter()
            yield self.step
            self.step += 1
            self.seconds += mean_of_all(time.perf_counter() - began)
            if self.seconds - saved > 60 * self.config.save_every:
                self.save()
                saved = self.seconds
        self.save()

    def log(self, **figures: float) -> None:
        """Write a point of the curve and show it."""
        if not leads():
            return
        point = {"step": self.step, "minutes": round(self.seconds / 60, 2), **figures}
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
            curve.write(json.dumps(point) + "\n")
        self._console.print("  ".join(f"{name} {value:.4g}" for name, value in point.items()))

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if not leads():
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        fresh = self.folder / "checkpoint.partial"
        torch.save({"step": self.step, "seconds": self.seconds, "parts": state}, fresh)
        os.replace(fresh, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        file = self.folder / "checkpoint.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])


class Average:
    """The exponential moving average of a model's weights: what is kept in the end."""

    def __init__(self, model: nn.Module, decay: float = 0.999):
        self.decay, self.count = decay, 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Move towards the model; young averages move faster."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"count": self.count, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.count = state["count"]
        for name, value in state["weights"].items():
            self.weights[name].copy_(value)


def learn(model: nn.Module, loss: Tensor, optimisers: list[torch.optim.Optimizer], rate: float) -> None:
    """One step down, by all processes together."""
    model.zero_grad()
    loss.backward()
    _average_gradients(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()


def join_others() -> None:
    """Meet the other processes, where torchrun has started several, and throw dice of one's own."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if dist.is_initialized():
        torch.manual_seed(1000 + dist.get_rank())


def processes() -> int:
    """How many share a batch."""
    return dist.get_world_size() if dist.is_initialized() else 1


def leads() -> bool:
    """Is this the process that writes?"""
    return not dist.is_initialized() or dist.get_rank() == 0


def mean_of_all(value: float) -> float:
    """The mean over processes."""
    if not dist.is_initialized():
        return value
    shared = torch.tensor([value], device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(shared)
    return float(shared) / dist.get_world_size()


def _average_gradients(model: nn.Module) -> None:
    """Give every process the mean of all gradients."""
    if not dist.is_initialized():
        return
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    means = (flat / dist.get_world_size()).split([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
