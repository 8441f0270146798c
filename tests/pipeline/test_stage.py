"""What a film does to its pictures beside drawing: masks, guides, composites, echoes, init images."""

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.pipeline.render import render
from koshi_flux.toy.model import ToyModel

KEPT = {"denoise": 0, "color_coherence": "none"}


def pictures(film, model=None):
    return [frame.image for frame in render(film, model or ToyModel())]


@pytest.fixture
def plain(tmp_path):
    """Paths of flat pictures, 64x48, by their colour (r, g, b)."""

    def make(name, *color):
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), np.full((48, 64, len(color)), [*color[2::-1], *color[3:]], np.uint8))
        return str(path)

    return make


@pytest.fixture
def left_half(tmp_path):
    """A mask whose left half is black and whose right half is white."""
    path = tmp_path / "half.png"
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 32:] = 255
    cv2.imwrite(str(path), mask)
    return str(path)


def test_an_init_image_is_what_frame_0_starts_from(film_of, plain):
    (kept,) = pictures(film_of(frames=1, init_image=plain("red", 255, 0, 0), **KEPT))
    assert torch.allclose(kept, torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 48, 64))
    (frame,) = render(film_of(frames=1, init_image=plain("red", 255, 0, 0), denoise=0.3), ToyModel())
    assert frame.sigmas[0] == 0.3


def test_frame_0_can_have_a_start_level_of_its_own(film_of, plain):
    film = film_of(frames=2, init_image=plain("red", 255, 0, 0), init_denoise=0.7, denoise=0.2)
    assert [frame.sigmas[0] for frame in render(film, ToyModel())] == [0.7, 0.2]


def test_under_a_mask_black_stays_to_the_bit_and_white_is_drawn(film_of, plain, left_half):
    film = film_of(frames=3, init_image=plain("grey", 128, 128, 128), mask=left_half, mask_blur=0, denoise=0.6)
    kept = 128 / 255
    for image in pictures(film.replaced(color_coherence="none")):
        assert (image[:, :, :24] == kept).all()
        assert (image[:, :, 40:] - kept).abs().mean() > 0.02


def test_a_mask_turned_round_changes_the_other_half(film_of, plain, left_half):
    grey = plain("grey", 128, 128, 128)
    film = film_of(frames=2, init_image=grey, mask=left_half, mask_invert=True, mask_blur=0, denoise=0.6)
    _, image = pictures(film.replaced(color_coherence="none"))
    assert (image[:, :, 40:] == 128 / 255).all()
    assert (image[:, :, :24] - 128 / 255).abs().mean() > 0.02


def test_a_black_mask_changes_nothing_and_the_model_is_not_asked(film_of, plain, identity_model):
    film = film_of(frames=3, init_image=plain("red", 200, 10, 10), mask=plain("black", 0, 0, 0), denoise=0.8)
    images = pictures(film.replaced(color_coherence="none"), identity_model)
    assert identity_model.velocities == 0
    assert all(torch.equal(image, images[0]) for image in images)


def test_transparency_can_be_the_mask(film_of, tmp_path):
    pixels = np.full((48, 64, 4), 128, np.uint8)
    pixels[:, :32, 3], pixels[:, 32:, 3] = 0, 255
    cv2.imwrite(str(tmp_path / "cut.png"), pixels)
    film = film_of(frames=2, init_image=str(tmp_path / "cut.png"), alpha_mask=True, mask_blur=0, denoise=0.6)
    for image in pictures(film.replaced(color_coherence="none")):
        assert (image[:, :, :24] == 128 / 255).all()
        assert (image[:, :, 40:] - 128 / 255).abs().mean() > 0.02


def test_masks_change_with_the_frame_and_combine(film_of, plain, left_half):
    masks = {"0": f"[{left_half}]", "2": f"[{left_half}] | {{everywhere}}"}
    film = film_of(frames=3, init_image=plain("grey", 128, 128, 128), mask=masks, mask_blur=0, denoise=0.6)
    _, second, third = pictures(film.replaced(color_coherence="none"))
    assert (second[:, :, :24] == 128 / 255).all()
    assert (third[:, :, :24] != 128 / 255).any()


def test_a_noise_mask_keeps_grain_away(film_of, plain, left_half):
    film = film_of(frames=2, init_image=plain("grey", 128, 128, 128), noise=0.2, noise_mask=left_half, **KEPT)
    _, image = pictures(film)
    assert (image[:, :, :32] == 128 / 255).all()
    assert image[:, :, 32:].std() > 0.05


def test_a_guide_shines_through_by_its_blend(film_of, plain):
    black, white = plain("black", 0, 0, 0), plain("white", 255, 255, 255)
    film = film_of(frames=3, init_image=black, guides={"0": white}, guide_color=0, **KEPT)
    first = film.at(0).guide_blend
    assert first == pytest.approx(0.35 - 0.25)
    (image, *_) = pictures(film)
    assert image.mean() == pytest.approx(first, abs=1e-6)


def test_the_first_guide_is_the_opening_of_a_film_without_an_init_image(film_of, plain):
    (image,) = pictures(film_of(frames=1, guides={"0": plain("blue", 0, 0, 255)}, guide_color=0, **KEPT))
    assert torch.allclose(image[2], torch.ones(48, 64))


def test_guides_have_a_start_level_of_their_own(film_of, plain):
    film = film_of(frames=2, guides=plain("blue", 0, 0, 255), guide_denoise=0.35, denoise=0.9)
    assert [frame.sigmas[0] for frame in render(film, ToyModel())] == [0.35, 0.35]


@pytest.mark.parametrize("place", ["normal", "before-motion", "after-generation"])
def test_a_composite_shows_the_video_by_its_alpha(film_of, plain, place):
    film = film_of(
        frames=2,
        init_image=plain("black", 0, 0, 0),
        video=plain("white", 255, 255, 255),
        hybrid_composite=place,
        hybrid_alpha=0.25,
        **KEPT,
    )
    images = pictures(film)
    mixed = {"normal": [0, 0.25], "before-motion": [0, 0.25], "after-generation": [0.25, 0.25 + 0.75 * 0.25]}
    assert [float(image.mean()) for image in images] == pytest.approx(mixed[place], abs=1e-6)


@pytest.mark.parametrize("mask", ["depth", "video-depth", "difference", "blend"])
def test_composites_find_the_depth_that_their_mask_needs(film_of, plain, mask):
    film = film_of(frames=2, video=plain("white", 255, 255, 255), hybrid_composite="normal", hybrid_mask=mask)
    assert len(pictures(film)) == 2


def test_an_echo_leaves_the_last_picture_where_it_was(film_of):
    film = film_of(frames=2, translation_x=8, echo=0.4, **KEPT)
    first, second = pictures(film)
    (_, moved) = pictures(film.replaced(echo=0))
    assert torch.allclose(second, 0.6 * moved + 0.4 * first, atol=1e-6)


@pytest.mark.parametrize("symmetry", ["none", "mirror", "quad", "kaleidoscope"])
def test_law_1_a_still_film_with_echo_symmetry_and_masks_is_a_fixed_point(film_of, left_half, symmetry):
    images = pictures(film_of(frames=100, echo=0.5, mask=left_half, denoise=0, symmetry=symmetry))
    assert images[0].std() > 0.01
    assert (images[99] - images[0]).abs().mean() < 0.15 / 255
    if symmetry != "kaleidoscope":  # whose creases run between pixels and settle in the first two frames
        assert (images[99] - images[0]).abs().max() < 1 / 255
