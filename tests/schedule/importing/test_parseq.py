"""Parseq manifests: every value of every rendered frame, and documents that were never rendered."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import KoshiError, ScheduleError, SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.files import dump_film, parse_film
from koshi_flux.schedule.importing.deforum import read_deforum
from koshi_flux.schedule.importing.parseq import deforum_keys, is_parseq, read_parseq
from koshi_flux.schedule.importing.parseq_fields import FIELDS
from koshi_flux.schedule.importing.parseq_prompts import our_words, prompts_by_frame
from koshi_flux.schedule.importing.programs import WEBUI
from koshi_flux.schedule.importing.report import Entry, Options
from koshi_flux.schedule.keyframed import corners, keyframed, keyframes_text, plain

CORPUS = Path(__file__).parents[3] / "../shared/corpus/parseq"


def manifest(**columns: list[Any]) -> dict[str, Any]:
    """A rendered manifest with these columns."""
    length = len(next(iter(columns.values())))
    rows = [{"frame": f} | {name: column[f] for name, column in columns.items()} for f in range(length)]
    return {"options": {"output_fps": 10, "bpm": 60}, "managedFields": list(columns), "rendered_frames": rows}


def film_of(content: dict[str, Any], **options: Any):
    return read_parseq(content, Options(**options)).animation


def entry_of(content: dict[str, Any], key: str) -> Entry:
    (entry,) = (entry for entry in read_parseq(content, Options()).entries if entry.key == key)
    return entry


def corpus() -> list[Path]:
    return sorted(CORPUS.glob("*.json"))


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of old films lies beside the repository only")
def test_there_are_manifests_in_the_corpus():
    assert len(corpus()) >= 3


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.stem)
def test_every_mapped_field_of_every_rendered_frame_comes_out(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    film = parse_film(dump_film(read_parseq(content, Options()).animation))  # also through a film file
    rows = content["rendered_frames"]
    assert film.frames == len(rows)
    assert (film.fps, film.bpm, film.cadence) == (
        content["options"]["output_fps"],
        content["options"]["bpm"],
        content["options"]["cadence"],
    )
    for name in set(rows[0]) & FIELDS.keys():
        field = FIELDS[name]
        if not field.setting or name == "seed":
            continue
        rendered = np.array([row[f"{name}_delta" if field.moves else name] for row in rows])
        rendered = rendered * WEBUI.grain["perlin"] if name == "noise" else rendered
        assert np.abs(film.scheduled(field.setting) - rendered).max() < 1e-9, name
    if "seed" in rows[0]:
        seeds = np.array([int(row["seed"]) for row in rows])
        drawn = np.array(film.drawn)
        assert film.scheduled("seed_schedule").tolist() == seeds.tolist()
        assert film.seeds[drawn[seeds[drawn] >= 0]].tolist() == seeds[drawn][seeds[drawn] >= 0].tolist()
        assert film.scheduled("subseed").tolist() == [row["subseed"] for row in rows]
        assert film.scheduled("subseed_strength").tolist() == pytest.approx(
            [row["subseed_strength"] for row in rows], abs=1e-9
        )
    if "deforum_prompt" in rows[0]:
        for frame in (0, film.frames // 2, film.frames - 1):
            shown = {text for text, _ in film.at(frame).prompt}
            assert all(text in " ".join(rows[frame]["deforum_prompt"].split()) for text in shown)


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.stem)
def test_every_key_of_the_corpus_has_a_fate(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    imported = read_parseq(content, Options())
    assert is_parseq(content)
    keys = {entry.key.split(".")[0] for entry in imported.entries}
    assert content.keys() <= keys
    fields = set(content["rendered_frames"][0]) & FIELDS.keys()
    assert fields <= {entry.key.removesuffix("_delta") for entry in imported.entries}


def test_what_deforum_reads_as_changes_is_read_as_changes():
    content = manifest(zoom=[1.2, 1.25, 1.3], angle=[5.0, 15.0, 20.0], fov=[60, 60, 70])
    film = film_of(content)
    assert film.scheduled("zoom").tolist() == pytest.approx([1.2, 1.05, 1.05])
    assert film.scheduled("angle").tolist() == pytest.approx([5, 10, 5])
    assert film.scheduled("fov").tolist() == [60, 60, 70]
    content["rendered_frames"][1]["zoom_delta"] = 1.5  # as Parseq itself has worked it out, whatever its version
    assert film_of(content).scheduled("zoom")[1] == 1.5


def test_strength_in_three_ways():
    content = manifest(strength=[0.65, 0.5, 0.85])
    snr, steps, direct = (film_of(content, strength=how) for how in ("snr", "steps", "direct"))
    assert snr.scheduled("strength_schedule").tolist() == [0.65, 0.5, 0.85]
    assert snr.values("denoise").tolist() == pytest.approx([0.50, 0.62, 0.31], abs=0.005)
    assert (steps.denoise_mode, direct.denoise_mode) == ("steps", "sigma")
    for film in (steps, direct):
        assert film.values("denoise").tolist() == pytest.approx([0.35, 0.5, 0.15])


def test_a_fraction_of_a_seed_is_the_way_to_the_next():
    film = film_of(manifest(seed=[55, 55.25, 55.5, 56]))
    assert [film.at(f).seed for f in range(4)] == [55, 55, 55, 56]
    assert [film.at(f).subseed for f in range(4)] == [55, 56, 56, 56]
    assert [film.at(f).subseed_strength for f in range(4)] == pytest.approx([0, 0.25, 0.5, 0])
    assert film_of(manifest(seed=[-1, -1])).seed_behavior == "schedule"


def test_what_lies_outside_a_range_is_cut_and_said():
    content = manifest(strength=[0.5, 1.5, 0.5], zoom=[0, 0.5, 1.0])
    assert film_of(content).scheduled("strength_schedule").tolist() == [0.5, 1, 0.5]
    assert "cut to [0, 1] at 1 frames" in entry_of(content, "strength").why
    assert film_of(content).scheduled("zoom").tolist() == pytest.approx([1e-3, 1.5, 1.5])
    assert "cut" not in entry_of(content, "zoom_delta").why  # frame 0 moves nothing


def test_a_film_that_moves_in_space_is_one_in_3d():
    assert film_of(manifest(translation_z=[10, 10, 10])).mode == "2d"
    assert film_of(manifest(translation_z=[10, 12, 14])).mode == "3d"
    assert film_of(manifest(rotation_3d_y=[0, 0, 1])).mode == "3d"


def test_unknown_fields_and_keys_are_named_with_the_nearest():
    content = manifest(zoon=[1, 2]) | {"surprise": 1}
    assert (entry_of(content, "zoon").fate, entry_of(content, "zoon").why) == ("unknown", "did you mean 'zoom'?")
    assert entry_of(content, "surprise").fate == "unknown"
    assert entry_of(manifest(scale=[7, 8]), "scale").fate == "meaningless"
    assert entry_of(manifest(cn_1_weight=[1, 1]), "cn_1_weight").fate == "meaningless"


def test_repeated_and_missing_frames():
    content = manifest(contrast=[1.0, 1.1, 1.2, 1.3])
    rows = content["rendered_frames"]
    del rows[2]
    rows.append({"frame": 1, "contrast": 5})
    rows.insert(0, None)
    rows.append({"frame": 4, "contrast": None})
    assert film_of(content).scheduled("contrast").tolist() == [1, 5, 5, 1.3, 1.3]
    said = entry_of(content, "rendered_frames").why
    assert said == "frame 1 stands there twice, the later one counts; " + (
        "frame 2 is missing (1 in all), it has the values of the one before"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"rendered_frames": 5}, "rendered_frames: expected a list of frames, got int '5'"),
        ({"rendered_frames": [5]}, r"rendered_frames\[0\]: expected a frame such as"),
        (
            {"rendered_frames": [{"frame": -1}]},
            r"rendered_frames\[0\]: frame should be a whole number from 0 to 999,999",
        ),
        ({"rendered_frames": [{"frame": 0.5}]}, "frame should be a whole number"),
        ({"rendered_frames": [{"frame": 1e300}]}, "frame should be a whole number"),
        ({"rendered_frames": [{}]}, "frame should be a whole number"),
        ({"rendered_frames": [{"frame": True}]}, "frame should be a number, got True"),
        ({"rendered_frames": [{"frame": 0, "zoom": "big"}]}, "zoom of frame 0 should be a number, got 'big'"),
        ({"rendered_frames": [{"frame": 0, "zoom": [1]}]}, r"zoom of frame 0 should be a number, got \[1\]"),
        ({"rendered_frames": [{"frame": 0, "zoom": math.inf}]}, "zoom of frame 0 should be a number, got inf"),
        ({"rendered_frames": [{"frame": 0, "deforum_prompt": 5}]}, "deforum_prompt of frame 0 should be a text, got 5"),
        ({"rendered_frames": [{"frame": 0}], "options": 5}, "options: expected settings"),
        ({"rendered_frames": [{"frame": 0}], "options": {"output_fps": "x"}}, "options: output_fps should be a number"),
        ({"rendered_frames": []}, "a Parseq manifest has 'rendered_frames' or at least 'keyframes'"),
        ({"keyframes": [5]}, "has not been rendered: open it in Parseq, render it"),
        ({"keyframes": [{"frame": 0}], "prompts": 5}, "prompts: expected a list of prompts, got 5"),
    ],
)
def test_what_parseq_never_writes_is_refused(content, problem):
    with pytest.raises(SettingsError, match=problem):
        read_parseq(content, Options())


def test_nan_and_empty_cells_hold_the_value_before():
    assert film_of(manifest(contrast=[1.5, math.nan, "", "1.25"])).scheduled("contrast").tolist() == [
        1.5,
        1.5,
        1.5,
        1.25,
    ]


def test_options_have_parseqs_defaults_and_the_model_is_that_of_the_caller():
    film = film_of({"rendered_frames": [{"frame": 0}, {"frame": 1}]}, model="flux.2-klein-4b")
    assert (film.fps, film.bpm, film.cadence, film.model) == (20, 140, 1, "flux.2-klein-4b")
    assert film.prompts == {"0": ""}


def blends(*texts: str):
    content = manifest(contrast=[1.0] * len(texts))
    for row, text in zip(content["rendered_frames"], texts, strict=True):
        row["deforum_prompt"] = text
    film = film_of(content)
    return [(film.at(f).prompt, film.at(f).negative) for f in range(len(texts))]


def test_prompts_begin_where_they_change():
    assert prompts_by_frame(["a cat", "a cat", "a dog --neg blur", "a dog --neg blur", "a cat"]) == {
        "0": "a cat",
        "2": "a dog --neg blur",
        "4": "a cat",
    }


def test_prompts_with_and_are_mixed_by_their_weights():
    ((wanted, unwanted),) = blends("a cat: 0.6 AND a dog: 0.2 --neg blur: 0.6 AND grain: 0.2")
    assert wanted == (("a cat", pytest.approx(0.75)), ("a dog", pytest.approx(0.25)))
    assert unwanted == (("blur", pytest.approx(0.75)), ("grain", pytest.approx(0.25)))
    ((wanted, unwanted),) = blends("a cat AND a dog : 3 --neg blur: 1 AND blur: 3")
    assert wanted == (("a cat", 0.25), ("a dog", 0.75))
    assert unwanted == (("blur", 1.0),)


def test_prompts_without_weight_or_words_make_no_difference():
    frames = blends(
        "a cat: 0 AND a dog: 1", "a cat: 0 AND a dog: 0", "a cat: -0.5 AND a dog: 1", ": 0.5 AND a dog: 0.5"
    )
    assert [wanted for wanted, _ in frames] == [(("a dog", 1),), (("", 1),), (("a dog", 1),), (("a dog", 1),)]
    assert frames[2][1] == (("a cat", 1),)  # what is subtracted is what to keep away from


def test_a_fade_is_as_exact_as_it_was_written():
    fade = [float(f"{f / 30:.4g}") for f in range(31)]
    texts = [f"a: {1 - w:.4g} AND b: {w:.4g}" for w in fade]
    for (wanted, _), weight in zip(blends(*texts), fade, strict=True):
        assert dict(wanted).get("b", 0) == pytest.approx(weight / (float(f"{1 - weight:.4g}") + weight), abs=1e-9)


def test_a_fade_in_a_straight_line_is_one_prompt():
    prompts = prompts_by_frame([f"a: {1 - f / 8} AND b: {f / 8}" for f in range(1, 8)])
    assert prompts == {"0": "a:`0.875-0.125*(t-0)` b:`0.125+0.125*(t-0)`"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("a  (red:1.3)\n car", "a (red:1.3) car"),
        ("ratio 16:9", "ratio 16:9"),
        ("style:0.5 lamp", r"style\:0.5 lamp"),
        ("a `b`", "a 'b'"),
        ("((deep:1.2) sea:1.1) x", r"\(\(deep\:1.2\) sea\:1.1\) x"),
        ("<lora:ink:0.8> a cat", "<lora:ink:0.8> a cat"),
        ("a cat:", "a cat"),
    ],
)
def test_words_stay_words(theirs, ours):
    assert our_words(theirs) == ours


def test_escaped_words_are_shown_as_they_were():
    assert blends("style:0.5 lamp")[0][0] == (("style:0.5 lamp", 1.0),)
    assert blends("((deep:1.2) sea:1.1) x --neg y --neg z")[0] == ((("((deep:1.2) sea:1.1) x", 1.0),), (("y, z", 1.0),))


WORDS = st.text("ab c():.`\\12,-", max_size=25)


@given(st.lists(st.tuples(WORDS, st.floats(-2, 3).map(lambda w: round(w, 3))), min_size=1, max_size=4), WORDS)
@settings(max_examples=40, deadline=None)
def test_any_prompt_is_read(parts, negative):
    text = " AND ".join(f"{words}: {weight}" for words, weight in parts) + f" --neg {negative}"
    ((wanted, _),) = blends(text)
    assert sum(weight for _, weight in wanted) == pytest.approx(1)


def document(*keyframes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"options": {"output_fps": 10, "bpm": 60}, "keyframes": list(keyframes), **more}


def test_formulas_stay_formulas():
    content = document(
        {"frame": 0, "contrast": 1, "contrast_i": "C", "strength": ""},
        {"frame": 5, "contrast": "2", "contrast_i": "sin(p=1b, a=0.1, c=L)", "info": "beat"},
        {"frame": 10, "contrast": 1},
    )
    film = film_of(content)
    assert str(film.schedules["contrast"]) == "0:(1; C), 5:(2; sin(p=1b, a=0.1, c=L)), 10:(1) @ parseq"
    assert film.scheduled("contrast")[[0, 5, 10]] == pytest.approx([1, 2, 1], abs=0.1)
    assert film.scheduled("strength_schedule").tolist() == [0.6] * 11  # Parseq's default
    assert film == parse_film(dump_film(film))


def test_motions_of_documents_are_read_as_changes_too():
    content = document(
        {"frame": 0, "zoom": 1, "angle_i": "f*f"}, {"frame": 4, "zoom": 3}, managedFields=["zoom", "angle"]
    )
    film = film_of(content)
    assert film.scheduled("zoom").tolist() == pytest.approx([1, 1.5, 1.5, 1.5, 1.5])
    assert film.scheduled("angle").tolist() == pytest.approx([0, 1, 3, 5, 7])


def test_a_document_renders_as_parseq_did():
    """The manifest of the web UI's own test comes to its rendered frames, at the frame rate it was rendered with."""
    if not CORPUS.exists():
        pytest.skip("the corpus of old films lies beside the repository only")
    content = json.loads((CORPUS / "webui_test_manifest.json").read_text(encoding="utf-8"))
    content["options"]["output_fps"] = 20  # it says 60, but the sine of 1 beat in it is 60 / 140 * 20 frames long
    rendered = film_of(content)
    evaluated = film_of({key: value for key, value in content.items() if key != "rendered_frames"})
    for name in ("angle", "seed_schedule", "subseed", "subseed_strength"):
        assert evaluated.scheduled(name).tolist() == pytest.approx(rendered.scheduled(name).tolist(), abs=1e-9), name
    assert [evaluated.at(f).prompt for f in range(11)] == [rendered.at(f).prompt for f in range(11)]


def test_random_numbers_of_documents_are_refused():
    with pytest.raises(ScheduleError, match=r"'rand' draws random numbers .* render the document in Parseq"):
        film_of(document({"frame": 0, "contrast": 1, "contrast_i": "rand()"}, {"frame": 9}))


def test_prompts_of_documents():
    overlap = {"type": "linear", "inFrames": 4, "outFrames": 4}
    prompts = {
        "format": "v2",
        "commonPrompt": {"positive": "film of [prompt], 35mm", "negative": "text"},
        "commonPromptPos": "template",
        "promptList": [
            {"positive": "a cat", "negative": "", "allFrames": False, "from": 0, "to": 6, "overlap": overlap},
            {
                "positive": "a dog",
                "allFrames": False,
                "from": 4,
                "to": 10,
                "overlap": {"type": "custom", "custom": "contrast"},
            },
        ],
    }
    film = film_of(document({"frame": 0, "contrast": 2}, {"frame": 10}, prompts=prompts))
    assert film.at(5).prompt == (
        ("film of a cat, 35mm", pytest.approx(0.25 / 2.25)),
        ("film of a dog, 35mm", pytest.approx(2 / 2.25)),
    )
    assert film.at(10).prompt == (("film of a dog, 35mm", 1),)


def test_older_prompts_and_formulas_in_them():
    film = film_of(
        document({"frame": 0, "contrast": 1}, {"frame": 2, "contrast": 2}, prompts={"positive": "x ${contrast}"})
    )
    assert [film.at(f).prompt[0][0] for f in range(3)] == ["x 1.00000", "x 1.50000", "x 2.00000"]
    listed = [{"positive": "a", "overlap": {"type": "custom", "custom": "nonsense"}}]
    with pytest.raises(
        SettingsError, match=r"unknown variable 'nonsense'.*\n.*\n.*\nthe document has not been rendered"
    ):
        film_of(document({"frame": 0}, {"frame": 2}, prompts=listed))
    assert film_of(document({"frame": 0}, {"frame": 2}, prompts={"enabled": False})).prompts == {"0": ""}


def test_what_a_manifest_puts_in_the_place_of_deforums_settings():
    content = manifest(zoom=[1, 1.5, 2.0], strength=[0.5, 0.6, 0.7], seed=[7, 7.5, 8], prompt_weight_1=[1, 1, 1])
    content["rendered_frames"][0]["deforum_prompt"] = "a lake"
    keys = deforum_keys(content)
    assert keys["zoom"] == "0:(1), 1:(1.5), 2:(1.5)"
    assert keys["strength_schedule"] == keys["image_strength_schedule"]
    assert (keys["seed_schedule"], keys["subseed_strength_schedule"]) == (
        "0:(7), 1:(7), 2:(8)",
        "0:(0), 1:(0.5), 2:(0)",
    )
    assert (keys["max_frames"], keys["fps"], keys["diffusion_cadence"]) == (3, 10, 1)
    assert (keys["prompts"], keys["animation_prompts_positive"]) == ({"0": "a lake"}, "")
    absolute = deforum_keys(content, deltas=False, overrides=False)
    assert absolute["zoom"] == "0:(1), 2:(2)"
    assert "fps" not in absolute
    for key, text in keys.items():
        if isinstance(text, str) and text[:2] == "0:":
            Schedule.parse(text, key, "deforum").values(3)


def test_a_manifest_inside_deforums_settings_rules_over_them():
    settings = CORPUS.parent / "settings" / "webui_default_settings.txt"
    if not settings.exists():
        pytest.skip("the corpus of old films lies beside the repository only")
    content = manifest(zoom=[1, 1.5, 2.0], angle=[0, 3, 9], strength=[0.5, 0.6, 0.7], seed=[7, 7.5, 8])
    content["rendered_frames"][0]["deforum_prompt"] = "a lake"
    old = json.loads(settings.read_text(encoding="utf-8"))
    old |= {"parseq_manifest": json.dumps(content), "animation_mode": "2D"}
    film = read_deforum(old, Options()).animation
    assert (film.frames, film.fps, film.prompts) == (3, 10, {"0": "a lake"})
    assert film.scheduled("zoom").tolist() == [1, 1.5, 1.5]
    assert film.scheduled("angle").tolist() == [0, 3, 6]
    assert film.scheduled("strength_schedule").tolist() == [0.5, 0.6, 0.7]
    assert [film.at(f).seed for f in range(3)] == [7, 7, 8]
    assert [film.at(f).subseed_strength for f in range(3)] == [0, 0.5, 0]


SERIES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60)


@given(SERIES, st.sampled_from(["koshi", "deforum"]))
@settings(max_examples=80, deadline=None)
def test_any_series_comes_back(series, dialect):
    values = np.array(series)
    text = keyframes_text(values)
    assert np.abs(Schedule.parse(text, dialect=dialect).values(len(values)) - values).max() <= 1.1e-10


def test_straight_lines_need_two_keyframes_and_constants_one():
    line = np.arange(1000) * 0.1
    assert str(keyframed(line)) == "0:(0), 999:(99.9)"
    assert str(keyframed(np.full(9, 1.5))) == "0:(1.5)"
    steps = np.repeat([1.0, 4.0], 5)
    assert corners(steps).tolist() == [0, 4, 5, 9]
    slow_bend = np.cumsum(np.cumsum(np.full(2000, 4e-11)))  # each bend is below what counts, their sum is not
    assert np.abs(keyframed(slow_bend).values(2000) - slow_bend).max() <= 1.1e-10


@pytest.mark.parametrize(
    ("number", "text"), [(1e-7, "0.0000001"), (1e22, "10000000000000000000000"), (1.5, "1.5"), (-2.0, "-2")]
)
def test_numbers_without_exponents(number, text):
    assert plain(number) == text
    assert float(text) == number


ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text("0:a$-;{}(", max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["frame", "zoom", "positive"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(
    st.sampled_from(["rendered_frames", "keyframes", "options", "prompts", "managedFields"]),
    st.sampled_from([None, "frame", "zoom", "zoom_i", "deforum_prompt", "seed", "promptList", "commonPrompt", "bpm"]),
    ODD,
)
@settings(max_examples=80, deadline=None)
def test_broken_manifests_are_refused_in_our_words(key, inner, odd):
    content = manifest(zoom=[1, 2], seed=[1, 2]) | {"keyframes": [{"frame": 0, "zoom": 1}, {"frame": 1}], "prompts": {}}
    if key in ("keyframes", "prompts"):
        del content["rendered_frames"]
    held = content[key]
    if inner is None:
        content[key] = odd
    elif isinstance(held, dict):
        held[inner] = odd
    elif held and isinstance(held[0], dict):
        held[0][inner] = odd
    try:
        film = film_of(content)
    except KoshiError:
        return
    assert film.frames >= 1
