import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.shared.noise import frame_noise, subseeded

seeds = st.integers(-(2**31), 2**63)
frames = st.integers(0, 10**6)


@given(seed=seeds, frame=frames)
def test_law_3_noise_of_a_frame_is_randn_seeded_with_seed_plus_frame(seed, frame):
    generator = torch.Generator().manual_seed((seed + frame) % 2**64)
    assert torch.equal(frame_noise((3, 5), seed, frame), torch.randn((3, 5), generator=generator))


def test_law_3_noise_does_not_depend_on_the_order_of_frames():
    forwards = [frame_noise((4, 4), 7, frame) for frame in range(5)]
    torch.randn(100)  # nor on what else is drawn in between
    backwards = [frame_noise((4, 4), 7, frame) for frame in reversed(range(5))]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))


def test_drawing_noise_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    frame_noise((9, 9), 1, 2)
    assert torch.equal(before, torch.get_rng_state())


def test_noise_is_white_with_unit_variance():
    noise = frame_noise((256, 256), 3, 4)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    assert (noise[:, 1:] * noise[:, :-1]).mean().item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("other", [{"frame": 1}, {"stream": 1}, {"stream": 2}, {"seed": 1}])
def test_frames_seeds_and_streams_are_independent(other):
    one = frame_noise((256, 256), **{"seed": 0, "frame": 0, "stream": 0})
    two = frame_noise((256, 256), **{"seed": 0, "frame": 0, "stream": 0, **other})
    assert (one * two).mean().item() == pytest.approx(0, abs=0.02)


@given(seed=seeds, stream=st.integers(1, 5))
def test_no_stream_repeats_another_within_a_film_of_a_million_frames(seed, stream):
    start = frame_noise((4,), seed, 0, stream)
    assert not any(torch.equal(start, frame_noise((4,), seed, frame)) for frame in (0, 1, 999_999))


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**64 - 1, 2**80, -(10**30)])
def test_any_integer_is_a_seed(seed):
    assert frame_noise((2,), seed, 5).isfinite().all()


def test_the_frame_may_be_left_out_when_the_seed_is_its_own():
    assert torch.equal(frame_noise((3, 5), 41), frame_noise((3, 5), 38, 3))
    assert torch.equal(frame_noise((3, 5), 41, stream=1), frame_noise((3, 5), 38, 3, 1))


def test_only_32_bits_of_a_seed_count():
    assert torch.equal(frame_noise((4,), 7 + 2**32), frame_noise((4,), 7))


def test_a_subseed_leads_from_one_noise_to_another():
    noise, other = frame_noise((4, 8, 8), 1), frame_noise((4, 8, 8), 2)
    assert torch.equal(subseeded(noise, other, 0.0), noise)
    assert torch.equal(subseeded(noise, other, 1.0), other)
    assert torch.equal(subseeded(noise, noise, 0.5), noise)


@given(strength=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_law_3_noise_on_the_way_to_another_is_white_and_unit(strength, seed):
    found = subseeded(frame_noise((64, 128), seed), frame_noise((64, 128), seed + 1), strength)
    assert found.shape == (64, 128)
    assert found.std().item() == pytest.approx(1, abs=0.04)
    assert found.mean().item() == pytest.approx(0, abs=0.05)
    assert (found[:, 1:] * found[:, :-1]).mean().item() == pytest.approx(0, abs=0.05)


def test_half_way_both_noises_are_heard_equally():
    noise, other = frame_noise((64, 128), 1), frame_noise((64, 128), 2)
    found = subseeded(noise, other, 0.5)
    assert (found * noise).mean().item() == pytest.approx(0.7071, abs=0.03)
    assert (found * other).mean().item() == pytest.approx(0.7071, abs=0.03)
