"""Strengths, steps, guidance and corrections of Deforum films."""

import math

import numpy as np
import pytest

from koshi_flux.schedule.strength import denoise_from_strength, flux1_start, steps_left
from tests.schedule.importing.deforum_files import film, imported_file, said

FLUX = {"sd_model_name": "Flux\\flux1-dev-bnb-nf4-v2.safetensors", "keyframe_distribution": "Off", "W": 1024, "H": 1024}


def shifted(t, mu):
    return math.exp(mu) / (math.exp(mu) + 1 / t - 1)


def test_noise_levels_of_flux1_against_its_own_schedule():
    """28 steps at 1024 x 1024: every fourth level, as black-forest-labs' sampler has them."""
    left = np.array([28.0, 24, 20, 16, 12, 8, 4])
    levels = flux1_start(left, np.full(7, 28.0), (1024, 1024))
    assert levels == pytest.approx([1, 0.950, 0.888, 0.808, 0.703, 0.558, 0.345], abs=1e-3)
    assert flux1_start(np.array([10.0]), np.array([30.0]), (1024, 1024)) == pytest.approx([0.612], abs=1e-3)
    assert flux1_start(np.array([10.0]), np.array([30.0]), (768, 768)) == pytest.approx([0.5386], abs=1e-3)
    assert flux1_start(np.array([0.0]), np.array([30.0]), (512, 512)) == pytest.approx([0], abs=1e-6)


def test_a1111_begins_a_step_early():
    strengths = np.array([0.85, 0.65, 0.5, 0.0, 1.0])
    assert steps_left(strengths, np.full(5, 20.0)).tolist() == [4, 8, 11, 20, 1]


def test_stable_diffusions_strength_stays_and_is_equated_by_noise():
    imported = film(strength_schedule="0:(0.65), 10:(0.85)", max_frames=11)
    assert imported.animation.values("denoise")[[0, 10]] == pytest.approx([0.497, 0.312], abs=2e-3)
    assert imported.animation.strength_schedule.text == "0:(0.65), 10:(0.85)"
    assert said(imported, "strength_schedule").to == ("strength_schedule 0.65 to 0.85 (keep) → denoise 0.31 to 0.5")
    assert imported.animation.steps is None
    assert said(film(steps=25), "steps").fate == "meaningless"


def test_a_films_default_keep_values():
    assert denoise_from_strength(np.array([0.85, 0.65, 0.5])) == pytest.approx([0.31, 0.50, 0.62], abs=0.005)


def test_strength_beyond_its_range_is_held_as_deforum_held_it():
    imported = film(strength_schedule="0:(1.5), 2:(-0.5)", max_frames=3).animation
    assert imported.scheduled("strength_schedule").tolist() == [1, 0.5, 0]


def test_forge_with_flux_means_steps_of_flux():
    imported = film(**FLUX, strength_schedule="0:(0.85), 2:(0.5)", steps=20, max_frames=3)
    levels = [shifted(4 / 20, 1.15), shifted(7 / 20, 1.15), shifted(11 / 20, 1.15)]
    assert imported.animation.values("denoise") == pytest.approx(levels, abs=1e-6)
    assert imported.animation.values("steps").tolist() == [20, 7, 11]
    assert imported.animation.strength_schedule is None


def test_forges_default_film():
    film = imported_file("forge_flux_default_settings.txt").animation
    mu = 0.5 + 0.65 * (80 * 45 - 256) / (4096 - 256)
    assert film.at(12).denoise == pytest.approx(shifted(4 / 20, mu), abs=1e-6)
    assert (film.at(0).steps, film.at(12).steps, film.at(12).guidance) == (20, 4, 3.5)
    assert film.color_coherence == "none"
    assert film.drawn[:4] == (0, 12, 43, 74)


def test_scheduled_steps_count_where_they_are_on():
    keys = {**FLUX, "strength_schedule": "0:(0.5)", "steps": 20, "steps_schedule": "0:(10), 2:(30)", "max_frames": 3}
    on = film(enable_steps_scheduling=True, **keys)
    assert on.animation.values("steps").tolist() == [10, 11, 16]
    assert on.animation.values("denoise") == pytest.approx(
        [shifted(6 / 10, 1.15), shifted(11 / 20, 1.15), shifted(16 / 30, 1.15)], abs=1e-6
    )
    assert film(**keys).animation.values("steps").tolist() == [20, 11, 11]


def test_forges_second_strength_counts_for_drawn_frames_without_a_prompt():
    keys = {
        **FLUX, "max_frames": 5, "prompts": {"0": "a", "3": "b"}, "strength_schedule": "0:(0.85)",
        "keyframe_strength_schedule": "0:(0.5)", "keyframe_distribution": "Additive",
    }  # fmt: skip
    mixed = film(**keys)
    high, low = shifted(11 / 20, 1.15), shifted(4 / 20, 1.15)
    assert mixed.animation.values("denoise") == pytest.approx([low, high, high, low, high], abs=1e-6)
    assert "without a prompt" in said(mixed, "keyframe_strength_schedule").why
    only = film(**{**keys, "keyframe_distribution": "Keyframes Only"})
    assert only.animation.values("denoise") == pytest.approx([low] * 5, abs=1e-6)
    assert said(only, "keyframe_strength_schedule").fate == "meaningless"
    diffusion = film(**{**keys, "sd_model_name": "x"}).animation
    assert diffusion.scheduled("strength_schedule") == pytest.approx([0.85, 0.5, 0.5, 0.85, 0.5])


def test_strength_counted_in_steps_or_taken_directly():
    keys = {"strength_schedule": "0:(0.65), 10:(0.2+t/100)", "max_frames": 11}
    steps, direct = film("steps", **keys).animation, film("direct", **keys).animation
    assert (steps.denoise_mode, direct.denoise_mode) == ("steps", "sigma")
    for imported in (steps, direct):
        assert imported.values("denoise")[[0, 10]] == pytest.approx([0.35, 0.7])
        assert imported.denoise.text == "0:(0.35), 10:(1-(0.2+t/100))"
    assert film("steps", **{**FLUX, "steps": 20, **keys}).animation.values("steps").tolist() == [20] * 11


def test_in_deforum_x_flux_strength_is_what_is_redrawn():
    keys = {"near_plane": 1, "cond_prompts": {"0": "a"}, "W": 1024, "H": 1024, "max_frames": 2}
    imported = film(**keys, strength_schedule="0:(0.65), 1:(0.35)", steps=30, scale=3.5)
    assert imported.animation.values("denoise") == pytest.approx([0.863, 0.646], abs=1e-3)
    assert imported.animation.values("steps").tolist() == [30, 11]
    assert imported.animation.guidance is None
    assert "burns" in said(imported, "scale").why
    assert film("direct", **keys, strength_schedule="0:(0.65)").animation.values("denoise")[0] == pytest.approx(0.65)


def test_guidance():
    assert film(cfg_scale_schedule="0:(7)").animation.guidance is None
    forge = film(**FLUX, cfg_scale_schedule="0:(1)", distilled_cfg_scale_schedule="0:(3.5), 9:(2)", max_frames=10)
    assert forge.animation.values("guidance")[[0, 9]].tolist() == [3.5, 2]
    assert said(forge, "cfg_scale_schedule").fate == "meaningless"
    assert film(sd_model_name="x", distilled_cfg_scale_schedule="0:(3.5)").animation.guidance is None


def test_init_strength_needs_a_picture():
    assert film(strength=0.65).animation.init_denoise is None
    imported = film(use_init=True, init_image="start.png", strength=0.65)
    assert imported.animation.init_denoise == pytest.approx(0.497, abs=2e-3)
    assert imported.animation.init_image == "start.png"


@pytest.mark.parametrize(
    ("marker", "kind", "grain"),
    [({}, "uniform", 0.0238), ({}, "perlin", 0.01576), ({"near_plane": 1}, None, 0.0325), ({}, "other", 0.0238)],
)
def test_noise_is_the_deviation_that_it_had(marker, kind, grain):
    imported = film(noise_schedule="0:(0.065)", **({"noise_type": kind} if kind else {}), **marker)
    assert imported.animation.values("noise")[0] == pytest.approx(grain, abs=1e-4)
    assert ("to grey" in said(imported, "noise_schedule").why) == (not marker)


def test_noise_below_nothing_is_none():
    imported = film(noise_schedule="0:(-0.5), 2:(0.5)", noise_type="uniform", max_frames=3).animation
    assert imported.values("noise") == pytest.approx([0, 0, 0.183])


@pytest.mark.parametrize(
    ("word", "ours"),
    [("None", "none"), (None, "none"), ("LAB", "lab"), ("HSV", "lab"), ("RGB", "lab"), ("Match Frame 0 RGB", "lab"),
     ("Match Frame 0 LAB", "lab"), ("Video Input", "lab"), ("Image", "lab")],
)  # fmt: skip
def test_color_coherence_in_every_spelling(word, ours):
    imported = film(color_coherence=word)
    assert imported.animation.color_coherence == ours
    assert (said(imported, "color_coherence").fate == "kept") == (word in (None, "None", "LAB"))


def test_contrast_and_sharpening_stay():
    imported = film(contrast_schedule="0:(1.1)", amount_schedule="0:(0.1), 5:(0)", max_frames=6)
    assert imported.animation.values("contrast")[0] == pytest.approx(1.1)
    assert imported.animation.values("sharpen")[[0, 5]] == pytest.approx([0.1, 0])
    assert "white" in said(imported, "contrast_schedule").why


def test_films_by_interpolation_keep_nothing_of_frames():
    imported = film(animation_mode="Interpolation", strength_schedule="0:(0.65)", noise_schedule="0:(0.1)")
    assert imported.animation.strength_schedule is None
    assert imported.animation.values("noise")[0] == 0
