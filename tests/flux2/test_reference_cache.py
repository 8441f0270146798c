"""A model that remembers its references draws what diffusers' pipeline draws, and looks no more often than it must."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinKVPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch._dynamo.utils import counters
from torch.nn.functional import pixel_unshuffle

from koshi_flux.flux2 import reference_cache
from koshi_flux.flux2.config import KLEIN_9B_KV
from koshi_flux.flux2.folder import check_folder
from koshi_flux.flux2.model import Flux2Model, load
from koshi_flux.flux2.tiny import make_like
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.flow_matching import euler
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning, History
from koshi_flux.weights.memory import MemoryPlan
from koshi_flux.weights.speed import Speed
from tests.flux2.conftest import reference
from tests.flux2.test_model import from_pillow, noise, picture, pillow

HEIGHT, WIDTH = 64, 96
PROMPT = "a misty forest"
LAYER = "transformer_blocks.0.attn.to_k"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_like(KLEIN_9B_KV, tmp_path_factory.mktemp("tiny") / "kv", seed=3)


@pytest.fixture
def model(folder: Path) -> Flux2Model:
    return load(folder)


@pytest.fixture(scope="module")
def prompt(folder: Path) -> Conditioning:
    return load(folder).encode_prompt(PROMPT)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many references were looked at, each time they were."""
    counted: list[int] = []
    read = reference_cache.read_references

    def counting(references: tuple[Tensor, ...], *others: object) -> object:
        counted.append(len(references))
        return read(references, *others)

    monkeypatch.setattr(reference_cache, "read_references", counting)
    return counted


def ours(model: Flux2Model, prompt: Conditioning, x: Tensor, sigmas: tuple[float, ...], *seen: Tensor) -> Tensor:
    looking = replace(prompt, references=seen)
    return euler(lambda latent, sigma: model.velocity(latent, sigma, looking, None, 1.0), x, sigmas)


def theirs(pipeline: Flux2KleinKVPipeline, x: Tensor, steps: int, images: list[Tensor]) -> Tensor:
    found = pipeline(
        image=[pillow(image) for image in images] or None, prompt=PROMPT, latents=pixel_unshuffle(x, 2)[None],
        height=HEIGHT, width=WIDTH, num_inference_steps=steps, output_type="latent",
    ).images  # fmt: skip
    mean = pipeline.vae.bn.running_mean.view(1, -1, 1, 1)
    deviation = torch.sqrt(pipeline.vae.bn.running_var.view(1, -1, 1, 1) + pipeline.vae.config.batch_norm_eps)
    return Flux2KleinKVPipeline._unpatchify_latents((pipeline._patchify_latents(found) - mean) / deviation)[0]


@pytest.mark.parametrize("sizes", [[], [(64, 96)], [(96, 64), (64, 80)]])
def test_it_draws_what_the_pipeline_draws(
    model: Flux2Model, prompt: Conditioning, folder: Path, sizes: list[tuple[int, int]]
):
    images = [picture(seed, *size) for seed, size in enumerate(sizes)]
    seen = [model.encode(from_pillow(pillow(image))) for image in images]
    x, sigmas = noise(1), model.sigmas(4, 1.0, WIDTH, HEIGHT)
    pipeline = reference(folder)
    assert isinstance(pipeline, Flux2KleinKVPipeline)
    found = ours(model, prompt, x, sigmas, *seen)
    assert (found - theirs(pipeline, x, 4, images)).abs().max() < 1e-5
    if seen:
        assert (found - ours(model, prompt, x, sigmas)).abs().max() > 1e-3


def test_references_are_looked_at_once_for_all_steps_and_frames(
    model: Flux2Model, prompt: Conditioning, looks: list[int]
):
    one, two, other = noise(5), noise(6), noise(7)
    sigmas = model.sigmas(3, 1.0, WIDTH, HEIGHT)
    first = ours(model, prompt, noise(1), sigmas, one, two)
    ours(model, prompt, noise(2), sigmas, one, two)
    assert looks == [2]
    ours(model, prompt, noise(1), sigmas, other)
    assert looks == [2, 1]
    assert torch.equal(ours(model, prompt, noise(1), sigmas, one, two), first)
    assert looks == [2, 1, 2]
    ours(model, prompt, noise(1), sigmas)
    assert looks == [2, 1, 2]


def test_other_rows_look_at_every_step(distilled: Flux2Model, prompt: Conditioning, looks: list[int]):
    ours(distilled, prompt, noise(1), (1.0, 0.5, 0.0), noise(5))
    assert looks == []


def test_what_was_seen_with_other_weights_is_forgotten(
    model: Flux2Model, prompt: Conditioning, folder: Path, tmp_path: Path
):
    width = load_file(folder / "transformer/diffusion_pytorch_model.safetensors")[f"{LAYER}.weight"].shape[0]
    factors = {"A": torch.randn(4, width), "B": 3 * torch.randn(width, 4)}
    file = tmp_path / "style.safetensors"
    save_file({f"transformer.{LAYER}.lora_{end}.weight": factor for end, factor in factors.items()}, file)
    x, sigmas, seen = noise(1), (1.0, 0.5, 0.0), noise(5)
    plain = ours(model, prompt, x, sigmas, seen)
    model.use_loras(model.check_loras({"style": str(file)}))
    found = []
    for strength in (1.0, 0.0, 1.0):
        model.set_loras({"style": strength})
        found.append(ours(model, prompt, x, sigmas, seen))
    fresh = load(folder)
    fresh.use_loras({"style": file})
    fresh.set_loras({"style": 1.0})
    assert torch.equal(found[0], ours(fresh, prompt, x, sigmas, seen))
    assert torch.equal(found[1], plain)
    assert torch.equal(found[2], found[0])
    assert (found[0] - plain).abs().max() > 1e-3
    model.use_loras({})
    assert torch.equal(ours(model, prompt, x, sigmas, seen), plain)


def test_an_unchanged_strength_forgets_nothing(model: Flux2Model, prompt: Conditioning, looks: list[int]):
    seen = noise(5)
    for _ in range(2):
        model.set_loras({})
        ours(model, prompt, noise(1), (1.0, 0.0), seen)
    assert looks == [1]


@pytest.mark.parametrize("place", ["ram", "disk"])
def test_it_remembers_wherever_weights_wait(folder: Path, model: Flux2Model, prompt: Conditioning, place: str):
    fetched = load(folder, plan=MemoryPlan("fp32", place, place))
    x, sigmas, seen = noise(1), (1.0, 0.6, 0.0), noise(5)
    found, expected = (ours(each, prompt, x, sigmas, seen) for each in (fetched, model))
    assert (found - expected).abs().max() < 1e-5


def test_it_computes_by_the_chosen_attention_and_compiled(folder: Path, model: Flux2Model, prompt: Conditioning):
    other = load(folder, speed=Speed(compiled=True, attention="_native_math", compiler="eager"))
    x, sigmas, seen = noise(1), (1.0, 0.6, 0.0), noise(5)
    torch.compiler.reset()
    counters.clear()
    found, expected = (ours(each, prompt, x, sigmas, seen) for each in (other, model))
    assert not counters["graph_break"]
    assert (found - expected).abs().max() < 1e-5
    processors = [layer.processor for layer in other._transformer.modules() if hasattr(layer, "processor")]
    assert {each._attention_backend.value for each in processors} == {"_native_math"}


def test_a_film_goes_on_as_if_it_had_not_stopped(model: Flux2Model, folder: Path):
    """To the bit, although who goes on must look at references that the uninterrupted film remembers."""
    film = Animation(prompts="a lake", frames=4, size=(WIDTH, HEIGHT), steps=2, denoise=0.6, reference="first")
    frames = list(render(film, model))
    history = History().after(frames[0]).after(frames[1])
    rest = list(render(film, load(folder), history))
    assert [torch.equal(a.image, b.image) for a, b in zip(rest, frames[2:], strict=True)] == [True, True]
    without = list(render(film.replaced(reference=""), model))
    assert torch.equal(without[0].image, frames[0].image)
    assert (without[1].image - frames[1].image).abs().max() > 1e-3


def test_a_tiny_one_is_known_for_what_it_is(folder: Path, distilled_folder: Path):
    found: FluxSpec = check_folder(folder)
    assert (found.reference_cache, found.guidance, found.default_steps) == (True, "none", 4)
    assert check_folder(distilled_folder).reference_cache is False
