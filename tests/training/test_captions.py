"""Sentences say what the picture shows, in words that are all known."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.nano.captions import (
    COLORS,
    MOOD_NAMES,
    SCENE_NAMES,
    SCENES,
    STYLE_NAMES,
    TIME_NAMES,
    WEATHER_ADJECTIVES,
    WEATHER_NOUNS,
    Attributes,
    asked_for,
    caption,
    draw,
    known_words,
)


def test_one_scene_is_asked_for_in_many_ways():
    rng = random.Random(0)
    asked = {caption(Attributes("ocean", "sunset", "misty", style="oil"), rng) for _ in range(400)}
    assert len(asked) > 200
    assert any(text.startswith("oil painting of") for text in asked)
    assert any(text.endswith("oil painting") for text in asked)


@given(st.integers(0, 10_000))
def test_a_caption_names_scene_and_style_and_nothing_that_is_not_there(seed):
    rng = random.Random(seed)
    attributes = draw(rng)
    text = caption(attributes, rng)
    heads = {name.split()[-1] for name in SCENE_NAMES[attributes.scene]}
    assert heads & set(re.findall(r"[\w-]+", text)), text
    if attributes.style:
        assert any(name in text for name in STYLE_NAMES[attributes.style])
    for style, names in STYLE_NAMES.items():
        assert style == attributes.style or not any(name in text for name in names), text
    for time, names in TIME_NAMES.items():
        said = any(re.search(rf"\b{name}\b", text) for name in names)
        assert time == attributes.time or not said, text


@given(st.integers(0, 10_000))
def test_every_word_of_a_caption_is_known(seed):
    rng = random.Random(seed)
    words = set(re.findall(r"[\w-]+", caption(draw(rng), rng)))
    assert words <= {word for group in known_words().values() for word in group}


def test_articles_agree_with_the_word_that_follows():
    rng = random.Random(1)
    for _ in range(3000):
        text = caption(draw(rng), rng)
        for article, following in re.findall(r"\b(an?) (\w)", text):
            assert (article == "an") == (following in "aeiou"), text


def test_space_has_no_weather_and_no_hour():
    rng = random.Random(2)
    drawn = [draw(rng) for _ in range(2000)]
    assert {each.scene for each in drawn} == set(SCENES)
    assert all(not each.time and not each.weather for each in drawn if each.scene == "space")
    assert all(each.time and each.weather for each in drawn if each.scene != "space")
    assert all(each.color in COLORS[each.scene] for each in drawn if each.scene in COLORS)


@pytest.mark.parametrize("table", [TIME_NAMES, MOOD_NAMES, STYLE_NAMES, WEATHER_ADJECTIVES, WEATHER_NOUNS, SCENE_NAMES])
def test_no_phrase_means_two_things(table):
    phrases = [phrase for names in table.values() for phrase in names]
    assert len(phrases) == len(set(phrases))


def test_what_a_caption_asks_for_is_found_in_any_wording():
    assert asked_for("sunset over a misty sea, oil painting") == asked_for(
        "impressionist painting of the ocean, fog, at dusk"
    )
    assert asked_for("dunes, golden hour") == asked_for("a desert at sunset") != asked_for("golden dunes at sunset")
    assert asked_for("a city, black and white") == asked_for("skyscrapers, grayscale") != asked_for("a white city")
    assert asked_for("") == set()


@given(st.integers(0, 10**6))
def test_a_caption_asks_for_its_scene_and_for_no_other(seed):
    rng = random.Random(seed)
    attributes = draw(rng)
    scenes = {number for name in SCENES for number in asked_for(SCENE_NAMES[name][0])}
    assert asked_for(caption(attributes, rng)) & scenes == asked_for(SCENE_NAMES[attributes.scene][0])
