import cv2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.shared.fill import _around_with_torch, fill_holes
from koshi_flux.shared.image import planar


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def around(image, holes):
    """What the twin for GPUs fills in."""
    known = ~holes
    return torch.where(holes, _around_with_torch(image * known, known.float()[None]), image)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_known_pixels_stay_to_the_bit_and_holes_stay_within_the_known_colours(height, width, share, seed):
    picture, holes = noise(3, height, width, seed=seed), noise(height, width, seed=seed + 100) < share
    for fill in (fill_holes, around):
        found = fill(picture, holes)
        assert torch.equal(found[:, ~holes], picture[:, ~holes])
        if holes.any() and not holes.all():
            known = picture[:, ~holes]
            assert (found.amax((1, 2)) <= known.amax(1) + 1e-5).all()
            assert (found.amin((1, 2)) >= known.amin(1) - 1e-5).all()


def test_a_picture_without_holes_is_returned_itself():
    picture = noise(3, 8, 12)
    assert fill_holes(picture, torch.zeros(8, 12, dtype=torch.bool)) is picture


@pytest.mark.parametrize("fill", [fill_holes, around])
def test_a_picture_of_holes_only_is_grey(fill):
    assert torch.allclose(fill(noise(3, 9, 14), torch.ones(9, 14, dtype=torch.bool)), torch.tensor(0.5))


@pytest.mark.parametrize("fill", [fill_holes, around])
def test_a_single_known_pixel_colours_everything(fill):
    holes = torch.ones(33, 20, dtype=torch.bool)
    holes[4, 7] = False
    picture = noise(3, 33, 20)
    assert torch.allclose(fill(picture, holes), picture[:, 4:5, 7:8], atol=1e-6)


@pytest.mark.parametrize("stand_in", [float("nan"), float("inf"), 0.0])
def test_what_stands_in_the_holes_is_not_read(stand_in):
    picture, holes = noise(3, 32, 48), torch.zeros(32, 48, dtype=torch.bool)
    holes[5:20, 7:30] = True
    spoilt = torch.where(holes, stand_in, picture)
    assert torch.equal(fill_holes(spoilt, holes), fill_holes(picture, holes))


def test_a_hole_in_a_smooth_ramp_is_bridged_smoothly():
    ramp = torch.linspace(0, 1, 128).expand(3, 96, 128)
    holes = torch.zeros(96, 128, dtype=torch.bool)
    holes[30:60, 50:70] = True
    found = fill_holes(ramp, holes)
    assert (found - ramp).abs().max() < 0.1
    assert found[0].diff(dim=1).abs().max() < 0.06  # no seam: one step of the ramp is 0.008


def test_the_side_of_a_hole_looks_like_what_is_beside_it():
    picture, holes = torch.zeros(3, 64, 64), torch.zeros(64, 64, dtype=torch.bool)
    picture[:, :, 32:] = 1
    holes[:, 24:40] = True
    found = fill_holes(picture, holes)[0]
    assert found[:, 24].max() < 0.2
    assert found[:, 39].min() > 0.8


@pytest.mark.parametrize("size", [(64, 96), (48, 80), (144, 16)])
def test_both_ways_of_filling_agree(size):
    picture, holes = noise(3, *size), noise(*size, seed=1) < 0.4
    holes[10:40, 3:15] = True
    pixels = planar(cv2.merge([plane.numpy() for plane in picture]))
    assert (fill_holes(pixels, holes) - around(picture, holes)).abs().max() < 2e-2
