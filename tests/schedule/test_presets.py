"""Presets: every one is a film that moves; what a film says itself wins."""

import math
import tomllib

import numpy as np
import pytest

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import dump_film, parse_film
from koshi_flux.schedule.presets import (
    FAMILIES,
    family_of,
    preset_names,
    preset_settings,
    preset_summary,
    preset_text,
    with_preset,
)

WANTED = {"smooth", "creative", "cinematic", "kaleidoscope", "handheld", "pulse", "timelapse", "dream"}
MODELS = {"flux1": "flux.1-dev", "flux2": "flux.2-dev", "klein": "klein-4b", "nano": "nano", "": "toy"}
EVERY = pytest.mark.parametrize("name", preset_names())


def film(name: str, **settings: object) -> Animation:
    return Animation(**with_preset({"preset": name, "prompts": "a lake at dawn", **settings}))


def test_the_presets_that_were_promised_are_there():
    assert set(preset_names()) >= WANTED


@EVERY
def test_every_preset_is_a_film_for_every_family(name):
    for fps, (family, model) in enumerate(MODELS.items(), start=23):
        animation = film(name, model=model, fps=fps, frames=8 * fps)
        assert (animation.denoise is not None) == (family != "")


@EVERY
def test_every_preset_says_in_a_line_what_it_looks_like_and_more_below(name):
    lines = preset_text(name).splitlines()
    assert preset_summary(name) == lines[0].removeprefix("# ")
    assert preset_summary(name).endswith(".")
    assert lines[1] == "#"
    assert lines[2].startswith("# ")
    assert max(map(len, lines)) <= 120


@EVERY
def test_every_preset_has_noise_levels_for_every_family_and_settings_for_all(name):
    tables = {key: value for key, value in tomllib.loads(preset_text(name)).items() if isinstance(value, dict)}
    assert set(tables) == set(FAMILIES)
    assert all("denoise" in table and set(table) <= {"denoise", "noise", "contrast"} for table in tables.values())
    assert "denoise" not in preset_settings(name, "toy")
    assert not {"frames", "size", "fps", "seed", "model", "prompts"} & set(preset_settings(name))


@EVERY
def test_every_preset_renders_and_its_camera_moves(name):
    from koshi_flux.pipeline.render import render
    from koshi_flux.toy.model import ToyModel

    small = {"model": "toy", "size": (64, 48), "frames": 3, "fps": 2, "seed": 5}
    *_, last = frames = list(render(film(name, **small, denoise=0, color_coherence="none"), ToyModel()))
    assert len(frames) == 3
    assert (frames[0].image - last.image).abs().mean() > 1e-3
    assert len(list(render(film(name, **small), ToyModel()))) == 3


def travelled(name: str, schedule: str, fps: int, seconds: int) -> float:
    return float(film(name, fps=fps, frames=seconds * fps + 1).values(schedule)[1:].sum())


@pytest.mark.parametrize("name", ["smooth", "creative", "kaleidoscope", "dream", "tunnel", "breathe"])
def test_a_zoom_is_as_fast_at_every_frame_rate(name):
    logs = [np.log(film(name, fps=fps, frames=6 * fps + 1).values("zoom")[1:]).sum() for fps in (12, 48)]
    assert logs[0] == pytest.approx(logs[1], rel=0.01)


@pytest.mark.parametrize(("name", "schedule"), [("timelapse", "rotation_3d_y"), ("handheld", "translation_z")])
def test_a_move_through_space_is_as_fast_at_every_frame_rate(name, schedule):
    assert travelled(name, schedule, 12, 60) == pytest.approx(travelled(name, schedule, 48, 60), rel=0.02)


def test_breathing_comes_back_exactly():
    zoom = film("breathe", fps=24, frames=193).values("zoom")
    assert np.prod(zoom[1:]) == pytest.approx(1, abs=1e-12)
    assert np.prod(zoom[1:97]) == pytest.approx(math.exp(0.06))


def test_the_orbit_holds_what_stands_three_units_away():
    animation = film("orbit", fps=24, frames=2)
    turn = -math.radians(animation.values("rotation_3d_y")[1])  # to the left, while the camera goes to the right
    assert animation.values("translation_x")[1] / 200 / 3 == pytest.approx(math.tan(turn), rel=1e-3)
    assert travelled("orbit", "rotation_3d_y", 24, 16) == pytest.approx(0, abs=1e-9)


def test_the_pulse_leaps_on_the_beat():
    animation = film("pulse", fps=24, bpm=120, frames=49, model="nano")  # a beat every 12 frames
    for schedule in ("zoom", "denoise"):
        values = animation.values(schedule)
        assert [frame for frame in range(1, 48) if values[frame] > max(values[frame - 1], values[frame + 1])] == [
            *(12, 24, 36)
        ]


def test_the_dolly_starts_from_rest_and_keeps_its_pace():
    forward = film("cinematic", fps=24, frames=97).values("translation_z")
    assert forward[0] == 0
    assert np.all(np.diff(forward[:49]) >= 0)
    assert forward[48:] == pytest.approx(70 / 24)


def test_what_a_film_says_wins():
    settings = with_preset({"preset": "dream", "prompts": "a cave", "model": "klein", "zoom": 1.01, "denoise": 0.3})
    assert (settings["zoom"], settings["denoise"], settings["echo"]) == (1.01, 0.3, 0.15)


@pytest.mark.parametrize("own", [{"strength_schedule": 0.65}, {"denoise_mode": "steps"}])
def test_a_strength_of_its_own_takes_the_place_of_the_presets_noise(own):
    assert film("smooth", model="nano", **own).denoise is None


def test_a_preset_is_written_out_once_and_then_gone():
    settings = with_preset({"preset": "Smooth", "prompts": "a cave"})
    assert "preset" not in settings
    assert with_preset(settings) == settings


@pytest.mark.parametrize("nothing", [{}, {"preset": ""}, {"preset": None}])
def test_without_a_preset_nothing_changes(nothing):
    assert with_preset({"zoom": 1.01, **nothing}) == {"zoom": 1.01}


@EVERY
def test_the_film_in_a_run_folder_is_the_same_film_without_its_preset(name):
    animation = film(name, frames=48)
    text = dump_film(animation)
    assert "preset" not in text
    assert parse_film(text) == animation


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "smoth"}, r"unknown preset 'smoth', did you mean 'smooth'\? known are breathe, cinematic, "),
        ({"preset": "xyz"}, "unknown preset 'xyz'; known are breathe"),
        ({"preset": "../smooth"}, "unknown preset '../smooth'"),
        ({"preset": 3}, "preset: must be a name such as 'smooth', got 3"),
        ({"preset": "pulse", "dialect": "deforum"}, "end the film's own schedules with '@ deforum'"),
    ],
)
def test_a_preset_that_cannot_be_used(settings, message):
    with pytest.raises(SettingsError, match=message):
        with_preset(settings)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("models/FLUX.2-klein-4B", "klein"),
        ("C:\\models\\flux1-dev-fp8.safetensors", "flux1"),
        ("klein-tests/my-model", ""),
        ("flux-2-dev-Q4.gguf", "flux2"),
        ("flux_24gb.safetensors", "flux1"),
        ("", ""),
    ],
)
def test_the_family_that_a_file_tells_of(model, family):
    assert family_of(model) == family


def test_every_published_model_tells_its_family_by_each_of_its_names():
    from koshi_flux.pipeline.factory import SPECS

    for spec in SPECS.values():
        family = "klein" if "klein" in spec.name else {"toy": ""}.get(spec.family, spec.family)
        family = "nano" if spec.is_bundled else family
        assert {family_of(name) for name in (spec.name, *spec.aliases)} == {family}
