"""References hold from their frame on, and are found beside the film file."""

import pytest

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import dump_film, parse_film
from koshi_flux.schedule.references import read_references


def test_references_hold_from_their_frame_on():
    film = Animation(prompts="a lake", frames=9, reference={"2": "first", 6: "first + previous", "8": ""})
    assert [film.at(frame).reference for frame in (0, 1, 2, 5)] == [(), (), ("first",), ("first",)]
    assert film.at(6).reference == film.at(7).reference == ("first", "previous")
    assert film.at(8).reference == ()


def test_one_text_holds_for_the_whole_film():
    film = Animation(prompts="a lake", frames=3, reference="first")
    assert film.at(0).reference == film.at(2).reference == ("first",)
    assert Animation(prompts="a lake").at(0).reference == ()


def test_frames_are_taken_in_order():
    assert list(read_references({"10": "first", "9": "previous"})) == [9, 10]


def test_pictures_are_found_beside_the_film_file(tmp_path):
    (tmp_path / "face.png").touch()
    text = 'koshi = 1\nreference = "first + face.png"\n[prompts]\n0 = "a lake"\n'
    film = parse_film(text, folder=tmp_path)
    assert film.at(0).reference == ("first", str(tmp_path / "face.png"))
    assert parse_film(dump_film(film)) == film


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"x": "first"}, "'x' is no frame"),
        ({"-1": "first"}, "'-1' is no frame"),
        ({"0": 5}, "at frame 0 stands 5"),
        (7, "expected pictures such as"),
    ],
)
def test_what_cannot_be_read_is_told(given, expected):
    with pytest.raises(SettingsError, match=expected):
        Animation(prompts="a lake", reference=given)
