import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.feedback.match import match_lab
from koshi_flux.shared.color import lab_from_srgb, mean_and_deviation, srgb_from_lab
from koshi_flux.shared.types import Reference


def picture(mean, deviation, seed=0):
    """A picture of noise with a given mean and standard deviation of L, a and b; both inside sRGB."""
    noise = torch.rand((3, 48, 64), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    noise = (noise - noise.mean(dim=(1, 2), keepdim=True)) / noise.std(dim=(1, 2), keepdim=True, correction=0)
    return srgb_from_lab(torch.tensor(mean).view(3, 1, 1) + torch.tensor(deviation).view(3, 1, 1) * noise)


DRIFTED = picture([40.0, 12.0, -8.0], [6.0, 3.0, 4.0])
REFERENCE = Reference(picture([62.0, -4.0, 6.0], [9.0, 4.0, 3.0], seed=1))


def statistics(image):
    return [numbers.tolist() for numbers in mean_and_deviation(lab_from_srgb(image))]


@pytest.mark.parametrize(
    ("strength", "mean", "deviation"),
    [
        (1.0, [62, -4, 6], [9, 4, 3]),
        (0.5, [51, 4, -1], [7.5, 3.5, 3.5]),
        (0.25, [45.5, 8, -4.5], [6.75, 3.25, 3.75]),
    ],
)
def test_matching_carries_mean_and_deviation_that_far_towards_the_reference(strength, mean, deviation):
    found = statistics(match_lab(DRIFTED, REFERENCE, strength))
    assert found[0] == pytest.approx(mean, abs=0.01)
    assert found[1] == pytest.approx(deviation, abs=0.01)


def test_strength_zero_returns_the_picture_itself():
    assert match_lab(DRIFTED, REFERENCE, 0.0) is DRIFTED


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_picture_that_already_matches_is_returned_itself(strength):
    assert match_lab(REFERENCE.image, REFERENCE, strength) is REFERENCE.image


def test_pixels_in_another_order_match_too():
    mirrored = REFERENCE.image.flip(2)
    assert match_lab(mirrored, REFERENCE, 1.0) is mirrored


def test_matching_twice_changes_nothing_more():
    once = match_lab(DRIFTED, REFERENCE, 1.0)
    assert (match_lab(once, REFERENCE, 1.0) - once).abs().max() < 1e-4


@given(level=st.floats(0, 1))
def test_a_flat_picture_stays_flat_and_takes_the_mean(level):
    matched = match_lab(torch.full((3, 8, 8), level), REFERENCE, 1.0)
    assert (matched - matched[:, :1, :1]).abs().max() < 1e-6
    assert lab_from_srgb(matched)[:, 0, 0].tolist() == pytest.approx([62, -4, 6], abs=0.01)


def test_a_nearly_flat_picture_is_stretched_no_more_than_twice():
    faint = picture([50.0, 0.0, 0.0], [0.1, 0.1, 0.1])
    mean, deviation = statistics(match_lab(faint, REFERENCE, 1.0))
    assert mean == pytest.approx([62, -4, 6], abs=0.01)
    assert deviation == pytest.approx([0.2, 0.2, 0.2], abs=0.01)


def test_a_flat_reference_halves_the_deviation_at_once_and_no_more():
    flat = Reference(torch.full((3, 8, 8), 0.5))
    mean, deviation = statistics(match_lab(DRIFTED, flat, 1.0))
    assert mean == pytest.approx([53.39, 0, 0], abs=0.01)
    assert deviation == pytest.approx([3, 1.5, 2], abs=0.01)


def test_the_result_stays_in_range_when_the_reference_asks_for_more_than_srgb_has():
    bright = Reference(torch.rand(3, 16, 16).round())
    matched = match_lab(DRIFTED, bright, 1.0)
    assert matched.min() >= 0
    assert matched.max() <= 1
