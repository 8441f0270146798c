"""The same model in every form that people have it in draws the same frames."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, FluxTransformer2DModel, Flux2Transformer2DModel
from torch import Tensor
from transformers import (
    CLIPTextModel,
    MistralConfig,
    MistralForCausalLM,
    Qwen3ForCausalLM,
    T5EncoderModel,
)

from koshi_flux.errors import ModelError
from koshi_flux.flux1 import model as flux1
from koshi_flux.flux2 import model as flux2
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.weights.model_files import ModelFiles, find_model
from koshi_flux.weights.parts import read_part
from tests.weights.single_files import (
    Weights,
    bfl_autoencoder,
    bfl_transformer,
    copied,
    prefixed,
    save,
    save_gguf,
    scaled,
    unscaled,
    weights_of,
)

FILM = Animation(
    prompts={"0": "a misty forest", "1": "a city in the rain"},
    frames=2,
    size=(64, 64),
    steps=2,
    seed=7,
    zoom="0:(1.0), 1:(1.1)",
)
FOLDERS = {"flux1": "flux1_folder", "klein": "klein_folder", "dev": "dev_folder"}
COMFYUI = "model.diffusion_model."


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small are slower on several threads, and much slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def film(files: ModelFiles | Path) -> Tensor:
    """The frames of the film; a model folder's name must not matter for what is drawn."""
    files = ModelFiles.of(files)
    model = (flux1 if files.pipeline == "FluxPipeline" else flux2).load(files)
    return torch.stack([frame.image for frame in render(FILM, model)])


@pytest.fixture(scope="module", params=list(FOLDERS))
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(FOLDERS[request.param])
    return found


@pytest.fixture(scope="module")
def expected(folder: Path) -> Tensor:
    """The film of the folder."""
    return film(folder)


def around(file: Path, folder: Path) -> ModelFiles:
    """A transformer's file with the rest of a model folder."""
    return find_model(file, vae=folder, text_encoder=folder)


def written(weights: Weights, form: str, folder: Path) -> Path:
    """A transformer's file in one of the forms that lose nothing."""
    match form:
        case "BFL":
            return save(bfl_transformer(weights), folder / "bfl.safetensors")
        case "ComfyUI":
            return save(prefixed(bfl_transformer(weights), COMFYUI), folder / "comfyui.safetensors")
        case "diffusers":
            return save(weights, folder / "diffusers.sft")
        case _:
            return save_gguf(bfl_transformer(weights), folder / f"{form}.gguf", form)


@pytest.mark.parametrize("form", ["BFL", "ComfyUI", "diffusers", "F32", "F16", "BF16"])
def test_every_form_of_a_transformer_draws_the_same_frames(form: str, folder: Path, expected: Tensor, tmp_path: Path):
    file = written(weights_of(folder / "transformer"), form, tmp_path)
    assert film(around(file, folder)).equal(expected)


def test_a_single_autoencoder_draws_the_same_frames(folder: Path, expected: Tensor, tmp_path: Path):
    ae = save(bfl_autoencoder(weights_of(folder / "vae")), tmp_path / "ae.safetensors")
    assert film(find_model(folder, vae=ae)).equal(expected)
