"""`koshi preview` of every mode: the camera's path in a film and on a sheet, without a model."""

from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.output.png import read_png
from koshi_flux.pipeline.preview import camera_only, moved, preview, sheet_path
from koshi_flux.schedule.animation import Animation
from koshi_flux.toy.model import ToyModel


@pytest.fixture
def guide(tmp_path):
    """A guide video of 6 frames, 64x48, whose content goes 3 px right."""
    noise = np.random.default_rng(3).random((48, 96, 3)).astype(np.float32)
    whole = (cv2.GaussianBlur(noise, (0, 0), 2) * 400 - 70).clip(0, 255).round().astype(np.uint8)
    folder = tmp_path / "guide"
    folder.mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), whole[:, 20 - 3 * i : 84 - 3 * i])
    return str(folder)


MODES = {
    "2d": {"zoom": 1.05, "shake": "handheld"},
    "3d": {"translation_z": 10, "depth": "plane"},
    "ransac": {"video": "guide"},
    "video": {"video": "guide", "video_coherence": 0.5},
    "interpolation": {"prompts": {"0": "a sea", "5": "a forest at night"}},
    "symmetry": {"mode": "2d", "symmetry": "kaleidoscope", "symmetry_angle": "0:(0), 5:(60)", "angle": 2},
    "hybrid": {"mode": "2d", "hybrid_motion": "flow", "video": "guide", "hybrid_composite": "normal"},
}


def settings_of(name, guide):
    given = {"mode": name, **MODES[name]}
    return given | ({"video": guide} if "video" in given else {})


def shown(animation):
    return [frame.image for frame in moved(camera_only(animation.resolved(ToyModel.spec)))]


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("frames", [1, 6])
def test_every_mode_has_its_film_and_its_sheet(film_of, guide, tmp_path, name, frames):
    animation = film_of(frames=frames, **settings_of(name, guide))
    path = tmp_path / "look.mp4"
    assert list(preview(animation, ToyModel.spec, path)) == list(range(frames))
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
    rows, across = (1 if frames == 1 else 2), min(4, frames)
    assert read_png(sheet_path(path)).shape == (rows * 240, across * 320, 3)


@pytest.mark.parametrize("name", MODES)
def test_the_camera_moves_in_every_mode(film_of, guide, name):
    pictures = shown(film_of(**settings_of(name, guide)))
    assert len(pictures) == 6
    assert all((one - other).abs().mean() > 0.003 for one, other in pairwise(pictures))


def test_a_cadence_does_not_slow_a_preview_down_to_fades(film_of):
    assert all(
        torch.equal(one, other)
        for one, other in zip(shown(film_of(angle=3)), shown(film_of(angle=3, cadence=4)), strict=True)
    )


def test_a_preview_needs_nothing_but_the_camera(guide, tmp_path):
    """No weights, no masks, guides or LoRAs, no depth model but the bundled one."""
    animation = Animation(
        model="flux.1-dev",
        prompts="a sea",
        frames=2,
        size=(64, 48),
        mode="3d",
        depth="midas",
        rotation_3d_y=3,
        mask="not-there.png",
        guides="not-there.png",
        lora={"style": "not-there.safetensors"},
        seed_behavior="schedule",
        seed_schedule=7,
        save_depth=True,
        video=guide,
        video_audio=True,
        alpha_mask=True,
        init_image=f"{guide}/0.png",
        init_denoise=0.3,
    )
    seen = camera_only(animation.resolved(ToyModel.spec))
    assert (seen.model, seen.depth, seen.mask, seen.lora, seen.save_depth) == ("toy", "nano", {}, {}, False)
    assert list(preview(animation, ToyModel.spec, tmp_path / "look.gif")) == [0, 1]


def test_a_preview_begins_with_the_init_image_or_the_videos_first_picture(film_of, guide):
    first = cv2.imread(f"{guide}/0.png")[..., ::-1].copy()
    still = torch.from_numpy(first).permute(2, 0, 1) / 255
    for given in ({"init_image": f"{guide}/0.png"}, {"video_init": True, "video": guide}):
        (picture, *_) = shown(film_of(frames=1, **given))
        assert (picture - still).abs()[:, 5:9, 5:9].max() < 1e-3, "between the ruled lines it is the picture itself"


def test_a_video_that_is_not_there_is_named(film_of, tmp_path):
    animation = film_of(mode="video", video=str(tmp_path / "gone.mp4"))
    with pytest.raises(SettingsError, match=r"video: there is no file .*gone\.mp4"):
        list(preview(animation, ToyModel.spec, tmp_path / "look.mp4"))
    assert not (tmp_path / "look.mp4").exists()
    assert not (tmp_path / "look.png").exists()
