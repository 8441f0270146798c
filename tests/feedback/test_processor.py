from dataclasses import replace

import pytest
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.feedback import MATCHES, correct
from koshi_flux.feedback.contrast import stretch
from koshi_flux.feedback.match import match_lab
from koshi_flux.feedback.noise import add_grain
from koshi_flux.feedback.sharpen import sharpen
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Reference

EVERYTHING = FrameParameters(color_strength=0.8, contrast=1.2, sharpen=0.5, noise=0.1, seed=2, frame=3)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


PICTURE, REFERENCE = noise(3, 32, 48), Reference(noise(3, 32, 48, seed=1) ** 2)


def test_law_1_neutral_corrections_are_a_fixed_point():
    picture = PICTURE
    for frame in range(1, 301):
        picture = correct(picture, Reference(PICTURE), FrameParameters(frame=frame))
    assert torch.equal(picture, PICTURE)


def test_the_order_is_match_contrast_sharpen_noise():
    matched = match_lab(PICTURE, REFERENCE, 0.8)
    expected = add_grain(sharpen(stretch(matched, 1.2), 0.5), 0.1, 2, 3).clamp(0, 1)
    assert torch.equal(correct(PICTURE, REFERENCE, EVERYTHING), expected)


def test_another_order_would_show():
    grained = add_grain(PICTURE, 0.1, 2, 3)
    expected = sharpen(stretch(match_lab(grained, REFERENCE, 0.8), 1.2), 0.5).clamp(0, 1)
    assert (correct(PICTURE, REFERENCE, EVERYTHING) - expected).abs().max() > 0.05


@pytest.mark.parametrize(
    ("setting", "value", "member"),
    [
        ("contrast", 1.3, lambda image: stretch(image, 1.3)),
        ("sharpen", 0.4, lambda image: sharpen(image, 0.4)),
        ("noise", 0.05, lambda image: add_grain(image, 0.05, 0, 0)),
    ],
)
def test_each_setting_works_alone(setting, value, member):
    assert torch.equal(correct(PICTURE, None, FrameParameters(**{setting: value})), member(PICTURE).clamp(0, 1))


def test_colours_are_left_without_a_reference_without_strength_and_without_a_mode():
    neutral = FrameParameters()
    assert torch.equal(correct(PICTURE, None, neutral), PICTURE)
    assert torch.equal(correct(PICTURE, REFERENCE, replace(neutral, color_strength=0.0)), PICTURE)
    assert torch.equal(correct(PICTURE, REFERENCE, replace(neutral, color_coherence="none")), PICTURE)


def test_overshoots_of_a_warp_are_clamped():
    found = correct(PICTURE * 3 - 1, None, FrameParameters())
    assert torch.equal(found, (PICTURE * 3 - 1).clamp(0, 1))


def test_the_picture_given_is_left_alone():
    picture = PICTURE.clone()
    correct(picture, REFERENCE, EVERYTHING)
    assert torch.equal(picture, PICTURE)


def test_an_unknown_colour_coherence_names_the_known_ones():
    with pytest.raises(SettingsError, match=f"unknown color_coherence 'hsv': known are {', '.join(MATCHES)}"):
        correct(PICTURE, REFERENCE, FrameParameters(color_coherence="hsv"))


def test_nothing_of_a_correction_stays_on_the_cpu():
    picture = torch.empty(3, 16, 24, device="meta")  # a device that holds no values and mixes with no other
    found = correct(picture, None, EVERYTHING)
    assert (found.device, found.shape) == (picture.device, picture.shape)
