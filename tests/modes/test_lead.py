"""Motion that a film takes from its guide video."""

import logging

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.modes.lead import Lead
from koshi_flux.motion.estimate import MOTION_MODELS, GuideMotion
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Footage, Frame

HEIGHT, WIDTH = 48, 64


def texture(seed, height=HEIGHT, width=WIDTH):
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return torch.from_numpy((smooth - smooth.min()) / np.ptp(smooth)).permute(2, 0, 1).contiguous()


class Pan:
    """Footage whose content goes 2 px right and 1 px down a frame; counts how often it is asked."""

    def __init__(self):
        self.whole, self.asked = texture(8, 160, 160), 0

    def picture(self, frame):
        self.asked += 1
        x, y = 60 - 2 * frame, 60 - frame
        return self.whole[:, y : y + HEIGHT, x : x + WIDTH].contiguous()

    def alpha(self, frame):
        return None


class Cuts(Pan):
    """Footage whose every picture shows something else."""

    def picture(self, frame):
        return texture(frame)


def frame_at(index, image=None):
    return Frame(texture(1) if image is None else image, FrameParameters(frame=index))


def lead_of(video, kind="affine", source="video"):
    return Lead(GuideMotion(video, "affine" if kind == "flow" else kind), kind, source)


def shift_of(matrix):
    return matrix[:2, 2] / matrix[2, 2]


def test_what_stands_in_for_videos_here_is_footage():
    assert isinstance(Pan(), Footage)


@pytest.mark.parametrize("kind", ["affine", "perspective"])
def test_a_step_is_the_videos_camera_from_one_frame_to_the_next(kind):
    lead = lead_of(Pan(), kind)
    assert shift_of(lead.step(4)) == pytest.approx([2, 1], abs=0.1)
    assert np.array_equal(lead.step(0), np.eye(3))
    assert np.array_equal(lead.towards(frame_at(1), 4), np.eye(3))


def test_each_step_of_the_video_is_estimated_once():
    lead = lead_of(Pan())
    for _ in range(3):
        lead.step(5)
    assert lead.motion.video.asked == 2


def test_a_lead_is_either_a_camera_or_a_flow():
    flow, camera = lead_of(Pan(), "flow"), lead_of(Pan(), "affine")
    assert np.array_equal(flow.step(3), np.eye(3))
    assert np.array_equal(flow.towards(frame_at(0), 3), np.eye(3))
    assert camera.flow(frame_at(0), 3) is None


@pytest.mark.parametrize(("here", "there"), [(0, 1), (0, 3), (3, 1), (2, 2)])
def test_a_flow_tells_where_each_pixel_comes_from(here, there):
    flow = lead_of(Pan(), "flow").flow(frame_at(here), there)
    gone = there - here
    middle = flow[12:-12, 14:-14].mean(dim=(0, 1))
    assert middle.tolist() == pytest.approx([-2 * gone, -gone], abs=0.2)


def test_motion_can_be_that_from_the_films_last_picture_to_the_video():
    video = Pan()
    frame = frame_at(7, video.picture(1))
    assert shift_of(lead_of(video, "affine", "previous").towards(frame, 3)) == pytest.approx([4, 2], abs=0.2)
    flow = lead_of(video, "flow", "previous").flow(frame, 3)
    assert flow[12:-12, 14:-14].mean(dim=(0, 1)).tolist() == pytest.approx([-4, -2], abs=0.2)


@pytest.mark.parametrize("source", ["video", "previous"])
def test_where_motion_cannot_be_told_the_camera_holds_still_and_it_is_said(source, caplog):
    with caplog.at_level(logging.WARNING):
        lead = lead_of(Cuts(), "affine", source)
        matrix = lead.step(5) @ lead.towards(frame_at(4), 5)
    assert np.array_equal(matrix, np.eye(3))
    (said,) = [record.getMessage() for record in caplog.records]
    assert "frame" in said
    assert "5" in said
    assert said.endswith("the camera holds still there")


def test_a_homography_that_folds_the_picture_is_not_followed(monkeypatch, caplog):
    """One that carries part of the frame behind the eye: the third coordinate falls from 1 to -0.28 across it."""
    fold = np.array([[1.0, 0, 0], [0, 1, 0], [-0.02, 0, 1]])
    everything = (lambda before, after: (fold, np.ones(len(before), bool)), lambda before, after: None)
    monkeypatch.setitem(MOTION_MODELS, "perspective", everything)
    lead = lead_of(Pan(), "perspective")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert np.array_equal(lead.step(1) @ lead.step(2), np.eye(3))
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"guide video, frame {n}: the motion found would fold the picture or crush it; the camera holds still there"
        for n in (1, 2)
    ]
