"""Deforum on Replicate: prompt strings, and inputs with what they leave out."""

import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import KoshiError, ScheduleError, SettingsError
from koshi_flux.schedule.files import dump_film, parse_film
from koshi_flux.schedule.importing.cog import DEFAULTS, is_cog, read_cog
from koshi_flux.schedule.importing.prompt_text import keyed_prompts
from koshi_flux.schedule.importing.report import Imported, Options

FRUIT = "0: a beautiful apple, trending | 50: a banana | 100: a coconut"
INPUT = {"animation_prompts": "0: an apple | 40: a pear", "max_frames": 80, "zoom": "0:(1.02)", "seed": 7}


def read(content: dict | str, **options: object) -> Imported:
    assert is_cog(content)
    return read_cog(content, Options(**options))


def test_a_prompt_string_is_a_film():
    imported = read(FRUIT)
    film = imported.animation
    assert film.prompts == {"0": "a beautiful apple, trending", "50": "a banana", "100": "a coconut"}
    assert film.frames == 150  # the last prompt lasts as long as the one before
    assert [(entry.key, entry.to) for entry in imported.entries] == [
        ("animation_prompts", "3 prompts"),
        ("max_frames", "frames = 150"),
    ]
    assert film.prompt_values[60][0] == (("a banana", 1.0),)


def test_one_prompt_leaves_the_length_open():
    imported = read("0: an apple", model="klein-4b")
    assert (imported.animation.frames, imported.animation.model) == (120, "klein-4b")
    assert imported.entries[0].to == "1 prompt"


def test_an_input_is_a_film_with_the_predictors_defaults():
    film = read(INPUT | {"num_inference_steps": 50}).animation
    assert film.prompts == {"0": "an apple", "40": "a pear"}
    assert (film.frames, film.size, film.fps, film.seed) == (80, (512, 512), 15, 7)
    assert film.values("zoom")[5] == 1.02
    assert film.values("translation_x")[5] == pytest.approx(10 * math.sin(2 * 3.14 * 5 / 10))
    assert film.values("strength_schedule")[1] == 0.65


def test_what_an_input_leaves_out_is_said_too():
    imported = read({"input": INPUT | {"init_image": None, "model_checkpoint": "v1-5"}, "id": "x", "status": "done"})
    said = {entry.key: entry for entry in imported.entries}
    assert list(said)[:4] == list(INPUT)
    assert set(said) >= set(DEFAULTS)
    assert said["translation_x"].why.startswith("not given: Replicate's default")
    assert said["animation_prompts"].value == INPUT["animation_prompts"]
    assert said["init_image"].why == "null: nothing was given"
    assert said["status"].why == "of the prediction, no setting"
    assert said["model_checkpoint"].fate == "meaningless"


def test_a_film_in_space_takes_the_predictors_lens():
    film = read(INPUT | {"animation_mode": "3D"}).animation
    assert film.mode == "3d"
    assert film.values("fov")[0] > 0
    assert (film.values("translation_z") > 0).all()


def test_the_film_can_be_written_and_read():
    for content in (FRUIT, INPUT):
        film = read(content).animation
        assert parse_film(dump_film(film)) == film


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"max_frames": "many"}, SettingsError, "Deforum on Replicate: max_frames: expected a number, got .?many"),
        ({"zoom": "0:(sinn(t))"}, ScheduleError, "zoom: .*unknown function 'sinn'"),
    ],
)
def test_what_is_wrong_is_said(wrong, error, message):
    with pytest.raises(error, match=message):
        read(INPUT | wrong)


@pytest.mark.parametrize(
    "content",
    [
        *("a forest", "12:30 at the station", "", {}, [], {"prompts": {"0": "a"}}, {"animation_prompts": {"0": "a"}}),
        {"animation_prompts": '{"0": "a"}'},
    ],
)
def test_other_files_are_not_taken_for_replicates(content):
    assert not is_cog(content)


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("0: an apple | 50: ban: ana", {"0": "an apple", "50": "ban: ana"}),
        ("just one, at a ratio of 16:9", {"0": "just one, at a ratio of 16:9"}),
        ("0:'Cat Sushi'", {"0": "Cat Sushi"}),
        ("0:'a, b'\n100:'c'", {"0": "a, b", "100": "c"}),
        ('0:" tiny --neg nsfw, nude",\n30:" cat"', {"0": "tiny --neg nsfw, nude", "30": "cat"}),
        ('0: "dawn --neg blurry"\n15: "noon"', {"0": "dawn --neg blurry", "15": "noon"}),
        ('{"0": "x", "30": "y",}', {"0": "x", "30": "y"}),
        ("0:(x), 30:(y)", {"0": "x", "30": "y"}),
        ('"max_f-1": "end", "0": "start"', {"max_f-1": "end", "0": "start"}),
        ("0: one line\ngoes on\n30: b", {"0": "one line goes on", "30": "b"}),
        ("0: a (b) | 10: (c:1.2) d", {"0": "a (b)", "10": "(c:1.2) d"}),
        ("0: (old) and (grey)", {"0": "(old) and (grey)"}),
        ("12:30 at the station", {"0": "12:30 at the station"}),
        ("", {"0": ""}),
    ],
)
def test_prompts_by_frame_in_the_ways_people_write_them(text, prompts):
    assert keyed_prompts(text) == prompts


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, 999), st.from_regex(r"[a-z]([a-z ,-]{0,8}[a-z])?", fullmatch=True), min_size=1))
def test_prompts_survive_being_written_with_bars_and_in_lines(prompts):
    wanted = {str(key): text for key, text in prompts.items()}
    assert keyed_prompts(" | ".join(f"{key}: {text}" for key, text in prompts.items())) == wanted
    assert keyed_prompts("\n".join(f'{key}: "{text}",' for key, text in prompts.items())) == wanted


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(DEFAULTS)), st.sampled_from([None, True, -1, 0, 1e30, float("nan"), [], {}, "", "x"]))
def test_whatever_an_input_holds_only_our_errors_come_of_it(key, value):
    with contextlib.suppress(KoshiError):
        read(INPUT | {key: value})
