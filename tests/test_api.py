import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import koshi_flux
from koshi_flux import (
    Animation,
    FluxKoshiParameterAdapter,
    FluxVersion,
    KoshiFlux,
    ModelError,
    RunError,
    ScheduleError,
    SettingsError,
    create_pipeline,
    load_film,
)
from koshi_flux.output.png import read_png
from koshi_flux.pipeline.factory import SPECS, check_model, find_spec

SMALL = {"size": (48, 32), "steps": 2}


def test_the_exported_names_are_these():
    assert koshi_flux.__all__ == [
        "Animation",
        "FeedbackConfig",
        "FeedbackProcessor",
        "FluxKoshiParameterAdapter",
        "FluxModel",
        "FluxVersion",
        "Frame",
        "FrameParameters",
        "History",
        "KoshiError",
        "KoshiFlux",
        "ModelError",
        "OutputError",
        "RunError",
        "Schedule",
        "ScheduleError",
        "SettingsError",
        "__version__",
        "create_pipeline",
        "load_film",
        "render",
        "save_film",
    ]
    assert all(getattr(koshi_flux, name) is not None for name in koshi_flux.__all__)
    assert dir(koshi_flux) == koshi_flux.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Deforum'"):
        koshi_flux.Deforum  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    script = "import koshi_flux, sys; print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_koshi_flux_makes_a_film(tmp_path):
    path = KoshiFlux(model="toy").animate(
        prompt="a misty sea", zoom="0:(1.0), 5:(1.05)", frames=6, out=tmp_path / "dream.mp4", **SMALL
    )
    assert path == tmp_path / "dream.mp4"
    assert path.stat().st_size > 500
    assert len(list((path.parent / "frames").iterdir())) == 6
    assert load_film(path.parent / "film.toml").prompts == {"0": "a misty sea"}


def test_generate_animation_makes_the_same_film(tmp_path):
    one = KoshiFlux("toy").animate(prompt={0: "a sea", 3: "a city"}, zoom=1.02, frames=5, out=tmp_path / "one", **SMALL)
    pipe = create_pipeline(version=FluxVersion.TOY)
    other = pipe.generate_animation(
        prompts={0: "a sea", 3: "a city"},
        motion_params={"zoom": "0:(1.02)"},
        num_frames=5,
        out=tmp_path / "other",
        **SMALL,
    )
    assert other == tmp_path / "other" / "film.mp4"
    for index in range(5):
        name = f"frames/{index:06d}.png"
        assert np.array_equal(read_png(one.parent / name), read_png(other.parent / name))


def test_every_film_setting_is_a_keyword(tmp_path):
    given = {"fps": 12, "seed": 3, "denoise": 0.3, "cadence": 2, "border": "wrap", "sharpen": 0.1, "noise": 0.01}
    path = KoshiFlux("toy").animate(prompt="x", frames=4, out=tmp_path / "f", **given, **SMALL)
    begun = load_film(path.parent / "film.toml")
    expected = Animation(prompts="x", model="toy", frames=4, **given, **SMALL).resolved(SPECS["toy"])
    assert begun == expected


def test_strength_schedule_is_taken_as_deforum_means_it(tmp_path):
    path = create_pipeline("toy").generate_animation(
        "x", motion_params={"strength_schedule": "0:(0.65)"}, num_frames=2, out=tmp_path / "f", **SMALL
    )
    assert '"denoise": 0.495' in (path.parent / "run.jsonl").read_text()


def test_films_without_a_name_never_overwrite_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [KoshiFlux("toy").animate(prompt="A Misty, sea at dawn today", frames=1, **SMALL) for _ in range(2)]
    assert [str(path) for path in paths] == [
        "runs/a-misty-sea-at-dawn/film.mp4",
        "runs/a-misty-sea-at-dawn-2/film.mp4",
    ]


def test_resume_goes_on_and_another_film_is_refused(tmp_path):
    flux = KoshiFlux("toy")
    path = flux.animate(prompt="x", frames=3, out=tmp_path / "f", **SMALL)
    with pytest.raises(RunError, match="already holds a film"):
        flux.animate(prompt="x", frames=3, out=path, **SMALL)
    assert flux.animate(prompt="x", frames=3, out=path, resume=True, **SMALL) == path
    with pytest.raises(SettingsError, match="which film"):
        flux.animate(prompt="x", resume=True)


def test_a_model_is_loaded_only_once_the_film_is_sound(tmp_path, monkeypatch):
    monkeypatch.setattr("koshi_flux.api.load_model", lambda *_: pytest.fail("a model was loaded"))
    flux = KoshiFlux(model="klein-4b")
    with pytest.raises(SettingsError, match="did you mean 'zoom'"):
        flux.animate(prompt="x", zom=1)
    with pytest.raises(ScheduleError, match="zoom"):
        flux.animate(prompt="x", zoom="0:(1", out=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_models_are_found_by_name_alias_and_hub_id():
    assert find_spec("KLEIN-4B") is SPECS["flux.2-klein-4b"]
    assert find_spec("black-forest-labs/FLUX.2-klein-9B") is SPECS["flux.2-klein-9b"]
    assert find_spec("./some/folder") is None
    with pytest.raises(ModelError, match=r"unknown model 'flux.3'.*known are nano, toy"):
        KoshiFlux(model="flux.3")


def test_every_version_has_its_row_and_every_row_its_version():
    assert {version.value for version in FluxVersion} == set(SPECS)
    assert all(version.spec.name == version.value for version in FluxVersion)
    aliases = [alias for spec in SPECS.values() for alias in (spec.name, *spec.aliases)]
    assert len(aliases) == len(set(aliases))


def test_without_a_name_films_are_drawn_by_the_bundled_model(nano, tmp_path):
    flux = KoshiFlux()
    assert flux.spec is SPECS["nano"]
    assert flux.spec.is_bundled
    path = flux.animate(prompt="a lake", frames=1, size=(32, 32), out=tmp_path / "f")
    assert load_film(path.parent / "film.toml").model == "nano"
    assert create_pipeline().model.spec is FluxVersion.NANO.spec


def test_a_bundled_model_that_did_not_come_whole_is_to_be_installed_again(nano, tmp_path, monkeypatch):
    monkeypatch.setitem(SPECS, "nano", replace(SPECS["nano"], folder=tmp_path))
    again = r"nano did not come whole \(.*no model_index\.json\): pip install --force-reinstall koshi-flux"
    with pytest.raises(ModelError, match=again):
        check_model("nano")
    with pytest.raises(ModelError, match=again):
        KoshiFlux()
    with pytest.raises(ModelError, match=again):
        create_pipeline()


def test_words_the_bundled_model_does_not_know_are_logged_once_a_film(nano, tmp_path, caplog):
    caplog.set_level("INFO", logger="koshi_flux")
    prompts = {0: "a dragon", 1: "a DRAGON at night"}
    create_pipeline().generate_animation(prompts, num_frames=2, size=(32, 32), out=tmp_path / "f")
    assert [r.getMessage()[:29] for r in caplog.records].count("nano does not know 'dragon': ") == 1


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no model_index\.json"):
        check_model(str(tmp_path))


def test_parse_schedule_gives_a_value_per_frame():
    values = FluxKoshiParameterAdapter().parse_schedule("0:(1.0), 4:(sin(0)+2)", 5)
    assert values == pytest.approx([1, 1.25, 1.5, 1.75, 2])
