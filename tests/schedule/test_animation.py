from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.settings.ranges import RANGES, nearest_size
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.spec import FluxSpec

SPEC = FluxSpec(
    name="x", family="x", channels=4, default_size=(96, 64), default_steps=7, default_denoise=0.3, default_guidance=2.5
)


def film(**settings):
    return Animation(**{"prompts": "a lake", "frames": 11, **settings})


def refused(**settings):
    with pytest.raises(SettingsError) as caught:
        film(**settings)
    return str(caught.value)


def test_a_frame_has_every_schedules_value():
    animation = film(zoom="0:(1.0), 10:(2.0)", angle="0:(t)", translation_x=3, steps="0:(4), 10:(9)", seed=9)
    p = animation.at(5)
    assert (p.frame, p.zoom, p.angle, p.translation_x, p.seed) == (5, 1.5, 5.0, 3.0, 9 + 5)
    assert p.steps == 6
    assert isinstance(p.steps, int)


def test_every_scheduled_setting_of_a_frame_comes_from_the_setting_of_that_name():
    names = [name for name in Animation.model_fields if name in FrameParameters.__dataclass_fields__]
    for name in names:
        default = getattr(FrameParameters(), name)
        if isinstance(default, float | int) and name != "seed":
            low, high = RANGES.get(name, (0.0, 1.0))
            value = 400.0 if name == "far" else low + min(high - low, 8) / 4
            assert value != default
            assert getattr(film(**{name: value}).at(3), name) == value, name


def test_a_film_that_gives_nothing_stands_still():
    p = film().at(4)
    assert p == FrameParameters(frame=4, seed=4, prompt=(("a lake", 1.0),))


def test_frames_outside_the_film_are_an_index_error():
    for frame in (-1, 11):
        with pytest.raises(IndexError, match="frames 0 to 10"):
            film().at(frame)


def test_prompts_hold_and_negatives_split_off():
    animation = film(prompts={0: "a lake --neg fog", "max_f": "a city"}, negative_prompt="text")
    assert animation.at(9).prompt == (("a lake", 1.0),)
    assert animation.at(10).prompt == (("a city", 1.0),)
    assert animation.at(10).negative == (("text", 1.0),)
    assert animation.texts()[0] == {"a lake", "a city"}
    assert animation.title == "a lake"


def test_sizes_can_be_written_as_people_write_them():
    assert {film(size=s).size for s in ("768x512", "768 X 512", [768, 512], (768, 512))} == {(768, 512)}
    assert film(size=512).size == (512, 512)


def test_a_size_that_does_not_fit_names_the_nearest():
    assert refused(size=(1000, 500)).endswith("multiples of 16; the nearest is 992x496")
    assert nearest_size((8, 8)) == (16, 16)
    assert "at most 8192" in refused(size=(16000, 16))
    assert "'768x512'" in refused(size="big")
    assert "'768x512'" in refused(size=[1, 2, 3])


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("zom", "zoom"),
        ("Zoom", "zoom"),
        ("translationx", "translation_x"),
        ("num_inference_steps", "steps"),
        ("strength", "strength_schedule"),
        ("W", "size"),
        ("guidance_scale", "guidance"),
        ("max_frames", "frames"),
    ],
)
def test_a_misspelt_key_is_named_with_what_was_meant(key, meant):
    assert refused(**{key: 1}) == f"unknown key {key!r}, did you mean {meant!r}?"


def test_a_key_like_none_lists_the_known_ones():
    assert "known keys are preset, dialect, prompts" in refused(qqqq=1)


def test_several_mistakes_are_all_named():
    said = refused(zom=1, frames=0)
    assert "'zoom'" in said
    assert "frames:" in said


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"denoise": "0:(0.5), 8:(1.3)"}, "denoise: 1.1 at frame 6; it must lie in [0, 1]"),
        ({"denoise": -0.1}, "denoise: -0.1 at frame 0"),
        ({"strength_schedule": 1.2}, "strength_schedule: 1.2 at frame 0"),
        ({"zoom": 0}, "zoom: 0 at frame 0"),
        ({"steps": "0:(2), 4:(0)"}, "steps: 0.5 at frame 3"),
        ({"noise": 2}, "noise: 2 at frame 0"),
        ({"frames": 0}, "frames: should be greater than or equal to 1, got 0"),
        ({"frames": 2.5}, "frames: should be a valid integer"),
        ({"fps": 0}, "fps: should be greater than 0, got 0"),
        ({"fps": float("nan")}, "fps: should be a finite number"),
        ({"seed": -2}, "seed: should be greater than or equal to -1"),
        ({"seed": 2**32}, "seed: should be less than 4294967296"),
        ({"mode": "4d"}, "mode: should be '2d', '3d', 'video', 'interpolation' or 'ransac', got '4d'"),
        ({"border": "black"}, "border: should be 'replicate', 'wrap' or 'reflect', got 'black'"),
        ({"color_coherence": "hsv"}, "color_coherence: should be"),
        ({"cadence": 0}, "cadence: should be greater than or equal to 1"),
        ({"zoom": None}, "zoom: must be a number or a schedule such as"),
        ({"zoom": [1, 2]}, "zoom: must be a number or a schedule"),
        ({"zoom": True}, "zoom: must be a number or a schedule"),
        ({"prompts": {}}, "prompts: a film needs at least one"),
        ({"prompts": 7}, "prompts: should be a valid dictionary"),
        ({"denoise": 0.5, "strength_schedule": 0.5}, "`denoise` or `strength_schedule`, not both"),
    ],
)
def test_law_10_a_setting_out_of_range_is_refused_in_words(settings, says):
    assert says in refused(**settings)


def test_a_film_without_prompts_says_what_to_write():
    with pytest.raises(SettingsError, match="prompts: a film needs at least one"):
        Animation()


def test_law_7_a_bad_schedule_names_its_parameter_and_column():
    with pytest.raises(ScheduleError, match=r"zoom: expected ',' at column 9 of '0:\(1.0\) 30:\(1.05\)'"):
        film(zoom="0:(1.0) 30:(1.05)")


def test_a_bad_prompt_key_is_a_schedule_error():
    with pytest.raises(ScheduleError, match="prompts"):
        film(prompts={"0": "a", "q+": "b"})


def test_law_6_strength_is_converted_once_and_said():
    animation = film(strength_schedule="0:(0.85), 5:(0.65), 10:(0.5)", steps=4)
    assert animation.values("denoise")[[0, 5, 10]] == pytest.approx([0.312, 0.496, 0.617], abs=0.001)
    assert animation.at(5).denoise == pytest.approx(0.496, abs=0.001)
    assert film(strength_schedule=0.65, steps=4).strength_in_words() == (
        "strength 0.65 (keep) → denoise 0.50 (start sigma), 4 steps"
    )


def test_keeping_everything_is_denoise_0_and_keeping_nothing_denoise_1():
    assert film(strength_schedule="0:(1), 10:(0)").values("denoise")[[0, 10]].tolist() == [0.0, 1.0]


def test_the_model_fills_what_the_film_leaves_open():
    resolved = film().resolved(SPEC)
    p = resolved.at(0)
    assert (resolved.size, p.steps, p.denoise, p.guidance) == ((96, 64), 7, 0.3, 2.5)
    assert film(denoise=0.9, steps=2, size=(32, 32), guidance=1).resolved(SPEC).at(0).denoise == 0.9
    assert film(strength_schedule=0.65).resolved(SPEC).denoise is None


def test_a_random_seed_is_settled_when_resolved():
    seeds = {film(seed=-1).resolved(SPEC).seed for _ in range(3)}
    assert len(seeds) == 3
    assert min(seeds) >= 0


def test_a_resolved_film_names_its_model_also_when_it_is_the_default():
    assert film().model == "nano"
    assert "model" not in film().given()
    assert film().resolved(SPEC).given()["model"] == "nano"
    assert film(model="toy").resolved(SPEC).given()["model"] == "toy"


def test_resolving_twice_changes_nothing():
    resolved = film(zoom="0:(1), 5:(1.1)").resolved(SPEC)
    assert resolved.resolved(SPEC) == resolved


@pytest.mark.parametrize(
    ("frames", "cadence", "drawn"),
    [(1, 1, [0]), (4, 1, [0, 1, 2, 3]), (10, 4, [0, 4, 8, 9]), (9, 4, [0, 4, 8]), (5, 9, [0, 4])],
)
def test_strides_draw_every_nth_frame_and_the_last(frames, cadence, drawn):
    strides = list(film(frames=frames, cadence=cadence).strides())
    assert [stride[-1].frame for stride in strides] == drawn
    assert [p.frame for stride in strides for p in stride] == list(range(frames))
    rest = list(film(frames=frames, cadence=cadence).strides(after=drawn[0]))
    assert [stride[-1].frame for stride in rest] == drawn[1:]


def test_moving_names_only_what_changes():
    assert film(zoom="0:(1), 5:(1.1)", angle=3).moving() == ["zoom"]


def test_a_film_is_frozen_and_comparable():
    animation = film(zoom=1.5)
    animation.at(3)
    assert animation == film(zoom="1.5")
    assert animation != film(zoom=1.6)
    with pytest.raises(ValidationError, match="frozen"):
        animation.zoom = 2


def test_every_setting_stands_in_the_documentation_with_its_default():
    page = (Path(__file__).parents[2] / "docs/film-file.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line.split("|")[2].strip() for line in page.splitlines() if line.startswith("| `")}
    for name, field in Animation.model_fields.items():
        assert name in rows, name
        assert field.description, name
        default = field.default
        if isinstance(default, bool):
            assert rows[name].strip("`") == str(default).lower(), name
        elif isinstance(default, Schedule):
            assert float(rows[name].strip("`")) == default.values(1)[0], name
        elif isinstance(default, str | int | float):
            assert rows[name].strip('`"') == (default if isinstance(default, str) else f"{default:g}"), name
    assert set(RANGES) <= set(Animation.model_fields)


def test_evaluating_a_long_film_is_quick_enough_to_be_done_twice():
    animation = film(frames=10_000, zoom="0:(1+0.01*sin(t))", angle="0:(0), 9999:(90)")
    assert animation.values("angle")[9999] == 90
    assert np.ptp(animation.values("zoom")) == pytest.approx(0.02, abs=1e-4)
