"""The measures give answers that are known beforehand; the command runs from end to end on the toy model."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from safetensors.torch import save_file
from torch import Tensor

from koshi_flux.depth.nano import NanoDepth
from koshi_flux.depth.network import DepthNetwork
from koshi_flux.errors import SettingsError
from training.nano import classifier, evaluate, films, report, speed, subject
from training.nano.captions import Attributes
from training.nano.classifier import Classifier

SMALL = {
    "size": 64,
    "seed": 3_000_000_000,
    "autoencoder": {"renders": 1, "trips": 3},
    "classifier": {"renders": 3},
    "attributes": {"pictures": 3, "steps": 2, "fewer_steps": 1},
    "drift": {"films": 2, "frames": 4, "look_every": 2, "zoom": 1.02, "denoise": 0.45},
    "depth": {"renders": 2, "pictures": 1, "references": 2, "steps": 1},
    "speed": {"frames": 2},
    "sheet": {"steps": 1, "width": 32},
}


# saturation, contrast, drift


def test_grey_has_no_saturation_and_red_a_chroma_of_104():
    grey, red = torch.full((3, 8, 8), 0.4), torch.zeros(3, 8, 8)
    red[0] = 1
    assert films.saturation(grey) == pytest.approx(0, abs=0.05)
    assert films.saturation(red) == pytest.approx(math.hypot(80.09, 67.20), abs=0.2)  # sRGB red in CIE Lab


def test_contrast_of_half_black_half_white_is_a_half():
    picture = torch.zeros(3, 8, 8)
    assert films.contrast(picture) == 0
    picture[:, :4] = 1
    assert films.contrast(picture) == pytest.approx(0.5, abs=1e-6)


def test_ratios_to_the_first_frame_where_next_to_nothing_counts_as_the_least():
    assert films.ratios([[10, 11, 5], [0.2, 0.6, 3]], least=1).tolist() == [[1, 1.1, 0.5], [1, 1, 3]]


def test_of_half_and_one_and_a_half_the_half_is_worse():
    figures = films.last_ratios(np.array([[1, 0.5], [1, 1.5], [1, 1.1]]))
    assert figures == pytest.approx({"mean": 3.1 / 3, "median": 1.1, "worst": 0.5, "within": 1 / 3})


def test_a_film_is_on_its_prompt_when_scene_and_time_are_right():
    def film(scene: list[bool], time: list[bool] | None) -> dict[str, object]:
        return {"scene": scene, "time": time, "saturation": [20, 18], "contrast": [0.2, 0.2], "looked_at": [0, 1]}

    summary = films.summary(
        [film([True, True], [True, False]), film([True, True], None), film([True, False], [True, True])]
    )
    assert summary["on_prompt_at_first"] == 1
    assert summary["on_prompt"] == pytest.approx(1 / 3)
    assert summary["scene"] == pytest.approx(2 / 3)
    assert summary["time"] == pytest.approx(1 / 2)
    assert summary["saturation"]["mean"] == pytest.approx(0.9)
    assert summary["contrast"]["worst"] == 1
    assert summary["over_frames"]["saturation"]["mean"] == pytest.approx([1, 0.9])


def test_films_without_any_time_have_no_share_of_right_times():
    film = {"scene": [True], "time": None, "saturation": [1], "contrast": [1], "looked_at": [0]}
    assert films.summary([film])["time"] is None


# what was asked for


def test_a_time_that_the_prompt_does_not_tell_is_not_asked_for():
    lake = Attributes("lake", "sunset", "misty")
    assert subject.told(lake, "a misty lake at golden hour") == lake
    assert subject.told(lake, "a misty lake") == Attributes("lake", "", "misty")
    assert subject.told(Attributes("space"), "a nebula") == Attributes("space")


def test_prompts_belong_to_their_seed_and_to_the_scenes_asked_for():
    attributes, texts = subject.asked(7, 20, scenes=["city", "lake"])
    assert {each.scene for each in attributes} == {"city", "lake"}
    assert subject.asked(7, 20, scenes=["city", "lake"]) == (attributes, texts)
    assert subject.asked(8, 20, scenes=["city", "lake"])[1] != texts


# layers


def ground(horizon: int = 16, height: int = 64) -> Tensor:
    """Flat ground: 0 down to the horizon, then rising to 1 at the bottom."""
    rows = (torch.arange(height) - horizon).clamp(min=0) / (height - 1 - horizon)
    return rows[:, None].expand(height, 48).clone()


def test_ground_is_in_order_whatever_its_scale_and_horizon():
    assert evaluate.layer_order(ground(), ground()) == 1
    assert evaluate.layer_order(0.3 * ground(horizon=10) + 0.1, ground()) == 1


def test_upside_down_is_all_in_reverse():
    assert evaluate.layer_order(1 - ground(), ground()) == -1


def test_a_flat_picture_has_no_order():
    assert evaluate.layer_order(torch.full((64, 48), 0.5), ground()) == 0


def test_bands_of_sky_are_not_judged():
    clouded = ground()
    clouded[:8] = 0.01
    assert evaluate.layer_order(clouded, ground()) == 1


def test_a_reference_that_orders_nothing_gives_no_verdict():
    assert math.isnan(evaluate.layer_order(ground(), torch.zeros(64, 48)))


def test_one_wrong_layer_in_four():
    """Bands 0, 1, 2, 3 with the two nearest exchanged: five pairs right, one wrong."""
    reference = torch.tensor([0.0, 0.3, 0.6, 0.9])[:, None].expand(4, 5)
    seen = torch.tensor([0.0, 0.3, 0.9, 0.6])[:, None].expand(4, 5)
    assert evaluate.layer_order(seen, reference, bands=4) == pytest.approx(4 / 6)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 1), st.floats(0, 0.5))
def test_order_does_not_depend_on_scale_or_offset(scale: float, offset: float):
    assert evaluate.layer_order(scale * ground() + offset, ground()) == 1


# the table


@pytest.mark.parametrize(
    ("low", "high", "value", "verdict"),
    [
        (28, None, 28.0, True),
        (28, None, 27.9, False),
        (None, 2, 2.0, True),
        (None, 2, 2.1, False),
        (0.85, 1.15, 1.2, False),
        (0.85, 1.15, 0.9, True),
        (None, None, 5.0, None),
    ],
)
def test_reached_or_not(low: float | None, high: float | None, value: float, verdict: bool | None):
    assert report.Wanted("x", "x", low=low, high=high).reached(value) is verdict


def test_the_table_shows_what_was_measured_and_nothing_else():
    results = {"autoencoder": {"psnr": 27.5, "lost": 0.81}, "drift": {"on_prompt": 0.84375, "time": None}}
    assert list(report.rows(results)) == [
        ("autoencoder: likeness after a round trip", "27.5 dB", "at least 28.0 dB", "no"),
        (
            "autoencoder: likeness lost over the further round trips up to the tenth",
            "0.810 dB",
            "at most 2.00 dB",
            "yes",
        ),
        ("films that are still on their prompt at the last frame", "84.4 %", "at least 80.0 %", "yes"),
    ]
    assert "| 84.4 % | at least 80.0 % | yes |" in report.markdown(results)
    assert report.table(results).row_count == 3


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0, "s", "0 s"),
        (0.3456, "s", "0.346 s"),
        (1234.5, "MB", "1234 MB"),
        (1.0, "%", "100 %"),
        (-3.14159, "", "-3.14"),
        (math.inf, "dB", "inf dB"),
    ],
)
def test_three_digits_count(value: float, unit: str, shown: str):
    assert report.Wanted("x", "x", unit).shown(value) == shown


def test_limits_of_both_sides_are_shown():
    assert report.Wanted("x", "x", low=0.85, high=1.15).limits == "0.850 to 1.15"


def test_a_noisy_sheet_is_made_small_enough(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(256, size=(300, 400, 3), dtype=np.uint8)
    report.write_small_png(pixels, tmp_path / "sheet.png", limit=60_000)
    assert (tmp_path / "sheet.png").stat().st_size <= 60_000
    report.write_small_png(pixels // 200, tmp_path / "whole.png", limit=60_000)
    assert PillowImage.open(tmp_path / "whole.png").size == (400, 300)


def test_the_contact_sheet_has_each_picture_in_its_place():
    red, blue = (np.full((30, 40, 3), color, dtype=np.uint8) for color in ([255, 0, 0], [0, 0, 255]))
    sheet = report.contact_sheet([[red, blue]], down=["day"], across=["ocean", "city"])
    assert sheet.shape == (20 + 30, 80 + 80, 3)
    assert sheet[21, 81].tolist() == [255, 0, 0]
    assert sheet[-1, -1].tolist() == [0, 0, 255]


def test_curves_without_steps_and_rates(tmp_path: Path):
    points = [{"step": 1, "minutes": 0.5, "rate": 1, "loss": 2.0}, {"step": 2, "minutes": 1.0, "rate": 1, "loss": 1.5}]
    (tmp_path / "curve.jsonl").write_text("\n".join(map(json.dumps, points)) + "\n")
    assert report.read_curve(tmp_path / "curve.jsonl") == {"loss": [(0.5, 2.0), (1.0, 1.5)]}


# the command


def test_an_unknown_section_is_named_with_the_known_ones():
    assert evaluate.chosen("depth, drift") == ["depth", "drift"]
    assert evaluate.chosen("") == list(evaluate.SECTIONS)
    with pytest.raises(SettingsError, match=r"'drfit'.*drift"):
        evaluate.chosen("drfit")


def test_every_section_has_its_settings():
    assert set(evaluate.SECTIONS) == set(subject.EvaluateConfig.model_fields) - {"size", "seed"}


def test_no_two_sections_share_a_seed(toy: subject.Subject):
    seeds = [toy.seed(section, part) for section in evaluate.SECTIONS for part in range(3)]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) + 1_000_000 < 2**32


@pytest.fixture
def toy(tmp_path: Path) -> subject.Subject:
    """The toy model, judged by a classifier that has learned nothing."""
    torch.manual_seed(0)
    file = classifier.weights_file(tmp_path)
    file.parent.mkdir(parents=True)
    save_file(Classifier().state_dict(), file)
    config = subject.EvaluateConfig.model_validate(SMALL)
    return subject.Subject("toy", config, torch.device("cpu"), tmp_path, tmp_path / "figures")


def test_from_the_model_to_table_and_plots(toy: subject.Subject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(NanoDepth, "load", lambda device: NanoDepth(DepthNetwork()))
    sections = [name for name in evaluate.SECTIONS if name != "speed"]
    results = evaluate.measure(toy, sections)
    assert json.loads((toy.folder / "results.json").read_text()) == results
    assert len(results["autoencoder"]["after"]) == 3
    assert results["attributes"]["own"]["count"] == 3
    assert results["drift"]["over_frames"]["looked_at"] == [0, 2, 3]
    assert len(results["drift"]["over_frames"]["contrast"]["mean"]) == 4
    assert -1 <= results["depth"]["order"] <= 1
    (toy.work / "classifier" / "curve.jsonl").write_text('{"step": 1, "minutes": 1, "loss": 2}\n')
    plots = report.draw_plots(results, toy.work, toy.figures)
    assert {file.name for file in plots} == {"training.png", "confusion.png", "drift.png"}
    assert PillowImage.open(evaluate.sheet_file(toy)).size == (80 + 10 * 32, 20 + 8 * 32)


def test_what_is_measured_is_kept_until_its_settings_change(toy: subject.Subject, monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setitem(evaluate.SECTIONS, "speed", lambda _: {"call": calls.append(1) or len(calls)})
    assert evaluate.measure(toy, ["speed"])["speed"]["call"] == 1
    assert evaluate.measure(toy, ["speed"])["speed"]["call"] == 1
    settings = toy.config.model_copy(update={"speed": subject.SpeedSettings(frames=5)})
    other = subject.Subject(toy.name, settings, toy.device, toy.work, toy.figures)
    assert evaluate.measure(other, ["speed"])["speed"]["call"] == 2


def test_a_stopped_evaluation_goes_on_with_the_next_film(toy: subject.Subject, monkeypatch: pytest.MonkeyPatch):
    first = films.measure_drift(toy)
    watched = []
    monkeypatch.setattr(films, "watch_film", lambda _, number: watched.append(number) or {})
    assert films.measure_drift(toy) == first
    assert watched == []


def test_a_short_film_is_timed():
    told = speed.measure("toy", 2, 64, "cpu")
    assert told.keys() == {"seconds_to_load", "seconds_per_frame", "peak_memory_mb"}
    assert 0 < told["seconds_per_frame"] < 60
    assert told["peak_memory_mb"] > 50
