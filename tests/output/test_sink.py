from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import OutputError
from koshi_flux.output.sink import Film, FrameSink, frame_rate, to_pixels


def test_every_level_survives_the_way_to_float_and_back():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16)
    assert (to_pixels(levels.float() / 255) == levels.permute(1, 2, 0).numpy()).all()


def test_channels_rows_and_columns_land_where_they_belong():
    image = torch.zeros(3, 2, 4)
    image[1, 0, 3] = 1.0  # green, first row, last column
    pixels = to_pixels(image)
    assert pixels.shape == (2, 4, 3)
    assert pixels[0, 3].tolist() == [0, 255, 0]
    assert pixels.sum() == 255


@pytest.mark.parametrize(
    ("value", "level"), [(-0.3, 0), (0.0019, 0), (0.0020, 1), (0.5, 128), (0.998, 254), (1.7, 255)]
)
def test_values_are_rounded_to_the_nearest_level_and_clamped(value: float, level: int):
    assert (to_pixels(torch.full((3, 1, 1), value)) == level).all()  # 0.5 * 255 = 127.5: halves go to the even level


@given(st.floats(0, 1, width=32))
def test_rounding_is_off_by_half_a_level_at_most(value: float):
    assert abs(int(to_pixels(torch.full((3, 1, 1), value))[0, 0, 0]) - value * 255) <= 0.5 + 1e-4


def test_pictures_in_half_precision_are_rounded_as_floats():
    image = torch.full((3, 1, 1), 0.7, dtype=torch.bfloat16)  # bfloat16 holds 0.69921875, which is level 178.3
    assert to_pixels(image)[0, 0].tolist() == [178, 178, 178]


def test_a_picture_of_no_numbers_is_refused():
    image = torch.zeros(3, 2, 2)
    image[0, 1, 1] = float("nan")
    with pytest.raises(OutputError, match="NaN"):
        to_pixels(image)


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (1, Fraction(1)),
        (0.1, Fraction(1, 10)),
    ],
)
def test_rounded_rates_mean_exact_ones(fps: float, exact: Fraction):
    assert frame_rate(fps) == exact


@given(st.integers(1, 240))
def test_whole_rates_stay_whole(fps: int):
    assert frame_rate(fps) == fps


@given(st.floats(0.1, 240))
def test_no_rate_moves_by_more_than_a_frame_in_three_thousand(fps: float):
    assert abs(frame_rate(fps) / Fraction(fps) - 1) < 1 / 3000 + 0.0005 / fps


def test_a_frame_of_another_size_is_refused():
    film = Film(size=(64, 48))
    film.check(0, np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(OutputError, match="frame 3 is 48x64, but the film is 64x48"):
        film.check(3, np.zeros((64, 48, 3), np.uint8))


def test_whoever_writes_and_closes_is_a_sink():
    class Counter(FrameSink):
        closed = 0

        def write(self, index, pixels): ...

        def close(self):
            self.closed += 1

    with Counter() as sink:
        assert isinstance(sink, FrameSink)
    assert sink.closed == 1
