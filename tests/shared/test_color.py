import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab

from koshi_flux.shared.color import (
    _lab_with_torch,
    _srgb_with_torch,
    lab_from_srgb,
    lightened,
    linear_from_srgb,
    luma,
    mean_and_deviation,
    scaled,
    srgb_from_lab,
    srgb_from_linear,
)

into_lab = pytest.mark.parametrize("convert", [lab_from_srgb, _lab_with_torch])
into_srgb = pytest.mark.parametrize("convert", [srgb_from_lab, _srgb_with_torch])
levels = st.floats(0, 1, width=32)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def dot(*color):
    """A picture of one pixel."""
    return torch.tensor(color, dtype=torch.float32).view(3, 1, 1)


def cube(steps=17):
    """Every colour of a grid through the sRGB cube, black, white and the darkest tones among them."""
    axis = torch.cat((torch.linspace(0, 0.05, 4), torch.linspace(0.06, 1, steps)))
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, len(axis), -1)


@into_lab
def test_lab_is_that_of_scikit_image(convert):
    expected = rgb2lab(cube().permute(1, 2, 0).numpy())
    # the white points differ in the fifth digit: (0.950456, 1, 1.088754) here, (0.95047, 1, 1.08883) there
    assert np.abs(convert(cube()).permute(1, 2, 0).numpy() - expected).max() < 0.02


@into_srgb
def test_srgb_is_that_of_scikit_image(convert):
    lab = rgb2lab(cube().permute(1, 2, 0).numpy())
    expected = lab2rgb(lab)
    assert np.abs(convert(torch.from_numpy(lab).permute(2, 0, 1)).permute(1, 2, 0).numpy() - expected).max() < 1e-3


@into_lab
@pytest.mark.parametrize(
    ("color", "lab"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
        ((0.5, 0.5, 0.5), (53.389, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_known_colours(convert, color, lab):
    assert convert(dot(*color)).flatten().tolist() == pytest.approx(lab, abs=0.02)


def test_lab_and_back_is_the_picture():
    assert (srgb_from_lab(lab_from_srgb(cube())) - cube()).abs().max() < 2e-4
    assert (_srgb_with_torch(_lab_with_torch(cube())) - cube()).abs().max() < 2e-4


def test_torch_and_opencv_agree():
    picture = noise(3, 40, 60) * 1.4 - 0.2  # spline warps overshoot
    assert (_lab_with_torch(picture) - lab_from_srgb(picture)).abs().max() < 0.02  # where the cube root meets its toe
    lab = torch.stack((noise(40, 60) * 120 - 10, noise(40, 60, seed=1) * 256 - 128, noise(40, 60, seed=2) * 256 - 128))
    assert (_srgb_with_torch(lab) - srgb_from_lab(lab)).abs().max() < 1e-3


@into_lab
def test_colours_outside_srgb_are_clamped_on_the_way_in(convert):
    assert torch.allclose(convert(dot(1.2, -0.1, 0.5)), convert(dot(1, 0, 0.5)), atol=1e-3)


@into_srgb
def test_colours_outside_srgb_are_clamped_on_the_way_out(convert):
    assert convert(dot(150, 0, 0)).flatten().tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert convert(dot(-10, 0, 0)).flatten().tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    vivid = convert(dot(90, 90, -90))
    assert vivid.max() <= 1
    assert vivid.min() >= 0


@pytest.mark.parametrize(
    ("srgb", "linear"), [(0, 0), (0.04045, 0.0031308), (0.02, 0.0015480), (0.5, 0.2140411), (1, 1)]
)
def test_the_srgb_curve_at_known_points(srgb, linear):
    assert linear_from_srgb(dot(srgb, srgb, srgb)).max() == pytest.approx(linear, abs=1e-6)
    assert srgb_from_linear(dot(linear, linear, linear)).max() == pytest.approx(srgb, abs=1e-5)


@given(level=levels)
def test_the_srgb_curve_and_back_is_the_level_for_tensors_and_arrays(level):
    linear = linear_from_srgb(dot(level, level, level))
    assert srgb_from_linear(linear).max().item() == pytest.approx(level, abs=1e-5)
    assert linear_from_srgb(np.full((1, 1, 3), level, np.float32)).max() == pytest.approx(linear.max().item(), abs=1e-6)


def test_luma_weighs_green_most():
    assert [luma(dot(*color)).item() for color in np.eye(3).tolist()] == pytest.approx([0.2126, 0.7152, 0.0722])


@given(level=levels)
def test_the_luma_of_grey_is_the_grey(level):
    assert luma(dot(level, level, level)).item() == pytest.approx(level, abs=1e-6)


def test_mean_and_deviation_by_hand():
    picture = torch.tensor([[[1.0, 3.0]], [[2.0, 2.0]], [[0.0, 10.0]]])  # deviations over n, not n - 1
    mean, deviation = mean_and_deviation(picture)
    assert mean.tolist() == [2, 2, 5]
    assert deviation.tolist() == [1, 0, 5]


def test_scaled_multiplies_and_adds_channel_by_channel():
    lab = noise(3, 4, 5)
    found = scaled(lab, torch.tensor([2.0, 0.5, 1.0]), torch.tensor([1.0, -1.0, 0.0]))
    assert torch.allclose(found, torch.stack((2 * lab[0] + 1, lab[1] / 2 - 1, lab[2])))


def test_lightened_adds_the_same_to_every_channel():
    picture, plane = noise(3, 4, 5), noise(4, 5, seed=1)
    assert torch.allclose(lightened(picture, plane, 0.5), picture + 0.5 * plane)
