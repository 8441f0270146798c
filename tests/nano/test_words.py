import pytest

from koshi_flux.errors import ModelError
from koshi_flux.nano.words import ignored_in_words, known_words, unknown_words
from koshi_flux.pipeline.factory import SPECS
from koshi_flux.pipeline.notes import notes
from koshi_flux.schedule.animation import Animation

pytestmark = pytest.mark.usefixtures("nano")


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("a misty lake at dawn", ()),
        ("A Misty LAKE, at dawn!", ()),
        ("", ()),
        ("lake 42, 3d, 1.5 — (lake)", ()),
        ("a dragon over a lake", ("dragon",)),
        ("Dragon, unicorn, dragon", ("dragon", "unicorn")),
        ("snow-covered mountains, 8-bit art", ()),
        ("dragon-covered 8-ball", ("dragon", "ball")),
        ("the dragon's lake", ("the", "dragon's")),
        ("misty_lake", ()),
        ("森 и лес", ("森", "и", "лес")),
    ],
)
def test_words_that_nano_was_not_taught_are_found(prompt, unknown):
    assert unknown_words(prompt) == unknown


def test_the_words_are_known_by_what_they_tell():
    assert known_words()["times"] == ("dawn", "night")
    assert list(known_words()) == ["scenes", "times", "weather", "styles", "plain"]


def test_the_message_names_strange_words_and_some_that_would_do():
    assert ignored_in_words("a lake") == ""
    assert ignored_in_words("a dragon, a castle") == (
        "nano does not know 'dragon', 'castle': it knows mountains, ocean, lake, desert, forest, meadow, ... "
        "(all: koshi models nano --words)"
    )
    assert "'b', 'c', 'd', 'e', 'f', 'g', ...: it knows" in ignored_in_words("a b c d e f g h")


def test_a_film_is_read_without_weights_blends_and_negatives():
    prompts = {0: "a (misty:1.3) lake --neg people", 3: "a griffin:0.5 a misty phoenix:`t/5+1`"}
    film = Animation(prompts=prompts, negative_prompt="blurry", frames=6).resolved(SPECS["nano"])
    negatives, note = notes(film, SPECS["nano"])
    assert "blurry" in negatives
    assert note.startswith("nano does not know 'griffin', 'phoenix': it knows")
    assert "do nothing" in next(notes(film, SPECS["toy"]))


def test_a_converted_strength_is_a_note_too():
    film = Animation(prompts="a lake", strength_schedule=0.65).resolved(SPECS["toy"])
    assert list(notes(film, SPECS["toy"])) == ["strength 0.65 (keep) → denoise 0.50 (start sigma), 4 steps"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"scenes": 1}'])
def test_a_list_that_did_not_come_whole_is_to_be_installed_again(monkeypatch, tmp_path, content):
    file = tmp_path / "words.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr("koshi_flux.nano.words.FILE", file)
    with pytest.raises(ModelError, match=r"missing or damaged .*pip install --force-reinstall koshi-flux"):
        unknown_words("a lake")
