"""Films written for Deforum and Parseq, and read back."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.export_words import strength_from_denoise
from koshi_flux.schedule.exporting import FORMATS, export_film
from koshi_flux.schedule.importing.deforum import read_deforum
from koshi_flux.schedule.importing.parseq import read_parseq
from koshi_flux.schedule.importing.report import Options
from koshi_flux.schedule.strength import denoise_from_strength

READERS = {"deforum": read_deforum, "parseq": read_parseq}

FLAT: dict[str, Any] = {
    "prompts": {0: "a lake --neg text", 12: "a (red:1.3) city"},
    "frames": 25,
    "size": (512, 288),
    "fps": 15,
    "cadence": 3,
    "seed": 7,
    "zoom": "0:(1.0), 12:(1.05), max_f:(1) @ ease",
    "angle": "0:(2*sin(2*pi*t/8))",
    "translation_x": "wiggle(6)",
    "translation_y": "0:(1e-7), 48:(3)",
    "transform_center_x": 0.25,
    "strength_schedule": "0:(0.65), 20:(0.8)",
    "contrast": "0:(1), 5:(1.02)",
    "noise": "0:(0.02), 24:(0.04)",
    "sharpen": 0.2,
}
DEEP: dict[str, Any] = {
    "prompts": {0: "a lake"},
    "mode": "3d",
    "frames": 25,
    "size": (512, 288),
    "translation_x": "0:(t/10)",
    "translation_z": "0:(0), 12:(8), 24:(-3)",
    "rotation_3d_x": 0.5,
    "rotation_3d_y": "0:(0), 24:(2) @ cubic",
    "rotation_3d_z": "sin(t)",
    "denoise": "0:(0.5), 24:(0.7)",
}
CAMERA = ("zoom", "angle", "translation_x", "translation_y", "transform_center_x", "transform_center_y")
SPACE = ("translation_x", "translation_y", "translation_z", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z")


def back(film: Animation, to: str) -> Animation:
    return READERS[to](json.loads(export_film(film, to).text), Options()).animation


def assert_same(film: Animation, other: Animation, names: tuple[str, ...]) -> None:
    assert (film.frames, film.fps, film.cadence, film.mode) == (other.frames, other.fps, other.cadence, other.mode)
    for name in names:
        assert other.values(name).tolist() == pytest.approx(film.values(name).tolist(), abs=1e-6), name


@pytest.mark.parametrize("to", FORMATS)
def test_a_flat_film_comes_back(to):
    film = Animation(**FLAT)
    again = back(film, to)
    assert_same(film, again, (*CAMERA, "denoise", "contrast", "noise", "sharpen"))
    assert again.seeds.tolist() == film.seeds.tolist()
    assert again.prompt_values == film.prompt_values


@pytest.mark.parametrize("to", FORMATS)
def test_a_film_in_space_comes_back(to):
    film = Animation(**DEEP)
    assert_same(film, back(film, to), (*SPACE, "denoise"))


def test_deforum_has_the_size_and_the_rest_of_the_film():
    film = Animation(
        **FLAT,
        color_coherence="none",
        video="dance.mp4",
        video_step=2,
        hybrid_motion="flow",
        hybrid_composite="normal",
        hybrid_alpha=0.3,
        flow_method="farneback",
        cadence_flow="dis-fine",
        border="wrap",
        seed_behavior="ladder",
        negative_prompt="blur",
    )
    again = back(film, "deforum")
    for name in ("size", "color_coherence", "video", "video_step", "hybrid_motion", "hybrid_composite", "flow_method"):
        assert getattr(again, name) == getattr(film, name), name
    for name in ("cadence_flow", "border", "seed_behavior", "negative_prompt", "seed"):
        assert getattr(again, name) == getattr(film, name), name
    assert again.scheduled("hybrid_alpha").tolist() == [0.3] * 25


def test_schedules_that_deforum_reads_alike_stay_as_they_are():
    written = json.loads(export_film(Animation(**FLAT), "deforum").text)
    assert "sin(" not in written["angle"]  # Deforum has no pi
    assert written["strength_schedule"] == "0:(0.65), 20:(0.8)"
    assert written["transform_center_x"] == "0:(0.25)"
    assert "wiggle" not in written["translation_x"]
    old = Animation(prompts="a lake", frames=9, dialect="deforum", angle="0:(t^2), 99:(5)")
    assert json.loads(export_film(old, "deforum").text)["angle"] == "0:(t^2), 99:(5)"


def test_pictures_are_switched_on():
    film = Animation(
        prompts="a lake",
        frames=9,
        init_image="a.png",
        init_denoise=0.4,
        guides={"0": "g.png", "5": "h.png"},
        denoise=0.5,
    )
    written = json.loads(export_film(film, "deforum").text)
    assert (written["use_init"], written["init_image"], written["use_looper"]) == (True, "a.png", True)
    assert json.loads(written["init_images"]) == {"0": "g.png", "5": "h.png"}
    again = back(film, "deforum")
    assert again.init_denoise == pytest.approx(0.4, abs=1e-5)
    assert again.guides == film.guides


@pytest.mark.parametrize("to", FORMATS)
def test_what_cannot_be_said_is_named(to):
    film = Animation(prompts="a lake", model="flux.1-dev", guidance=2.5, shake="walk", symmetry="mirror", echo=0.2)
    unsaid = " ".join(export_film(film, to).unsaid)
    for words in ("model = 'flux.1-dev'", "guidance = ", "shake = 'walk'", "symmetry = 'mirror'", "echo = "):
        assert words in unsaid
    assert "denoise: it is the model's own here" in unsaid
    assert ("size: it is the model's own" in unsaid) == (to == "deforum")


def test_nothing_is_left_unsaid_of_a_film_that_deforum_could_have_made():
    film = Animation(**FLAT)
    assert export_film(film, "deforum").unsaid == ()
    assert export_film(Animation(**DEEP, fov=67.38, aspect=512 / 288, near=200, far=400), "deforum").unsaid == ()
    assert (
        "fov: Deforum's camera sees as with 67.38, whatever is set" in export_film(Animation(**DEEP), "deforum").unsaid
    )


@pytest.mark.parametrize(
    ("settings", "to", "said"),
    [
        ({"prompt_blend": "linear"}, "deforum", "frame by frame, joined by AND"),
        ({"prompt_blend": "linear", "prompts": {0: "a", 9: "a (b:1.5)"}}, "parseq", "emphasis within prompts"),
        ({"mode": "ransac", "video": "v.mp4"}, "deforum", "written as 2D with hybrid motion"),
        ({"mode": "ransac", "video": "v.mp4"}, "parseq", "mode = 'ransac'"),
        ({"denoise": 0.97}, "deforum", "denoise: above 0.94"),
        ({"denoise": 0.5, "denoise_mode": "steps"}, "deforum", "denoise_mode = steps"),
        ({"keyframe_distribution": "prompts"}, "deforum", "only Forge's Deforum knows it"),
        ({"border": "reflect"}, "deforum", "border = 'reflect'"),
        ({"perspective_flip_phi": 3, "translation_x": 1}, "deforum", "Deforum's perspective flip loses them"),
        ({"rotation_3d_y": 2}, "deforum", "rotation_3d_y: 2d films do not use it"),
        ({"mode": "3d", "border": "wrap"}, "deforum", "border = 'wrap'"),
        ({"mode": "3d", "depth": "depths.mp4"}, "deforum", "depth = 'depths.mp4'"),
    ],
)
def test_what_differs_is_said(settings, to, said):
    film = Animation(**{"prompts": {0: "a lake", 9: "a city"}, "frames": 12, **settings})
    assert said in " ".join(export_film(film, to).unsaid)


def test_blended_prompts_come_back_from_parseq():
    film = Animation(
        prompts={0: "a lake --neg text", 8: "a city"}, prompt_blend="ease", frames=12, negative_prompt="blur"
    )
    again = back(film, "parseq")
    for mine, theirs in zip(film.prompt_values, again.prompt_values, strict=True):
        for side, other in zip(mine, theirs, strict=True):
            assert dict(other) == pytest.approx(dict(side), abs=1e-9)


def test_parseq_can_open_what_it_is_given():
    film = Animation(**FLAT)
    manifest = json.loads(export_film(film, "parseq").text)
    rows, keys = manifest["rendered_frames"], manifest["keyframes"]
    assert [row["frame"] for row in rows] == list(range(25))
    assert all(set(manifest["managedFields"]) <= row.keys() for row in (keys[0], keys[-1], *rows))
    assert rows[3]["zoom_delta"] == film.scheduled("zoom")[3]
    assert rows[3]["zoom"] - rows[2]["zoom"] + 1 == pytest.approx(rows[3]["zoom_delta"])
    unrendered = {key: value for key, value in manifest.items() if not key.startswith("rendered_frames")}
    again = read_parseq(unrendered, Options()).animation
    assert_same(film, again, (*(n for n in CAMERA if n != "transform_center_y"), "denoise", "contrast", "noise"))
    single = json.loads(export_film(Animation(prompts="a", frames=1), "parseq").text)
    assert len(single["keyframes"]) == 2


@given(st.lists(st.floats(0.5, 2), min_size=12, max_size=12), st.lists(st.floats(0.01, 0.9), min_size=12, max_size=12))
@settings(max_examples=15, deadline=None)
def test_any_numbers_come_back(zooms, denoises):
    texts = (", ".join(f"{f}:({value!r})" for f, value in enumerate(values)) for values in (zooms, denoises))
    zoom, denoise = texts
    film = Animation(prompts="a lake", frames=12, size=(512, 512), zoom=zoom, denoise=denoise)
    for to in FORMATS:
        assert_same(film, back(film, to), ("zoom", "denoise"))


def test_strength_is_the_inverse_of_denoise():
    kept = np.linspace(0.001, 1, 500)
    assert strength_from_denoise(denoise_from_strength(kept)).tolist() == pytest.approx(kept.tolist(), abs=1e-9)
    assert strength_from_denoise(np.array([1.0, 0.99, 0.0])).tolist() == pytest.approx([0, 0, 1], abs=1e-9)


def test_other_formats_are_refused():
    with pytest.raises(SettingsError, match="cannot export to 'blender': known formats are deforum, parseq"):
        export_film(Animation(prompts="a lake"), "blender")
