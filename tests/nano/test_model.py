"""The bundled weights: a real FLUX.2 folder that draws what it is asked for."""

import re
from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinPipeline

from koshi_flux.flux2.folder import check_folder
from koshi_flux.flux2.model import Flux2Model
from koshi_flux.nano.config import FOLDER, NANO
from koshi_flux.nano.words import known_words, unknown_words
from koshi_flux.pipeline.factory import check_model, load_model
from koshi_flux.shared.color import luma
from koshi_flux.shared.flow_matching import euler
from koshi_flux.shared.image import Image
from koshi_flux.shared.noise import frame_noise
from training.nano import captions
from training.nano.measures import psnr
from training.nano.scenes import render

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def model() -> Flux2Model:
    return load_model("nano", device="cpu", dtype=torch.float32)


def draw(model: Flux2Model, prompt: str, width: int = 256, height: int = 256, steps: int = 8) -> Image:
    """A picture from pure noise, by the product's own loop."""
    conditioning = model.encode_prompt(prompt)
    noise = frame_noise((32, height // 8, width // 8), seed=3, frame=0)
    levels = model.sigmas(steps, 1.0, width, height)
    return model.decode(euler(lambda x, sigma: model.velocity(x, sigma, conditioning, None, 1.0), noise, levels))


def test_the_folder_is_whole_and_says_of_itself_what_the_row_says():
    assert check_model("nano") is NANO
    found = check_folder(FOLDER)
    assert (found.channels, found.multiple, found.text_tokens) == (NANO.channels, NANO.multiple, NANO.text_tokens)
    assert found.guidance == NANO.guidance


def test_the_weights_are_small():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 24e6


def test_law_8_a_picture_is_that_of_the_plain_pipeline(model: Flux2Model):
    pipeline = Flux2KleinPipeline.from_pretrained(FOLDER, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    noise = frame_noise((32, 16, 16), seed=3, frame=0)
    theirs = pipeline(
        prompt="a misty lake at dawn",
        height=128,
        width=128,
        num_inference_steps=4,
        guidance_scale=1.0,
        latents=torch.nn.functional.pixel_unshuffle(noise, 2)[None],
        max_sequence_length=NANO.text_tokens,
        output_type="pt",
    ).images[0]
    ours = draw(model, "a misty lake at dawn", 128, 128, steps=4)
    assert (ours - theirs).abs().max() < 1e-4


def test_nights_are_dark_days_are_bright_and_sunsets_warm(model: Flux2Model):
    night, day, sunset = (draw(model, f"the ocean at {time}, clear sky") for time in ("night", "day", "sunset"))
    assert luma(night).mean() < 0.7 * luma(day).mean()
    assert (sunset[0] - sunset[2]).mean() > (day[0] - day[2]).mean() + 0.05


def test_warm_and_cold_are_seen(model: Flux2Model):
    warm, cold = (draw(model, f"mountains at noon, {mood} colors").mean((1, 2)) for mood in ("warm", "cold"))
    assert warm[0] - warm[2] > cold[0] - cold[2] + 0.1


def test_nebulae_have_the_colour_that_was_asked_for(model: Flux2Model):
    names = ("red", "green", "blue")
    casts = []
    for name in names:
        color = draw(model, f"a {name} nebula").mean((1, 2))
        casts.append(color - color.mean())
    assert [int(cast.argmax()) for cast in torch.stack(casts).T] == [0, 1, 2]


def test_black_and_white_is_without_colour(model: Flux2Model):
    grey = draw(model, "mountains at noon, black and white")
    colored = draw(model, "mountains at noon")
    assert (grey.amax(0) - grey.amin(0)).mean() < 0.3 * (colored.amax(0) - colored.amin(0)).mean()


@pytest.mark.parametrize(("width", "height"), [(336, 192), (192, 336), (320, 256), (128, 128)])
def test_other_shapes_show_a_sky_above_a_ground(model: Flux2Model, width: int, height: int):
    picture = draw(model, "sand dunes at noon, clear sky", width, height)
    upper, lower = picture[:, : height // 4].mean((1, 2)), picture[:, -height // 4 :].mean((1, 2))
    assert upper[2] > upper[0], "a blue sky"
    assert lower[0] - lower[2] > upper[0] - upper[2] + 0.05, "and sand that is not"


def test_pictures_come_back_from_the_latent_space(model: Flux2Model):
    scenes = render(1_234_567, 4, 256, 256).pictures
    seen = scenes
    likeness = []
    for _ in range(3):
        seen = torch.stack([model.decode(model.encode(picture)) for picture in seen])
        likeness.append(sum(psnr(a, b) for a, b in zip(seen, scenes, strict=True)) / len(scenes))
    assert likeness[0] > 27
    assert likeness[0] - likeness[2] < 4


def test_the_list_of_words_is_that_of_the_captions():
    assert known_words() == captions.known_words()


def test_every_film_of_the_examples_speaks_words_that_nano_knows():
    for file in EXAMPLES.glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        if 'model = "nano"' in text:
            prompts = text.partition("[prompts]")[2]
            assert unknown_words(" ".join(re.findall(r'= "([^"]*)"', prompts))) == ()
