"""In-betweens: every frame is there, they lie on the camera's way, and flows align what the model drew apart."""

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.modes.scene import Scene
from koshi_flux.output.png import read_png
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.cadence import in_betweens
from koshi_flux.pipeline.materials import look_over
from koshi_flux.pipeline.render import render
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Frame
from koshi_flux.toy.model import ToyModel

MODES = ("2d", "3d", "ransac", "video", "interpolation")


@pytest.fixture
def guide(tmp_path):
    """A guide video of four frames, 32x32, whose content goes 2 px right."""
    noise = np.random.default_rng(3).random((32, 48, 3)).astype(np.float32)
    whole = (cv2.GaussianBlur(noise, (0, 0), 1.5) * 255).round().astype(np.uint8)
    folder = tmp_path / "guide"
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), whole[:, 12 - 2 * i : 44 - 2 * i])
    return str(folder)


def given(mode, guide):
    return {"mode": mode, "size": (32, 32), "depth": "plane"} | (
        {"video": guide} if mode in ("ransac", "video") else {}
    )


def disk(x, y=24.0):
    """White on grey, soft, 48 x 64."""
    rows, columns = np.mgrid[:48, :64] + 0.5
    inside = np.clip(8.5 - np.hypot(columns - x, rows - y), 0, 1)
    return torch.from_numpy((0.3 + 0.7 * inside).astype(np.float32)).expand(3, -1, -1).contiguous()


def between(before, after, frames, flow="none", camera=None, **numbers):
    """The in-betweens from frame 0 to the one after all of `frames`."""
    path = [FrameParameters(frame=frame, **numbers) for frame in range(1, frames + 2)]
    first, last = Frame(before, FrameParameters()), Frame(after, path[-1])
    return list(in_betweens(Scene(camera=camera), first, last, path, flow))


@pytest.mark.parametrize("mode", MODES[1:])  # for 2d see test_render.py
def test_every_cadence_makes_all_10_frames_in_every_mode(film_of, guide, mode):
    for cadence in range(1, 12):
        animation = film_of(frames=10, cadence=cadence, translation_x=1, **given(mode, guide))
        frames = list(render(animation, ToyModel()))
        assert [frame.index for frame in frames] == list(range(10))
        assert [frame.index for frame in frames if frame.drawn] == sorted({*range(0, 10, cadence), 9})
        assert all(frame.image.isfinite().all() for frame in frames)


@pytest.mark.parametrize("mode", MODES)
def test_a_cadence_longer_than_the_film_is_said_aloud_and_writes_every_frame(film_of, guide, mode, tmp_path):
    animation = film_of(frames=4, cadence=11, cadence_flow="dis", **given(mode, guide))
    assert "cadence 11 is more than the film's 4 frames: only the first and the last are drawn" in " ".join(
        look_over(animation)
    )
    run = tmp_path / "run"
    assert len(list(film(animation, ToyModel(), run / "film.mp4"))) == 4
    assert [read_png(run / f"frames/{i:06d}.png").shape for i in range(4)] == [(32, 32, 3)] * 4


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_films_of_very_few_frames_have_cadences_too(film_of, frames):
    assert [f.index for f in render(film_of(frames=frames, cadence=5), ToyModel())] == list(range(frames))


def test_where_nothing_moves_in_betweens_fade_evenly():
    dark, light = torch.full((3, 48, 64), 0.2), torch.full((3, 48, 64), 0.8)
    made = between(dark, light, 3)
    assert [float(frame.image.mean()) for frame in made] == pytest.approx([0.35, 0.5, 0.65], abs=1e-6)
    assert [(frame.index, frame.drawn, frame.depth) for frame in made] == [(i, False, None) for i in (1, 2, 3)]


def test_between_neighbours_there_is_nothing():
    assert between(disk(20), disk(24), 0) == []


def test_flow_brings_a_thing_to_where_it_is_half_way():
    """Two disks 10 px apart: a fade shows both of them dimly, flow one of them between."""
    (faded,) = between(disk(27), disk(37), 1)
    (met,) = between(disk(27), disk(37), 1, "dis")
    truth = disk(32)
    errors = [float((frame.image - truth).square().mean()) for frame in (faded, met)]
    assert errors[1] < errors[0] / 20


def test_flow_that_is_not_followed_is_a_fade():
    (faded,) = between(disk(27), disk(37), 1)
    (kept,) = between(disk(27), disk(37), 1, "dis", cadence_flow_factor=0.0)
    assert (faded.image - kept.image).abs().max() < 2e-3


def test_flow_and_camera_make_one_way():
    """The camera carries all of it 8 px right, and the disk was drawn 4 px further: half-way it has come 6 px."""
    (met,) = between(disk(24), disk(36), 1, "dis", "2d", translation_x=4.0)
    bright = (met.image[0] - 0.3).clamp(min=0)[:, 10:54]
    centre = float((bright * (torch.arange(10, 54) + 0.5)).sum() / bright.sum())
    assert centre == pytest.approx(30, abs=0.5)


def test_what_only_one_of_the_two_shows_comes_from_that_one():
    """Content goes 8 px right: at the left edge only the later picture knows what came in."""
    dark, light = torch.full((3, 48, 64), 0.2), torch.full((3, 48, 64), 0.8)
    (frame,) = between(dark, light, 1, camera="2d", translation_x=8.0)
    assert torch.allclose(frame.image[:, :, :8], light[:, :, :8], atol=1e-5)
    assert torch.allclose(frame.image[:, :, -8:], dark[:, :, -8:], atol=1e-5)
    assert torch.allclose(frame.image[:, :, 8:-8], torch.full((), 0.5), atol=1e-5)


@pytest.mark.parametrize("flow", ["none", "dis", "dis-fine", "farneback"])
def test_in_betweens_stay_within_the_range_of_pictures(flow):
    sharp = torch.zeros(3, 48, 64)
    sharp[:, ::2, ::2] = 1.0
    for frame in between(sharp, sharp.flip(2), 2, flow, "2d", angle=7.0, zoom=1.1):
        assert 0 <= frame.image.min() <= frame.image.max() <= 1
