import itertools
import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.shared.blend import MIXTURES, mixed, slerp

shares = st.floats(0, 1)


def tokens(seed, shape=(4, 16)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_half_way_between_two_axes_is_the_diagonal():
    found = slerp(torch.tensor([1.0, 0]), torch.tensor([0, 1.0]), 0.5)
    assert found.tolist() == pytest.approx([math.sqrt(0.5)] * 2)


def test_a_third_of_the_way_is_a_third_of_the_angle_and_of_the_lengths():
    found = slerp(torch.tensor([1.0, 0]), torch.tensor([0, 4.0]), 1 / 3)
    assert found.tolist() == pytest.approx([2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)])


def test_beyond_the_end_it_goes_on_around():
    found = slerp(torch.tensor([1.0, 0]), torch.tensor([math.cos(0.5), math.sin(0.5)]), 2.0)
    assert found.tolist() == pytest.approx([math.cos(1), math.sin(1)])


def test_both_ends_are_exact():
    one, other = tokens(0), tokens(1)
    assert slerp(one, other, 0) is one
    assert slerp(one, other, 1) is other


@given(share=shares, first=st.integers(0, 99), second=st.integers(100, 199))
def test_lengths_go_straight_and_each_token_for_itself(share, first, second):
    one, other = tokens(first), tokens(second)
    found = slerp(one, other, share)
    assert torch.allclose(found.norm(dim=-1), torch.lerp(one.norm(dim=-1), other.norm(dim=-1), share), rtol=1e-4)
    assert torch.allclose(found[2], slerp(one[2], other[2], share), atol=1e-6)


@given(share=shares)
def test_from_the_other_end_it_is_the_same_arc(share):
    one, other = tokens(0), tokens(1)
    assert torch.allclose(slerp(one, other, share), slerp(other, one, 1 - share), atol=1e-5)


@given(share=st.floats(-1, 2), factor=st.floats(0.1, 10))
def test_vectors_in_line_go_straight(share, factor):
    one = tokens(0)
    assert torch.allclose(slerp(one, factor * one, share), torch.lerp(one, factor * one, share), atol=1e-3)


@given(share=shares, factor=st.floats(-3, 0))
def test_opposite_and_zero_vectors_are_safe(share, factor):
    one = tokens(0)
    found = slerp(one, factor * one, share)
    assert found.isfinite().all()
    assert found.norm() <= 3 * one.norm() + 1e-4
    zero = torch.zeros_like(one)
    assert torch.allclose(slerp(one, zero, share), one * (1 - share), atol=1e-5)
    assert torch.equal(slerp(zero, zero, share), zero)


def test_half_precision_stays_half_precision():
    one, other = tokens(0).bfloat16(), tokens(1).bfloat16()
    assert slerp(one, other, 0.3).dtype == torch.bfloat16
    assert torch.allclose(slerp(one, other, 0.3).float(), slerp(one.float(), other.float(), 0.3), atol=0.03)


@pytest.mark.parametrize("how", MIXTURES)
def test_a_single_part_is_itself(how):
    one = tokens(0)
    assert mixed([(one, 1.0)], how) is one


def test_linear_is_the_weighted_sum():
    one, other, third = (tokens(seed) for seed in range(3))
    expected = 1.3 * one - 0.5 * other + 0.2 * third
    assert torch.allclose(mixed([(one, 1.3), (other, -0.5), (third, 0.2)]), expected, atol=1e-6)


@given(share=shares)
def test_two_parts_are_slerped_by_the_seconds_weight(share):
    one, other = tokens(0), tokens(1)
    assert torch.allclose(mixed([(one, 1 - share), (other, share)], "slerp"), slerp(one, other, share), atol=1e-5)


def test_a_word_turned_up_goes_away_from_the_text_without_it():
    full, without = torch.tensor([math.cos(0.4), math.sin(0.4)]), torch.tensor([1.0, 0])
    expected = [math.cos(0.4 * 1.3), math.sin(0.4 * 1.3)]
    for parts in ([(full, 1.3), (without, -0.3)], [(without, -0.3), (full, 1.3)]):
        assert mixed(parts, "slerp").tolist() == pytest.approx(expected)


@given(weights=st.lists(st.floats(-1, 1), min_size=2, max_size=4))
def test_the_order_of_parts_does_not_matter_and_nothing_blows_up(weights):
    weights = [*weights, 1 - sum(weights)]
    assume(len({round(weight, 3) for weight in weights}) == len(weights))
    parts = [(tokens(seed), weight) for seed, weight in enumerate(weights)]
    found = [mixed(order, "slerp") for order in itertools.islice(itertools.permutations(parts), 6)]
    assert all(torch.allclose(found[0], other, atol=1e-4) for other in found)
    assert found[0].isfinite().all()


def test_three_parts_go_from_the_heaviest_to_the_lightest():
    x, y, z = torch.eye(3)
    between = torch.tensor([math.cos(math.pi / 2 * 0.3 / 0.8), math.sin(math.pi / 2 * 0.3 / 0.8), 0])
    expected = math.cos(math.pi / 2 * 0.2) * between + math.sin(math.pi / 2 * 0.2) * z
    assert torch.allclose(mixed([(z, 0.2), (x, 0.5), (y, 0.3)], "slerp"), expected, atol=1e-6)


def test_an_unknown_way_to_mix_names_the_known_ones():
    with pytest.raises(SettingsError, match="unknown embedding_blend 'cubic': known are linear, slerp"):
        mixed([(tokens(0), 1.0)], "cubic")
