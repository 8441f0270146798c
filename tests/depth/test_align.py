import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from koshi_flux.depth.align import aligned, fit, repaired
from koshi_flux.errors import ModelError

SIZE = (72, 128)


def landscape(seed=0, size=SIZE):
    """Hills of all sizes, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    hills = functional.interpolate(torch.rand(1, 1, 6, 9, generator=generator), size, mode="bicubic")[0, 0]
    return ((hills - hills.min()) / (hills.max() - hills.min())).clamp(0, 1)


def some(share, seed=1, size=SIZE):
    """A mask of scattered pixels."""
    return torch.rand(size, generator=torch.Generator().manual_seed(seed)) < share


@settings(max_examples=40, deadline=None)
@given(factor=st.floats(0.05, 20), shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_another_scale_of_the_same_depth_is_the_same_depth(factor, shift, seed):
    depth = landscape(seed)
    assume(abs(shift) / factor < 50)  # beyond it float32 has lost the depth itself
    assert torch.allclose(aligned(depth * factor + shift, depth), depth, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), smoothing=st.floats(0, 1))
def test_what_is_aligned_stays_as_it_is(seed, smoothing):
    once = aligned(landscape(seed) * 0.6 + 0.1, landscape(seed + 1))
    assert torch.allclose(aligned(once, once, smoothing), once, atol=1e-5)


@pytest.mark.parametrize("factor", [0.3, 2.0])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda depth, where: depth.masked_scatter(where, torch.rand(int(where.sum())) * 2),
        lambda depth, where: depth.masked_fill(where, 1.0),
        lambda depth, where: torch.where(where, depth + 0.5, depth),
        lambda depth, where: depth.masked_fill(where, 30.0),
        lambda depth, _: torch.where(torch.arange(SIZE[1]) < 0.3 * SIZE[1], 0.9, depth),  # something near came in
    ],
    ids=["noise", "white", "moved", "far out", "a wall"],
)
@pytest.mark.parametrize("stray", ["depth", "previous"])
def test_three_in_ten_pixels_may_show_something_else(spoil, factor, stray):
    torch.manual_seed(0)
    depth = landscape()
    spoiled = spoil(depth, some(0.3))
    kept = spoiled == depth
    assert kept.float().mean() > 0.65
    shown, previous = (spoiled, depth) if stray == "depth" else (depth, spoiled)
    found = aligned(shown * factor + 0.2, previous)
    assert (found - depth)[kept].abs().max() < 2e-3


def test_a_sky_that_fills_most_of_the_frame_does_not_decide():
    depth = (torch.linspace(-2, 1, SIZE[0])[:, None] + 0.1 * landscape()).clamp(min=0)  # two thirds are 0
    assert (depth == 0).float().mean() > 0.6
    noisy = (depth * (1 + 0.05 * torch.randn(SIZE, generator=torch.Generator().manual_seed(2)))) * 0.5
    factor, shift = fit(noisy, depth)
    assert factor == pytest.approx(2, abs=0.1)
    assert shift == pytest.approx(0, abs=0.01)


def test_noise_of_the_estimates_does_not_flatten_a_film():
    """The slope of a regression would leave 0.95 ** 100 of the relief: nothing."""
    size = (36, 64)
    truth = 0.2 + 0.6 * landscape(size=size)
    generator = torch.Generator().manual_seed(3)
    depth = truth
    for _ in range(100):
        scale = 1 + 0.3 * torch.rand(1, generator=generator)
        depth = aligned(scale * (truth + 0.04 * torch.randn(size, generator=generator)), depth)
    assert float(depth.mean()) == pytest.approx(float(truth.mean()), abs=0.05)
    assert fit(depth, truth)[0] == pytest.approx(1, abs=0.1)


def test_smoothing_goes_from_the_estimate_to_the_frame_before():
    depth, previous = landscape() * 0.5, landscape()
    assert torch.equal(aligned(depth, previous, 0.0), depth)
    assert torch.allclose(aligned(depth, previous, 0.5), landscape() * 0.75, atol=1e-4)
    assert torch.allclose(aligned(depth, previous), previous, atol=1e-4)


def test_the_first_frame_starts_anew():
    assert torch.equal(aligned(landscape() * 2 - 0.5, None), (landscape() * 2 - 0.5).clamp(0, 1))


def test_a_plane_before_does_not_flatten_what_comes():
    depth = landscape() * 0.5
    assert torch.equal(aligned(depth, torch.full(SIZE, 0.7)), depth)


def test_a_plane_takes_the_height_of_what_was_before():
    found = aligned(torch.full(SIZE, 0.1), landscape())
    assert torch.allclose(found, landscape().double().median().float().expand(SIZE), atol=0.01)


def test_what_was_uncovered_is_not_compared():
    depth = landscape()
    previous = depth.masked_fill(torch.arange(SIZE[1]) < 100, math.nan)
    found = aligned(depth * 0.3 + 0.1, previous)
    assert torch.allclose(found, depth, atol=1e-4)


def test_with_nothing_in_common_a_frame_starts_anew():
    depth = landscape() * 0.5
    assert torch.equal(aligned(depth, torch.full(SIZE, math.nan)), depth)


def test_a_single_row_is_aligned_as_well():
    depth = landscape(size=(1, 300))
    assert torch.allclose(aligned(depth * 3 + 1, depth), depth, atol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_lost_pixels_take_the_value_of_their_neighbour(bad):
    depth = torch.tensor([[0.1, bad, bad, bad, 0.9], [0.2, 0.3, bad, 0.5, 0.6]])
    assert torch.equal(repaired(depth)[1], torch.tensor([0.2, 0.3, 0.3, 0.5, 0.6])) or torch.equal(
        repaired(depth)[1], torch.tensor([0.2, 0.3, 0.5, 0.5, 0.6])
    )
    assert repaired(depth)[0, 1] in (0.1, 0.3)  # as near
    assert repaired(depth)[0, 3] in (0.9, 0.5)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 0.95), seed=st.integers(0, 99))
def test_repairing_changes_only_what_is_lost_and_invents_nothing(share, seed):
    depth = landscape(seed)
    lost = some(share, seed)
    found = repaired(depth.masked_fill(lost, math.nan))
    assert torch.equal(found[~lost], depth[~lost])
    assert torch.isin(found, depth[~lost]).all()


def test_a_depth_with_nothing_lost_is_itself():
    depth = landscape()
    assert repaired(depth) is depth


def test_a_depth_without_a_number_is_refused():
    with pytest.raises(ModelError, match=r"the depth of a frame holds no number.* depth = 'plane'"):
        aligned(torch.full(SIZE, math.nan), landscape())


def test_lost_pixels_do_not_disturb_the_alignment():
    depth = landscape()
    lost = some(0.1)
    found = aligned((depth * 4 + 1).masked_fill(lost, math.nan), depth)
    assert torch.allclose(found[~lost], depth[~lost], atol=1e-4)
    assert found.isfinite().all()
