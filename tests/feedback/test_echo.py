import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.feedback.echo import echo

amounts = st.floats(0, 1)


def noise(seed=0):
    return torch.rand((3, 12, 16), generator=torch.Generator().manual_seed(seed))


@given(amount=amounts)
def test_law_1_a_film_that_stands_still_is_the_same_film(amount):
    picture = noise()
    assert torch.equal(echo(picture, picture.clone(), amount), picture)


def test_no_echo_is_the_picture_itself_and_full_echo_the_frame_before():
    picture, trail = noise(0), noise(1)
    assert echo(picture, trail, 0.0) is picture
    assert torch.equal(echo(picture, trail, 1.0), trail)


def test_a_quarter_of_the_trail_shines_through():
    mixed = echo(torch.full((3, 1, 1), 0.2), torch.full((3, 1, 1), 0.6), 0.25)
    assert mixed.flatten().tolist() == pytest.approx([0.3] * 3)


@given(amount=amounts)
def test_the_mean_neither_rises_nor_falls(amount):
    picture = noise()
    moved = picture.roll(5, dims=2)
    assert echo(moved, picture, amount).mean().item() == pytest.approx(picture.mean().item(), abs=1e-6)


def test_a_flash_fades_by_the_amount_each_frame():
    dark = torch.zeros(3, 2, 2)
    frame = torch.ones(3, 2, 2)
    for _ in range(4):
        frame = echo(dark, frame, 0.5)
    assert frame.flatten().tolist() == pytest.approx([0.5**4] * 12)


def test_a_dot_that_moves_and_is_not_redrawn_leaves_a_trail_behind():
    frame = torch.zeros(3, 1, 6)
    frame[..., 0] = 1
    for _ in range(2):
        frame = echo(frame.roll(1, dims=2), frame, 0.25)
    assert frame[0, 0].tolist() == pytest.approx([0.0625, 0.375, 0.5625, 0, 0, 0])


@given(amount=amounts)
def test_pictures_stay_within_range(amount):
    mixed = echo(noise(0), noise(1), amount)
    assert mixed.min() >= 0
    assert mixed.max() <= 1
