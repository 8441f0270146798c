import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.feedback.contrast import stretch
from koshi_flux.feedback.noise import add_grain
from koshi_flux.shared.color import luma
from koshi_flux.shared.noise import frame_noise


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@given(contrast=st.floats(0, 4))
def test_contrast_keeps_the_mean_brightness(contrast):
    picture = noise(3, 20, 30)
    assert luma(stretch(picture, contrast)).mean().item() == pytest.approx(luma(picture).mean().item(), abs=1e-5)


def test_contrast_by_hand():
    picture = torch.tensor([0.2, 0.6]).expand(3, 1, 2)  # mean brightness 0.4
    assert stretch(picture, 1.5)[0, 0].tolist() == pytest.approx([0.1, 0.7])
    assert stretch(picture, 0.5)[2, 0].tolist() == pytest.approx([0.3, 0.5])
    assert stretch(picture, 0.0)[1, 0].tolist() == pytest.approx([0.4, 0.4])


def test_contrast_one_leaves_the_picture():
    picture = noise(3, 20, 30)
    assert torch.equal(stretch(picture, 1.0), picture)


def grain(amount=0.05, seed=3, frame=4, picture=None):
    picture = torch.full((3, 256, 256), 0.5) if picture is None else picture
    return add_grain(picture, amount, seed, frame) - picture


@pytest.mark.parametrize("amount", [0.02, 0.2])
def test_grain_has_zero_mean_and_the_stated_deviation(amount):
    assert grain(amount).mean().item() == pytest.approx(0, abs=0.02 * amount)
    assert grain(amount).std().item() == pytest.approx(amount, rel=0.02)


def test_grain_has_no_colour():
    red, green, blue = grain()
    assert torch.equal(red, green)
    assert torch.equal(green, blue)


def test_law_3_grain_depends_on_seed_and_frame_only():
    other_picture = noise(3, 256, 256)
    assert torch.equal(grain(), grain())
    assert torch.allclose(grain(), grain(picture=other_picture), atol=1e-6)
    assert (grain() - grain(seed=4)).std() > 0.05
    assert (grain() - grain(frame=5)).std() > 0.05


def test_grain_is_not_the_noise_that_the_latent_gets():
    latent_noise = frame_noise((256, 256), 3, 4)
    assert (grain()[0] / 0.05 * latent_noise).mean().item() == pytest.approx(0, abs=0.02)
