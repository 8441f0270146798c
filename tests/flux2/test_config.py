import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from hypothesis import example, given
from hypothesis import strategies as st

from koshi_flux.flux2.config import LIKE, PUBLISHED, SPECS, empirical_mu, static_mu
from koshi_flux.shared.flow_matching import shift, sigmas_below
from koshi_flux.shared.spec import FluxSpec


@example(tokens=4300, steps=4)
@example(tokens=4301, steps=4)
@given(tokens=st.integers(1, 20_000), steps=st.integers(1, 200))
def test_mu_is_that_of_diffusers(tokens: int, steps: int):
    assert empirical_mu(tokens, steps) == pytest.approx(compute_empirical_mu(tokens, steps), abs=1e-12)


@pytest.mark.parametrize(
    ("side", "expected"), [(512, (1, 0.958, 0.884, 0.717, 0)), (1024, (1, 0.967, 0.908, 0.767, 0))]
)
def test_the_four_noise_levels_klein_was_distilled_on(side: int, expected: tuple[float, ...]):
    tokens = (side // 16) ** 2
    assert sigmas_below(1.0, 4, empirical_mu(tokens, 4)) == pytest.approx(expected, abs=1e-3)


def test_distilled_models_start_on_their_last_noise_level():
    lowest = sigmas_below(1.0, 4, empirical_mu((1024 // 16) ** 2, 4))[3]
    for name in ("flux.2-klein-4b", "flux.2-klein-9b", "flux.2-klein-9b-kv"):
        assert SPECS[name].default_denoise == pytest.approx(lowest, abs=1e-3)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_default_denoise_is_what_practitioners_use_in_the_staircase_of_diffusers(spec: FluxSpec):
    strength = 0.2 if spec.guidance == "none" else 0.3
    steps = spec.default_steps
    skipped = int(max(steps - min(steps * strength, steps), 0))  # get_timesteps of FluxImg2ImgPipeline
    assert skipped == {4: 3, 28: 19}[steps]
    level = shift(1 - skipped / steps, empirical_mu((1024 // 16) ** 2, steps))
    assert spec.default_denoise == pytest.approx(level, abs=5e-4)


def test_every_published_model_has_its_row():
    assert {name: (s.guidance, s.default_steps, s.default_guidance, s.licence) for name, s in SPECS.items()} == {
        "flux.2-klein-4b": ("none", 4, 1.0, "Apache-2.0"),
        "flux.2-klein-9b": ("none", 4, 1.0, "FLUX Non-Commercial License"),
        "flux.2-klein-9b-kv": ("none", 4, 1.0, "FLUX Non-Commercial License"),
        "flux.2-klein-base-4b": ("true", 28, 4.0, "Apache-2.0"),
        "flux.2-klein-base-9b": ("true", 28, 4.0, "FLUX Non-Commercial License"),
        "flux.2-dev": ("embedded", 28, 4.0, "FLUX Non-Commercial License"),
    }
    assert {s.hub_id.removeprefix("black-forest-labs/FLUX.2-") for s in SPECS.values()} == {
        "klein-4B",
        "klein-9B",
        "klein-9b-kv",
        "klein-base-4B",
        "klein-base-9B",
        "dev",
    }
    assert all((s.family, s.channels, s.downscale, s.multiple) == ("flux2", 32, 8, 16) for s in SPECS.values())
    assert set(PUBLISHED.values()) == set(SPECS.values())
    assert all(LIKE[kind].guidance == spec.guidance for (kind, *_), spec in PUBLISHED.items())


def test_dev_reads_a_mistral_and_klein_a_qwen():
    read = {name: (spec.text_encoder.split("-")[0], spec.text_layers, spec.text_tokens) for name, spec in SPECS.items()}
    assert read.pop("flux.2-dev") == ("Mistral", (10, 20, 30), 512)
    assert set(read.values()) == {("Qwen3", (9, 18, 27), 512)}


def test_the_size_of_devs_text_encoder_is_that_of_24_billion_parameters_in_two_bytes():
    transformer, encoder = SPECS["flux.2-dev"].memory_gb
    assert encoder == pytest.approx(24e9 * 2 / 2**30, abs=0.05)
    assert transformer == pytest.approx(32.22e9 * 2 / 2**30, abs=0.05)


def test_a_model_with_a_memory_for_references_draws_as_the_one_without():
    with_memory, without = SPECS["flux.2-klein-9b-kv"], SPECS["flux.2-klein-9b"]
    names = {"name": without.name, "aliases": without.aliases, "hub_id": without.hub_id}
    assert replace(with_memory, reference_cache=False, **names) == without
    assert [spec.name for spec in SPECS.values() if spec.reference_cache] == ["flux.2-klein-9b-kv"]


def test_a_nine_billion_model_is_not_given_the_facts_of_a_four_billion_one():
    for distilled, base in (("flux.2-klein-4b", "flux.2-klein-base-4b"), ("flux.2-klein-9b", "flux.2-klein-base-9b")):
        for fact in ("memory_gb", "text_encoder", "licence"):
            assert getattr(SPECS[distilled], fact) == getattr(SPECS[base], fact)
    assert SPECS["flux.2-klein-4b"].memory_gb < SPECS["flux.2-klein-9b"].memory_gb


def test_no_spelling_means_two_models():
    spellings = [word for spec in SPECS.values() for word in (spec.name, *spec.aliases)]
    assert len(spellings) == len(set(spellings))
    assert all(word == word.lower() for word in spellings)
    assert {"klein", "klein-4b", "klein4b", "flux-2-klein-4b", "flux2-klein-4b", "klein-base-4b"} < set(spellings)
    dev = SPECS["flux.2-dev"].aliases
    assert {"flux.2", "flux2", "flux-2", "flux2-dev", "flux-2-dev", "flux_2_dev"} <= set(dev)
    assert "klein-9b-kv" in SPECS["flux.2-klein-9b-kv"].aliases


def test_models_are_named_found_and_checked_without_torch():
    code = "import sys, koshi_flux.flux2.config, koshi_flux.flux2.folder, koshi_flux.weights.hub; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "cv2", "diffusers", "transformers", "av"} & set(loaded)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('{"shift": 2.0, "use_dynamic_shifting": false}', math.log(2)),
        ('{"shift": 2.0}', math.log(2)),
        ("{}", 0.0),
        ('{"shift": 3.0, "use_dynamic_shifting": true}', None),
        ("not json", None),
    ],
)
def test_a_scheduler_may_bend_noise_levels_its_own_way(tmp_path: Path, settings: str, expected: float | None):
    file = tmp_path / "scheduler_config.json"
    file.write_text(settings)
    assert static_mu(file) == expected


def test_without_a_scheduler_noise_levels_are_bent_as_in_a_klein(tmp_path: Path):
    assert static_mu(tmp_path / "scheduler_config.json") is None
