import subprocess
import sys

import pytest
import torch
from diffusers import FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from koshi_flux.flux1.config import BENT, EVEN, PUBLISHED, SPECS, NoiseCurve
from koshi_flux.shared.flow_matching import sigmas_below, staircase

MEGAPIXEL = (1024 // 16) ** 2


@example(tokens=256)
@example(tokens=4096)
@given(tokens=st.integers(1, 20_000))
def test_mu_is_that_of_diffusers(tokens: int):
    assert BENT.mu(tokens) == pytest.approx(calculate_shift(tokens), abs=1e-12)
    other = NoiseCurve.through((100, 0.1), (1000, 2.0))
    assert other.mu(tokens) == pytest.approx(calculate_shift(tokens, 100, 1000, 0.1, 2.0), abs=1e-12)


def test_mu_at_the_ends_of_the_line():
    assert (BENT.mu(256), BENT.mu(4096)) == (pytest.approx(0.5), pytest.approx(1.15))
    assert {EVEN.mu(tokens) for tokens in (1, 256, 4096)} == {0.0}


def test_noise_levels_of_dev_at_a_megapixel():
    found = sigmas_below(1.0, 28, BENT.mu(MEGAPIXEL))[::4]
    assert found == pytest.approx((1, 0.950, 0.888, 0.808, 0.703, 0.558, 0.345, 0), abs=5e-4)


def test_noise_levels_of_schnell_are_even():
    assert sigmas_below(1.0, 4, EVEN.mu(MEGAPIXEL)) == pytest.approx((1, 0.75, 0.5, 0.25, 0))


def test_dev_redraws_from_where_strength_030_of_28_steps_begins():
    begins = staircase(sigmas_below(1.0, 28, BENT.mu(MEGAPIXEL)), 0.30)
    assert len(begins) == 9 + 1
    for name in ("flux.1-dev", "flux.1-krea-dev"):
        assert SPECS[name].default_denoise == pytest.approx(begins[0], abs=1e-3)


@pytest.mark.parametrize(
    ("strength", "begins"), [(0.2, 0.25), (0.25, 0.25), (0.26, 0.5), (0.3, 0.5), (0.5, 0.5), (0.6, 0.75)]
)
def test_schnell_redraws_from_the_level_that_common_strengths_begin_at(strength: float, begins: float):
    levels = sigmas_below(1.0, 4, EVEN.mu(MEGAPIXEL))
    assert staircase(levels, strength)[0] == pytest.approx(begins)
    assert SPECS["flux.1-schnell"].default_denoise == pytest.approx(staircase(levels, 0.3)[0])


def test_every_published_model_has_its_row():
    facts = {n: (s.guidance, s.default_steps, s.default_guidance, s.licence, s.text_tokens) for n, s in SPECS.items()}
    non_commercial = "FLUX.1 [dev] Non-Commercial License"
    assert facts == {
        "flux.1-dev": ("embedded", 28, 3.5, non_commercial, 512),
        "flux.1-krea-dev": ("embedded", 28, 4.5, non_commercial, 512),
        "flux.1-schnell": ("none", 4, 1.0, "Apache-2.0", 256),
    }
    hub = {s.hub_id.removeprefix("black-forest-labs/FLUX.1-") for s in SPECS.values()}
    assert hub == {"dev", "Krea-dev", "schnell"}
    assert all((s.family, s.channels, s.downscale, s.multiple) == ("flux1", 16, 8, 16) for s in SPECS.values())
    assert {s.text_encoder for s in SPECS.values()} == {"CLIP-L + T5-XXL"}
    assert set(PUBLISHED.values()) == {SPECS["flux.1-dev"], SPECS["flux.1-schnell"]}


def test_memory_is_what_the_published_shapes_come_to():
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(guidance_embeds=True)
        clip = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        )
        t5 = T5EncoderModel(
            T5Config(
                vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
                feed_forward_proj="gated-gelu",
            )
        )  # fmt: skip
    drawn, clip_read, t5_read = (
        sum(p.numel() for p in part.parameters()) * 2 / 2**30 for part in (transformer, clip, t5)
    )
    for spec in SPECS.values():
        assert spec.memory_gb == (pytest.approx(drawn, abs=0.05), pytest.approx(clip_read + t5_read, abs=0.05))
    config = transformer.config
    assert (config.num_layers, config.num_single_layers, config.num_attention_heads, True) in PUBLISHED


def test_no_spelling_means_two_models():
    spellings = [word for spec in SPECS.values() for word in (spec.name, *spec.aliases)]
    assert len(spellings) == len(set(spellings))
    assert all(word == word.lower() for word in spellings)
    typed = {
        "flux.1-dev": {"flux", "flux-dev", "flux.1-dev", "flux1-dev", "flux_1_dev"},
        "flux.1-schnell": {"schnell", "flux-schnell", "flux1-schnell", "flux_1_schnell"},
        "flux.1-krea-dev": {"krea", "flux-krea", "flux1-krea-dev", "flux_1_krea_dev"},
    }
    assert all(words <= {spec.name, *spec.aliases} for words, spec in ((typed[n], s) for n, s in SPECS.items()))


def test_models_are_named_and_checked_without_torch():
    code = "import sys, koshi_flux.flux1.config, koshi_flux.flux1.folder; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "cv2", "diffusers", "transformers", "av"} & set(loaded)
