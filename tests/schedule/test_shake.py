import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.shake import CHANNELS, CHARACTERS, Bumps, Drift, Stride, flat, position, shake

every_kind = pytest.mark.parametrize("kind", CHARACTERS)
kinds = st.sampled_from(sorted(CHARACTERS))


def largest(kind, channel):
    """The farthest that a channel can stray: all its layers at once, and two bumps on top of each other."""
    return sum(abs(layer.size) * (2 if isinstance(layer, Bumps) else 1) for layer in CHARACTERS[kind][channel])


def loudest_hertz(values, fps, low, high):
    """The frequency between `low` and `high` that a series has most of."""
    power = np.abs(np.fft.rfft(values - values.mean())) ** 2
    hertz = np.fft.rfftfreq(values.size, 1 / fps)
    within = (hertz >= low) & (hertz <= high)
    return hertz[within][np.argmax(power[within])]


@every_kind
def test_every_channel_shakes_by_what_its_schedule_adds(kind):
    shaken = shake(kind, 48, 24.0, seed=3)
    assert tuple(shaken) == CHANNELS
    for channel, values in shaken.items():
        assert values.shape == (48,)
        assert np.ptp(values) > 0, channel


@every_kind
def test_the_camera_never_wanders_off(kind):
    for channel, values in shake(kind, 100_000, 24.0, seed=5).items():
        way = np.cumsum(values)
        assert np.abs(way).max() <= 2 * largest(kind, channel) + 1e-6  # from one extreme to the other
        assert abs(way.mean() + position(kind, channel, np.array(-1 / 24), 5)) < 0.05 * largest(kind, channel)


@every_kind
def test_a_film_begins_as_smoothly_as_it_goes_on(kind):
    for channel, values in shake(kind, 5000, 24.0, seed=7).items():
        assert abs(values[0]) <= np.abs(values[1:]).max(), channel
        seconds = np.array([-1e-9, 0.0])
        assert np.ptp(position(kind, channel, seconds, 7)) < 1e-6


@settings(max_examples=30, deadline=None)
@given(kind=kinds, seed=st.integers(0, 2**32 - 1), speed=st.floats(0.1, 4), strength=st.floats(0, 3))
def test_a_frames_value_does_not_know_how_long_the_film_is(kind, seed, speed, strength):
    short, long = (shake(kind, frames, 24.0, seed, strength, speed) for frames in (20, 50))
    assert all(np.array_equal(short[channel], long[channel][:20]) for channel in CHANNELS)


@every_kind
@pytest.mark.parametrize("fps", [12, 30, 60])
def test_at_the_same_second_the_camera_stands_at_the_same_place_whatever_the_rate(kind, fps):
    for channel in CHANNELS:
        of_24, other = (shake(kind, 10 * rate + 1, float(rate), seed=9)[channel] for rate in (24, fps))
        assert np.cumsum(of_24[1:])[23::24] == pytest.approx(np.cumsum(other[1:])[fps - 1 :: fps], abs=1e-9)


def test_speed_is_of_time():
    fast, slow = shake("walk", 40, 24.0, speed=2.0), shake("walk", 40, 12.0, speed=1.0)
    assert all(np.allclose(fast[channel], slow[channel]) for channel in CHANNELS)


def test_strength_scales_the_places_so_that_a_shake_that_ends_leads_back():
    plain, double = shake("handheld", 60, 24.0), shake("handheld", 60, 24.0, strength=2.0)
    strength = np.linspace(1, 0, 60)
    fading = shake("handheld", 60, 24.0, strength=strength)
    for channel in CHANNELS:
        assert double[channel] == pytest.approx(2 * plain[channel])
        start = position("handheld", channel, np.array(-1 / 24), 0)
        place = start + np.cumsum(plain[channel])
        assert start + np.cumsum(fading[channel]) == pytest.approx(strength * place)
        assert start + fading[channel].sum() == pytest.approx(0, abs=1e-12)


def test_no_strength_and_no_shake_add_nothing():
    assert not any(values.any() for values in shake("vehicle", 20, 24.0, strength=0.0).values())
    assert shake("none", 20, 24.0) == {}


def test_seeds_and_channels_are_independent():
    one, other = (shake("handheld", 50_000, 24.0, seed) for seed in (0, 1))
    for channel in CHANNELS:
        assert abs(np.corrcoef(one[channel], other[channel])[0, 1]) < 0.1
    assert abs(np.corrcoef(one["rotation_3d_x"], one["rotation_3d_y"])[0, 1]) < 0.1


def test_a_walker_bobs_twice_a_second_and_sways_once():
    way = {channel: np.cumsum(values) for channel, values in shake("walk", 24 * 60, 24.0).items()}
    assert loudest_hertz(way["translation_y"], 24, 0.6, 12) == pytest.approx(2, abs=0.1)
    assert loudest_hertz(way["translation_x"], 24, 0.6, 12) == pytest.approx(1, abs=0.1)


def test_a_hand_drifts_slowly_and_trembles_finely():
    way = np.cumsum(shake("handheld", 24 * 60, 24.0)["rotation_3d_x"])
    assert loudest_hertz(way, 24, 0.05, 12) < 1
    slow, tremor = CHARACTERS["handheld"]["rotation_3d_x"][0], CHARACTERS["handheld"]["rotation_3d_x"][-1]
    assert tremor.size < slow.size / 10
    assert tremor.period < slow.period / 10


def test_a_car_hits_a_bump_now_and_then():
    seconds = np.arange(0, 300, 1 / 60)
    jolts = Bumps(1.0).at(seconds, 4, 0.0)
    quiet = np.abs(jolts) < 0.02
    assert 0.4 < quiet.mean() < 0.98
    starts = np.count_nonzero(~quiet & np.roll(quiet, 1) & (np.abs(np.roll(jolts, -4)) > 0.1))
    assert 30 < starts < 500
    assert 0.3 < np.abs(jolts).max() <= 2
    assert np.abs(np.diff(jolts)).max() < 0.35  # it rings, it does not jump


@given(seconds=st.floats(0, 1e6), seed=st.integers(0, 2**53))
def test_layers_stay_within_their_size(seconds, seed):
    at = np.array([seconds])
    assert abs(Drift(2.0, 0.3).at(at, seed, 1.0)[0]) <= 2
    assert abs(Stride(2.0, 1.5).at(at, seed, 1.0)[0]) <= 2
    assert abs(Bumps(2.0).at(at, seed, 1.0)[0]) <= 4


def test_a_stride_is_a_sine_at_a_pace_that_varies_by_a_twentieth_of_a_second():
    seconds = np.arange(0, 60, 0.01)
    stride = Stride(2.0, 1.0, 0.25).at(seconds, 3, 0.0)
    early, late = (2 * np.sin(2 * np.pi * (seconds + 0.25 + shift)) for shift in (-0.05, 0.05))
    exact = 2 * np.cos(2 * np.pi * seconds)
    assert np.abs(stride - exact).max() > 0.01
    assert (np.abs(stride - exact) <= np.maximum(np.abs(early - exact), np.abs(late - exact)) + 0.1).all()


def test_a_flat_shake_is_what_a_lens_of_70_degrees_sees_of_a_wall():
    still = {channel: np.zeros(1) for channel in CHANNELS}
    focal = 500 / np.tan(np.radians(35))
    for channel, where, pixels in (
        ("translation_x", "translation_x", -focal * 0.01),
        ("translation_y", "translation_y", focal * 0.01),
        ("rotation_3d_y", "translation_x", -focal * np.radians(2)),
        ("rotation_3d_x", "translation_y", focal * np.radians(2)),
        ("rotation_3d_z", "angle", 2),
    ):
        seen = flat(still | {channel: np.array([2.0])}, height=1000)
        assert seen.pop(where)[0] == pytest.approx(pixels)
        assert not any(values.any() for values in seen.values())
    assert flat({}, 1000) == {}


@every_kind
def test_in_schedules_a_shake_is_a_function_of_its_channel(kind):
    shaken = shake(kind, 30, 24.0, seed=7)
    for number, channel in enumerate(CHANNELS):
        found = Schedule.parse(f"1 + 2*{kind}({number})").values(30, seed=7)
        assert found == pytest.approx(1 + 2 * shaken[channel], abs=1e-12)


def test_a_channel_may_change_from_frame_to_frame():
    both = Schedule.parse("walk(t%2)").values(10, seed=7)
    first, second = (Schedule.parse(f"walk({number})").values(10, seed=7) for number in (0, 1))
    assert np.array_equal(both, np.where(np.arange(10) % 2, second, first))


@pytest.mark.parametrize("channel", ["6", "-1", "0.5"])
def test_a_channel_that_does_not_exist_is_refused(channel):
    with pytest.raises(ScheduleError, match="value at frame 0 is nan"):
        Schedule.parse(f"handheld({channel})").values(10)


def test_an_unknown_shake_names_the_known_ones():
    with pytest.raises(SettingsError, match="unknown shake 'drunk': known are none, handheld, walk, vehicle"):
        shake("drunk", 10, 24.0)
