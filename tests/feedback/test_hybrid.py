from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageChops, ImageEnhance, ImageOps

from koshi_flux.errors import SettingsError
from koshi_flux.feedback.hybrid import EQUALIZE, MASK_KINDS, HybridMask, _equalized, composite, opacity
from koshi_flux.shared.parameters import FrameParameters

HEIGHT, WIDTH = 24, 32
WHOLE = FrameParameters(hybrid_alpha=1.0)


def noise(seed, height=HEIGHT, width=WIDTH):
    """Whole levels of 256, as Pillow has them."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), generator=random) / 255


def plain(red, green, blue):
    return torch.tensor([red, green, blue], dtype=torch.float32)[:, None, None].expand(3, 4, 6).contiguous()


def plane(*values):
    """A depth whose columns hold these values."""
    return torch.tensor(values).expand(4, -1).contiguous()


def pillow(image):
    return Pillow.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())


def levels(found):
    """A Pillow picture as ours, (h, w) or (3, h, w)."""
    values = torch.from_numpy(np.array(found)) / 255
    return values.movedim(-1, 0) if found.mode == "RGB" else values


def furthest(found, expected):
    return 255 * (found - expected).abs().max()


PICTURE, VIDEO = noise(1), noise(2)


def test_without_a_mask_the_video_is_laid_over_the_picture():
    found = composite(PICTURE, VIDEO, FrameParameters(hybrid_alpha=0.3))
    assert torch.allclose(found, 0.7 * PICTURE + 0.3 * VIDEO, atol=1e-6)


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_alpha_0_is_the_picture_bit_for_bit(kind):
    found = composite(PICTURE, VIDEO, FrameParameters(hybrid_alpha=0), HybridMask(kind=kind), torch.rand(HEIGHT, WIDTH))
    assert torch.equal(found, PICTURE)


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_a_picture_that_is_the_video_stays(kind):
    found = composite(PICTURE, PICTURE, WHOLE, HybridMask(kind=kind), torch.rand(HEIGHT, WIDTH))
    assert torch.allclose(found, PICTURE, atol=1e-6)


@pytest.mark.parametrize("kind", ["depth", "video-depth"])
def test_what_is_near_keeps_the_picture_and_what_is_far_shows_the_video(kind):
    depth = plane(0.0, 0.25, 0.5, 0.75, 1.0, 1.0)
    found = composite(plain(1, 0, 0), plain(0, 0, 1), WHOLE, HybridMask(kind=kind), depth)
    assert torch.allclose(found[0], depth)
    assert torch.allclose(found[2], 1 - depth)
    swapped = composite(plain(1, 0, 0), plain(0, 0, 1), WHOLE, HybridMask(kind=kind, inverse=True), depth)
    assert torch.allclose(swapped[0], 1 - depth)


def test_the_blend_mask_mixes_brightness():
    # grey: 0.299 of red, 0.114 of blue; mixed 1 : 3
    parameters = replace(WHOLE, hybrid_mask_blend=0.75)
    mask = opacity(plain(1, 0, 0), plain(0, 0, 1), parameters, HybridMask(kind="blend"))
    assert mask.unique().tolist() == pytest.approx([0.25 * 0.299 + 0.75 * 0.114])


def test_the_difference_mask_is_how_far_brightness_differs():
    mask = opacity(plain(1, 0, 0), plain(0, 0, 1), WHOLE, HybridMask(kind="difference"))
    assert mask.unique().tolist() == pytest.approx([0.299 - 0.114])


def test_contrast_is_about_the_mean():
    depth = plane(0.3, 0.5, 0.4, 0.4, 0.4, 0.4)  # mean 0.4
    doubled = opacity(
        PICTURE[:, :4, :6], VIDEO[:, :4, :6], replace(WHOLE, hybrid_mask_contrast=2), HybridMask(kind="depth"), depth
    )
    assert doubled[0].tolist() == pytest.approx([0.2, 0.6, 0.4, 0.4, 0.4, 0.4])
    none = opacity(
        PICTURE[:, :4, :6], VIDEO[:, :4, :6], replace(WHOLE, hybrid_mask_contrast=0), HybridMask(kind="depth"), depth
    )
    assert none.flatten().tolist() == pytest.approx([0.4] * 24)


def test_percentiles_become_black_and_white():
    # of 6 values percentile p is number p / 20: 20 -> 0.2, 80 -> 0.4
    depth = plane(0.1, 0.2, 0.25, 0.3, 0.4, 0.5)[:1]
    picture = PICTURE[:, :1, :6]
    mask = opacity(
        picture, picture, replace(WHOLE, hybrid_mask_low=20, hybrid_mask_high=80), HybridMask(kind="depth"), depth
    )
    assert mask[0].tolist() == pytest.approx([0, 0, 0.25, 0.5, 1, 1], abs=1e-6)


def test_the_whole_range_is_stretched_only_on_demand():
    depth = plane(0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
    picture = PICTURE[:, :4, :6]
    assert torch.allclose(opacity(picture, picture, WHOLE, HybridMask(kind="depth"), depth), depth)
    mask = opacity(picture, picture, WHOLE, HybridMask(kind="depth", auto_contrast=True), depth)
    assert mask[0].tolist() == pytest.approx([0, 0.25, 0.375, 0.5, 0.75, 1], abs=1e-6)


@pytest.mark.parametrize("equalize", EQUALIZE)
@given(level=st.floats(0, 1))
def test_a_flat_mask_stays(equalize, level):
    depth = torch.full((4, 6), level)
    mask = HybridMask(kind="depth", equalize=equalize, auto_contrast=True)
    found = opacity(PICTURE[:, :4, :6], VIDEO[:, :4, :6], replace(WHOLE, hybrid_mask_contrast=3), mask, depth)
    assert torch.allclose(found, depth, atol=1e-5)


def test_equalising_gives_each_value_the_share_of_what_is_darker():
    # of 24: 12 at 0, 6 at 0.2, 6 at 0.6, the brightest; 18 are not of the brightest
    values = plane(0.0, 0.0, 0.0, 0.2, 0.2, 0.6).clone()
    values[2:, 4] = 0.6
    assert _equalized(values).unique().tolist() == pytest.approx([0, 12 / 18, 1])


def test_equalising_is_pillows():
    values = torch.linspace(0, 1, 256).square().repeat(60, 1).mul(255).round() / 255
    expected = ImageOps.equalize(Pillow.fromarray((values * 255).byte().numpy()))
    assert furthest(_equalized(values), levels(expected)) <= 1


@pytest.mark.parametrize("contrast", [0.5, 1.0, 2.0])
def test_contrast_is_pillows(contrast):
    values = torch.linspace(0.2, 0.7, 51).mul(255).round().div(255).repeat(10, 1)
    grey = Pillow.fromarray((values * 255).byte().numpy())
    picture = noise(0, *values.shape)
    found = opacity(picture, picture, replace(WHOLE, hybrid_mask_contrast=contrast), HybridMask(kind="depth"), values)
    assert furthest(found, levels(ImageEnhance.Contrast(grey).enhance(contrast))) <= 1


@pytest.mark.parametrize("kind", ["blend", "difference"])
@pytest.mark.parametrize("inverse", [False, True])
def test_the_whole_is_what_deforum_does_with_pillow(kind, inverse):
    parameters = FrameParameters(hybrid_alpha=0.6, hybrid_mask_blend=0.4, hybrid_mask_contrast=1.5)
    picture, video = pillow(PICTURE), pillow(VIDEO)
    greys = ImageOps.grayscale(picture), ImageOps.grayscale(video)
    mask = Pillow.blend(*greys, 0.4) if kind == "blend" else ImageChops.difference(*greys)
    mask = ImageEnhance.Contrast(ImageOps.invert(mask) if inverse else mask).enhance(1.5)
    expected = Pillow.blend(picture, Pillow.composite(picture, video, mask), 0.6)
    found = composite(PICTURE, VIDEO, parameters, HybridMask(kind=kind, inverse=inverse))
    assert furthest(found, levels(expected)) < 3  # Pillow rounds five times
    assert 255 * (found - levels(expected)).abs().mean() < 1


@given(
    mask=st.builds(
        HybridMask,
        kind=st.sampled_from(MASK_KINDS),
        inverse=st.booleans(),
        equalize=st.sampled_from(EQUALIZE),
        auto_contrast=st.booleans(),
    ),
    contrast=st.floats(0, 5),
    low=st.floats(0, 40),
    seed=st.integers(0, 100),
)
def test_every_mask_lies_between_picture_and_video(mask, contrast, low, seed):
    parameters = replace(WHOLE, hybrid_mask_contrast=contrast, hybrid_mask_low=low, hybrid_mask_high=60.0)
    picture, video, depth = noise(seed, 5, 7), noise(seed + 1, 5, 7), noise(seed + 2, 5, 7)[0]
    found = composite(picture, video, parameters, mask, depth)
    assert (found >= torch.minimum(picture, video) - 1e-5).all()
    assert (found <= torch.maximum(picture, video) + 1e-5).all()


def test_unknown_words_name_those_that_are_known():
    with pytest.raises(SettingsError, match="unknown hybrid_mask 'deep': known are none, blend, depth"):
        HybridMask(kind="deep")
    with pytest.raises(
        SettingsError, match="unknown hybrid_mask_equalize 'twice': known are none, before, after, both"
    ):
        HybridMask(equalize="twice")


def test_a_mask_of_depth_needs_one_of_the_films_size():
    mask = HybridMask(kind="video-depth")
    assert mask.needs_depth
    assert not HybridMask(kind="blend").needs_depth
    with pytest.raises(SettingsError, match="hybrid_mask = 'video-depth' needs a depth: choose one with `depth`"):
        composite(PICTURE, VIDEO, WHOLE, mask)
    with pytest.raises(SettingsError, match="the depth of hybrid_mask = 'video-depth' is 6 x 4, the film 32 x 24"):
        composite(PICTURE, VIDEO, WHOLE, mask, torch.zeros(4, 6))


def test_a_video_of_another_size_is_refused():
    with pytest.raises(SettingsError, match="the guide video is 16 x 8, the film 32 x 24"):
        composite(PICTURE, noise(0, 8, 16), WHOLE)


@pytest.mark.parametrize(("low", "high"), [(60, 40), (50, 50), (-1, 100), (0, 101)])
def test_percentiles_out_of_order_are_refused(low, high):
    parameters = replace(WHOLE, hybrid_mask_low=float(low), hybrid_mask_high=float(high))
    with pytest.raises(SettingsError, match="must hold 0 <= low < high <= 100, got"):
        composite(PICTURE, VIDEO, parameters, HybridMask(kind="blend"))
