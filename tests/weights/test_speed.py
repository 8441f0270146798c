"""However a transformer computes, it draws the same; what cannot work here is refused before anything is loaded."""

from pathlib import Path

import pytest
import torch
from diffusers.models.attention_dispatch import _AttentionBackendRegistry
from torch import Tensor
from torch._dynamo.utils import counters

from koshi_flux.errors import ModelError
from koshi_flux.flux1 import model as flux1
from koshi_flux.flux2 import model as flux2
from koshi_flux.pipeline.factory import create_pipeline, load_model
from koshi_flux.weights.memory import MemoryPlan
from koshi_flux.weights.placement import Holding
from koshi_flux.weights.speed import Speed

LOADERS = {"flux1_folder": flux1.load, "klein_folder": flux2.load}


def drawn(model: flux1.Flux1Model | flux2.Flux2Model) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(model.spec.channels, 4, 6, generator=generator)
    return model.velocity(noise, 0.7, model.encode_prompt("a forest"), None, 2.0)


@pytest.mark.parametrize("folder", LOADERS)
@pytest.mark.parametrize("attention", ["native", "_native_math"])
def test_every_attention_draws_the_same(folder: str, attention: str, request: pytest.FixtureRequest):
    load, place = LOADERS[folder], request.getfixturevalue(folder)
    before = _AttentionBackendRegistry._active_backend
    model = load(place, speed=Speed(attention=attention))
    assert (drawn(model) - drawn(load(place))).abs().max() < 1e-5
    used = {str(layer.processor._attention_backend.value) for layer in attentions(model._transformer)}
    assert used == {attention}
    assert _AttentionBackendRegistry._active_backend is before  # other models go on as before


def attentions(transformer: torch.nn.Module) -> list[torch.nn.Module]:
    return [layer for layer in transformer.modules() if hasattr(layer, "processor")]


@pytest.mark.parametrize(
    ("attention", "complaint"),
    [
        ("fast", "attention 'fast' is unknown"),
        ("_native_cudnn", "attention '_native_cudnn' is not to be had or does not work"),
        ("flash_hub", "attention 'flash_hub' is not to be had"),
    ],
)
def test_an_attention_that_does_not_work_is_refused_with_those_that_do(
    attention: str, complaint: str, klein_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("diffusers.models.attention_dispatch.is_kernels_available", lambda: False)
    with pytest.raises(ModelError, match=rf"{complaint}.* on this cpu in torch\.float32; those that do: ") as said:
        load_model(klein_folder, "cpu", attention=attention)
    names = str(said.value).partition("auto, ")[2].split(", ")
    assert {"native", "_native_math"} <= set(names)
    assert not {attention, "_native_cudnn", "flash_hub"} & set(names)


@pytest.mark.parametrize(
    "plan", [MemoryPlan("bf16", transformer="disk"), MemoryPlan("fp8"), MemoryPlan("nf4")], ids=str
)
def test_what_would_interrupt_compiled_blocks_is_refused(plan: MemoryPlan):
    with pytest.raises(ModelError, match=r"compile needs all of the transformer on the device.*memory full"):
        Holding.of("cpu", None, plan, Speed(compiled=True))
    assert Holding.of("cpu", None, plan).speed == Speed()


def test_the_way_from_a_pipeline_to_the_transformer(klein_folder: Path):
    model = create_pipeline(klein_folder, "cpu", compile=True, attention="_native_math").model
    assert model._holding.speed == Speed(compiled=True, attention="_native_math")
    assert {block._compiled_call_impl is None for block in model._transformer.transformer_blocks} == {False}
    assert model._transformer._compiled_call_impl is None


@pytest.fixture
def counted():
    """What torch.compile counts, from 0."""
    torch.compiler.reset()
    counters.clear()
    yield counters
    torch.compiler.reset()


@pytest.mark.parametrize("folder", LOADERS)
def test_blocks_are_captured_whole_and_once(folder: str, request: pytest.FixtureRequest, counted: dict):
    """Captured by the compiler's front end and run as they are: its back end takes minutes here, and is torch's own."""
    load, place = LOADERS[folder], request.getfixturevalue(folder)
    expected = drawn(load(place))
    model = load(place, speed=Speed(compiled=True, compiler="eager"))
    assert (drawn(model) - expected).abs().max() < 1e-6
    graphs = counted["stats"]["unique_graphs"]
    assert graphs >= 2
    drawn(model)
    assert counted["stats"]["unique_graphs"] == graphs
    assert not counted["graph_break"]
