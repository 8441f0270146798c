import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.distribution import DISTRIBUTIONS, check_cadence, drawn_frames


@pytest.mark.parametrize(
    ("distribution", "keys", "expected"),
    [
        ("uniform", (0, 7), (0, 5, 10, 15, 20, 23)),
        ("prompts", (0, 7, 12), (0, 7, 12, 23)),
        ("prompts", (4,), (0, 4, 23)),
        ("additive", (0, 7, 12), (0, 5, 7, 10, 12, 15, 20, 23)),
        ("redistributed", (0, 7, 14), (0, 7, 10, 14, 20, 23)),
        ("redistributed", (0, 1), (0, 1, 10, 15, 20, 23)),  # the first frame stays, so 5 gives way
        ("redistributed", (0, 22), (0, 5, 10, 15, 22, 23)),
        ("redistributed", (0, 10, 11), (0, 5, 10, 11, 20, 23)),  # 10 is a key itself
        ("redistributed", (1, 2, 3, 4, 6, 7), (0, 1, 2, 3, 4, 6, 7, 23)),  # more keys than places
    ],
)
def test_24_frames_at_a_cadence_of_5(distribution, keys, expected):
    assert drawn_frames(24, 5, distribution, keys) == expected


def test_of_two_as_near_the_earlier_gives_way():
    assert drawn_frames(13, 4, "redistributed", (6,)) == (0, 6, 8, 12)


@pytest.mark.parametrize("cadence", range(1, 12))
def test_a_film_of_10_frames_is_drawn_at_every_cadence(cadence):
    assert drawn_frames(10, cadence, "uniform", ()) == tuple(sorted({*range(0, 10, cadence), 9}))


@given(
    frames=st.integers(1, 60),
    cadence=st.integers(1, 70),
    distribution=st.sampled_from(sorted(DISTRIBUTIONS)),
    keys=st.sets(st.integers(0, 80), max_size=12),
)
def test_drawn_frames_rise_and_hold_both_ends_and_the_prompts(frames, cadence, distribution, keys):
    drawn = drawn_frames(frames, cadence, distribution, keys)
    assert list(drawn) == sorted(set(drawn))
    assert (drawn[0], drawn[-1]) == (0, frames - 1)
    if distribution != "uniform":
        assert {key for key in keys if key < frames} <= set(drawn)
    if distribution == "redistributed":
        even = set(drawn_frames(frames, cadence, "uniform", ()))
        assert len(drawn) == max(len(even), len({key for key in keys if key < frames} | {0, frames - 1}))


def test_a_cadence_longer_than_the_film_is_said_aloud():
    assert check_cadence(10, 10) is None
    said = check_cadence(11, 10)
    assert said is not None
    assert said.startswith("cadence 11 is more than the film's 10 frames: only the first and the last are drawn")
    assert drawn_frames(10, 11, "uniform", ()) == (0, 9)


def test_an_unknown_distribution_names_the_known_ones():
    with pytest.raises(SettingsError, match="unknown keyframe_distribution 'off': known are uniform, prompts"):
        drawn_frames(10, 2, "off", ())
