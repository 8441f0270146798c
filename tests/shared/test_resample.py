import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from koshi_flux.errors import SettingsError
from koshi_flux.shared.image import interleaved, planar
from koshi_flux.shared.resample import BORDERS, KERNELS, _warp_with_opencv, _warp_with_torch, warp
from koshi_flux.shared.transforms import about, grid_from_matrix, identity, scale, shift, turn

every_kernel = pytest.mark.parametrize("kernel", KERNELS)
every_border = pytest.mark.parametrize("border", BORDERS)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def moved(picture, matrix, kernel="spline", border="replicate"):
    return warp(picture, grid_from_matrix(matrix, *picture.shape[1:]), kernel, border)


def line(*values):
    """A picture of one row, the same in every channel."""
    return torch.tensor(values).expand(3, 1, -1)


def middle_matrix(height, width, matrix):
    return about(width / 2, height / 2, matrix)


@every_kernel
@every_border
@settings(max_examples=30)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_the_identity_grid_returns_the_picture(kernel, border, height, width):
    picture = noise(3, height, width)
    assert (moved(picture, identity(), kernel, border) - picture).abs().max() < 1e-5


@every_kernel
@settings(max_examples=50)
@given(right=st.integers(-30, 30), down=st.integers(-30, 30))
def test_a_tiled_picture_moves_by_whole_pixels_like_roll(kernel, right, down):
    picture = noise(3, 16, 32)
    rolled = picture.roll((down, right), dims=(1, 2))
    assert (moved(picture, shift(right, down), kernel, "wrap") - rolled).abs().max() < 1e-5


@every_kernel
@pytest.mark.parametrize(
    ("border", "right", "expected"),
    [
        ("replicate", 2, [0.1, 0.1, 0.1, 0.5, 0.2]),
        ("replicate", -2, [0.2, 0.9, 0.4, 0.4, 0.4]),
        ("wrap", 2, [0.9, 0.4, 0.1, 0.5, 0.2]),
        ("wrap", -2, [0.2, 0.9, 0.4, 0.1, 0.5]),
        ("reflect", 2, [0.2, 0.5, 0.1, 0.5, 0.2]),
        ("reflect", -2, [0.2, 0.9, 0.4, 0.9, 0.2]),
        ("reflect", 11, [0.9, 0.2, 0.5, 0.1, 0.5]),  # the mirrored line repeats every eight pixels
    ],
)
def test_borders_by_hand(kernel, border, right, expected):
    across = moved(line(0.1, 0.5, 0.2, 0.9, 0.4), shift(right, 0), kernel, border)
    assert across[0, 0].tolist() == pytest.approx(expected, abs=1e-5)
    down = moved(line(0.1, 0.5, 0.2, 0.9, 0.4).mT, shift(0, right), kernel, border)
    assert down[2, :, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_half_way_between_two_pixels_bilinear_reads_their_mean():
    assert moved(line(0.2, 0.6, 0.8), shift(0.5, 0), "bilinear")[1, 0].tolist() == pytest.approx([0.2, 0.4, 0.7])


@pytest.mark.parametrize(("border", "theirs"), [("reflect", "mirror"), ("wrap", "grid-wrap")])
def test_the_spline_is_the_cubic_spline_of_scipy(border, theirs):
    picture = noise(3, 24, 36)
    matrix = middle_matrix(24, 36, turn(23) @ scale(0.8))
    j, i = np.mgrid[:24, :36] + 0.5
    x, y, _ = np.einsum("ij,jhw->ihw", np.linalg.inv(matrix), np.stack((i, j, np.ones_like(i))))
    expected = [map_coordinates(channel.numpy().astype(float), (y - 0.5, x - 0.5), mode=theirs) for channel in picture]
    assert np.abs(moved(picture, matrix, "spline", border).numpy() - expected).max() < 3e-4


@every_kernel
@every_border
def test_a_straight_ramp_stays_straight_inside(kernel, border):
    ramp = torch.linspace(0, 1, 40).expand(3, 40, 40)
    found = moved(ramp, shift(0.37, 0), kernel, border)[:, :, 12:-12]
    assert (found - (ramp[:, :, 12:-12] - 0.37 / 39)).abs().max() < 1e-5


@every_kernel
@every_border
def test_law_1_a_hundred_warps_neither_brighten_nor_darken(kernel, border):
    picture = torch.full((3, 20, 30), 0.7)
    grid = grid_from_matrix(middle_matrix(20, 30, turn(7) @ scale(1.03)), 20, 30)
    for _ in range(100):
        picture = warp(picture, grid, kernel, border)
    assert (picture - 0.7).abs().max() < 1e-5


def test_law_2_a_hundred_spline_warps_keep_the_detail_that_bilinear_loses():
    astronaut = planar(data.astronaut().astype(np.float32) / 255)
    grids = [grid_from_matrix(middle_matrix(512, 512, scale(z)), 512, 512) for z in (1.01, 1 / 1.01)]

    def decibels_after_a_hundred_warps(kernel):
        picture = astronaut
        for i in range(100):
            picture = warp(picture, grids[i % 2], kernel)
        inside = (slice(None), slice(60, -60), slice(60, -60))
        return peak_signal_noise_ratio(astronaut[inside].numpy(), picture[inside].numpy(), data_range=1)

    assert decibels_after_a_hundred_warps("spline") >= 30.9
    assert decibels_after_a_hundred_warps("bilinear") < 22.5


@every_kernel
def test_four_quarter_turns_are_the_identity(kernel):
    picture = noise(3, 32, 32)
    turned = picture
    for _ in range(4):
        turned = moved(turned, middle_matrix(32, 32, turn(90)), kernel)
    assert (turned - picture).abs().max() < 1e-4


def test_zooming_in_and_out_again_returns_a_smooth_picture():
    j, i = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    picture = (0.5 + 0.5 * torch.sin(i / 7) * torch.cos(j / 9)).expand(3, -1, -1)
    there = moved(picture, middle_matrix(64, 96, scale(1.25)))
    back = moved(there, middle_matrix(64, 96, scale(0.8)))
    assert (back - picture)[:, 12:-12, 16:-16].abs().max() < 1e-3


def test_a_circle_stays_a_circle_when_a_wide_picture_turns():
    height, width = 576, 1024
    j, i = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    spot = torch.exp(-((i - 700) ** 2 + (j - 300) ** 2) / (2 * 20**2)).expand(3, -1, -1)
    turned = moved(spot, middle_matrix(height, width, turn(37)))[0].double()
    weight = turned / turned.sum()
    x, y = (weight * i).sum(), (weight * j).sum()
    assert math.hypot(x - width / 2, y - height / 2) == pytest.approx(math.hypot(700 - 512, 300 - 288), abs=0.01)
    spread = [(weight * (i - x) ** 2).sum(), (weight * (j - y) ** 2).sum(), (weight * (i - x) * (j - y)).sum()]
    assert [s.item() for s in spread] == pytest.approx([400, 400, 0], abs=0.5)


@every_kernel
def test_a_tiled_picture_moved_by_its_own_width_is_itself(kernel):
    picture = noise(3, 20, 30)
    assert (moved(picture, shift(30, -20), kernel, "wrap") - picture).abs().max() < 1e-5


@every_kernel
@every_border
@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    angle=st.floats(-180, 180),
    zoom=st.floats(0.3, 3),
    right=st.floats(-50, 50),
)
def test_torch_and_opencv_agree(kernel, border, size, angle, zoom, right):
    picture = noise(3, *size)
    grid = grid_from_matrix(middle_matrix(*size, shift(right, 0) @ turn(angle) @ scale(zoom)), *size)
    with_opencv, with_torch = (how(picture, grid, kernel, border) for how in (_warp_with_opencv, _warp_with_torch))
    assert (with_opencv - with_torch).abs().max() < 1e-4


@every_kernel
@every_border
def test_torch_and_opencv_agree_behind_the_eye(kernel, border):
    picture = noise(3, 40, 60)
    fading = np.array([[1.0, 0.1, 2], [0, 1, 0], [-0.03, 0.01, 1]])
    grid = grid_from_matrix(np.linalg.inv(fading), 40, 60)
    near = (grid.abs() < 20).all(dim=-1)  # farther out, single precision tells no pixels apart
    difference = _warp_with_opencv(picture, grid, kernel, border) - _warp_with_torch(picture, grid, kernel, border)
    assert difference[:, near].abs().max() < 1e-3


@every_kernel
@every_border
@pytest.mark.parametrize("size", [1, 2, 16])
def test_tiny_pictures_are_moved_too(kernel, border, size):
    matrix = middle_matrix(size, size, turn(20) @ scale(0.5))
    found = moved(torch.full((3, size, size), 0.3), matrix, kernel, border)
    assert found.shape == (3, size, size)
    assert (found - 0.3).abs().max() < 1e-6


def test_the_order_of_memory_does_not_matter_and_the_picture_is_left_alone():
    picture = noise(3, 10, 12)
    kept = picture.clone()
    matrix = middle_matrix(10, 12, turn(30))
    assert torch.equal(moved(picture, matrix), moved(planar(interleaved(picture)), matrix))
    assert torch.equal(picture, kept)


@pytest.mark.parametrize(("choice", "known"), [({"kernel": "cubic"}, "spline"), ({"border": "mirror"}, "reflect")])
def test_an_unknown_kernel_or_border_names_the_known_ones(choice, known):
    with pytest.raises(SettingsError, match=rf"unknown {next(iter(choice))} '{next(iter(choice.values()))}'.*{known}"):
        moved(noise(3, 4, 4), identity(), **choice)
