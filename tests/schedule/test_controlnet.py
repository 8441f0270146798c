"""What a film file says of ControlNets."""

from pathlib import Path

import pytest

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import dump_film, parse_film

TEXT = """
koshi = 1
frames = 11

[prompts]
0 = "a forest"

[controlnet.edges]
file = "nets/edges"
kind = "canny"
strength = "0:(0), 10:(1)"

[controlnet.all]
file = "owner/name"
kind = "depth"
"""


def test_strengths_are_schedules_and_go_to_every_frame():
    film = parse_film(TEXT)
    assert film.at(5).controlnet == (("edges", 0.5), ("all", 1.0))
    assert film.controlnet["all"].kind == "depth"
    assert film.moving() == ["controlnet.edges"]


def test_a_film_is_written_as_it_was_read():
    film = parse_film(TEXT)
    assert parse_film(dump_film(film)) == film


def test_a_folder_is_seen_from_the_film_file_and_the_hub_is_left_alone(tmp_path: Path):
    (tmp_path / "nets" / "edges").mkdir(parents=True)
    nets = parse_film(TEXT, folder=tmp_path).controlnet
    assert (nets["edges"].file, nets["all"].file) == (str(tmp_path / "nets" / "edges"), "owner/name")


def test_a_strength_can_be_set_on_the_command_line():
    assert parse_film(TEXT, overrides=["controlnet.all=0.25"]).at(0).controlnet == (("edges", 0.0), ("all", 0.25))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("edges", r"controlnet: expected a table of ControlNets by name"),
        ({"edges": "owner/name"}, r"controlnet\.edges: expected a table"),
        ({"edges": {"file": "a/b"}}, r"controlnet\.edges: kind should be one of canny, depth, gray, picture, got None"),
        ({"edges": {"file": "a/b", "kind": "pose"}}, r"kind should be one of .*, got 'pose'"),
        ({"edges": {"kind": "canny"}}, r"controlnet\.edges: its file is missing"),
        ({"edges": {"file": "a/b", "kind": "canny", "scale": 1}}, r"controlnet\.edges: unknown key 'scale'"),
        ({"a b": {"file": "a/b", "kind": "canny"}}, r"controlnet\.a b: a name is letters"),
        ({"edges": {"file": "a/b", "kind": "canny", "strength": [1]}}, r"strength must be a number or a schedule"),
        ({"edges": {"file": "a/b", "kind": "canny", "strength": 2.5}}, r"controlnet\.edges: 2\.5 at frame 0"),
    ],
)
def test_what_is_wrong_is_named(given: object, complaint: str):
    with pytest.raises(SettingsError, match=complaint):
        Animation(prompts="a forest", controlnet=given)


def test_a_schedule_that_cannot_be_read_is_named():
    with pytest.raises(ScheduleError, match=r"controlnet\.edges: "):
        Animation(prompts="a forest", controlnet={"edges": {"file": "a/b", "kind": "canny", "strength": "0:("}})
