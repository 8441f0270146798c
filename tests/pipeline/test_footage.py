"""Films and what they are made from: memory that does not grow, and material that breaks on the way."""

import gc

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.errors import KoshiError, SettingsError
from koshi_flux.output.png import read_png
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.footage import open_guide, open_scene
from koshi_flux.pipeline.materials import look_over
from koshi_flux.pipeline.render import render
from koshi_flux.toy.model import ToyModel
from tests.input.videos import number, numbered, video

CPU = torch.device("cpu")
KEPT = {"denoise": 0, "color_coherence": "none"}


def pictures_in(folder, count, seed=3):
    """A folder of `count` pictures, 64x48, whose content goes 1 px right a frame; its path."""
    noise = np.random.default_rng(seed).random((48, 64 + count, 3)).astype(np.float32)
    whole = (cv2.GaussianBlur(noise, (0, 0), 1.5) * 255).round().astype(np.uint8)
    folder.mkdir(exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), whole[:, count - i : count - i + 64])
    return str(folder)


@pytest.fixture
def panning(tmp_path):
    return pictures_in(tmp_path / "guide", 40)


@pytest.fixture
def torn(tmp_path):
    """A guide video whose fourth picture is damaged."""
    folder = pictures_in(tmp_path / "torn", 6)
    (tmp_path / "torn/3.png").write_bytes((tmp_path / "torn/3.png").read_bytes()[:700])
    return folder


def held_after(animation, frames):
    """Bytes of all tensors that live when so many frames of a film are drawn."""
    rendering = render(animation, ToyModel())
    for _ in range(frames):
        frame = next(rendering)
    del frame
    gc.collect()
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in gc.get_objects() if is_tensor(t)}
    rendering.close()
    return sum(storages.values())


def placed(setting, guide):
    if isinstance(setting, dict):
        return {key: placed(value, guide) for key, value in setting.items()}
    return setting.replace("{guide}", guide) if isinstance(setting, str) else setting


def is_tensor(thing):
    return type(thing) in (torch.Tensor, torch.nn.Parameter) and thing.device.type == "cpu"


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "ransac", "video": "{guide}", "hybrid_motion": "flow", "hybrid_composite": "normal", "cadence": 2},
        {"mode": "video", "video": "{guide}", "video_coherence": 0.5, "echo": 0.2},
        {"mode": "3d", "depth": "{guide}/0.png", "translation_z": 5, "mask_video": "{guide}", "noise": 0.1},
        {"guides": {str(i): f"{{guide}}/{i}.png" for i in range(40)}},
        {"mask": {str(i): f"[{{guide}}/{i}.png]" for i in range(40)}, "noise": 0.1},
        {"mode": "interpolation", "cadence": 2, "cadence_flow": "dis"},
    ],
    ids=["flow", "video", "3d", "guides", "masks", "interpolation"],
)
def test_law_9_memory_does_not_grow_with_frames(film_of, panning, settings):
    given = {key: placed(value, panning) for key, value in settings.items()}
    animation = film_of(frames=40, **given)
    picture = 3 * 48 * 64 * 4
    assert held_after(animation, 25) - held_after(animation, 10) < 2 * picture


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "video"},
        {"mode": "ransac"},
        {"hybrid_motion": "flow"},
        {"hybrid_composite": "normal"},
        {"hybrid_composite": "after-generation", "mode": "3d", "depth": "plane"},
    ],
)
def test_a_video_that_is_damaged_on_the_way_ends_the_film_and_keeps_its_frames(
    film_of, torn, tmp_path, digest, settings
):
    animation = film_of(video=torn, **settings)
    assert list(look_over(animation)) == [], "its first picture is whole"
    run = tmp_path / "run"
    with pytest.raises(SettingsError, match=r"video: .*3\.png cannot be read as a picture"):
        list(film(animation, ToyModel(), run / "film.mp4"))
    assert list(digest(run)) == ["000000.png", "000001.png", "000002.png"]
    kept = digest(run)
    pictures_in(tmp_path / "torn", 6)
    assert [frame.index for frame in film(animation, ToyModel(), run / "film.mp4", resume=True)] == [3, 4, 5]
    list(film(animation, ToyModel(), tmp_path / "whole/film.mp4"))
    assert digest(run) == digest(tmp_path / "whole")
    assert kept.items() <= digest(run).items()


def test_damaged_guides_and_masks_of_later_frames_are_found_before_anything_starts(film_of, torn):
    for setting in ("guides", "mask", "noise_mask"):
        with pytest.raises(SettingsError, match=rf"{setting}: .*3\.png cannot be read"):
            list(look_over(film_of(**{setting: {"0": f"{torn}/0.png", "5": f"{torn}/3.png"}})))


@pytest.mark.parametrize("mode", ["video", "ransac"])
def test_a_video_of_one_picture_stands_still_and_nothing_is_said(film_of, panning, mode):
    animation = film_of(frames=4, mode=mode, video=f"{panning}/0.png", **KEPT)
    assert list(look_over(animation)) == []
    first, *others = [frame.image for frame in render(animation, ToyModel())]
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_a_video_of_any_size_fills_the_film(film_of, tmp_path, fit):
    tall = str(video(tmp_path / "tall.mp4", numbered(3, (32, 96))))
    frames = list(render(film_of(frames=3, mode="video", video=tall, video_fit=fit, **KEPT), ToyModel()))
    assert [frame.image.shape for frame in frames] == [(3, 48, 64)] * 3
    middles = [number(frame.image[:, 10:38, 26:38]) for frame in frames]
    assert middles == [0, 1, 2]


def test_what_a_video_leaves_open_is_drawn_anew_only_when_asked(film_of, tmp_path, identity_model):
    tall = str(video(tmp_path / "tall.mp4", numbered(2, (32, 96))))
    animation = film_of(frames=2, mode="video", video=tall, video_fit="contain", denoise=0.4)
    assert [frame.sigmas[0] for frame in render(animation, identity_model)] == [0.4, 0.4]
    redrawn = render(animation.replaced(uncovered="redraw"), identity_model)
    assert [frame.sigmas[0] for frame in redrawn] == [1.0, 1.0]


def test_clear_parts_of_a_video_are_folded_with_its_picture(film_of, tmp_path):
    """Clear on the right, and the left half is shown on both sides: nothing clear is left to be drawn anew."""
    pixels = np.full((48, 64, 4), 128, np.uint8)
    pixels[:, 32:, 3] = 0
    cv2.imwrite(str(tmp_path / "clear.png"), pixels)
    shown = film_of(frames=1, mode="video", video=str(tmp_path / "clear.png"), uncovered="redraw", denoise=0.4)
    assert next(render(shown, ToyModel())).sigmas[0] == 1.0
    assert next(render(shown.replaced(symmetry="mirror"), ToyModel())).sigmas[0] == 0.4


@pytest.mark.parametrize("kind", ["mask", "mask_image", "mask_video", "noise_mask"])
def test_masks_of_another_size_are_stretched_to_the_film(film_of, tmp_path, kind):
    """30x20, the left third black: 21 of 64 columns keep the opening."""
    pixels = np.full((20, 30, 3), 255, np.uint8)
    pixels[:, :10] = 0
    grey = np.full((48, 64, 3), 128, np.uint8)
    for name, picture in (("mask", pixels), ("grey", grey)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    film_mask = str(video(tmp_path / "masks.mkv", [pixels] * 2, codec="ffv1", layout="bgr0"))
    given = {kind: film_mask if kind == "mask_video" else str(tmp_path / "mask.png"), "mask_blur": 0}
    how = {"noise": 0.3, **KEPT} if kind == "noise_mask" else {"denoise": 0.7, "color_coherence": "none"}
    (frame, *_) = render(film_of(frames=2, init_image=str(tmp_path / "grey.png"), **given, **how), ToyModel())
    changed = (frame.image - 128 / 255).abs().mean(dim=(0, 1))
    assert changed[:20].max() == 0
    assert changed[24:].min() > 0.01


def test_a_mask_video_is_followed_as_the_guide_video_is(film_of, tmp_path):
    film_mask = str(video(tmp_path / "masks.mkv", numbered(20), codec="ffv1", layout="bgr0"))
    animation = film_of(mode="2d", mask_video=film_mask, video_start=4, video_step=3)
    assert animation.at(2).mask == "{video_mask}"
    assert "masks.mkv gives 6 frames, the film has 8" in " ".join(look_over(animation.replaced(frames=8)))


def test_the_scene_is_opened_at_the_films_size_with_what_it_needs(film_of, panning):
    scene = open_scene(film_of(video=panning, video_init=True, hybrid_motion="perspective"), CPU)
    assert scene.opening.shape == (3, 48, 64)
    assert (scene.lead.kind, scene.lead.motion.model, scene.camera) == ("perspective", "perspective", "2d")
    assert open_scene(film_of(), CPU).video is None
    assert open_scene(film_of(mode="ransac", video=panning), CPU).lead.kind == "affine"
    assert open_scene(film_of(mode="video", video=panning), CPU).lead is None
    assert open_guide(film_of(video=panning, video_start=10, video_end=19, video_step=3)).count == 4


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"video_start": 40}, "video_start = 40 lies beyond the end"),
        ({"video_start": 9, "video_end": 3}, "video_end must be -1 .* or at least video_start = 9, got 3"),
        ({"video_step": 0}, "video_step"),
        ({"video_fit": "crop"}, "video_fit: should be 'cover', 'contain' or 'stretch'"),
        ({"video_short": "stop"}, "video_short: should be 'hold' or 'loop'"),
    ],
)
def test_law_10_parts_of_a_video_that_are_not_there_are_refused(film_of, panning, settings, says):
    with pytest.raises(KoshiError, match=says):
        list(look_over(film_of(mode="video", video=panning, **settings)))


def test_frames_on_disk_are_the_videos_own_when_nothing_is_drawn(film_of, panning, tmp_path):
    list(film(film_of(frames=5, mode="video", video=panning, **KEPT), ToyModel(), tmp_path / "run/film.mp4"))
    for i in range(5):
        shown = cv2.imread(f"{panning}/{i}.png")[..., ::-1]
        assert np.array_equal(read_png(tmp_path / f"run/frames/{i:06d}.png"), shown)
