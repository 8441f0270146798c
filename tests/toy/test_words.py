import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.toy.words import MOODS, PLACES, SYNONYMS, TINTS, Landscape, read

PLACED = ("light_x", "light_y", "phase")


def unplaced(landscape):
    """The landscape without what the hash of the words decides."""
    return replace(landscape, **{name: getattr(Landscape(), name) for name in PLACED})


@given(text=st.text())
def test_any_text_is_a_landscape_of_as_many_numbers(text):
    numbers = read(text).numbers()
    assert len(numbers) == 21
    assert all(0 <= n <= 1 for n in numbers)


@pytest.mark.parametrize("words", [*MOODS, *PLACES])
def test_a_known_word_gives_its_own_colours_and_shapes(words):
    told = {**MOODS.get(words, {}), **PLACES.get(words, {})}
    assert unplaced(read(words)) == replace(Landscape(), **told)


@pytest.mark.parametrize("synonym", SYNONYMS)
def test_a_synonym_means_what_its_word_means(synonym):
    assert unplaced(read(synonym)) == unplaced(read(SYNONYMS[synonym]))


def test_a_mood_and_a_place_are_put_together():
    found = read("a forest at night, in the mist")
    assert found.sky == MOODS["night"]["sky"]
    assert found.near == PLACES["forest"]["near"]
    assert found.softness == MOODS["mist"]["softness"]


def test_the_later_word_wins():
    assert read("sea, then desert").near == PLACES["desert"]["near"]
    assert read("desert, then sea").near == PLACES["sea"]["near"]


def test_case_and_punctuation_say_nothing():
    assert read("A Stormy SEA!") == read("a stormy, sea")


def test_unknown_words_only_move_the_hills_and_the_light():
    plain, other = read("sea"), read("sea xyzzy")
    assert unplaced(plain) == unplaced(other)
    assert plain != other


@pytest.mark.parametrize("word", TINTS)
def test_a_colour_word_draws_every_surface_towards_it(word):
    plain, tinted = unplaced(read("meadow")), unplaced(read(f"{word} meadow"))
    for part in ("sky", "horizon", "far", "near"):
        expected = [0.45 * own + 0.55 * new for own, new in zip(getattr(plain, part), TINTS[word], strict=True)]
        assert getattr(tinted, part) == pytest.approx(expected)
    assert tinted.light == plain.light


def test_words_are_read_alike_in_every_process():
    script = "from koshi_flux.toy.words import read; print(read('a misty sea of glass').numbers())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        for seed in ("1", "2")
    ]
    expected = f"{read('a misty sea of glass').numbers()}\n"
    assert [run.stdout for run in runs] == [expected, expected]
