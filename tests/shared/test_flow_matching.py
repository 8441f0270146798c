import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.shared.flow_matching import euler, mix, shift, sigmas_below, staircase, unshift

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
