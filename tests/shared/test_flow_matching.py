import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.shared.flow_matching import (
    euler,
    euler_over,
    levels_over,
    mix,
    shift,
    sigmas_below,
    staircase,
    start_map,
    unshift,
)

mus = st.floats(-1, 4)
times = st.floats(0, 1)


@given(t=times, mu=mus)
def test_unshift_undoes_shift(t, mu):
    assert unshift(shift(t, mu), mu) == pytest.approx(t, abs=1e-9)


@given(t=times)
def test_mu_zero_is_the_identity(t):
    assert shift(t, 0) == pytest.approx(t, abs=1e-12)


@given(mu=mus)
def test_the_ends_stay(mu):
    assert (shift(0, mu), unshift(0, mu)) == (0, 0)
    assert (shift(1, mu), unshift(1, mu)) == pytest.approx((1, 1))


@given(t=st.floats(0.01, 0.99), mu=st.floats(0.01, 4))
def test_a_positive_mu_bends_towards_noise(t, mu):
    assert shift(t, mu) > t


def empirical_mu(tokens, steps):
    """FLUX.2's mu for a number of image tokens (up to 4300) and steps: linear in the steps between 10 and 200."""
    few, many = 8.73809524e-05 * tokens + 1.89833333, 0.00016927 * tokens + 0.45666666
    return few + (steps - 10) / 190 * (many - few)


@pytest.mark.parametrize(
    ("tokens", "start", "steps", "expected"),
    [
        (64 * 64, 1.0, 4, [1, 0.967, 0.908, 0.767, 0]),
        (32 * 32, 1.0, 4, [1, 0.958, 0.884, 0.717, 0]),
        (64 * 64, 0.35, 4, [0.35, 0.285, 0.208, 0.115, 0]),
        (64 * 64, 0.70, 4, [0.70, 0.623, 0.511, 0.331, 0]),
    ],
)
def test_the_noise_levels_of_flux_2(tokens, start, steps, expected):
    assert sigmas_below(start, steps, empirical_mu(tokens, steps)) == pytest.approx(expected, abs=6e-4)


def test_the_noise_levels_of_flux_1_and_28_steps():
    assert sigmas_below(1, 28, 1.15)[::4] == pytest.approx([1, 0.950, 0.888, 0.808, 0.703, 0.558, 0.345, 0], abs=6e-4)


@given(start=st.floats(0.01, 1), steps=st.integers(1, 50), mu=mus)
def test_noise_levels_fall_from_the_start_to_zero(start, steps, mu):
    sigmas = sigmas_below(start, steps, mu)
    assert len(sigmas) == steps + 1
    assert (sigmas[0], sigmas[-1]) == (start, 0)
    assert all(above > below for above, below in pairwise(sigmas))


@given(start=st.floats(0.01, 1), steps=st.integers(2, 50), mu=mus)
def test_noise_levels_are_even_in_shifted_time(start, steps, mu):
    evened = [unshift(sigma, mu) for sigma in sigmas_below(start, steps, mu)]
    gaps = [above - below for above, below in pairwise(evened)]
    assert gaps == pytest.approx([evened[0] / steps] * steps, abs=1e-9)


def test_mix_is_the_latent_at_zero_and_the_noise_at_one():
    latent, noise = torch.rand(2, 4, 4), torch.randn(2, 4, 4)
    assert torch.equal(mix(latent, noise, 0.0), latent)
    assert torch.equal(mix(latent, noise, 1.0), noise)
    assert torch.allclose(mix(latent, noise, 0.25), 0.75 * latent + 0.25 * noise)


@given(steps=st.integers(1, 9), start=st.floats(0.1, 1))
def test_euler_is_exact_where_the_flow_is_straight(steps, start):
    latent, noise = torch.full((1, 2, 2), 0.3), torch.full((1, 2, 2), -0.8)
    arrived = euler(lambda x, sigma: noise - latent, mix(latent, noise, start), sigmas_below(start, steps, 1.0))
    assert torch.allclose(arrived, latent, atol=1e-6)


def test_euler_multiplies_step_by_step_where_velocity_is_proportional():
    # dx/dsigma = x: the step from sigma to below multiplies by 1 + (below - sigma)
    arrived = euler(lambda x, sigma: x, torch.ones(1, 1, 1), (1.0, 0.6, 0.1, 0.0))
    assert arrived.item() == pytest.approx(0.6 * 0.5 * 0.9)


def test_euler_approaches_the_exponential():
    arrived = euler(lambda x, sigma: x, torch.ones(1, 1, 1), sigmas_below(1, 1000, 0))
    assert arrived.item() == pytest.approx(math.exp(-1), abs=1e-3)


def test_euler_asks_for_each_noise_level_once_and_never_for_the_last():
    asked = []

    def velocity(x, sigma):
        asked.append(sigma)
        return x

    euler(velocity, torch.ones(1, 1, 1), (0.9, 0.5, 0.0))
    assert asked == [0.9, 0.5]


def test_no_steps_leave_the_latent_alone():
    x = torch.rand(1, 2, 2)
    assert torch.equal(euler(lambda x, sigma: x, x, (0.4,)), x)


@given(strength=st.floats(0.001, 1), steps=st.integers(1, 60))
def test_the_staircase_is_that_of_diffusers(strength, steps):
    """t_start of FluxImg2ImgPipeline.get_timesteps, which refuses to run no step at all."""
    curve = sigmas_below(1, steps, 1.15)
    skipped = int(max(steps - min(steps * strength, steps), 0))
    assert staircase(curve, strength) == curve[skipped:]
    assert len(staircase(curve, strength)) >= 2


def test_the_staircase_of_few_steps_is_steep():
    curve = sigmas_below(1, 4, empirical_mu(64 * 64, 4))
    starts = {strength: staircase(curve, strength)[0] for strength in (0.01, 0.2, 0.25, 0.3, 0.65, 1.0)}
    assert starts == pytest.approx({0.01: 0.767, 0.2: 0.767, 0.25: 0.767, 0.3: 0.908, 0.65: 0.967, 1.0: 1.0}, abs=6e-4)


MEAN, DEVIATION = 0.7, 0.4


def gaussian_velocity(x, sigma):
    """dx/dsigma where clean latents are Gaussian: the expected noise less the expected latent, given x.

    With a = 1 - sigma, x has the mean a MEAN and the variance V = (a DEVIATION)^2 + sigma^2; both expectations are
    those of jointly Gaussian variables.
    """
    a = 1 - sigma
    away = (x - a * MEAN) / ((a * DEVIATION) ** 2 + sigma**2)
    return sigma * away - (MEAN + a * DEVIATION**2 * away)


def gaussian_arrival(x, sigma):
    """Where the flow of `gaussian_velocity` takes `x` from `sigma`: as many deviations from the mean as before."""
    a = 1 - sigma
    return MEAN + DEVIATION * (x - a * MEAN) / ((a * DEVIATION) ** 2 + sigma**2) ** 0.5


def scene(height=4, width=6):
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(2, height, width, generator=generator) for _ in range(2))


def test_the_toy_velocity_leads_where_it_should():
    latent, noise = scene()
    x = mix(latent, noise, 0.8)
    arrived = euler(gaussian_velocity, x, sigmas_below(0.8, 2000, 0))
    assert torch.allclose(arrived, gaussian_arrival(x, 0.8), atol=2e-3)


def test_every_pixel_arrives_where_it_would_alone():
    latent, noise = scene()
    starts = torch.linspace(0, 1, 24).view(4, 6)
    arrived = euler_over(gaussian_velocity, latent, noise, starts, sigmas_below(1, 2000, 0))
    assert torch.allclose(arrived, gaussian_arrival(mix(latent, noise, starts), starts), atol=2e-3)


@given(start=st.floats(0.01, 1), steps=st.integers(1, 9))
def test_one_start_for_all_is_plain_euler_bit_for_bit(start, steps):
    latent, noise = scene()
    sigmas = sigmas_below(start, steps, 1.0)
    over = euler_over(gaussian_velocity, latent, noise, torch.full((4, 6), start), sigmas)
    assert torch.equal(over, euler(gaussian_velocity, mix(latent, noise, start), sigmas))


def test_pixels_that_start_at_0_are_not_touched():
    latent, noise = scene()
    starts = torch.rand(4, 6).round() * 0.8
    arrived = euler_over(gaussian_velocity, latent, noise, starts, sigmas_below(1, 5, 1.0))
    assert torch.equal(arrived[:, starts == 0], latent[:, starts == 0])
    assert (arrived[:, starts > 0] != latent[:, starts > 0]).all()


def test_the_model_sees_one_noise_level_all_over():
    latent, noise = scene()
    starts = torch.linspace(0, 1, 24).view(4, 6)

    def velocity(x, sigma):
        held = starts <= sigma
        assert torch.allclose(x[:, held], mix(latent, noise, sigma)[:, held], atol=1e-6)
        return noise - latent

    euler_over(velocity, latent, noise, starts, (1.0, 0.7, 0.4, 0.1, 0.0))


@given(steps=st.integers(1, 9), mu=mus)
def test_starts_between_the_levels_count_in_full_where_the_flow_is_straight(steps, mu):
    # towards a target of its own, a pixel goes from (1 - s) latent + s noise by -s (noise - target)
    latent, noise = scene()
    target, starts = torch.full_like(latent, 0.2), torch.rand(4, 6)
    arrived = euler_over(lambda x, sigma: noise - target, latent, noise, starts, sigmas_below(1, steps, mu))
    assert torch.allclose(arrived, (1 - starts) * latent + starts * target, atol=1e-5)


def test_what_is_drawn_depends_on_the_start_without_jumps():
    latent, noise = (plane[:, :1, :1].expand(2, 1, 1001) for plane in scene())
    starts = torch.linspace(0, 1, 1001)[None]
    arrived = euler_over(gaussian_velocity, latent, noise, starts, (1.0, 0.8, 0.5, 0.2, 0.0))
    assert arrived.diff(dim=2).abs().max() < 0.01


def test_away_from_holes_a_frame_is_drawn_through_the_levels_it_has_without_them():
    latent, noise = scene()
    below, whole = sigmas_below(0.5, 4, 1.0), sigmas_below(1, 4, 1.0)
    starts = torch.full((4, 6), 0.5)
    starts[1, 2] = 1.0
    arrived = euler_over(gaussian_velocity, latent, noise, starts, levels_over(starts, below, whole))
    alone = euler(gaussian_velocity, mix(latent, noise, 0.5), below)  # the toy's pixels do not look at each other
    elsewhere = starts == 0.5
    assert torch.allclose(arrived[:, elsewhere], alone[:, elsewhere], atol=1e-6)
    assert not torch.allclose(arrived[:, 1, 2], alone[:, 1, 2], atol=1e-2)


def holes(denoise):
    return torch.tensor([[denoise, 1.0]])


@given(denoise=st.floats(0.02, 0.99), steps=st.integers(1, 30), mu=mus)
def test_levels_over_holes_end_as_those_without(denoise, steps, mu):
    below, whole = sigmas_below(denoise, steps, mu), sigmas_below(1, steps, mu)
    levels = levels_over(holes(denoise), below, whole)
    above = levels[: -len(below)]
    assert levels[-len(below) :] == below
    assert levels[0] == 1
    assert 1 <= len(above) <= steps
    assert all(higher > lower for higher, lower in pairwise(levels))


@pytest.mark.parametrize(
    ("denoise", "steps", "more"),
    [(0.5, 4, 4), (0.7, 4, 2), (0.8, 4, 1), (0.95, 4, 1), (0.3, 4, 4), (0.6, 28, 19), (0.9, 28, 3)],
)
def test_as_many_levels_more_as_the_way_is_longer(denoise, steps, more):
    levels = levels_over(holes(denoise), sigmas_below(denoise, steps, 1.0), sigmas_below(1, steps, 1.0))
    assert len(levels) == steps + 1 + more


def test_on_an_even_curve_the_levels_above_are_even():
    levels = levels_over(holes(0.6), sigmas_below(0.6, 6, 0.0), sigmas_below(1, 6, 0.0))
    assert levels == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0])


def test_over_a_staircase_holes_are_drawn_through_the_whole_curve():
    whole = sigmas_below(1, 4, empirical_mu(64 * 64, 4))
    assert levels_over(holes(whole[2]), staircase(whole, 0.5), whole) == whole


def test_a_frame_that_is_not_redrawn_has_its_holes_drawn_through_the_whole_curve():
    whole = sigmas_below(1, 4, 1.0)
    assert levels_over(holes(0.0), (0.0,), whole) == whole


@given(denoise=st.floats(0.01, 1), steps=st.integers(1, 30))
def test_without_holes_the_levels_are_the_frames_own(denoise, steps):
    below = sigmas_below(denoise, steps, 1.0)
    assert levels_over(torch.full((2, 2), denoise), below, sigmas_below(1, steps, 1.0)) == below


def test_levels_that_no_pixel_needs_are_left_out():
    below, whole = (0.8, 0.6, 0.4, 0.2, 0.0), sigmas_below(1, 4, 0.0)
    assert levels_over(torch.tensor([[0.1, 0.5]]), below, whole) == (0.6, 0.4, 0.2, 0.0)
    assert levels_over(torch.tensor([[0.4, 0.0]]), below, whole) == (0.4, 0.2, 0.0)
    starts = torch.rand(4, 6) * 0.5
    latent, noise = scene()
    short = euler_over(gaussian_velocity, latent, noise, starts, levels_over(starts, below, whole))
    assert torch.allclose(short, euler_over(gaussian_velocity, latent, noise, starts, below), atol=1e-6)


def test_an_all_black_mask_changes_nothing_and_asks_the_model_nothing():
    latent, noise = scene(2, 2)
    starts = start_map(0.7, torch.zeros(16, 16), None, 8)
    levels = levels_over(starts, sigmas_below(0.7, 4, 1.0), sigmas_below(1, 4, 1.0))
    assert levels == (0.0,)
    assert torch.equal(euler_over(lambda x, sigma: x, latent, noise, starts, levels), latent)


def test_an_all_white_mask_is_none():
    starts = start_map(0.7, torch.ones(16, 32), None, 8)
    assert torch.equal(starts, torch.full((2, 4), 0.7))


def test_a_latent_pixel_takes_the_mean_of_the_mask():
    mask = torch.zeros(16, 24)
    mask[:, 8:12] = 1
    mask[:8, 16:] = 0.25
    assert torch.equal(start_map(0.8, mask, None, 8), torch.tensor([[0, 0.4, 0.2], [0, 0.4, 0]]))


def test_what_is_uncovered_starts_from_noise_with_its_neighbours():
    uncovered = torch.zeros(40, 48, dtype=torch.bool)
    uncovered[23, 8] = True  # the last row of the third latent row, the first column of the second
    expected = torch.full((5, 6), 0.5)
    expected[1:4, 0:3] = 1
    assert torch.equal(start_map(0.5, None, uncovered, 8), expected)


def test_uncovered_places_are_redrawn_under_a_black_mask_too():
    uncovered = torch.zeros(32, 32, dtype=torch.bool)
    uncovered[0, 0] = True
    expected = torch.zeros(4, 4)
    expected[:2, :2] = 1
    assert torch.equal(start_map(0.5, torch.zeros(32, 32), uncovered, 8), expected)


def test_nothing_uncovered_leaves_the_start_as_it_is():
    none = torch.zeros(16, 16, dtype=torch.bool)
    assert torch.equal(start_map(0.5, None, none, 8), torch.full((2, 2), 0.5))
