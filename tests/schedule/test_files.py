import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import apply_override, dump_film, load_film, parse_film, save_film

FILM = """koshi = 1
frames = 12
zoom = "0:(1.0), 10:(1.05)"
denoise = 0.4

[prompts]
0 = "a lake"
6 = "a city"
"""


def test_a_film_file_becomes_an_animation(tmp_path):
    (tmp_path / "a.toml").write_text(FILM)
    animation = load_film(tmp_path / "a.toml")
    assert animation == Animation(frames=12, zoom="0:(1.0), 10:(1.05)", denoise=0.4, prompts={0: "a lake", 6: "a city"})


def test_saving_and_loading_gives_the_same_film(tmp_path):
    animation = Animation(
        prompts={"0": 'quotes " and \\ and\nnewlines', "max_f/2": "émoji 🎬 --neg fog"},
        size=(640, 384),
        fps=23.976,
        zoom="0:(1+0.02*sin(t/5)), 30:(1.1) @ cubic-bezier(.4,0,.2,1)",
        strength_schedule="0:(0.65)",
        cadence=3,
        seed=2**32 - 1,
    )
    save_film(animation, tmp_path / "b.toml", comment="two\nlines")
    assert load_film(tmp_path / "b.toml") == animation
    assert (tmp_path / "b.toml").read_text().startswith("# koshi-flux ")


def test_a_film_in_deforums_dialect_survives_its_file():
    animation = Animation(prompts="x", dialect="deforum", zoom="0:( 1 )", angle="0:(t^2)", denoise="0:(0.5)", noise=0.1)
    assert parse_film(dump_film(animation)) == animation


@given(
    prompt=st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1).filter(
        lambda t: "--neg" not in t
    ),
    value=st.floats(-1e6, 1e6, allow_nan=False),
    frames=st.integers(1, 50),
)
def test_any_film_survives_its_file(prompt, value, frames):
    try:
        animation = Animation(prompts=prompt, angle=value, frames=frames)
    except ScheduleError:
        return  # weights and maths in a prompt may be wrong: that is the schedule's business
    assert parse_film(dump_film(animation)) == animation


def test_only_what_differs_from_the_defaults_is_written():
    text = dump_film(Animation(prompts="x", frames=7))
    assert [line.split(" = ")[0] for line in text.splitlines() if " = " in line] == ["koshi", "frames", "0"]


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("frames=7", 7),
        ("frames = 7", 7),
        ("zoom=0:(1.02)", "0:(1.02)"),
        ('zoom="0:(1.02)"', "0:(1.02)"),
        ("size=[64, 32]", [64, 32]),
        ("size=64x32", "64x32"),
        ("model=./a b", "./a b"),
        ("fps=23.976", 23.976),
    ],
)
def test_overrides_are_read_as_toml_or_as_they_stand(override, read):
    settings = {}
    apply_override(settings, override)
    assert list(settings.values()) == [read]


def test_an_override_reaches_into_the_prompts():
    assert parse_film(FILM, overrides=["prompts.6=a forest = deep"]).prompts == {"0": "a lake", "6": "a forest = deep"}
    assert parse_film("koshi = 1\nprompts = 'x'", overrides=["prompts.9=y"]).prompts == {"0": "x", "9": "y"}


@pytest.mark.parametrize("override", ["zoom", "=1", ""])
def test_an_override_without_key_or_value_says_how(override):
    with pytest.raises(SettingsError, match="--set takes key=value"):
        parse_film(FILM, overrides=[override])


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no film file at .*none.toml"):
        load_film(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="cannot be read as a film file"):
        load_film(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"bytes.toml cannot be read"):
        load_film(tmp_path / "bytes.toml")
    (tmp_path / "broken.toml").write_text("koshi = 1\nframes = \n")
    with pytest.raises(SettingsError, match=r"broken.toml is not valid TOML.*line 2"):
        load_film(tmp_path / "broken.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("frames = 3", "does not say 'koshi = 1'"),
        ("koshi = 2\nprompts = 'x'", "koshi = 2, but this version reads koshi = 1"),
        ("koshi = 'one'", "koshi = 'one'"),
        ("koshi = 1\nprompts = 'x'\nzom = 1", "film: unknown key 'zom', did you mean 'zoom'?"),
        ("koshi = 1", "prompts: a film needs at least one"),
    ],
)
def test_a_file_that_is_no_film_is_refused_in_words(text, says):
    with pytest.raises(SettingsError) as caught:
        parse_film(text)
    assert says in str(caught.value)
