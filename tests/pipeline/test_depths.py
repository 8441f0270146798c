"""The depth of a film's frames: where it comes from, how it is kept steady, what happens when it is broken."""

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.depths import Depths, open_depth_video, sees_depth
from koshi_flux.pipeline.materials import look_over
from koshi_flux.pipeline.render import render
from koshi_flux.shared.types import DepthModel
from koshi_flux.toy.model import ToyModel
from tests.input.videos import video

CPU = torch.device("cpu")
RAMP = torch.linspace(0.1, 0.9, 64).expand(48, 64).contiguous()


class Given:
    """A depth model that says what a test wants it to say of each frame."""

    device = CPU

    def __init__(self, of_frame):
        self.of_frame = of_frame

    def estimate(self, image, frame=0):
        return self.of_frame(frame)


@pytest.fixture
def depth_is(monkeypatch):
    """Let a function of the frame be the film's depth model."""

    def give(of_frame):
        monkeypatch.setattr("koshi_flux.pipeline.depths.open_depth", lambda *_: Given(of_frame))

    return give


@pytest.fixture
def depth_video(tmp_path):
    """A video of depths, 100x30, whose frames have the levels 0, 40, 80 and 120."""
    return str(video(tmp_path / "depths.mp4", [np.full((30, 100, 3), 40 * i, np.uint8) for i in range(4)]))


def depths_of(animation):
    return [frame.depth for frame in render(animation, ToyModel())]


def test_what_stands_in_for_depth_models_here_is_one():
    assert isinstance(Given(lambda frame: RAMP), DepthModel)


@pytest.mark.parametrize(
    ("settings", "sees"),
    [({}, False), ({"mode": "3d"}, True), ({"save_depth": True}, True), ({"mode": "interpolation"}, False)],
)
def test_depth_is_estimated_only_where_it_is_needed(film_of, settings, sees):
    assert sees_depth(film_of(**settings)) == sees


def test_a_video_of_depths_of_another_size_is_stretched_and_taken_as_it_is(film_of, depth_video):
    animation = film_of(frames=4, mode="3d", depth=depth_video, depth_smoothing=1, denoise=0)
    for i, depth in enumerate(depths_of(animation)):
        assert depth.shape == (48, 64)
        assert depth.mean() == pytest.approx(40 * i / 255, abs=0.01)
        assert depth.max() - depth.min() < 0.02


def test_a_short_video_of_depths_is_said_aloud(film_of, depth_video):
    (said,) = look_over(film_of(frames=6, mode="3d", depth=depth_video))
    assert said == "depth: depths.mp4 gives 4 frames, the film has 6: its last one is held from frame 4 on"
    assert open_depth_video(film_of(depth=depth_video)).count == 4


@pytest.mark.parametrize("mask", ["depth", "video-depth"])
def test_law_10_a_broken_video_of_depths_is_refused_before_a_composite_needs_it(film_of, tmp_path, mask):
    guide, junk = str(tmp_path / "guide.png"), str(tmp_path / "junk.mp4")
    cv2.imwrite(guide, np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "junk.mp4").write_bytes(b"no depths")
    with pytest.raises(SettingsError, match=r"depth: .*junk\.mp4 cannot be read as a video"):
        list(look_over(film_of(video=guide, hybrid_composite="normal", hybrid_mask=mask, depth=junk)))


def test_depth_that_changes_its_scale_is_brought_back_to_that_of_the_frame_before(film_of, depth_is):
    depth_is(lambda frame: RAMP if frame % 2 == 0 else 0.4 * RAMP + 0.2)
    steady = depths_of(film_of(mode="3d", depth_smoothing=1, denoise=0))
    assert all(torch.allclose(depth, RAMP, atol=1e-4) for depth in steady)
    pumping = depths_of(film_of(mode="3d", depth_smoothing=0, denoise=0))
    assert torch.allclose(pumping[1], 0.4 * RAMP + 0.2)


def test_depth_is_compared_where_the_camera_has_carried_it(film_of, depth_is):
    """The scene goes 4 px right a frame and so does its depth: the scale found is 1, not that of a shifted ramp."""
    hills = torch.from_numpy(cv2.GaussianBlur(np.random.default_rng(0).random((48, 96)), (0, 0), 5)).float()
    hills = (hills - hills.min()) / (hills.max() - hills.min())
    depth_is(lambda frame: hills[:, 24 - 4 * frame : 88 - 4 * frame].contiguous())
    animation = film_of(save_depth=True, translation_x=4, depth_smoothing=1, denoise=0, color_coherence="none")
    for frame, depth in enumerate(depths_of(animation)):
        assert torch.allclose(depth, hills[:, 24 - 4 * frame : 88 - 4 * frame], atol=0.01)


def test_depth_with_some_nan_is_mended_from_its_surroundings(film_of, depth_is):
    holed = RAMP.clone()
    holed[10:20, 30:40] = torch.nan
    holed[0, 0] = torch.inf
    depth_is(lambda frame: holed)
    for depth in depths_of(film_of(frames=3, mode="3d", translation_z=10)):
        assert depth.isfinite().all()
        assert 0 <= depth.min() <= depth.max() <= 1


@pytest.mark.parametrize("place", ["normal", "before-motion", "after-generation"])
@pytest.mark.parametrize("mask", ["depth", "video-depth"])
def test_nan_in_a_composites_depth_does_not_reach_the_picture(film_of, depth_is, tmp_path, mask, place):
    cv2.imwrite(str(tmp_path / "white.png"), np.full((48, 64, 3), 255, np.uint8))
    holed = RAMP.clone()
    holed[10:20, 30:40] = torch.nan
    depth_is(lambda frame: holed)
    animation = film_of(frames=3, video=str(tmp_path / "white.png"), hybrid_composite=place, hybrid_mask=mask)
    assert all(frame.image.isfinite().all() for frame in render(animation, ToyModel()))


def test_depth_without_a_number_ends_the_film_and_keeps_its_frames(film_of, depth_is, tmp_path, digest):
    depth_is(lambda frame: RAMP if frame < 3 else torch.full_like(RAMP, torch.nan))
    animation = film_of(mode="3d", translation_z=5)
    with pytest.raises(ModelError, match=r"holds no number.*depth = 'plane'"):
        list(film(animation, ToyModel(), tmp_path / "film.mp4"))
    assert list(digest(tmp_path)) == ["000000.png", "000001.png", "000002.png"]
    depth_is(lambda frame: RAMP)
    going_on = film(animation, ToyModel(), tmp_path / "film.mp4", resume=True)
    assert [frame.index for frame in going_on] == [3, 4, 5]


def test_depths_of_drawn_frames_are_kept_in_16_bits(film_of, depth_is, tmp_path):
    depth_is(lambda frame: RAMP)
    list(film(film_of(frames=5, cadence=3, save_depth=True), ToyModel(), tmp_path / "film.mp4"))
    kept = {file.name: cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in (tmp_path / "depth").iterdir()}
    assert sorted(kept) == ["000000.png", "000003.png", "000004.png"]
    for levels in kept.values():
        assert levels.dtype == np.uint16
        assert np.allclose(levels / 65535, RAMP.numpy(), atol=1e-4)


def test_a_picture_can_be_the_depth_of_every_frame(film_of, tmp_path):
    cv2.imwrite(str(tmp_path / "ramp.png"), (RAMP.numpy() * 255).round().astype(np.uint8))
    depths = Depths(film_of(depth=str(tmp_path / "ramp.png")), CPU)
    for frame in (0, 5):
        depth = depths.of(torch.zeros(3, 48, 64), film_of().at(frame), before=0.5 * RAMP)
        assert torch.allclose(depth, RAMP, atol=0.003)
