from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from koshi_flux.shared.color import luma
from koshi_flux.toy.painter import paint
from koshi_flux.toy.words import read


def painting(prompt, height=64, width=96):
    return paint(torch.tensor(read(prompt).numbers()), height, width)


@given(text=st.text(), height=st.integers(1, 40), width=st.integers(1, 40))
def test_any_prompt_paints_a_picture_in_range_at_any_size(text, height, width):
    picture = painting(text, height, width)
    assert picture.shape == (3, height, width)
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_night_is_darker_than_day():
    assert luma(painting("hills at night")).mean() < 0.6 * luma(painting("hills")).mean()


@pytest.mark.parametrize(("word", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_a_colour_word_shows(word, channel):
    def share(picture):
        return picture[channel].mean() / picture.mean()

    assert share(painting(f"{word} hills")) > 1.1 * share(painting("hills"))


def test_the_sky_is_above_and_the_ground_below():
    sky, ground = painting("sea")[:, :4], painting("sea")[:, -4:]
    assert luma(sky).mean() > 2 * luma(ground).mean()


def test_a_larger_painting_shows_the_same_landscape():
    large, small = painting("mountains", 128, 192), painting("mountains")
    assert (functional.avg_pool2d(large, 2) - small).abs().mean() < 0.005


def test_a_wider_painting_shows_more_of_the_same_hills():
    features = torch.tensor(read("mountains").numbers())
    features[15] = 0  # the light, whose place is a share of the width, is out
    assert (paint(features, 64, 160)[..., :96] - paint(features, 64, 96)).abs().max() < 1e-5


def test_a_blend_of_two_landscapes_goes_evenly_from_one_to_the_other():
    night, snow = (torch.tensor(read(prompt).numbers()) for prompt in ("night city", "snowy mountains at dawn"))
    steps = [paint(torch.lerp(night, snow, share / 20), 64, 96) for share in range(21)]
    assert torch.equal(steps[0], paint(night, 64, 96))
    assert torch.equal(steps[20], paint(snow, 64, 96))
    gaps = [(after - before).abs().mean().item() for before, after in pairwise(steps)]
    assert max(gaps) < 2.5 * sum(gaps) / 20
    assert min(gaps) > 0
