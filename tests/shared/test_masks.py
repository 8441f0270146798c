"""Soft masks: evaluated, prepared and used to join pictures."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.shared.masks import evaluate, overlay, prepared

LEFT = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
EVEN = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
SOFT = torch.tensor([[0.0, 0.25, 0.5, 1.0]])
PLANES = {"{mask}": LEFT, "{alpha}": EVEN, "[soft.png]": SOFT, "{everywhere}": torch.ones(1, 4)}


def made(*steps):
    return evaluate(steps, PLANES.__getitem__)[0].tolist()


@pytest.mark.parametrize(
    ("sign", "expected"),
    [("&", [1, 0, 0, 0]), ("|", [1, 1, 1, 0]), ("^", [0, 1, 1, 0]), ("\\", [0, 1, 0, 0])],
)
def test_black_and_white_masks_are_joined_like_sets(sign, expected):
    assert made("{mask}", "{alpha}", sign) == expected


@pytest.mark.parametrize(
    ("sign", "expected"),
    [("&", [0, 0.25, 0, 0]), ("|", [1, 1, 0.5, 1]), ("^", [1, 0.75, 0.5, 1]), ("\\", [0, 0, 0.5, 1])],
)
def test_soft_masks_are_joined_softly(sign, expected):
    assert made("[soft.png]", "{mask}", sign) == expected


def test_not_is_what_is_left_to_1():
    assert made("[soft.png]", "!") == [1, 0.75, 0.5, 0]


def test_steps_are_taken_in_postfix_order():
    assert made("{everywhere}", "{mask}", "{alpha}", "&", "!", "&") == [0, 1, 1, 1]
    assert made("{everywhere}", "{mask}", "\\", "{alpha}", "\\") == [0, 0, 0, 1]
    assert made("{everywhere}", "{mask}", "{alpha}", "\\", "\\") == [1, 0, 1, 1]


unit = st.floats(0, 1, width=32)
planes = st.lists(unit, min_size=4, max_size=4).map(lambda values: torch.tensor([values]))


@given(a=planes, b=planes)
def test_de_morgan_holds_and_values_stay_in_range(a, b):
    leaves = {"{mask}": a, "{alpha}": b}.__getitem__
    neither = evaluate(["{mask}", "{alpha}", "|", "!"], leaves)
    assert torch.equal(neither, evaluate(["{mask}", "!", "{alpha}", "!", "&"], leaves))
    for sign in "&|^\\":
        joined = evaluate(["{mask}", "{alpha}", sign], leaves)
        assert 0 <= joined.min() <= joined.max() <= 1


def test_masks_of_another_size_are_told():
    sizes = {"{mask}": torch.ones(4, 6), "[sky.png]": torch.ones(4, 8)}
    with pytest.raises(SettingsError, match=r"\{mask\} \(6x4\) and \[sky.png\] \(8x4\) cannot be joined"):
        evaluate(["{mask}", "{mask}", "!", "&", "[sky.png]", "|"], sizes.__getitem__)


def test_a_mask_that_is_left_alone_is_itself():
    assert prepared(SOFT) is SOFT


def test_invert_contrast_and_brightness():
    assert prepared(SOFT, invert=True)[0].tolist() == [1, 0.75, 0.5, 0]
    assert prepared(SOFT, contrast=2)[0].tolist() == [0, 0, 0.5, 1]
    assert prepared(SOFT, contrast=0)[0].tolist() == [0.5] * 4
    assert prepared(SOFT, brightness=0.5)[0].tolist() == [0, 0.125, 0.25, 0.5]
    assert prepared(SOFT, brightness=3)[0].tolist() == [0, 0.75, 1, 1]


def test_first_invert_then_contrast_then_brightness_then_blur():
    assert prepared(SOFT, invert=True, contrast=2, brightness=0.5)[0].tolist() == [0.5, 0.5, 0.25, 0]
    edge = torch.cat((torch.zeros(1, 16), torch.ones(1, 16)), dim=1)
    soft = prepared(edge, contrast=9, brightness=0.5, blur=2)
    assert soft.max() == pytest.approx(0.5)
    assert 0.25 < soft[0, 16] < 0.35  # were contrast to come after the blur, this were 0.5


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0, 4.1, 5.3, 12.0, 40.0])
def test_a_blurred_edge_is_the_integral_of_the_gaussian(sigma):
    width = 600
    edge = (torch.arange(width) >= width // 2).float().expand(3, width)
    expected = 0.5 * (1 + torch.erf((torch.arange(width) + 0.5 - width / 2) / (sigma * 2**0.5)))
    tolerance = 0.06 if sigma < 1 else 0.012  # pixels are wide compared with a narrow Gaussian
    assert (prepared(edge, blur=sigma)[1] - expected).abs().max() < tolerance


def test_a_blur_has_the_variance_that_is_asked_for():
    dot = torch.zeros(1, 401)
    dot[0, 200] = 1
    away = torch.arange(401) - 200.0
    for sigma in (3.0, 7.7, 20.0):
        blurred = prepared(dot.expand(401, 401).contiguous(), blur=sigma)[200]
        assert blurred.sum() == pytest.approx(1, abs=1e-3)
        assert (away**2 * blurred).sum().sqrt() == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize("sigma", [1.0, 30.0, 3000.0])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_blur_leaves_what_is_even_as_it_is(sigma, value):
    assert prepared(torch.full((48, 64), value), blur=sigma) == pytest.approx(torch.full((48, 64), value), abs=1e-5)


def test_the_mask_that_was_given_is_not_changed():
    mask = torch.rand(16, 16)
    before = mask.clone()
    prepared(mask, invert=True, contrast=2, brightness=2, blur=30)
    assert torch.equal(mask, before)


def test_a_huge_blur_costs_about_as_much_as_a_small_one():
    mask = torch.rand(288, 512)

    def seconds(sigma):
        spent = []
        for _ in range(5):
            started = time.process_time()
            prepared(mask, blur=sigma)
            spent.append(time.process_time() - started)
        return min(spent)

    assert seconds(100.0) < 4 * seconds(5.0) + 0.005


def test_an_overlay_keeps_the_original_to_the_bit_where_the_mask_is_black():
    drawn, original = torch.rand(3, 8, 8), torch.rand(3, 8, 8)
    mask = torch.zeros(8, 8)
    assert torch.equal(overlay(drawn, original, mask), original)
    mask[:4] = 1
    joined = overlay(drawn, original, mask)
    assert torch.equal(joined[:, :4], drawn[:, :4])
    assert torch.equal(joined[:, 4:], original[:, 4:])


def test_an_overlay_blends_where_the_mask_is_grey():
    grey = overlay(torch.ones(3, 2, 2), torch.zeros(3, 2, 2), torch.full((2, 2), 0.25))
    assert torch.equal(grey, torch.full((3, 2, 2), 0.25))
