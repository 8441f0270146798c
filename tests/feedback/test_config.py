import numpy as np
import pytest
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.feedback import FeedbackConfig, FeedbackProcessor, correct
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Reference


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


process = FeedbackProcessor().process
PICTURE, REFERENCE = noise(3, 16, 24), noise(3, 16, 24, seed=1) ** 2
CONFIG = FeedbackConfig(color_mode="Lab", color_strength=0.5, contrast_boost=1.1, sharpen_amount=0.2, noise_amount=0.03)


def array(image, dtype):
    pixels = image.permute(1, 2, 0).numpy()
    return (pixels * 255).round().astype(np.uint8) if dtype == np.uint8 else pixels.astype(dtype)


def test_the_names_of_the_feedback_sampler_are_those_of_a_film():
    expected = FrameParameters(
        color_coherence="lab", color_strength=0.5, contrast=1.1, sharpen=0.2, noise=0.03, seed=9, frame=5
    )
    found = process(PICTURE, REFERENCE, CONFIG, seed=9, frame=5)
    assert torch.equal(found, correct(PICTURE, Reference(REFERENCE), expected))


def test_the_default_matches_colours_and_changes_nothing_else():
    matched = process(PICTURE, REFERENCE)
    assert torch.equal(matched, correct(PICTURE, Reference(REFERENCE), FrameParameters()))
    assert (matched - PICTURE).abs().max() > 0.1
    assert torch.equal(process(PICTURE), PICTURE)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_arrays_come_back_as_they_came(dtype):
    found = process(array(PICTURE, dtype), array(REFERENCE, dtype), CONFIG)
    assert isinstance(found, np.ndarray)
    assert found.dtype == dtype
    assert found.shape == (16, 24, 3)
    expected = array(process(PICTURE, REFERENCE, CONFIG), dtype).astype(float)
    tolerance = {np.uint8: 2, np.float16: 5e-3}.get(dtype, 1e-5)
    assert np.abs(found.astype(float) - expected).max() <= tolerance


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_tensors_come_back_as_they_came(dtype):
    found = process(PICTURE.to(dtype), REFERENCE.to(dtype), CONFIG)
    assert found.dtype == dtype
    assert (found - process(PICTURE, REFERENCE, CONFIG)).abs().max() < 5e-3


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_neutral_settings_return_every_value_exactly(dtype):
    pixels = array(PICTURE, dtype)
    assert np.array_equal(process(pixels, pixels), pixels)


def test_a_mirrored_view_of_an_array_is_a_picture_too():
    pixels = array(PICTURE, np.uint8)
    assert np.array_equal(process(pixels[:, ::-1]), pixels[:, ::-1])


@pytest.mark.parametrize("mode", [None, "none", "None", "NONE"])
def test_no_colour_mode_leaves_the_colours(mode):
    assert torch.equal(process(PICTURE, REFERENCE, FeedbackConfig(color_mode=mode)), PICTURE)


@pytest.mark.parametrize("mode", ["RGB", "", "lab "])
def test_an_unknown_colour_mode_names_the_known_ones(mode):
    with pytest.raises(SettingsError, match=f"unknown color_mode {mode!r}: known modes are lab, none"):
        FeedbackConfig(color_mode=mode)


@pytest.mark.parametrize("name", ["color_strength", "contrast_boost", "sharpen_amount", "noise_amount"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_amounts_are_finite_and_not_negative(name, value):
    with pytest.raises(SettingsError, match=f"{name} must be 0 or more, got {value}"):
        FeedbackConfig(**{name: value})


@pytest.mark.parametrize(
    ("picture", "what"),
    [
        (np.zeros((4, 4), np.uint8), r"array \(h, w, 3\), got uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8 \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.int64), r"uint8 or float array \(h, w, 3\), got int64"),
        (torch.zeros(4, 4, 3), r"float tensor \(3, h, w\), got torch.float32 \(4, 4, 3\)"),
        (torch.zeros(1, 3, 4, 4), r"got torch.float32 \(1, 3, 4, 4\)"),
        (torch.zeros((3, 4, 4), dtype=torch.uint8), r"float tensor \(3, h, w\), got torch.uint8"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_shape(picture, what):
    with pytest.raises(SettingsError, match=what):
        process(picture)
