"""Our loop against diffusers' pipelines on the same tiny weights: the whole of the family's numerics."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxImg2ImgPipeline, FluxPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.flux1.config import BENT, FLUX_1_KREA_DEV, FLUX_1_SCHNELL
from koshi_flux.flux1.model import Flux1Model, load
from koshi_flux.flux1.tiny import make_tiny_model
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.flow_matching import euler, mix, staircase, unshift
from koshi_flux.shared.types import FluxModel

HEIGHT, WIDTH = 64, 96
TOLERANCE = 1e-5
PROMPT = "a misty forest"


def noise(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.randn(16, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def ours(model: Flux1Model, x: Tensor, sigmas: tuple[float, ...], guidance: float = 1.0) -> Tensor:
    prompt = model.encode_prompt(PROMPT)
    return euler(lambda latent, sigma: model.velocity(latent, sigma, prompt, None, guidance), x, sigmas)


def theirs(pipeline: FluxPipeline, x: Tensor, steps: int, **options: Any) -> Tensor:
    """The pipeline's latent, out of its tokens and into them with its own functions."""
    height, width = 8 * x.shape[1], 8 * x.shape[2]
    tokens = pipeline(
        latents=FluxPipeline._pack_latents(x[None], 1, 16, x.shape[1], x.shape[2]),
        height=height,
        width=width,
        num_inference_steps=steps,
        output_type="latent",
        **{"prompt": PROMPT, "guidance_scale": 1.0, "max_sequence_length": 512, **options},
    ).images
    return FluxPipeline._unpack_latents(tokens, height, width, 8)[0]


def test_it_is_a_flux_model(dev: Flux1Model):
    assert isinstance(dev, FluxModel)


@pytest.mark.parametrize(
    ("height", "width", "steps", "guidance"),
    [(64, 96, 1, 1.0), (64, 96, 4, 3.5), (96, 64, 4, 1.0), (16, 16, 6, 3.5), (32, 32, 1, 3.5)],
)
def test_law_8_text_to_image_with_dev_is_that_of_the_pipeline(
    dev: Flux1Model, dev_pipeline: FluxPipeline, height: int, width: int, steps: int, guidance: float
):
    x = noise(1, height, width)
    found = ours(dev, x, dev.sigmas(steps, 1.0, width, height), guidance)
    assert (found - theirs(dev_pipeline, x, steps, guidance_scale=guidance)).abs().max() < TOLERANCE
    assert (found - x).abs().max() > 0.1


@pytest.mark.parametrize(("height", "width", "steps"), [(64, 96, 4), (48, 32, 1), (32, 48, 5)])
def test_law_8_text_to_image_with_schnell_is_that_of_the_pipeline(
    schnell: Flux1Model, schnell_pipeline: FluxPipeline, height: int, width: int, steps: int
):
    x = noise(2, height, width)
    found = ours(schnell, x, schnell.sigmas(steps, 1.0, width, height))
    assert (found - theirs(schnell_pipeline, x, steps, max_sequence_length=256)).abs().max() < TOLERANCE
    assert (found - x).abs().max() > 0.1


@pytest.mark.parametrize("strength", [0.2, 0.34, 0.6, 1.0])
@pytest.mark.parametrize("kind", ["dev", "schnell"])
def test_law_8_image_to_image_at_any_strength_is_that_of_its_pipeline(
    kind: str, strength: float, request: pytest.FixtureRequest
):
    """The pipeline draws its noise itself: with the same seed, ours is the same."""
    model: Flux1Model = request.getfixturevalue(kind)
    pipeline = FluxImg2ImgPipeline(**request.getfixturevalue(f"{kind}_pipeline").components)
    pipeline.set_progress_bar_config(disable=True)
    latent, steps, length = model.encode(picture()), 6, model.spec.text_tokens
    tokens = pipeline(
        PROMPT, image=latent[None], strength=strength, num_inference_steps=steps, guidance_scale=3.5, height=HEIGHT,
        width=WIDTH, max_sequence_length=length, generator=torch.Generator().manual_seed(3), output_type="latent",
    ).images  # fmt: skip
    expected = FluxPipeline._unpack_latents(tokens, HEIGHT, WIDTH, 8)[0]

    sigmas = staircase(model.sigmas(steps, 1.0, WIDTH, HEIGHT), strength)
    assert sigmas[:-1] == pytest.approx((pipeline.scheduler.timesteps[-len(sigmas) + 1 :] / 1000).tolist(), abs=1e-6)
    found = ours(model, mix(latent, noise(3), sigmas[0]), sigmas, guidance=3.5)
    assert (found - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("start", [0.25, 0.6, 0.97])
def test_law_8_image_to_image_from_any_noise_level_is_that_of_the_pipeline(
    dev: Flux1Model, dev_pipeline: FluxPipeline, start: float
):
    sigmas = dev.sigmas(3, start, WIDTH, HEIGHT)
    assert (len(sigmas), sigmas[0], sigmas[-1]) == (4, start, 0)
    mu = BENT.mu((HEIGHT // 16) * (WIDTH // 16))
    x = mix(dev.encode(picture()), noise(5), start)
    even = [unshift(sigma, mu) for sigma in sigmas[:-1]]
    expected = theirs(dev_pipeline, x, 3, sigmas=even, guidance_scale=3.5)
    assert (ours(dev, x, sigmas, guidance=3.5) - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("settings", [{"shift": 2.0}, {"use_dynamic_shifting": True, "base_shift": 0.9}])
def test_law_8_noise_levels_of_a_model_with_its_own_shift_are_those_of_its_pipeline(
    tmp_path: Path, dev_pipeline: FluxPipeline, settings: dict[str, Any]
):
    folder = make_tiny_model(tmp_path / "shifted")
    scheduler = FlowMatchEulerDiscreteScheduler(**settings)
    scheduler.save_pretrained(folder / "scheduler")
    pipeline = FluxPipeline(**{**dev_pipeline.components, "scheduler": scheduler})
    pipeline.set_progress_bar_config(disable=True)
    theirs(pipeline, noise(), 2)
    assert load(folder).sigmas(2, 1.0, WIDTH, HEIGHT) == pytest.approx(scheduler.sigmas.tolist(), abs=1e-6)


def test_encode_is_that_of_the_autoencoder_without_its_randomness(dev: Flux1Model, dev_pipeline: FluxPipeline):
    image, vae = picture(6), dev_pipeline.vae
    with torch.no_grad():
        mode = vae.encode(image[None] * 2 - 1).latent_dist.mode()[0]
    found = dev.encode(image)
    assert found.shape == (16, HEIGHT // 8, WIDTH // 8)
    assert (found - (mode - vae.config.shift_factor) * vae.config.scaling_factor).abs().max() < TOLERANCE
    assert torch.equal(found, dev.encode(image))


def test_decode_is_that_of_the_pipeline(dev: Flux1Model, dev_pipeline: FluxPipeline):
    x = noise(7)
    found = dev.decode(ours(dev, x, dev.sigmas(4, 1.0, WIDTH, HEIGHT)))
    expected = dev_pipeline(
        PROMPT, latents=FluxPipeline._pack_latents(x[None], 1, 16, *x.shape[1:]), height=HEIGHT, width=WIDTH,
        num_inference_steps=4, guidance_scale=1.0, output_type="pt",
    ).images[0]  # fmt: skip
    assert found.shape == (3, HEIGHT, WIDTH)
    assert (found - expected).abs().max() < TOLERANCE
    assert found.std() > 0.01


def test_decode_is_clamped(dev: Flux1Model):
    image = dev.decode(100 * noise(8))
    assert (image.min(), image.max()) == (0, 1)


def test_dev_reads_guidance_and_no_negative(dev: Flux1Model):
    prompt, negative = dev.encode_prompt(PROMPT), dev.encode_prompt("blurry, washed out")
    plain = dev.velocity(noise(), 0.7, prompt, None, 3.5)
    assert torch.equal(dev.velocity(noise(), 0.7, prompt, negative, 3.5), plain)
    assert (dev.velocity(noise(), 0.7, prompt, None, 1.0) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("guidance", [0.0, 1.0, 4.0, 50.0])
def test_schnell_knows_no_guidance(schnell: Flux1Model, guidance: float):
    prompt, negative = schnell.encode_prompt(PROMPT), schnell.encode_prompt("blurry, washed out")
    plain = schnell.velocity(noise(), 0.7, prompt, None, 1.0)
    assert torch.equal(schnell.velocity(noise(), 0.7, prompt, negative, guidance), plain)


def test_both_halves_of_a_prompt_are_drawn(dev: Flux1Model):
    one, other = dev.encode_prompt("a forest"), dev.encode_prompt("a city")
    drawn = dev.velocity(noise(), 0.7, one, None, 3.5)
    for tokens, pooled in ((one.tokens, other.pooled), (other.tokens, one.pooled)):
        mixed = dev.velocity(noise(), 0.7, type(one)(tokens, pooled), None, 3.5)
        assert (mixed - drawn).abs().max() > 1e-4


def test_results_can_be_written_to(dev: Flux1Model):
    """Inference tensors could not be: motion and feedback work in place outside the model."""
    latent = dev.encode(picture())
    for result in (latent, dev.decode(latent), dev.velocity(latent, 0.5, dev.encode_prompt(""), None, 1)):
        assert not result.requires_grad
        assert result.is_contiguous()
        result.add_(1)


def test_weights_stored_in_half_precision_are_computed_with_in_float32_on_the_cpu(
    dev_pipeline: FluxPipeline, tmp_path: Path
):
    halved = copy.deepcopy(dev_pipeline)
    for part in (halved.transformer, halved.vae, halved.text_encoder, halved.text_encoder_2):
        part.half()
    halved.save_pretrained(tmp_path / "half")
    model = load(tmp_path / "half")
    prompt = model.encode_prompt(PROMPT)
    clip, t5 = (encoder.network for encoder in model._reader._encoders)
    for stored, part in (
        (halved.transformer, model._transformer),
        (halved.vae, model._autoencoder[0]),
        (halved.text_encoder, clip),
        (halved.text_encoder_2, t5),
    ):
        kept = {name: value for name, value in stored.state_dict().items() if value.is_floating_point()}
        assert {value.dtype for value in kept.values()} == {torch.float16}
        assert all(torch.equal(part.state_dict()[name], value.float()) for name, value in kept.items())
        assert {part.state_dict()[name].dtype for name in kept} == {torch.float32}
    assert model.velocity(noise(), 0.5, prompt, None, 1.0).isfinite().all()


def test_bfloat16_works_inside_and_float32_outside(dev_folder: Path, dev: Flux1Model):
    rounded = load(dev_folder, dtype=torch.bfloat16)
    pairs = []
    for model in (dev, rounded):
        prompt, latent = model.encode_prompt(PROMPT), model.encode(picture())
        drawn = model.velocity(
            latent, 0.5, prompt, None, 2.0
        )  # diffusers rounds 1000 times both; 500 and 2000 are exact
        pairs.append((prompt.tokens, prompt.pooled, latent, drawn, model.decode(latent)))
    for exact, close in zip(*pairs, strict=True):
        assert close.dtype == torch.float32
        assert not torch.equal(exact, close)
        assert (exact - close).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    ("width", "height", "near"), [(100, 64, "96 x 64"), (64, 1, "64 x 16"), (1000, 1000, "992 x 992")]
)
def test_a_size_that_cannot_be_cut_into_tokens_is_refused_with_the_nearest_one(
    dev: Flux1Model, width: int, height: int, near: str
):
    with pytest.raises(SettingsError, match=f"multiples of 16 pixels, got {width} x {height}: try {near}"):
        dev.sigmas(4, 1.0, width, height)
    with pytest.raises(SettingsError, match=f"try {near}"):
        dev.encode(torch.zeros(3, height, width))


def test_a_given_row_is_filmed_by(dev_folder: Path):
    assert load(dev_folder, FLUX_1_KREA_DEV).spec is FLUX_1_KREA_DEV


def test_guidance_goes_in_where_the_transformer_reads_it_whatever_the_row_says(dev_folder: Path, dev: Flux1Model):
    model, prompt = load(dev_folder, FLUX_1_SCHNELL), dev.encode_prompt(PROMPT)
    assert torch.equal(model.velocity(noise(), 0.5, prompt, None, 3.5), dev.velocity(noise(), 0.5, prompt, None, 3.5))


def test_missing_weights_are_not_filled_up_with_random_ones(tmp_path: Path):
    folder = make_tiny_model(tmp_path / "tiny")
    for part, file, name in (
        ("transformer", "diffusion_pytorch_model.safetensors", "proj_out.weight"),
        ("text_encoder_2", "model.safetensors", "encoder.final_layer_norm.weight"),
    ):
        weights = load_file(folder / part / file)
        del weights[name]
        save_file(weights, folder / part / file, metadata={"format": "pt"})
        with pytest.raises(ModelError, match=rf"{part} lacks 1 of its weights, e\.g\. {name}"):
            load(folder).encode_prompt("") if part == "text_encoder_2" else load(folder)._transformer


def test_weights_of_another_shape_than_stated_are_refused(tmp_path: Path):
    folder = make_tiny_model(tmp_path / "tiny")
    config = folder / "vae" / "config.json"
    config.write_text(config.read_text().replace("32,\n    32", "32,\n    64"))
    with pytest.raises(ModelError, match=r"vae holds other weights than its config\.json states \(.* expected shape"):
        load(folder).encode(picture())


@pytest.mark.parametrize("kind", ["dev", "schnell"])
def test_a_film_from_the_first_frame_to_the_last(kind: str, request: pytest.FixtureRequest):
    model: Flux1Model = request.getfixturevalue(kind)
    film = Animation(
        model=kind, prompts={0: "a forest", 3: "a city"}, frames=4, size=(64, 64), steps=2, zoom=1.05, seed=1
    )
    frames = list(render(film, model))
    assert model._reader._encoders is None
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    starts = [frame.sigmas[0] for frame in frames]
    assert starts == [1.0, *(3 * [model.spec.default_denoise])]
    for before, frame in zip([None, *frames], frames, strict=False):
        assert frame.image.shape == (3, 64, 64)
        assert frame.image.isfinite().all()
        assert frame.latent is not None
        assert frame.latent.shape == (16, 8, 8)
        assert before is None or (frame.image - before.image).abs().max() > 0.01
