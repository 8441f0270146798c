"""Our loop against diffusers' pipeline on the same tiny weights: the whole of the family's numerics."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline, Flux2Pipeline
from PIL import Image as PillowImage
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.flux2.config import KLEIN_BASE_4B, empirical_mu
from koshi_flux.flux2.latents import LatentStatistics, unpack
from koshi_flux.flux2.model import Flux2Model, load
from koshi_flux.flux2.tiny import make_tiny_model
from koshi_flux.shared.flow_matching import euler, mix, unshift
from koshi_flux.shared.types import Conditioning, FluxModel

HEIGHT, WIDTH = 64, 96
TOLERANCE = 1e-5
PROMPT, NEGATIVE = "a misty forest", "blurry, washed out"


def noise(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.randn(32, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def pillow(image: Tensor) -> PillowImage.Image:
    return PillowImage.fromarray((image * 255).byte().movedim(0, 2).numpy())


def from_pillow(image: PillowImage.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).movedim(2, 0) / 255


def ours(
    model: Flux2Model,
    x: Tensor,
    sigmas: tuple[float, ...],
    negative: str = "",
    guidance: float = 1.0,
    references: tuple[Tensor, ...] = (),
) -> Tensor:
    prompt, away = replace(model.encode_prompt(PROMPT), references=references), model.encode_prompt(negative)
    return euler(lambda latent, sigma: model.velocity(latent, sigma, prompt, away, guidance), x, sigmas)


def theirs(pipeline: Flux2KleinPipeline | Flux2Pipeline, x: Tensor, steps: int, **options: object) -> Tensor:
    """The pipeline's latent, brought to our space with the formula of its own code."""
    found = pipeline(
        latents=pixel_unshuffle(x, 2)[None],
        height=8 * x.shape[1],
        width=8 * x.shape[2],
        num_inference_steps=steps,
        output_type="latent",
        **{"prompt": PROMPT, "guidance_scale": 1.0, **options},
    ).images
    if isinstance(pipeline, Flux2Pipeline):  # gives tokens; Klein's pipeline gives the latent of the autoencoder
        return unpack(found[0], *x.shape[1:])
    mean = pipeline.vae.bn.running_mean.view(1, -1, 1, 1)
    deviation = torch.sqrt(pipeline.vae.bn.running_var.view(1, -1, 1, 1) + pipeline.vae.config.batch_norm_eps)
    tokens = (Flux2KleinPipeline._patchify_latents(found) - mean) / deviation
    return Flux2KleinPipeline._unpatchify_latents(tokens)[0]


def test_it_is_a_flux_model(distilled: Flux2Model, dev: Flux2Model):
    assert isinstance(distilled, FluxModel)
    assert isinstance(dev, FluxModel)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (16, 16)])
@pytest.mark.parametrize("steps", [1, 4])
def test_law_8_text_to_image_is_that_of_the_pipeline(
    distilled: Flux2Model, distilled_pipeline: Flux2KleinPipeline, height: int, width: int, steps: int
):
    x = noise(1, height, width)
    found = ours(distilled, x, distilled.sigmas(steps, 1.0, width, height))
    assert (found - theirs(distilled_pipeline, x, steps)).abs().max() < TOLERANCE
    assert (found - x).abs().max() > 0.1


def test_law_8_text_to_image_with_guidance_is_that_of_the_pipeline(base: Flux2Model, base_pipeline: Flux2KleinPipeline):
    x, sigmas = noise(2), base.sigmas(6, 1.0, WIDTH, HEIGHT)
    negative = base_pipeline.encode_prompt(NEGATIVE)[0]
    found = ours(base, x, sigmas, negative=NEGATIVE, guidance=4.0)
    expected = theirs(base_pipeline, x, 6, guidance_scale=4.0, negative_prompt_embeds=negative)
    assert (found - expected).abs().max() < TOLERANCE
    assert (found - ours(base, x, sigmas, negative="", guidance=4.0)).abs().max() > 1e-3


def test_the_empty_negative_is_the_default_of_the_pipeline(base: Flux2Model, base_pipeline: Flux2KleinPipeline):
    x = noise(3)
    found = ours(base, x, base.sigmas(3, 1.0, WIDTH, HEIGHT), negative="", guidance=4.0)
    assert (found - theirs(base_pipeline, x, 3, guidance_scale=4.0)).abs().max() < TOLERANCE


@pytest.mark.parametrize(("height", "width", "steps"), [(64, 96, 4), (96, 64, 1), (16, 16, 6)])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_law_8_text_to_image_of_dev_is_that_of_the_pipeline(
    dev: Flux2Model, dev_pipeline: Flux2Pipeline, height: int, width: int, steps: int, guidance: float
):
    x = noise(1, height, width)
    found = ours(dev, x, dev.sigmas(steps, 1.0, width, height), guidance=guidance)
    expected = theirs(dev_pipeline, x, steps, guidance_scale=guidance)
    assert (found - expected).abs().max() < TOLERANCE
    assert (found - x).abs().max() > 0.1


@pytest.mark.parametrize("start", [0.25, 0.803])
def test_law_8_image_to_image_of_dev_from_any_noise_level_is_that_of_the_pipeline(
    dev: Flux2Model, dev_pipeline: Flux2Pipeline, start: float
):
    sigmas = dev.sigmas(3, start, WIDTH, HEIGHT)
    mu = empirical_mu((HEIGHT // 16) * (WIDTH // 16), 3)
    x = mix(dev.encode(picture()), noise(5), start)
    expected = theirs(dev_pipeline, x, 3, sigmas=[unshift(sigma, mu) for sigma in sigmas[:-1]], guidance_scale=4.0)
    assert (ours(dev, x, sigmas, guidance=4.0) - expected).abs().max() < TOLERANCE


def test_dev_knows_guidance_but_no_negative(dev: Flux2Model):
    prompt, negative = dev.encode_prompt(PROMPT), dev.encode_prompt(NEGATIVE)
    plain = dev.velocity(noise(), 0.7, prompt, None, 4.0)
    assert torch.equal(dev.velocity(noise(), 0.7, prompt, negative, 4.0), plain)
    assert (dev.velocity(noise(), 0.7, prompt, None, 1.0) - plain).abs().max() > 1e-3


def test_pictures_of_dev_are_encoded_and_decoded_as_in_the_pipeline(dev: Flux2Model, dev_pipeline: Flux2Pipeline):
    image, x = picture(6), noise(7)
    with torch.no_grad():
        expected = dev_pipeline._encode_vae_image(image[None] * 2 - 1, generator=None)
    assert (pixel_unshuffle(dev.encode(image), 2) - expected[0]).abs().max() < TOLERANCE
    found = dev.decode(ours(dev, x, dev.sigmas(2, 1.0, WIDTH, HEIGHT), guidance=4.0))
    drawn = dev_pipeline(
        prompt=PROMPT, latents=pixel_unshuffle(x, 2)[None], height=HEIGHT, width=WIDTH, num_inference_steps=2,
        guidance_scale=4.0, output_type="pt",
    ).images[0]  # fmt: skip
    assert (found - drawn).abs().max() < TOLERANCE
    assert found.std() > 0.01


REFERENCES = (pillow(picture(11)), pillow(picture(12, height=80, width=64)))
"""Of other sizes than each other, and than what is drawn; none that the pipelines would scale or crop."""


@pytest.mark.parametrize(("kind", "guidance", "shown"), [("distilled", 1.0, 1), ("base", 4.0, 2), ("dev", 4.0, 2)])
def test_law_8_references_are_looked_at_as_in_the_pipeline(
    request: pytest.FixtureRequest, kind: str, guidance: float, shown: int
):
    model: Flux2Model = request.getfixturevalue(kind)
    x, sigmas = noise(9, 64, 64), model.sigmas(2, 1.0, 64, 64)
    latents = tuple(model.encode(from_pillow(reference)) for reference in REFERENCES[:shown])
    found = ours(model, x, sigmas, guidance=guidance, references=latents)
    pipeline = request.getfixturevalue(f"{kind}_pipeline")
    expected = theirs(pipeline, x, 2, guidance_scale=guidance, image=list(REFERENCES[:shown]))
    assert found.shape == x.shape
    assert (found - expected).abs().max() < TOLERANCE
    assert (found - ours(model, x, sigmas, guidance=guidance)).abs().max() > 1e-3


def test_the_order_of_references_counts(distilled: Flux2Model):
    first, second = (distilled.encode(picture(seed, 64, 64)) for seed in (1, 2))
    prompt = distilled.encode_prompt(PROMPT)
    there, back = (
        distilled.velocity(noise(), 0.7, replace(prompt, references=references), None, 1.0)
        for references in ((first, second), (second, first))
    )
    assert (there - back).abs().max() > 1e-4


def test_references_of_the_negative_are_those_of_the_prompt(base: Flux2Model):
    seen, unseen = (base.encode(picture(seed, 64, 64)) for seed in (1, 2))
    prompt = replace(base.encode_prompt(PROMPT), references=(seen,))
    negative = base.encode_prompt(NEGATIVE)
    plain = base.velocity(noise(), 0.7, prompt, negative, 4.0)
    assert torch.equal(base.velocity(noise(), 0.7, prompt, replace(negative, references=(unseen,)), 4.0), plain)


@pytest.mark.parametrize("skipped", [1, 2, 3])
def test_law_8_image_to_image_over_the_last_steps_is_that_of_the_pipeline(
    distilled: Flux2Model, distilled_pipeline: Flux2KleinPipeline, skipped: int
):
    sigmas = distilled.sigmas(4, 1.0, WIDTH, HEIGHT)[skipped:]
    x = mix(distilled.encode(picture()), noise(4), sigmas[0])
    even = [1 - i / 4 for i in range(skipped, 4)]
    expected = theirs(distilled_pipeline, x, 4, sigmas=even)
    assert (ours(distilled, x, sigmas) - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("start", [0.25, 0.6, 0.97])
def test_law_8_image_to_image_from_any_noise_level_is_that_of_the_pipeline(
    base: Flux2Model, base_pipeline: Flux2KleinPipeline, start: float
):
    sigmas = base.sigmas(3, start, WIDTH, HEIGHT)
    assert (len(sigmas), sigmas[0], sigmas[-1]) == (4, start, 0)
    mu = empirical_mu((HEIGHT // 16) * (WIDTH // 16), 3)
    x = mix(base.encode(picture()), noise(5), start)
    expected = theirs(base_pipeline, x, 3, sigmas=[unshift(sigma, mu) for sigma in sigmas[:-1]], guidance_scale=4.0)
    assert (ours(base, x, sigmas, guidance=4.0) - expected).abs().max() < TOLERANCE


def test_encode_is_that_of_the_pipeline(distilled: Flux2Model, distilled_pipeline: Flux2KleinPipeline):
    image = picture(6)
    with torch.no_grad():
        expected = distilled_pipeline._encode_vae_image(image[None] * 2 - 1, generator=None)
    found = distilled.encode(image)
    assert found.shape == (32, HEIGHT // 8, WIDTH // 8)
    assert (pixel_unshuffle(found, 2) - expected[0]).abs().max() < TOLERANCE
    assert torch.equal(found, distilled.encode(image))


def test_decode_is_that_of_the_pipeline(distilled: Flux2Model, distilled_pipeline: Flux2KleinPipeline):
    x = noise(7)
    found = distilled.decode(ours(distilled, x, distilled.sigmas(4, 1.0, WIDTH, HEIGHT)))
    expected = distilled_pipeline(
        prompt=PROMPT, latents=pixel_unshuffle(x, 2)[None], height=HEIGHT, width=WIDTH, num_inference_steps=4,
        guidance_scale=1.0, output_type="pt",
    ).images[0]  # fmt: skip
    assert found.shape == (3, HEIGHT, WIDTH)
    assert (found - expected).abs().max() < TOLERANCE
    assert found.std() > 0.01


def test_decode_is_clamped(distilled: Flux2Model):
    image = distilled.decode(100 * noise(8))
    assert (image.min(), image.max()) == (0, 1)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 4.0, 50.0])
def test_a_distilled_model_knows_no_guidance(distilled: Flux2Model, guidance: float):
    prompt, negative = distilled.encode_prompt(PROMPT), distilled.encode_prompt(NEGATIVE)
    plain = distilled.velocity(noise(), 0.7, prompt, None, 1.0)
    assert torch.equal(distilled.velocity(noise(), 0.7, prompt, negative, guidance), plain)


def test_guidance_leads_from_the_negative_through_the_prompt(base: Flux2Model):
    prompt, negative = base.encode_prompt(PROMPT), base.encode_prompt(NEGATIVE)

    def velocity(towards: Conditioning, away: Conditioning | None, guidance: float) -> Tensor:
        return base.velocity(noise(), 0.7, towards, away, guidance)

    c, u = velocity(prompt, None, 1.0), velocity(negative, None, 1.0)
    assert torch.allclose(velocity(prompt, negative, 3.0), u + 3 * (c - u), atol=1e-6)
    assert torch.equal(velocity(prompt, negative, 1.0), c)
    assert torch.equal(velocity(prompt, None, 3.0), c)


def test_results_can_be_written_to(distilled: Flux2Model):
    """Inference tensors could not be: motion and feedback work in place outside the model."""
    latent = distilled.encode(picture())
    for result in (
        latent,
        distilled.decode(latent),
        distilled.velocity(latent, 0.5, distilled.encode_prompt(""), None, 1),
    ):
        assert not result.requires_grad
        assert result.is_contiguous()
        result.add_(1)


def test_bfloat16_keeps_the_statistics_of_the_autoencoder_exact(distilled_folder: Path, distilled: Flux2Model):
    rounded = load(distilled_folder, dtype=torch.bfloat16)
    vae, statistics = rounded._autoencoder
    stored = load_file(distilled_folder / "vae" / "diffusion_pytorch_model.safetensors")
    assert vae.dtype == torch.bfloat16
    assert isinstance(statistics, LatentStatistics)
    assert statistics.mean.dtype == statistics.deviation.dtype == torch.float32
    assert torch.equal(statistics.mean.flatten(), stored["bn.running_mean"])
    assert torch.equal(statistics.deviation.flatten(), (stored["bn.running_var"] + 1e-4).sqrt())
    assert not torch.equal(stored["bn.running_mean"].bfloat16().float(), stored["bn.running_mean"])


def test_weights_stored_in_half_precision_are_computed_with_in_float32_on_the_cpu(
    distilled_pipeline: Flux2KleinPipeline, tmp_path: Path
):
    halved = copy.deepcopy(distilled_pipeline)
    for part in (halved.transformer, halved.vae, halved.text_encoder):
        part.half()
    halved.save_pretrained(tmp_path / "half")
    model = load(tmp_path / "half")
    vae, _ = model._autoencoder
    for stored, part in (
        (halved.transformer, model._transformer),
        (halved.vae, vae),
        (halved.text_encoder.get_decoder(), model._reader._load().text_encoder),
    ):
        kept = {
            name: stored.state_dict()[name] for name, value in part.state_dict().items() if value.is_floating_point()
        }
        assert {value.dtype for value in kept.values()} == {torch.float16}
        assert all(torch.equal(part.state_dict()[name], value.float()) for name, value in kept.items())
        assert {part.state_dict()[name].dtype for name in kept} == {torch.float32}
    assert model.velocity(noise(), 0.5, model.encode_prompt(PROMPT), None, 1.0).isfinite().all()


@pytest.mark.parametrize("kind", ["distilled", "dev"])
def test_bfloat16_works_inside_and_float32_outside(request: pytest.FixtureRequest, kind: str):
    exactly: Flux2Model = request.getfixturevalue(kind)
    rounded = load(request.getfixturevalue(f"{kind}_folder"), dtype=torch.bfloat16)
    pairs = []
    for model in (exactly, rounded):
        latent = model.encode(picture())
        prompt = replace(model.encode_prompt(PROMPT), references=(latent,))
        pairs.append((prompt.tokens, latent, model.velocity(latent, 0.5, prompt, None, 3.5), model.decode(latent)))
    for exact, close in zip(*pairs, strict=True):
        assert close.dtype == torch.float32
        assert not torch.equal(exact, close)
        assert (exact - close).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    ("width", "height", "near"), [(100, 64, "96 x 64"), (64, 1, "64 x 16"), (1000, 1000, "992 x 992")]
)
def test_a_size_that_cannot_be_cut_into_tokens_is_refused_with_the_nearest_one(
    distilled: Flux2Model, width: int, height: int, near: str
):
    with pytest.raises(SettingsError, match=f"multiples of 16 pixels, got {width} x {height}: try {near}"):
        distilled.sigmas(4, 1.0, width, height)
    with pytest.raises(SettingsError, match=f"try {near}"):
        distilled.encode(torch.zeros(3, height, width))


def test_a_given_row_is_filmed_by(distilled_folder: Path):
    assert load(distilled_folder, KLEIN_BASE_4B).spec is KLEIN_BASE_4B


def test_missing_weights_are_not_filled_up_with_random_ones(tmp_path: Path):
    folder = make_tiny_model(tmp_path / "tiny")
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["proj_out.weight"]
    save_file(weights, file)
    model = load(folder)
    with pytest.raises(ModelError, match=r"transformer lacks 1 of its weights, e\.g\. proj_out\.weight"):
        model.velocity(noise(), 0.5, model.encode_prompt(""), None, 1.0)


def test_weights_of_another_shape_than_stated_are_refused(tmp_path: Path):
    folder = make_tiny_model(tmp_path / "tiny")
    config = folder / "vae" / "config.json"
    config.write_text(config.read_text().replace("32,\n    32", "32,\n    64"))
    with pytest.raises(ModelError, match=r"vae holds other weights than its config\.json states \(.* expected shape"):
        load(folder).encode(picture())


def test_law_8_noise_levels_of_a_model_with_its_own_shift_are_those_of_its_scheduler(tmp_path: Path):
    folder = make_tiny_model(tmp_path / "shifted")
    scheduler = FlowMatchEulerDiscreteScheduler(shift=2.0)
    scheduler.save_pretrained(folder / "scheduler")
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / 8, 8))
    assert load(folder).sigmas(8, 1.0, 256, 256) == pytest.approx(scheduler.sigmas.tolist(), abs=1e-6)
