"""Dicts of Koshi-Flux: strengths are redrawn shares of steps, on the curve of their model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import KoshiError, ScheduleError, SettingsError
from koshi_flux.schedule.files import dump_film, parse_film
from koshi_flux.schedule.importing.koshi import is_koshi, read_koshi, start_levels
from koshi_flux.schedule.importing.koshi_keys import KEYS
from koshi_flux.schedule.importing.report import Entry, Imported, Options

CALL = {
    "version": "klein-4b",
    "prompts": {0: "a forest at dawn", 30: "a city at night"},
    "motion_params": {"zoom": "0:(1.0), 60:(1.05)", "angle": "0:(0), 60:(5)", "translation_x": 3},
    "num_frames": 61,
    "width": 768,
    "height": 768,
    "strength": 0.2,
    "fps": 12,
    "seed": 42,
}


def read(content: dict, **options: object) -> Imported:
    return read_koshi(content, Options(**options))


def entry(imported: Imported, key: str) -> Entry:
    (found,) = [entry for entry in imported.entries if entry.key == key]
    return found


def test_a_call_becomes_a_film():
    film = read(CALL).animation
    assert film.prompts == {"0": "a forest at dawn", "30": "a city at night"}
    assert (film.frames, film.size, film.fps, film.seed, film.model) == (61, (768, 768), 12, 42, "flux.2-klein-4b")
    assert film.values("zoom")[30] == pytest.approx(1.025)
    assert film.values("angle")[60] == pytest.approx(5)
    assert film.values("translation_x")[7] == 3
    assert film.values("steps")[1] == 4
    assert film.mode == "2d"


def test_every_key_is_reported_in_the_order_of_the_file():
    assert [entry.key for entry in read(CALL).entries] == [
        *("version", "prompts", "motion_params.zoom", "motion_params.angle", "motion_params.translation_x"),
        *("num_frames", "width", "height", "strength", "fps", "seed"),
        "steps",  # not given
    ]


def test_what_koshi_flux_took_by_itself_is_said_too():
    imported = read({"prompts": "a cave", "num_frames": 30, "feedback_mode": True})
    unsaid = {entry.key: entry.to for entry in imported.entries if entry.why.startswith("not given")}
    assert list(unsaid) == ["width", "height", "strength", "steps", "seed"]
    assert unsaid["width"] == "size = [1024, 1024]"
    assert unsaid["strength"].startswith("denoise = 0.869")


@pytest.mark.parametrize(
    ("model", "steps", "size", "strength", "left", "mu"),
    [
        ("flux.1-dev", 28, (1024, 1024), 0.65, 19, 1.15),
        ("flux.1-dev", 28, (256, 256), 0.65, 19, 0.5),
        ("flux.1-schnell", 4, (1024, 1024), 0.3, 2, 0.0),
        ("flux.2-klein-4b", 4, (1024, 1024), 0.2, 1, 2.29119),  # the empirical bend of 4096 tokens and 4 steps
    ],
)
def test_a_strength_is_the_level_at_which_its_steps_began(model, steps, size, strength, left, mu):
    t = left / steps
    level = start_levels(np.array([strength]), steps, size, model)[0]
    assert level == pytest.approx(math.exp(mu) / (math.exp(mu) + 1 / t - 1), abs=2e-5)


def test_the_level_of_a_klein_is_the_one_that_bfl_publish():
    assert start_levels(np.array([0.2, 0.3, 0.75]), 4, (1024, 1024), "klein") == pytest.approx(
        [0.767, 0.908, 0.967], abs=5e-4
    )


@pytest.mark.parametrize("tokens", [1024, 2304, 4096, 4400])
@pytest.mark.parametrize("steps", [4, 28, 50])
def test_the_bend_of_flux_2_is_that_of_the_model(tokens, steps):
    from koshi_flux.flux2.config import empirical_mu

    level = start_levels(np.array([0.5]), steps, (16 * tokens, 16), "flux.2-dev")[0]
    assert math.log(level / (1 - level)) == pytest.approx(empirical_mu(tokens, steps))


@pytest.mark.parametrize("model", ["flux-dev", "schnell", "flux.2-dev", "klein"])
def test_nothing_and_everything_redrawn(model):
    assert start_levels(np.array([0.0, 1.0]), 28, (512, 512), model).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("strength", "expected"), [("snr", (0.717, "sigma")), ("steps", (0.2, "steps")), ("direct", (0.2, "sigma"))]
)
def test_what_a_strength_becomes_can_be_chosen(strength, expected):
    film = read(CALL | {"width": 512, "height": 512}, strength=strength).animation
    assert (film.values("denoise")[1], film.denoise_mode) == (pytest.approx(expected[0], abs=1e-3), expected[1])


def test_a_scheduled_strength_is_met_at_every_frame():
    call = {key: value for key, value in CALL.items() if key != "strength"} | {"model": "flux-dev"}
    call["motion_params"] = {"strength_schedule": "0:(0.2), 60:(0.8)"}
    del call["version"]
    strength = np.linspace(0.2, 0.8, 61)
    expected = start_levels(strength, 28, (768, 768), "flux-dev")
    assert read(call).animation.values("denoise") == pytest.approx(expected, abs=1e-6)


def test_a_schedule_that_koshi_flux_did_not_use_is_not_used():
    imported = read(CALL | {"motion_params": {"strength_schedule": "0:(0.9)"}})
    assert imported.animation.values("denoise")[1] == pytest.approx(0.739, abs=5e-4)  # at 768 x 768, of strength 0.2
    assert entry(imported, "motion_params.strength_schedule").fate == "meaningless"


def test_the_feedback_config():
    config = {"color_mode": None, "noise_amount": 0.02, "noise_type": "gaussian", "sharpen_amount": 0.1}
    film = read(CALL | {"feedback_config": config | {"contrast_boost": 1.02}}).animation
    assert film.color_coherence == "lab"  # null is the default, LAB
    assert film.values("noise")[0] == pytest.approx(0.02 * 15 / 255)
    assert (film.values("sharpen")[0], film.values("contrast")[0]) == (0.1, 1.02)
    assert read(CALL | {"color_coherence": "None"}).animation.color_coherence == "none"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("fixed", ("fixed", 0)), ("incremental", ("iter", 0)), ("slerp", ("fixed", 0.1)), ("subseed", ("fixed", 0.1))],
)
def test_noise_modes(mode, expected):
    film = read(CALL | {"noise_mode": mode, "noise_delta": 0.1}).animation
    assert (film.seed_behavior, film.values("subseed_strength")[3]) == expected


def test_a_request_to_the_server():
    request = {
        "parameters": {"prompts": "0: a sunset, 4k | 30: a night", "width": 1000, "height": 600, "max_frames": 48}
        | {"num_inference_steps": 20, "guidance_scale": 3.5, "seed": -1, "strength_schedule": "0:(0.75)"}
        | {"noise_schedule": "0:(0.02)", "rotation_3d_x": "0:(0)", "offload": True},
        "motion_schedules": {"zoom": "0:(1.0), 15:(1.1)"},
        "animation_config": {"fps": 30},
    }
    assert is_koshi(request)
    imported = read(request)
    film = imported.animation
    assert film.prompts == {"0": "a sunset, 4k", "30": "a night"}
    assert (film.size, film.frames, film.fps) == ((992, 608), 48, 30)
    assert 0 <= film.seed < 2**32
    assert entry(imported, "parameters.seed").to == f"seed = {film.seed}"
    assert film.values("zoom")[15] == pytest.approx(1.1)
    assert entry(imported, "parameters.width").why == "the nearest multiple of 16"
    assert not imported.of("unknown")


def test_the_note_beside_a_film():
    note = {"timestamp": "2026-01-01", "version": "1.1.0", "prompt": "a nebula", "model": "klein-9b", "strength": 0.5}
    note |= {"steps": 4, "seed": 7, "status": "completed", "video": "out.mp4", "frames": 48, "fps": 24.0}
    assert is_koshi(note)
    imported = read(note)
    assert (imported.animation.model, imported.animation.frames) == ("flux.2-klein-9b", 48)
    assert entry(imported, "version").fate == "meaningless"


def test_the_feedback_sampler():
    call = {"prompt": "a nebula", "iterations": 20, "zoom_value": 0.01, "feedback_denoise": 0.3, "denoise": 1.0}
    assert is_koshi(call)
    film = read(call | {"steps": 20, "cfg": 3.5}).animation
    assert (film.frames, film.values("zoom")[0], film.values("guidance")[0]) == (20, 1.01, 3.5)
    assert film.values("denoise")[1] == pytest.approx(start_levels(np.array([0.3]), 20, (1024, 1024), "flux-dev")[0])


def test_the_texture_that_was_added_to_every_prompt():
    film = read(CALL | {"texture_prompt": "film grain"}).animation
    assert film.prompts["30"] == "a city at night, film grain"


def test_another_model_may_draw_it():
    imported = read(CALL, model="nano")
    assert imported.animation.model == "nano"
    assert imported.animation.values("denoise")[1] == pytest.approx(0.739, abs=5e-4)  # still what Klein began with


def test_unknown_keys_name_the_nearest():
    imported = read(CALL | {"zom": 1, "qqq": 2})
    assert [(entry.key, entry.why) for entry in imported.of("unknown")] == [
        ("zom", "did you mean 'zoom'?"),
        ("qqq", "no key of Koshi-Flux is called so"),
    ]


def test_of_two_names_for_one_thing_the_later_counts():
    imported = read(CALL | {"max_frames": 20})
    assert imported.animation.frames == 20
    assert entry(imported, "num_frames").why == "max_frames says the same and counts"


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"strength": 1.5}, SettingsError, r"strength: 1.5 at frame 0; a strength lies in \[0, 1\]"),
        ({"num_frames": "many"}, SettingsError, "num_frames: expected a number, got 'many'"),
        ({"num_frames": 0}, SettingsError, "num_frames: 0 is out of range, 1 to 1,000,000 are possible"),
        ({"fps": True}, SettingsError, "fps: expected a number, got True"),
        ({"seed": math.inf}, SettingsError, "seed: expected a number, got inf"),
        ({"prompts": ["a", "b"]}, SettingsError, "prompts: expected a text, or texts by frame"),
        ({"prompts": {}}, SettingsError, "prompts: expected a text"),
        ({"motion_params": {"zoom": "0:(1.0) 30:(2)"}}, ScheduleError, "motion_params.zoom: expected ',' at column 9"),
        ({"motion_params": {"zoom": [1]}}, SettingsError, "motion_params.zoom: expected a number or"),
    ],
)
def test_what_is_wrong_is_said_by_its_key(wrong, error, message):
    with pytest.raises(error, match=message):
        read(CALL | wrong)


@pytest.mark.parametrize(
    "content", [{}, [], "0: a", {"prompts": {"0": "a"}, "zoom": "0:(1)"}, {"parameters": {"a": 1}}]
)
def test_other_files_are_not_taken_for_koshi_flux(content):
    assert not is_koshi(content)


def test_the_film_can_be_written_and_read():
    film = read(CALL | {"motion_params": {"zoom": "0:(1+0.01*sin(t))"}}).animation
    assert parse_film(dump_film(film)) == film


def test_every_key_has_a_reader():
    from koshi_flux.schedule.importing.koshi import _READERS

    assert {key.how for key in KEYS.values()} <= set(_READERS)


VALUES = st.sampled_from([None, True, False, -1, 7, 400, 0.5, 1e30, float("nan"), float("inf"), [], {"0": "a"}])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYS, "num_frames", "motion_params", "zzz"]), VALUES | st.text(max_size=9)))
def test_whatever_a_dict_holds_only_our_errors_come_of_it(content):
    try:
        imported = read(content)
    except KoshiError:
        return
    assert len(imported.entries) >= len(content) - 1
