"""What this machine can do: the facts behind `koshi doctor`."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec as find_module
from pathlib import Path

import torch

from koshi_flux.errors import ModelError
from koshi_flux.output.video import encoders
from koshi_flux.pipeline.factory import SPECS, best_device, check_model
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.version import VERSION

Fact = tuple[str, str]
"""What, and how it is here."""

LIBRARIES = ("torch", "diffusers", "transformers", "av", "opencv-python-headless", "numpy")
EXTRAS = {"plot": "matplotlib"}
_WORKING_GB = 3.0
"""Room for activations and the autoencoder besides the weights, at about one megapixel."""


def facts() -> Iterator[Fact]:
    """Software, hardware and encoders."""
    yield "koshi-flux", VERSION
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in LIBRARIES:
        yield name, _version(name)
    yield "device", device_in_words()
    yield "memory", f"{total_memory_gb():.0f} GB, {os.cpu_count()} processors"
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
    """Where a model's weights are."""
    if spec.is_bundled:
        return "bundled" if is_whole(spec) else "broken: pip install --force-reinstall koshi-flux"
    if not spec.hub_id:
        return "needs no weights"
    return "on this machine" if is_cached(spec) else "not downloaded"


def need_in_words(spec: FluxSpec) -> str:
    """The memory that a model asks for, against what is here; the text encoder is gone before drawing starts."""
    if not any(spec.memory_gb):
        return "runs anywhere"
    on_cpu = best_device() == "cpu"
    need = max(spec.memory_gb) * (2 if on_cpu else 1) + _WORKING_GB
    have = device_memory_gb()
    verdict = "fits here" if have >= need else f"too large for {have:.0f} GB"
    return f"{need:.0f} GB in {'fp32 on the CPU (slow)' if on_cpu else 'bf16'}: {verdict}"


def is_cached(spec: FluxSpec) -> bool:
    """Whether a published model was downloaded."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(spec.hub_id, "model_index.json"), str)


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
        return f"cuda: {torch.cuda.get_device_name()} with {device_memory_gb():.0f} GB"
    return "mps: Apple GPU" if device == "mps" else f"cpu, {torch.get_num_threads()} threads: fine for nano"


def device_memory_gb() -> float:
    """Memory of the device that models would run on, in GB."""
    if best_device() == "cuda":
        return float(torch.cuda.get_device_properties(0).total_memory) / 1e9
    return total_memory_gb()


def total_memory_gb() -> float:
    """The machine's own memory in GB; 0 where the system does not tell."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0.0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
