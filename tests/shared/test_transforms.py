import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import (
    _grid_with_numpy,
    _grid_with_torch,
    about,
    grid_from_matrix,
    holes,
    identity,
    scale,
    shift,
    turn,
)

numbers = st.floats(-200, 200)
matrices = st.builds(
    lambda x, y, angle, zoom: shift(x, y) @ turn(angle) @ scale(zoom), numbers, numbers, numbers, st.floats(0.2, 5)
)


def carried(matrix, x, y):
    """Where a matrix carries the point (x, y)."""
    u, v, w = matrix @ (x, y, 1)
    return u / w, v / w


def reads(grid, i, j):
    """Which point of the frame, in pixels, the destination pixel in column i and row j reads."""
    height, width = grid.shape[:2]
    return (grid[j, i, 0].item() + 1) * width / 2, (grid[j, i, 1].item() + 1) * height / 2


def test_a_positive_quarter_turn_carries_the_right_edge_to_the_top():
    picture = torch.zeros(3, 8, 8)
    picture[:, 3:5, 7] = 1
    turned = warp(picture, grid_from_matrix(about(4, 4, turn(90)), 8, 8))
    assert turned[:, 0, 3:5].min() > 0.99
    assert turned[:, 2:].abs().max() < 0.01


def test_a_quarter_turn_about_the_origin_carries_right_to_up():
    assert carried(turn(90), 5, 0) == pytest.approx((0, -5))
    assert carried(turn(90), 0, 5) == pytest.approx((5, 0))


def test_a_shift_moves_content_right_and_down():
    assert carried(shift(8, 3), 1, 1) == (9, 4)


def test_a_zoom_of_two_doubles_the_distance_to_the_origin():
    assert carried(scale(2), 3, -4) == (6, -8)


@given(x=numbers, y=numbers, angle=numbers, zoom=st.floats(0.2, 5))
def test_turning_and_zooming_about_a_point_hold_it_still(x, y, angle, zoom):
    assert carried(about(x, y, turn(angle) @ scale(zoom)), x, y) == pytest.approx((x, y), abs=1e-9)


@given(a=matrices, b=matrices, x=numbers, y=numbers)
def test_matrices_compose_like_functions(a, b, x, y):
    assert carried(b @ a, x, y) == pytest.approx(carried(b, *carried(a, x, y)), rel=1e-6, abs=1e-6)


@given(matrix=matrices, x=numbers, y=numbers)
def test_the_inverse_matrix_carries_a_point_back(matrix, x, y):
    assert carried(np.linalg.inv(matrix), *carried(matrix, x, y)) == pytest.approx((x, y), abs=1e-6)


@given(angle=numbers)
def test_turning_back_is_the_identity(angle):
    assert np.allclose(turn(-angle) @ turn(angle), identity())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (16, 48)])
def test_the_grid_of_the_identity_is_the_pixel_centres(height, width):
    grid = grid_from_matrix(identity(), height, width)
    assert grid.shape == (height, width, 2)
    assert grid.dtype == torch.float32
    for j, i in ((0, 0), (height - 1, width - 1)):
        assert reads(grid, i, j) == pytest.approx((i + 0.5, j + 0.5), abs=1e-5)


def test_the_grid_of_a_shift_reads_where_the_content_came_from():
    grid = grid_from_matrix(shift(8, -2), 16, 32)
    assert reads(grid, 10, 5) == pytest.approx((2.5, 7.5), abs=1e-5)


@given(matrix=matrices, tilt=st.floats(-1e-3, 1e-3), weight=st.sampled_from([1.0, 0.5, 7.0]))
def test_a_grid_undoes_its_matrix_at_every_pixel(matrix, tilt, weight):
    matrix = matrix.copy()
    matrix[2, :2] = tilt, -tilt / 2
    height, width = 12, 20
    points = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    source = np.concatenate([points, np.ones((height, width, 1))], axis=-1) @ np.linalg.inv(matrix).T
    seen = source[..., 2] > 1e-3
    expected = source[..., :2] / np.where(seen, source[..., 2], 1)[..., None] * (2 / width, 2 / height) - 1
    found = grid_from_matrix(weight * matrix, height, width).numpy()
    near = seen & (np.abs(expected).max(axis=-1) < 1e3)
    assert np.allclose(found[near], expected[near], rtol=1e-4, atol=1e-4)


@given(matrix=matrices, tilt=st.floats(-0.1, 0.1))
def test_the_grids_of_torch_and_numpy_agree(matrix, tilt):
    matrix = matrix.copy()
    matrix[2, :2] = tilt, tilt / 3
    with_numpy, with_torch = _grid_with_numpy(matrix, 9, 14), _grid_with_torch(matrix, 9, 14, torch.device("cpu"))
    assert np.allclose(with_numpy, with_torch.numpy(), rtol=1e-5, atol=1e-5)


def test_what_lies_behind_the_eye_reads_far_outside():
    fading = np.array([[1.0, 0, 0], [0, 1, 0], [-0.5, 0, 1]])  # third coordinate 1 - x / 2: from column 2 on behind
    grid = grid_from_matrix(np.linalg.inv(fading), 3, 5)
    assert holes(grid)[:, 2:].all()
    assert grid[:, 2:].min() > 1000
    assert grid.isfinite().all()
    assert reads(grid, 0, 0) == pytest.approx((0.5 / 0.75, 0.5 / 0.75), abs=1e-5)


def test_a_picture_seen_edge_on_shows_nothing():
    assert holes(grid_from_matrix(scale(0), 4, 6)).all()


def test_holes_are_where_the_frame_ends():
    grid = grid_from_matrix(shift(2, 1), 4, 6)
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[:, :2] = expected[:1] = True
    assert torch.equal(holes(grid), expected)


def test_a_hundred_composed_turns_lose_nothing():
    whole = identity()
    for _ in range(100):
        whole = about(512, 288, turn(3.6)) @ whole
    assert np.abs(whole - identity()).max() < 1e-9
    assert math.isclose(np.linalg.det(whole), 1)
