from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.input.fit import Fit, fitted, inside, resized, unit

FITS = get_args(Fit)
SIDES = st.integers(1, 40)


def columns(width: int, height: int) -> np.ndarray:
    """As bright as the column's number."""
    return np.broadcast_to(np.arange(width, dtype=np.uint8)[None, :, None], (height, width, 3))


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(FITS), st.floats(0.5, 2))
@settings(max_examples=150, deadline=None)
def test_a_white_picture_fills_a_frame_of_any_size(width, height, w, h, fit, aspect):
    frame = fitted(np.full((height, width, 4), 255, np.uint8), (w, h), fit, aspect)
    left, top, inner_w, inner_h = inside((height, width), (w, h), aspect)
    assert frame.shape == (h, w, 4)
    assert frame.dtype == np.float32
    expected = np.ones((h, w))
    if fit == "contain":
        expected[:] = 0
        expected[top : top + inner_h, left : left + inner_w] = 1
        assert inner_w == w or inner_h == h
    assert np.abs(frame - expected[..., None]).max() < 1e-6


def test_a_picture_of_the_right_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    for fit in FITS:
        assert (fitted(pixels, (16, 9), fit) == pixels / np.float32(255)).all()


def test_cover_cuts_the_sides_off_evenly():
    cut = fitted(columns(40, 10), (20, 10))  # columns 10 to 29 are left
    assert (np.round(cut[5, :, 0] * 255) == np.arange(10, 30)).all()


def test_contain_leaves_bars_of_equal_height():
    frame = fitted(np.full((10, 40, 3), 255, np.uint8), (20, 20), "contain")
    rows = frame[:, 10, 0]
    assert rows.tolist() == [0.0] * 7 + [1.0] * 5 + [0.0] * 8  # 5 rows in 20: 7.5 above, rounded


def test_pixels_wider_than_high_are_pulled_wide():
    assert inside((10, 10), (40, 20), aspect=2.0) == (0, 0, 40, 20)
    ramp = fitted(columns(10, 10), (20, 10), aspect=2.0)  # twice as wide, nothing cut
    assert ramp[5, 0, 0] * 255 < 0.5
    assert ramp[5, -1, 0] * 255 > 8.5


def test_shrinking_averages_and_loses_no_light():
    fine = np.zeros((64, 64, 3), np.uint8)
    fine[:, ::2] = 255  # a line pattern finer than the small picture can show
    small = fitted(fine, (16, 16))
    assert np.abs(small - 0.5).max() < 1e-6


def test_growing_stays_within_black_and_white_and_keeps_centres():
    edge = np.zeros((8, 8, 1), np.float32)
    edge[:, 4:] = 1
    large = resized(edge, (32, 32))
    assert large.min() == 0
    assert large.max() == 1
    assert np.allclose(large[:, ::-1] + large, 1, atol=1e-6)  # the edge stays in the middle


def test_narrower_and_higher_at_once():
    assert np.allclose(resized(np.full((10, 40, 2), 0.25, np.float32), (10, 40)), 0.25, atol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "value"),
    [
        (np.uint8(51), 0.2),
        (np.uint16(13107), 0.2),
        (np.float32(1.5), 1.0),
        (np.float32(-1), 0.0),
        (np.float32(0.3), 0.3),
    ],
)
def test_levels_of_all_depths(pixels, value):
    assert unit(np.full((1, 1, 3), pixels))[0, 0, 0] == pytest.approx(value)
