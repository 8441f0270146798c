"""What this machine can do: the facts behind `koshi doctor`."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec as find_module
from pathlib import Path

import psutil
import torch

from koshi_flux.errors import ModelError
from koshi_flux.output.video import encoders
from koshi_flux.pipeline.factory import SPECS, check_model
from koshi_flux.pipeline.machine import best_device, plan_for, this_machine
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.version import VERSION
from koshi_flux.weights.memory import MEMORY, Need
from koshi_flux.weights.model_files import ModelFiles

Fact = tuple[str, str]
"""What, and how it is here."""

LIBRARIES = ("torch", "diffusers", "transformers", "av", "opencv-python-headless", "numpy")
EXTRAS = {"plot": "matplotlib", "quant": "torchao"}
Size = tuple[int, int] | None


def facts() -> Iterator[Fact]:
    """Software, hardware and encoders."""
    yield "koshi-flux", VERSION
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in LIBRARIES:
        yield name, _version(name)
    yield "device", device_in_words()
    yield "memory", f"{psutil.virtual_memory().total / 1e9:.0f} GB, {os.cpu_count()} processors"
    yield "free disk here", f"{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB"
    for encoder, there in encoders().items():
        yield f"encoder {encoder}", "yes" if there else "missing: pip install --force-reinstall av"
    for extra, module in EXTRAS.items():
        yield f"extra [{extra}]", "yes" if find_module(module) else f"missing: pip install 'koshi-flux[{extra}]'"


def models() -> Iterator[tuple[FluxSpec, str, str]]:
    """Every known model, whether its weights are here, and what it would need."""
    for spec in SPECS.values():
        yield spec, weights_in_words(spec), need_in_words(spec)


def weights_in_words(spec: FluxSpec) -> str:
    """Where a model's weights are, and how many."""
    if spec.is_bundled:
        return "bundled" if is_whole(spec) else "broken: pip install --force-reinstall koshi-flux"
    if not spec.hub_id:
        return "needs no weights"
    folder = cached(spec)
    return f"here, {size_gb(folder):.1f} GB" if folder else "not downloaded"


def plans(spec: FluxSpec, precision: str, size: Size) -> Iterator[Fact]:
    """What each kind of `--memory` would come to."""
    for memory in MEMORY:
        yield memory, need_in_words(spec, memory, precision, size)


def need_in_words(spec: FluxSpec, memory: str = "auto", precision: str = "auto", size: Size = None) -> str:
    """How a model would be held here, and what that takes; or that it does not fit."""
    if not any(spec.memory_gb):
        return "runs anywhere"
    try:
        need = Need.of(spec, _files(spec), size or spec.default_size)
        return plan_for(need, best_device(), memory, precision).in_words()
    except ModelError as too_large:
        return str(too_large)


def _files(spec: FluxSpec) -> ModelFiles | None:
    folder = cached(spec)
    return ModelFiles(folder) if folder else None


def cached(spec: FluxSpec) -> Path | None:
    """The folder of a published model that was downloaded whole; None where it was not."""
    from koshi_flux.weights.hub import find_folder

    try:
        folder = find_folder(spec.hub_id, download=False)
        check_model(str(folder))
    except ModelError:
        return None
    return folder


def size_gb(folder: Path) -> float:
    """What a folder takes on disk, in GB."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def is_whole(spec: FluxSpec) -> bool:
    """Whether a bundled model came with the installation, weights and all."""
    try:
        check_model(spec.name)
    except ModelError:
        return False
    return True


def device_in_words() -> str:
    """The device that models would run on."""
    device = best_device()
    if device == "cuda":
        return f"cuda: {torch.cuda.get_device_name()} with {this_machine(device).device_gb:.0f} GB free"
    return "mps: Apple GPU" if device == "mps" else f"cpu, {torch.get_num_threads()} threads: fine for nano"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
