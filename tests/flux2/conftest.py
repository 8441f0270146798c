"""Tiny models, built once a session, and the diffusers pipelines they are compared with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, Flux2KleinPipeline, Flux2Pipeline

from koshi_flux.flux2.model import Flux2Model, load
from koshi_flux.flux2.tiny import make_tiny_model


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small are slower on several threads, and much slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def distilled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "distilled")


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base", kind="klein-base", seed=1)


@pytest.fixture(scope="session")
def dev_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "dev", kind="dev", seed=2)


@pytest.fixture(scope="session")
def distilled(distilled_folder: Path) -> Flux2Model:
    return load(distilled_folder)


@pytest.fixture(scope="session")
def base(base_folder: Path) -> Flux2Model:
    return load(base_folder)


@pytest.fixture(scope="session")
def dev(dev_folder: Path) -> Flux2Model:
    return load(dev_folder)


def reference(folder: Path) -> DiffusionPipeline:
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="session")
def distilled_pipeline(distilled_folder: Path) -> Flux2KleinPipeline:
    return reference(distilled_folder)


@pytest.fixture(scope="session")
def base_pipeline(base_folder: Path) -> Flux2KleinPipeline:
    return reference(base_folder)


@pytest.fixture(scope="session")
def dev_pipeline(dev_folder: Path) -> Flux2Pipeline:
    return reference(dev_folder)
