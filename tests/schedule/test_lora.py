from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import dump_film, load_film, parse_film
from koshi_flux.schedule.lora import Lora, read_loras
from koshi_flux.shared.spec import FluxSpec

FILM = "koshi = 1\nprompts = 'a lake'\nframes = 61\n"
SPEC = FluxSpec(name="x", family="x", channels=4)


def refused(text: str, *overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_film(FILM + text, overrides=overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '[lora.style]\nfile = "ink.safetensors"\nstrength = "0:(0), 60:(1)"',
        'lora.style = {file = "ink.safetensors", strength = "0:(0), 60:(1)"}',
        'lora = {style = {file = "ink.safetensors", strength = "0:(0), 60:(1)"}}',
    ],
)
def test_a_lora_has_a_file_and_a_strength_at_every_frame(text):
    film = parse_film(FILM + text)
    assert film.lora["style"].file == "ink.safetensors"
    assert [film.at(frame).lora for frame in (0, 30, 60)] == [(("style", strength),) for strength in (0.0, 0.5, 1.0)]
    assert film.moving() == ["lora.style"]
    assert film.keyframes("lora.style") == (0, 60)
    assert film.values("lora.style")[15] == 0.25


def test_a_file_alone_is_a_lora_of_strength_1():
    film = parse_film(FILM + 'lora = {style = "ink.safetensors", oil = "owner/name"}')
    assert film.at(7).lora == (("style", 1.0), ("oil", 1.0))
    assert film.moving() == []


def test_a_film_without_loras_has_none():
    assert parse_film(FILM).at(0).lora == ()
    assert "lora" not in parse_film(FILM).given()


def test_python_takes_the_same_tables():
    film = Animation(
        prompts="x", frames=3, lora={"style": {"file": "a/b", "strength": 0.5}, "oil": Lora("c.safetensors")}
    )
    assert film.at(2).lora == (("style", 0.5), ("oil", 1.0))
    assert film.replaced(frames=2).lora == film.lora


@pytest.mark.parametrize(
    ("override", "strengths"),
    [
        ("lora.style=0:(0), 60:(1)", (0.0, 1.0)),
        ('lora.style="0:(0), 60:(1)"', (0.0, 1.0)),
        ("lora.style=0.25", (0.25, 0.25)),
        ("lora.style.strength=t/60", (0.0, 1.0)),
    ],
)
@pytest.mark.parametrize("form", ['"ink.safetensors"', '{file = "ink.safetensors", strength = 0.8}'])
def test_set_changes_the_strength_of_a_lora_that_the_film_names(override, strengths, form):
    film = parse_film(f"{FILM}lora.style = {form}", overrides=[override])
    assert film.lora["style"].file == "ink.safetensors"
    assert tuple(film.at(frame).lora[0][1] for frame in (0, 60)) == strengths


def test_set_changes_files_and_adds_loras():
    film = parse_film(
        f"{FILM}lora.style = {{file = 'ink.safetensors', strength = 0.8}}",
        overrides=["lora.style.file=oil.safetensors", "lora.paper=owner/name", "lora.wax.strength=0.5", "lora.wax=a/b"],
    )
    assert {name: lora.file for name, lora in film.lora.items()} == {
        "style": "oil.safetensors",
        "paper": "owner/name",
        "wax": "a/b",
    }
    assert film.at(0).lora == (("style", 0.8), ("paper", 1.0), ("wax", 0.5))


def test_set_says_how_to_change_a_file():
    assert refused('lora.style = "ink.safetensors"', "lora.style=oil.safetensors") == (
        "lora.style=oil.safetensors would be its strength: for another file, --set lora.style.file=oil.safetensors"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'lora.style = "0:(0), 60:(1)"',
            "lora.style: '0:(0), 60:(1)' is a strength, of which file? Write e.g. lora.style",
        ),
        ("lora.style = {strength = 1}", "lora.style: its file is missing, write e.g. lora.style = {file = "),
        ("lora.style = {file = 3}", "lora.style: its file is missing"),
        ("lora.style = {file = ' '}", "lora.style: its file is missing"),
        ("lora.style = 0.5", "lora.style: expected a file, or a table such as lora.style = {file = "),
        ("lora = 3", "lora: expected a table of LoRAs by name, such as lora.style = {file = "),
        (
            "lora.style = {file = 'a', strenght = 1}",
            "lora.style: unknown key 'strenght', a LoRA has a file and a strength",
        ),
        ("lora.style = {file = 'a', strength = true}", "lora.style: strength must be a number or a schedule such as"),
        ("lora.style = {file = 'a', strength = [1]}", "lora.style: strength must be a number or a schedule such as"),
        ('lora."my style" = "a"', "lora.my style: a LoRA's name is letters, digits, '_' and '-'"),
        (
            "lora.style = {file = 'a', strength = '0:(0), 60:(3)'}",
            "lora.style: 2.05 at frame 41; it must lie in [-2, 2]",
        ),
        ("lora.style = {file = 'a', strength = -2.5}", "lora.style: -2.5 at frame 0; it must lie in [-2, 2]"),
        ("loras.style = 'a'", "unknown key 'loras', did you mean 'lora'?"),
    ],
)
def test_a_lora_that_is_none_is_named_with_what_to_write(text, says):
    assert says in refused(text)


@pytest.mark.parametrize("override", ["lora=0.5", "lora.style=0.5", "lora.style.weight=1", "lora.=x"])
def test_overrides_that_make_no_lora_are_refused(override):
    assert "lora" in refused("", override)
    assert "lora" in refused("lora = 3", override)


def test_a_bad_strength_names_its_lora_and_column():
    with pytest.raises(ScheduleError, match=r"lora\.style: expected ',' at column 7 of '0:\(0\) 60:\(1\)'"):
        parse_film(f"{FILM}lora.style = {{file = 'a', strength = '0:(0) 60:(1)'}}")


def test_strengths_are_read_in_the_films_dialect():
    film = parse_film(f"{FILM}dialect = 'deforum'\nlora.style = {{file = 'a', strength = '0:(0.1*(3^1))'}}")
    assert film.at(0).lora[0][1] == pytest.approx(0.2)
    assert parse_film(dump_film(film)) == film


def test_files_lie_beside_the_film_or_where_they_say(tmp_path: Path):
    (tmp_path / "loras").mkdir()
    for name in ("ink.safetensors", "loras/oil.safetensors"):
        (tmp_path / name).touch()
    loras = {
        "ink": "ink.safetensors",
        "oil": "loras/oil.safetensors",
        "there": str(tmp_path / "ink.safetensors"),
        "hub": "owner/name",
        "file": "owner/name/x.safetensors",
    }
    (tmp_path / "film.toml").write_text(FILM + "".join(f"lora.{name} = '{file}'\n" for name, file in loras.items()))
    film = load_film(tmp_path / "film.toml")
    ink, oil = str(tmp_path / "ink.safetensors"), str(tmp_path / "loras/oil.safetensors")
    assert [lora.file for lora in film.lora.values()] == [ink, oil, ink, "owner/name", "owner/name/x.safetensors"]


def test_a_film_that_is_to_be_rendered_names_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ink.safetensors").touch()
    film = Animation(prompts="x", frames=2, lora={"ink": {"file": "ink.safetensors", "strength": 0.5}, "hub": "a/b"})
    settled = film.resolved(SPEC)
    assert {name: lora.file for name, lora in settled.lora.items()} == {
        "ink": str(tmp_path / "ink.safetensors"),
        "hub": "a/b",
    }
    assert settled.at(0).lora == film.at(0).lora
    monkeypatch.chdir("/")
    assert settled.resolved(SPEC) == settled


NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,8}", fullmatch=True)
FILES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda text: text.strip() and ":" not in text
)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(NAMES, st.tuples(FILES, st.floats(-2, 2)), max_size=3))
def test_any_loras_survive_their_file(loras):
    film = Animation(
        prompts="x", lora={name: {"file": file, "strength": value} for name, (file, value) in loras.items()}
    )
    assert parse_film(dump_film(film)) == film


def test_only_a_strength_that_is_not_1_is_written():
    text = dump_film(Animation(prompts="x", lora={"a": "a/b", "c": {"file": "c/d", "strength": 0.5}}))
    assert text.endswith('[lora.a]\nfile = "a/b"\n\n[lora.c]\nfile = "c/d"\nstrength = 0.5\n')


def test_loras_can_be_read_by_themselves():
    assert read_loras({"a": "b/c"}) == {"a": Lora("b/c")}
