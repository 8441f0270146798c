"""Every setting of a film survives its file, and the files that it names are found beside it."""

import os
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from koshi_flux.errors import KoshiError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.files import dump_film, load_film, parse_film, save_film
from koshi_flux.schedule.settings.camera import CameraSettings
from koshi_flux.schedule.settings.feedback import FeedbackSettings
from koshi_flux.schedule.settings.film import FilmSettings
from koshi_flux.schedule.settings.footage import FootageSettings
from koshi_flux.schedule.settings.guides import GuideSettings
from koshi_flux.schedule.settings.ranges import RANGES

FRAMES = 9
NEEDED = {
    "prompts": "a sea",
    "frames": FRAMES,
    "video": "dance.mp4",
    "init_image": "start.png",
    "mask_image": "mask.png",
    "mask_video": "masks.mp4",
    "guides": {"0": "forest.png"},
    "seed_schedule": 7,
}
"""What settings need that are nothing without another."""

FILES = st.text(st.sampled_from("aé- ._/'\"#=\\"), min_size=1).map(lambda name: f"x{name.strip()}.png")
EXPRESSIONS = st.sampled_from(
    ["sky.png", "{mask}", "!{video_mask}", r"[a b.png] \ ({alpha} | {mask})", "", '["odd]name.png"] ^ {everywhere}']
)
KEYS = st.sampled_from(["0", "3", "max_f/2", "max_f"])
BY_NAME = {
    "mask": st.one_of(EXPRESSIONS, st.dictionaries(KEYS, EXPRESSIONS, min_size=1)),
    "noise_mask": st.one_of(EXPRESSIONS, st.dictionaries(KEYS, EXPRESSIONS, min_size=1)),
    "guides": st.one_of(FILES, st.dictionaries(KEYS, FILES, min_size=1)),
    "size": st.sampled_from([(64, 48), "96x64", 32, [16, 80]]),
    "near": st.sampled_from([100, "0:(50), 8:(150)"]),
    "far": st.sampled_from([5000, "0:(900), 8:(1500)"]),
    "hybrid_mask_low": st.sampled_from([5, "0:(0), 8:(40)"]),
    "hybrid_mask_high": st.sampled_from([95, "0:(60), 8:(100)"]),
    "depth": st.sampled_from(["nano", "plane", "owner/name", "depths.mp4"]),
    "init_denoise": st.floats(0, 1),
}
"""Settings that are more than a number, a choice, a schedule or a text."""
ELSEWHERE = {
    *("prompts", "negative_prompt", "model", "vae", "text_encoder", "frames", "video_init", "dialect"),
    *("video_audio", "soundtrack", "presets", "preset", "lens"),
}
"""Settings that other tests are about, or that exclude each other."""
NEW = {
    name: field
    for group in (CameraSettings, FeedbackSettings, FilmSettings, FootageSettings, GuideSettings)
    for name, field in group.model_fields.items()
    if name not in ELSEWHERE
}


def schedules(name: str) -> st.SearchStrategy[object]:
    low, high = RANGES.get(name, (-50.0, 50.0))
    numbers = st.floats(max(low, -1e4), min(high, 1e4), allow_nan=False).map(lambda value: round(value, 6))
    inside = numbers.filter(lambda value: low <= value <= high)
    written = st.tuples(inside, inside).map(lambda ends: f"0:({ends[0]!r}), 8:({ends[1]!r})")
    return st.one_of(inside, written)


_BOUNDS = ("ge", "gt", "le", "lt")


def kinds_of(annotation: object) -> set[object]:
    """The types that an annotation allows, without what is noted about them."""
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return {kind for part in get_args(annotation) for kind in kinds_of(part)} - {NoneType}
    return {annotation}


def values_of(name: str, field: FieldInfo) -> st.SearchStrategy[object]:
    """Whatever a setting may be, from what its class says."""
    kinds = kinds_of(field.annotation)
    choices = [get_args(kind) for kind in kinds if get_origin(kind) is Literal]
    bounds = {key: getattr(part, key) for part in field.metadata for key in _BOUNDS if hasattr(part, key)}
    if name in BY_NAME:
        return BY_NAME[name]
    if choices:
        return st.sampled_from(choices[0])
    if Schedule in kinds:
        return schedules(name)
    if kinds & {int, float}:
        return numbers(int in kinds, **bounds)
    return st.booleans() if bool in kinds else FILES


def numbers(
    whole: bool, ge: float = 0, gt: float = -1, le: float = 1000, lt: float = 1001
) -> st.SearchStrategy[object]:
    """Whole numbers or others within bounds."""
    return st.integers(int(max(ge, gt + 1)), int(min(le, lt - 1))) if whole else st.floats(max(ge, gt + 0.01), le)


@st.composite
def films(draw: st.DrawFn) -> dict[str, object]:
    chosen = draw(st.sets(st.sampled_from(sorted(NEW)), min_size=len(NEW) // 2))
    given = {name: draw(values_of(name, NEW[name])) for name in sorted(chosen)}
    if given.get("video_end", -1) != -1:
        given["video_end"] = max(given["video_end"], given.get("video_start", 0))
    return {**NEEDED, **given}


@settings(  # without shrinking: a film that fails says which settings it has, and takes a while to check
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(films())
def test_a_film_survives_its_file(given_settings):
    film = Animation(**given_settings)
    text = dump_film(film)
    again = parse_film(text)
    assert again == film
    assert dump_film(again) == text


FILED = ("video", "init_image", "mask_image", "mask_video", "depth")


@pytest.fixture
def film_folder(tmp_path, monkeypatch):
    """A folder with pictures beside a film file, and another one that is the current one."""
    folder, elsewhere = tmp_path / "film", tmp_path / "elsewhere"
    for place in (folder / "pictures", elsewhere):
        place.mkdir(parents=True)
    for name in ("a.png", "b.png", "pictures/c.png"):
        (folder / name).write_bytes(b"")
    monkeypatch.chdir(elsewhere)
    return folder


def written(folder: Path, text: str) -> Path:
    path = folder / "film.toml"
    path.write_text(f'koshi = 1\nprompts = "a sea"\n{text}')
    return path


@pytest.mark.parametrize("setting", FILED)
def test_files_are_found_beside_the_film(film_folder, setting):
    for name in ("a.png", "pictures/c.png", "pictures"):
        film = load_film(written(film_folder, f'{setting} = "{name}"\n'))
        assert getattr(film, setting) == str(film_folder / name)
    gone = load_film(written(film_folder, f'{setting} = "gone.png"\n'))
    assert getattr(gone, setting) == "gone.png"


def test_pictures_of_masks_and_guides_are_found_beside_the_film(film_folder):
    film = load_film(
        written(
            film_folder,
            'mask = "{everywhere} & ![a.png]"\nnoise_mask = "b.png"\n[guides]\n0 = "a.png"\nmax_f = "pictures/c.png"\n',
        )
    )
    assert film.mask == {"0": f"{{everywhere}} & ![{film_folder}/a.png]"}
    assert film.noise_mask == {"0": f"[{film_folder}/b.png]"}
    assert film.guides == {"0": str(film_folder / "a.png"), "max_f": str(film_folder / "pictures/c.png")}


def test_a_film_that_is_saved_elsewhere_still_finds_its_files(film_folder, tmp_path):
    film = load_film(written(film_folder, 'video = "a.png"\nmask = "b.png"\n'))
    save_film(film, tmp_path / "copy.toml")
    assert load_film(tmp_path / "copy.toml") == film
    assert os.path.isabs(film.video)


@pytest.mark.parametrize(
    ("overrides", "setting", "expected"),
    [
        (["guides.0=new.png"], "guides", {"0": "new.png", "5": "FOLDER/b.png"}),
        (["guides.max_f=new.png"], "guides", {"0": "FOLDER/a.png", "5": "FOLDER/b.png", "max_f": "new.png"}),
        (["guides=new.png"], "guides", {"0": "new.png"}),
        (["mask=!{mask}", "mask_image=m.png"], "mask", {"0": "!{mask}"}),
        (["mask.3={everywhere}"], "mask", {"0": "[FOLDER/a.png]", "3": "{everywhere}"}),
        (["mask="], "mask", {}),
        (["noise_mask.0=n.png"], "noise_mask", {"0": "[n.png]"}),
        (["video_short=LOOP"], "video_short", "loop"),
        (["hybrid_motion=none"], "hybrid_motion", "none"),
        (["shake_speed=2.5"], "shake_speed", 2.5),
        (["mask_invert=true"], "mask_invert", True),
        (["symmetry_angle=0:(0), 4:(90)"], "symmetry_angle", Schedule.parse("0:(0), 4:(90)")),
    ],
)
def test_overrides_reach_the_new_settings(film_folder, overrides, setting, expected):
    path = written(film_folder, 'mask = "a.png"\n[guides]\n0 = "a.png"\n5 = "b.png"\n')
    if isinstance(expected, dict):
        expected = {key: value.replace("FOLDER", str(film_folder)) for key, value in expected.items()}
    assert getattr(load_film(path, overrides), setting) == expected


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("mode=4d", "mode: should be '2d', '3d'"),
        ("guides.x y=a.png", "guides"),
        ("guides.0=", "guides: at frame 0 stands ''"),
        ("mask={sky}", "unknown mask {sky}"),
        ("shake=earthquake", "shake: should be 'none', 'handheld', 'walk' or 'vehicle'"),
        ("hybrid_motion=optical", "hybrid_motion: should be"),
        ("keyframe_distribution=even", "keyframe_distribution: should be"),
        ("cadence=0", "cadence: should be greater than or equal to 1"),
        ("fov=180", "fov: 180 at frame 0; it must lie in [1, 179]"),
        ("video_coherence=1.5", "video_coherence: 1.5 at frame 0; it must lie in [0, 1]"),
        ("echo=0:(0), 4:(2)", "echo: "),
    ],
)
def test_overrides_that_cannot_be_are_refused_by_name(film_folder, override, says):
    with pytest.raises(KoshiError) as refused:
        load_film(written(film_folder, 'frames = 5\nvideo = "a.png"\n'), [override])
    assert says in str(refused.value)
