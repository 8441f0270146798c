"""Prompts of Deforum films."""

import pytest

from koshi_flux.errors import KoshiError
from koshi_flux.schedule.importing import import_film
from tests.schedule.importing.deforum_files import film, imported_file, said


def prompt(imported, frame=0):
    positive, negative = imported.animation.prompt_values[frame]
    return positive[0][0], negative[0][0]


def test_words_before_and_behind_every_prompt():
    keys = {"animation_prompts_positive": "oil painting", "animation_prompts_negative": "people"}
    imported = film(**keys, prompts={"0": "a lake", "30": "a city --neg cars"})
    assert prompt(imported) == ("oil painting a lake", "people")
    assert prompt(imported, 40) == ("oil painting a city", "cars, people")
    assert imported.animation.negative_prompt == "people"


def test_words_that_runs_have_written_into_prompts_stand_once():
    again = "oil painting oil painting a lake --neg people people  people"
    imported = film(
        positive_prompts="oil painting", negative_prompts="people", prompts={"0": again, "9": " b --neg cars  people"}
    )
    assert prompt(imported) == ("oil painting a lake", "people")
    assert prompt(imported, 9) == ("oil painting b", "cars, people")
    assert "stand once" in said(imported, "prompts").why


def test_a_file_that_a_run_has_saved():
    imported = imported_file("webui_default_settings.txt")
    assert imported.animation.prompts["60"] == "a beautiful coconut --neg photo, realistic"
    assert prompt(imported, 60) == ("a beautiful coconut", "photo, realistic, nsfw, nude")
    assert prompt(imported, 95)[1] == "nsfw, nude"


@pytest.mark.parametrize("mark", ["--neg", "-- neg", "--neg:"])
def test_marks_of_what_to_avoid(mark):
    assert prompt(film(prompts={"0": f"a lake {mark} people"})) == ("a lake", "people")


def test_several_marks_are_joined():
    imported = film(prompts={"0": "a lake --neg people --neg cars"})
    assert prompt(imported) == ("a lake", "people cars")
    assert "several --neg" in said(imported, "prompts").why


def test_the_first_prompt_holds_before_it_and_late_ones_are_kept_and_told():
    imported = film(prompts={"50": "a", "200": "b"}, max_frames=100)
    assert prompt(imported, 0)[0] == "a"
    assert imported.animation.prompts == {"50": "a", "200": "b"}
    assert "200 lie after the film's last frame, 99" in said(imported, "prompts").why
    assert "of frame 50, also holds before" in said(imported, "prompts").why


def test_keys_may_be_maths_or_numbers():
    imported = film(prompts={0: "a", "max_f/2": "b", "'30'": "c"}, max_frames=101)
    assert [prompt(imported, frame)[0] for frame in (0, 30, 50)] == ["a", "c", "b"]
    by_embedding = film(prompts={"0": "a", "max_f": "b"}, max_frames=10, animation_mode="Interpolation").animation
    assert by_embedding.prompts == {"0": "a", "(max_f+1)": "b"}


@pytest.mark.parametrize("held", ['{"0": "a", "5": "b"}', {"0": "a", "5": "b", "7": None}, ["a", "b"]])
def test_prompts_in_a_text_or_a_list(held):
    imported = film(prompts=held, max_frames=10)
    assert [prompt(imported, frame)[0] for frame in (4, 5)] == ["a", "b"]


def test_prompts_of_deforum_x_flux_in_two_tables():
    imported = film(prompts=None, cond_prompts={"0": "a", "9": "b"}, uncond_prompts={"0": "cars", "5": "fog", "9": ""})
    assert [prompt(imported, frame) for frame in (4, 5, 9)] == [("a", "cars"), ("a", "fog"), ("b", "")]
    assert said(imported, "cond_prompts").to == "3 prompts"
    assert said(imported, "uncond_prompts").why == "after --neg"
    alone = import_film({"cond_prompts": {"0": "a"}, "max_frames": 3})
    assert [entry.key for entry in alone.entries] == ["cond_prompts", "max_frames"]
    assert prompt(import_film({"cond_prompts": {"3": "a", "008": "b"}, "uncond_prompts": "cars"}), 9) == ("b", "cars")


def test_a_film_without_prompts_has_one_and_says_so():
    imported = film(prompts={})
    assert prompt(imported)[0] == "a landscape"
    assert "write your own" in said(imported, "prompts").why


def test_weights_below_nothing_are_what_to_avoid():
    imported = film(near_plane=1, prompts={"0": "a lake:0.5 a city:1.5 cars:-1"})
    positive, negative = imported.animation.prompt_values[0]
    assert dict(positive) == {"a lake": 0.25, "a city": 0.75}
    assert negative == (("cars", 1.0),)


def test_weights_that_cannot_be_read_are_taken_off_and_told():
    imported = film(prompts={"0": "a ((red:1.2) car:1.3), blue"})
    assert prompt(imported)[0] == "a red car , blue"
    assert "weights that cannot be read" in said(imported, "prompts").why


def test_weights_that_can_be_read_stay():
    imported = film(prompts={"0": "a (red:`1+0.1*t`) car"}, max_frames=2)
    assert dict(imported.animation.prompt_values[1][0]) == pytest.approx({"a red car": 1.1, "a car": -0.1})


def test_keys_that_are_no_frames():
    with pytest.raises(KoshiError, match="prompts"):
        film(prompts={"soon": "a"})
    with pytest.raises(KoshiError, match="prompts"):
        film(prompts={"-5": "a"})


def test_long_runs_of_the_same_words_are_read_soon():
    film(prompts={"0": "a " * 9_999}, positive_prompts="a", negative_prompts="a")
    film(prompts={"0": ":" + "9" * 9_999}, near_plane=1)
