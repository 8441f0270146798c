import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.feedback.sharpen import _detail_with_opencv, _detail_with_torch, sharpen
from koshi_flux.shared.color import luma


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_sharpening_leaves_colour_differences_alone():
    picture = noise(3, 20, 30)
    red, green, blue = sharpen(picture, 0.8)
    assert torch.allclose(red - green, picture[0] - picture[1], atol=1e-6)
    assert torch.allclose(green - blue, picture[1] - picture[2], atol=1e-6)


@given(level=st.floats(0, 1), amount=st.floats(0, 10))
def test_flat_areas_stay(level, amount):
    flat = torch.full((3, 9, 9), level)
    assert (sharpen(flat, amount) - flat).abs().max() < 1e-5


def test_a_bright_dot_gains_what_the_gaussian_takes_from_it():
    dot = torch.zeros(3, 15, 15)
    dot[:, 7, 7] = 1
    middle = 1 / sum(math.exp(-k * k / 2) for k in range(-3, 4))
    found = sharpen(dot, 0.5)
    assert found[:, 7, 7].tolist() == pytest.approx([1 + 0.5 * (1 - middle**2)] * 3, abs=1e-5)
    assert found[:, 7, 8].tolist() == pytest.approx([-0.5 * middle**2 * math.exp(-0.5)] * 3, abs=1e-5)


def test_only_the_brightness_decides_what_is_sharpened():
    # red against a green of the same luma: no brightness edge, so nothing to sharpen
    picture = torch.zeros(3, 12, 12)
    picture[0, :, :6] = 0.7152
    picture[1, :, 6:] = 0.2126
    assert luma(picture).std() < 1e-6
    assert (sharpen(picture, 5.0) - picture).abs().max() < 1e-5


def test_sharpening_is_proportional_to_the_amount():
    picture = noise(3, 20, 30)
    assert torch.allclose(sharpen(picture, 0.6) - picture, 3 * (sharpen(picture, 0.2) - picture), atol=1e-5)


@given(height=st.integers(4, 30), width=st.integers(4, 30))
def test_torch_and_opencv_agree(height, width):
    plane = noise(height, width)
    assert (_detail_with_torch(plane) - _detail_with_opencv(plane)).abs().max() < 1e-5


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_pictures_are_sharpened_too(size):
    assert sharpen(noise(3, size, size), 1.0).isfinite().all()
