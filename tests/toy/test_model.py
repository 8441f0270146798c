import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from torch.nn import functional

from koshi_flux.shared.flow_matching import euler, mix, sigmas_below
from koshi_flux.shared.noise import frame_noise
from koshi_flux.shared.types import Conditioning, FluxModel
from koshi_flux.toy.config import SPECS, TOY
from koshi_flux.toy.model import _MARGIN, ToyModel, natural_power, painted, seen
from koshi_flux.toy.painter import paint

MODEL = ToyModel()
MISTY = MODEL.encode_prompt("a misty sea")
sizes = st.tuples(st.integers(1, 5), st.integers(1, 5)).map(lambda size: (16 * size[0], 16 * size[1]))


def noise_latent(height, width, seed=0):
    return frame_noise((TOY.channels, height // 8, width // 8), seed, 0)


def drawn(x, sigmas, prompt=MISTY):
    return euler(lambda x, sigma: MODEL.velocity(x, sigma, prompt, None, 1.0), x, sigmas)


def painting(prompt, height, width):
    return paint(prompt.tokens[0], height, width)


def test_it_is_a_flux_model():
    assert isinstance(MODEL, FluxModel)
    assert SPECS["toy"] is MODEL.spec
    assert MODEL.device.type == "cpu"


@given(size=sizes)
def test_decode_undoes_encode(size):
    picture = torch.rand(3, *size)
    latent = MODEL.encode(picture)
    assert latent.shape == (TOY.channels, size[0] // TOY.downscale, size[1] // TOY.downscale)
    assert (MODEL.decode(latent) - picture).abs().max() < 1e-6


def test_a_latent_pixel_holds_eight_by_eight_pixels():
    picture = torch.zeros(3, 16, 32)
    picture[:, 8:, 24:] = 1
    latent = MODEL.encode(picture)
    assert (latent[:, 1, 3] == 1).all()
    assert latent.sum() == 192 - 7 * 192  # the seven others are black, -1


def test_decoding_clamps():
    assert MODEL.decode(torch.full((192, 2, 2), 3.0)).max() == 1
    assert MODEL.decode(torch.full((192, 2, 2), -3.0)).min() == 0


def test_noise_levels_are_even_whatever_the_size():
    assert MODEL.sigmas(4, 0.8, 64, 1024) == pytest.approx((0.8, 0.6, 0.4, 0.2, 0))


@given(size=sizes)
def test_one_step_from_pure_noise_arrives_at_the_painting(size):
    found = MODEL.decode(drawn(noise_latent(*size), (1.0, 0.0)))
    assert (found - painting(MISTY, *size)).abs().max() < 1e-5


@pytest.mark.parametrize("start", [1.0, 0.8])
def test_many_steps_keep_as_much_of_an_even_tint_as_theory_says(start):
    # For two pictures that differ by an even tint d, the guesses differ by (1 - s) k d, where the Wiener filter keeps
    # k = (1 - s) P / ((1 - s)^2 P + s^2) of it; so dd/ds = (d - (1 - s) k d) / s = d s / ((1 - s)^2 P + s^2).
    power = natural_power(64 + 2 * _MARGIN, 96 + 2 * _MARGIN)[0, 0].item()
    exponent, _ = quad(lambda s: s / ((1 - s) ** 2 * power + s**2), 0, start)
    x = noise_latent(64, 96)

    def kept(steps):
        sigmas = sigmas_below(start, steps, 0)
        return (drawn(x + 0.1, sigmas) - drawn(x, sigmas)).mean().item() / 0.1

    coarse, fine = (abs(kept(steps) - math.exp(-exponent)) for steps in (20, 80))
    assert fine < 0.3 * coarse
    assert fine < 0.01


def test_more_steps_draw_ever_closer_to_the_same_picture():
    x = noise_latent(64, 64)
    rough, fine, finest = (drawn(x, sigmas_below(1.0, steps, 0)) for steps in (20, 80, 320))
    assert (fine - finest).square().mean() < 0.25 * (rough - finest).square().mean()


def test_what_is_seen_of_an_even_tint_is_the_wiener_filter_by_hand():
    mean = torch.tensor([0.2, 0.0, -0.4]).view(3, 1, 1)
    sigma, tint = 0.6, 0.05
    x = (1 - sigma) * mean + torch.full((3, 64, 96), tint)
    power = 0.25 * 128 * 160 / math.pi  # deviation^2 * area of the mirrored picture / pi, at frequency 0
    kept = 0.4 * power / (0.4**2 * power + 0.6**2)
    assert (seen(x, sigma, mean) - (mean + kept * tint)).abs().max() < 1e-5


@pytest.mark.parametrize("sigma", [0.2, 0.5, 0.8])
def test_what_is_seen_is_a_better_guess_than_the_noisy_picture_and_than_the_mean(sigma):
    shape = (128, 128)
    white = torch.fft.rfft2(frame_noise((3, *shape), 1, 0), norm="ortho")
    clean = torch.fft.irfft2(white * natural_power(*shape).sqrt(), s=shape, norm="ortho")
    noisy = (1 - sigma) * clean + sigma * frame_noise((3, *shape), 2, 0)
    mean = torch.zeros(3, 1, 1)

    def error(guess):
        return (guess - clean).square().mean().item()

    assert error(seen(noisy, sigma, mean)) < 0.5 * min(error(noisy / (1 - sigma)), error(mean))


def test_the_power_falls_with_the_fourth_power_of_the_frequency_and_adds_up_to_the_deviation():
    power = natural_power(256, 256)
    assert power[0, 60] / power[0, 30] == pytest.approx(2**-4, rel=0.01)
    assert power[0, 30] == power[30, 0] == power[-30, 0]
    both_halves = power.sum() + power[:, 1:-1].sum()
    assert (both_halves / 256**2).sqrt().item() == pytest.approx(0.5, rel=0.15)


def test_the_large_shapes_of_a_picture_survive_a_redraw_and_its_grain_does_not():
    j, i = torch.meshgrid(torch.arange(64) / 64, torch.arange(64) / 64, indexing="ij")
    sigmas = MODEL.sigmas(8, 0.3, 64, 64)
    without = drawn(0.7 * MODEL.encode(painting(MISTY, 64, 64)), sigmas)

    def share_left(wave):
        wave = wave.expand(3, -1, -1)
        latent = functional.pixel_unshuffle(0.7 * wave, TOY.downscale)
        kept = functional.pixel_shuffle(
            drawn(0.7 * MODEL.encode(painting(MISTY, 64, 64)) + latent, sigmas) - without, 8
        )
        return ((kept * wave).sum() / (wave * wave).sum()).item()

    assert share_left(torch.cos(2 * torch.pi * i)) > 0.6
    assert share_left(torch.cos(2 * torch.pi * 24 * j)) < 0.1


def test_the_same_words_and_seed_are_the_same_picture():
    again = ToyModel()
    assert torch.equal(again.encode_prompt("a misty sea").tokens, MISTY.tokens)
    sigmas = MODEL.sigmas(4, 1.0, 64, 64)
    assert torch.equal(drawn(noise_latent(64, 64), sigmas), drawn(noise_latent(64, 64), sigmas))


def test_another_seed_has_other_clouds_over_the_same_landscape():
    sigmas = MODEL.sigmas(8, 1.0, 64, 96)
    one, two = (MODEL.decode(drawn(noise_latent(64, 96, seed), sigmas)) for seed in (1, 2))
    other_place = MODEL.decode(drawn(noise_latent(64, 96, 1), sigmas, MODEL.encode_prompt("desert at night")))
    assert 0.005 < (one - two).abs().mean() < 0.5 * (one - other_place).abs().mean()


def test_blended_conditionings_blend_the_pictures():
    night, day = (MODEL.encode_prompt(prompt).tokens for prompt in ("city at night", "city"))
    sigmas = MODEL.sigmas(4, 1.0, 64, 64)
    brightness = [
        MODEL.decode(drawn(noise_latent(64, 64), sigmas, Conditioning(torch.lerp(night, day, i / 10)))).mean().item()
        for i in range(11)
    ]
    gaps = [after - before for before, after in pairwise(brightness)]
    assert min(gaps) > 0
    assert max(gaps) < 2 * sum(gaps) / 10


def test_negative_and_guidance_mean_nothing():
    x = noise_latent(32, 32)
    expected = MODEL.velocity(x, 0.5, MISTY, None, 1.0)
    assert torch.equal(MODEL.velocity(x, 0.5, MISTY, MODEL.encode_prompt("night"), 7.0), expected)


def test_drawing_leaves_the_remembered_painting_alone():
    before = painted(tuple(MISTY.tokens[0].tolist()), 32, 48).clone()
    drawn(noise_latent(32, 48), MODEL.sigmas(3, 1.0, 48, 32))
    assert torch.equal(painted(tuple(MISTY.tokens[0].tolist()), 32, 48), before)


def test_mixing_at_level_one_forgets_the_picture():
    noise, sigmas = noise_latent(32, 32), MODEL.sigmas(4, 1.0, 32, 32)
    white, black = (MODEL.encode(torch.full((3, 32, 32), level)) for level in (1.0, 0.0))
    assert torch.equal(drawn(mix(white, noise, 1.0), sigmas), drawn(mix(black, noise, 1.0), sigmas))


def test_releasing_the_text_encoder_costs_nothing():
    model = ToyModel()
    model.release_text_encoder()
    assert torch.equal(model.encode_prompt("a misty sea").tokens, MISTY.tokens)
