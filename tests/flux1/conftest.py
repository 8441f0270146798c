"""Tiny models, built once a session, and the diffusers pipelines they are compared with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from koshi_flux.flux1.model import Flux1Model, load
from koshi_flux.flux1.tiny import make_tiny_model


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small are slower on several threads, and much slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def dev_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "dev")


@pytest.fixture(scope="session")
def schnell_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "schnell", schnell=True, seed=1)


@pytest.fixture(scope="session")
def dev(dev_folder: Path) -> Flux1Model:
    return load(dev_folder)


@pytest.fixture(scope="session")
def schnell(schnell_folder: Path) -> Flux1Model:
    return load(schnell_folder)


def reference(folder: Path) -> FluxPipeline:
    pipeline = FluxPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="session")
def dev_pipeline(dev_folder: Path) -> FluxPipeline:
    return reference(dev_folder)


@pytest.fixture(scope="session")
def schnell_pipeline(schnell_folder: Path) -> FluxPipeline:
    return reference(schnell_folder)
