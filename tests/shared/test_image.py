import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.shared.image import clamped, interleaved, planar, strips

sizes = {"height": st.integers(1, 9), "width": st.integers(1, 9)}


@given(**sizes)
def test_a_picture_survives_the_way_to_opencv_and_back(height, width):
    picture = torch.rand(3, height, width)
    pixels = interleaved(picture)
    assert pixels.shape == (height, width, 3)
    assert pixels.flags.c_contiguous
    assert torch.equal(planar(pixels), picture)


def test_interleaved_memory_is_shared_and_not_copied():
    pixels = interleaved(torch.zeros(3, 2, 4))
    view = planar(pixels)
    interleaved(view)[1, 3] = 7
    assert view[:, 1, 3].tolist() == [7, 7, 7]
    assert pixels[1, 3].tolist() == [7, 7, 7]


def test_planar_memory_is_copied():
    picture = torch.zeros(3, 2, 4)
    interleaved(picture)[:] = 7
    assert picture.max() == 0


@given(height=st.integers(1, 500), width=st.integers(1, 100_000))
def test_strips_cover_every_row_once_and_in_order(height, width):
    assert [row for rows in strips(height, width) for row in range(height)[rows]] == list(range(height))


def test_clamped_brings_values_into_range_in_a_new_picture():
    picture = torch.tensor([-0.5, 0.25, 1.5]).expand(3, 1, 3)
    assert clamped(picture)[1, 0].tolist() == [0, 0.25, 1]
    inside = torch.rand(3, 2, 2)
    assert torch.equal(clamped(inside), inside)
    assert clamped(inside).data_ptr() != inside.data_ptr()
