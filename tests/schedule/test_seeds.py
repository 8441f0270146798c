import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.seeds import BEHAVIORS, seeds


def of_drawn(behavior, seed=100, count=7, **options):
    """The seeds of a film all of whose frames are drawn."""
    return seeds(behavior, seed, range(count), count, **options).tolist()


@pytest.mark.parametrize(
    ("behavior", "iter_n", "expected"),
    [
        ("iter", 1, [100, 101, 102, 103, 104, 105, 106]),
        ("iter", 3, [100, 101, 101, 101, 102, 102, 102]),
        ("fixed", 1, [100] * 7),
        ("ladder", 1, [100, 102, 101, 103, 102, 104, 103]),
        ("alternate", 1, [100, 101, 100, 101, 100, 101, 100]),
    ],
)
def test_sequences_are_deforums(behavior, iter_n, expected):
    assert of_drawn(behavior, iter_n=iter_n) == expected


def test_random_seeds_begin_with_the_films_and_then_are_anything():
    found = of_drawn("random", count=1000)
    assert found[0] == 100
    assert len(set(found)) == 1000
    assert np.mean(found[1:]) == pytest.approx(2**31, rel=0.1)
    assert max(found) > 2**32 * 0.99
    assert found == of_drawn("random", count=1000)
    assert found[:5] == of_drawn("random", count=5)
    assert found[1:] != of_drawn("random", seed=101, count=1000)[1:]


def test_scheduled_seeds_lose_their_fraction_and_below_0_are_random():
    values = np.array([7.0, 8.9, -1.0, -1.0, -0.5, 2.0**32 + 3, 9.0])
    found = of_drawn("schedule", schedule_values=values)
    assert [found[i] for i in (0, 1, 4, 5, 6)] == [7, 8, 0, 3, 9]
    assert found[2] != found[3]
    assert found == of_drawn("schedule", schedule_values=values)


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_in_betweens_have_the_seed_of_the_next_drawn_frame(behavior):
    drawn = (0, 3, 6, 7)
    values = np.arange(8) * 10.0
    found = seeds(behavior, 5, drawn, 8, schedule_values=values)
    assert found.dtype == np.uint32
    alone = [found[frame] for frame in drawn]
    assert found.tolist() == [alone[0], *[alone[1]] * 3, *[alone[2]] * 3, alone[3]]
    if behavior == "iter":
        assert alone == [5, 6, 7, 8]
    if behavior == "schedule":
        assert alone == [0, 30, 60, 70]


@pytest.mark.parametrize("behavior", ["iter", "ladder", "alternate"])
def test_seeds_wrap_at_32_bits(behavior):
    assert of_drawn(behavior, seed=2**32 - 1)[:2] in ([2**32 - 1, 0], [2**32 - 1, 1])
    assert of_drawn(behavior, seed=2**70 + 5) == of_drawn(behavior, seed=5)


@given(
    behavior=st.sampled_from(BEHAVIORS),
    seed=st.integers(0, 2**32 - 1),
    drawn=st.sets(st.integers(1, 39), max_size=20),
    iter_n=st.integers(1, 9),
)
def test_every_frame_has_a_seed_that_does_not_depend_on_the_films_length(behavior, seed, drawn, iter_n):
    drawn = sorted({0, *drawn})
    values = np.linspace(-2, 90, 41)
    found = seeds(behavior, seed, [*drawn, 40], 41, iter_n, values)
    shorter = seeds(behavior, seed, drawn, drawn[-1] + 1, iter_n, values[: drawn[-1] + 1])
    assert found.shape == (41,)
    assert np.array_equal(found[: drawn[-1] + 1], shorter)


def test_what_is_wrong_is_said():
    with pytest.raises(SettingsError, match="unknown seed_behavior 'spiral': known are iter, fixed, random, ladder"):
        of_drawn("spiral")
    with pytest.raises(SettingsError, match="seed_iter must be at least 1, got 0"):
        of_drawn("iter", iter_n=0)
    with pytest.raises(SettingsError, match="needs seed_schedule"):
        of_drawn("schedule")
