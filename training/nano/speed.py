"""What a short film with nano costs, in a process of its own: `python -m training.nano.speed nano 24 256 cpu`.

A fresh process, so that nothing else has filled the memory or warmed the caches before. It loads, draws and writes as
a user's program does, and says in one line of JSON what that took.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import typer

import koshi_flux.flux2.model  # noqa: F401 - what a model needs is imported before the clock starts
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.factory import load_model
from koshi_flux.pipeline.prompts import Conditionings
from koshi_flux.pipeline.render import invent
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import FluxModel

PROMPT = "mountains at sunset"


def measure(model: str, frames: int, size: int, device: str) -> dict[str, float]:
    """Seconds to load, seconds per frame with everything included, and the highest use of memory in MB."""
    began = time.perf_counter()
    loaded = load_model(model, device)
    draw_smallest(loaded)
    ready = time.perf_counter()
    settings: dict[str, Any] = {"prompts": PROMPT, "frames": frames, "size": size, "zoom": 1.02, "denoise": 0.45}
    with tempfile.TemporaryDirectory() as folder:
        for _ in film(Animation(**settings), loaded, Path(folder) / "film" / "film.mp4"):
            pass
    done = time.perf_counter()
    return {
        "seconds_to_load": ready - began,
        "seconds_per_frame": (done - ready) / frames,
        "peak_memory_mb": peak_memory_mb(),
    }


@torch.inference_mode()
def draw_smallest(model: FluxModel) -> None:
    """Draw a picture of one token in one step: models read a part from disk when they first need it."""
    prompts = Conditionings({text: model.encode_prompt(text) for text in ("", PROMPT)})
    side = model.spec.multiple
    invent(model, prompts, FrameParameters(prompt=((PROMPT, 1.0),), steps=1), (side, side))


def peak_memory_mb() -> float:
    """The most memory that this process has had resident, in MB."""
    if sys.platform == "linux":
        # not getrusage, whose peak a program inherits from whatever started it
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main(model: str, frames: int, size: int, device: str) -> None:
    """Measure and tell."""
    typer.echo(json.dumps(measure(model, frames, size, device)))


if __name__ == "__main__":
    typer.run(main)
