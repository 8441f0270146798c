import logging
import math

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.motion import estimate as room
from koshi_flux.motion.estimate import GuideMotion, estimate_motion
from koshi_flux.shared.transforms import about, identity, scale, shift, turn
from tests.motion.waves import Waves, with_square

HEIGHT, WIDTH = 192, 320
CENTRE = (WIDTH / 2, HEIGHT / 2)
TEXTURE, FOREGROUND = Waves(0), Waves(1).seen(105, 176)  # 30 % of the frame
STILL = TEXTURE.seen(HEIGHT, WIDTH)


def camera(x, y, angle, zoom=1.0):
    return shift(x, y) @ about(*CENTRE, turn(angle) @ scale(zoom))


def noisy(picture, seed):
    random = torch.Generator().manual_seed(seed)
    return (picture + 0.01 * torch.randn(picture.shape, generator=random)).clamp(0, 1)


def with_outliers(picture, step):
    """The picture behind something that covers 30 % of it and goes its own way, 5 pixels right and 3 down a step."""
    return noisy(with_square(picture, FOREGROUND, 40 + 5 * step, 30 + 3 * step), step)


def errors(found, true):
    """Of the angle in degrees, and of where the middle of the frame goes, in pixels."""
    angle = math.degrees(math.atan2(-found[1, 0], found[0, 0]) - math.atan2(-true[1, 0], true[0, 0]))
    middle = np.array([*CENTRE, 1])
    (x, y, w), (u, v, z) = found @ middle, true @ middle
    return abs(angle), math.hypot(x / w - u / z, y / w - v / z)


def furthest(found, true):
    """Pixels by which any corner of the frame goes astray."""
    corners = np.array([[0, 0, 1], [WIDTH, 0, 1], [0, HEIGHT, 1], [WIDTH, HEIGHT, 1]]).T
    a, b = found @ corners, true @ corners
    return np.linalg.norm(a[:2] / a[2] - b[:2] / b[2], axis=0).max()


STEPS = [(0.4, 0.3, 0.1, 1), (3.3, -1.7, 1.0, 1.01), (-2.0, 4.5, -0.8, 0.99), (12, -7, 2, 1.03), (0, 0, 0, 1.02)]


@pytest.mark.parametrize("model", ["affine", "perspective"])
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_camera_is_found_behind_what_covers_30_percent(model, step):
    true = camera(*step)
    before, after = with_outliers(STILL, 0), with_outliers(TEXTURE.seen(HEIGHT, WIDTH, true), 1)
    found = estimate_motion(before, after, model)
    angle, way = errors(found.matrix, true)
    assert found.trusted
    assert angle < 0.05
    assert way < 0.2
    assert furthest(found.matrix, true) < 0.3


def test_a_whole_path_is_found_to_its_end():
    true, found = identity(), identity()
    before = with_outliers(STILL, 0)
    for step in range(1, 9):
        true = camera(2.1 * math.sin(step), 1.3, 0.4 * math.cos(step), 1.004) @ true
        after = with_outliers(TEXTURE.seen(HEIGHT, WIDTH, true), step)
        found = estimate_motion(before, after).matrix @ found
        before = after
    angle, way = errors(found, true)
    assert angle < 0.05
    assert way < 0.2


@pytest.mark.parametrize("tilt", [(1e-5, 0), (1e-4, -5e-5), (-3e-4, 2e-4)], ids=str)
def test_a_tilted_plane_is_found(tilt):
    lens = np.array([[1, 0, 0], [0, 1, 0], [*tilt, 1]])
    true = camera(1, 0.5, 0.7) @ about(*CENTRE, lens)
    before, after = with_outliers(STILL, 0), with_outliers(TEXTURE.seen(HEIGHT, WIDTH, true), 1)
    assert furthest(estimate_motion(before, after, "perspective").matrix, true) < 0.3


def test_a_turn_holds_the_middle_of_the_frame_still():
    # a half pixel mistaken anywhere would show as 0.5 * sqrt(2) * sin(5 degrees) = 0.06
    true = camera(0, 0, 5)
    found = estimate_motion(STILL, TEXTURE.seen(HEIGHT, WIDTH, true))
    assert errors(found.matrix, true)[1] < 0.02


def test_an_affine_motion_neither_shears_nor_tilts():
    (a, b, _), (c, d, _), last = estimate_motion(STILL, TEXTURE.seen(HEIGHT, WIDTH, camera(3, 2, 3, 1.05))).matrix
    assert (a, b) == (d, -c)
    assert last.tolist() == [0, 0, 1]


@pytest.mark.parametrize("step", [(60, 20, 25, 1.2), (-50, 10, -40, 0.9)], ids=str)
def test_pictures_far_apart_are_matched_by_their_features(step):
    true = camera(*step)
    angle, way = errors(estimate_motion(STILL, TEXTURE.seen(HEIGHT, WIDTH, true)).matrix, true)
    assert angle < 0.05
    assert way < 0.3


def test_a_coarse_match_is_not_led_astray_by_what_can_still_be_tracked():
    # half of the background has gone too far for tracking, the foreground has not
    true = camera(40, 10, 8, 1.1)
    found = estimate_motion(with_outliers(STILL, 0), with_outliers(TEXTURE.seen(HEIGHT, WIDTH, true), 1))
    assert errors(found.matrix, true)[0] < 0.05


def test_the_same_pictures_give_the_same_bits():
    before, after = with_outliers(STILL, 0), with_outliers(TEXTURE.seen(HEIGHT, WIDTH, camera(*STEPS[1])), 1)
    for model in ("affine", "perspective"):
        cv2.setRNGSeed(1)
        first = estimate_motion(before, after, model)
        cv2.setRNGSeed(2)
        second = estimate_motion(before, after, model)
        assert first.matrix.tobytes() == second.matrix.tobytes()
        assert first.inliers == second.inliers


@pytest.mark.parametrize("model", ["affine", "perspective"])
def test_a_picture_that_stays_gives_the_identity(model):
    found = estimate_motion(STILL, STILL.clone(), model)
    assert found.trusted
    assert np.array_equal(found.matrix, identity())


@pytest.mark.parametrize("model", ["affine", "perspective"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (torch.zeros(3, 64, 96), torch.ones(3, 64, 96)),
        (torch.zeros(3, 64, 96), STILL[:, :64, :96]),
        (torch.rand(3, 1, 1), torch.rand(3, 1, 1)),
        (torch.rand(3, 3, 5), torch.rand(3, 3, 5)),
        (torch.rand(3, 16, 16), torch.rand(3, 16, 16)),
        (STILL, Waves(7).seen(HEIGHT, WIDTH)),
    ],
    ids=["flat", "out of black", "one pixel", "tiny", "small noise", "a cut"],
)
def test_where_no_motion_can_be_told_nothing_moves(model, before, after):
    found = estimate_motion(before, after, model)
    assert not found.trusted
    assert np.array_equal(found.matrix, identity())
    assert "only" in found.doubt


def test_the_doubt_says_how_many_points_agree(monkeypatch):
    scattered = np.random.default_rng(0).uniform(0, 200, (2, 80, 2))
    monkeypatch.setattr(room, "_matched", lambda before, after: tuple(scattered))
    found = estimate_motion(STILL, STILL.flip(1))
    assert found.doubt == f"only {found.inliers} of 80 points move together"
    assert found.inliers < 12


@pytest.mark.parametrize(
    "fold",
    [
        np.array([[-1.0, 0, WIDTH], [0, 1, 0], [0, 0, 1]]),
        np.array([[1.0, 0, 0], [0, 1, 0], [-2 / WIDTH, 0, 1]]),
        np.diag([0.2, 0.2, 1.0]),
        np.diag([5.0, 5.0, 1.0]),
        np.diag([np.nan, 1.0, 1.0]),
    ],
    ids=["mirrored", "behind the eye", "crushed", "blown up", "not a number"],
)
def test_a_motion_that_folds_is_refused(monkeypatch, fold):
    everything = (lambda before, after: (fold, np.ones(len(before), bool)), lambda before, after: None)
    monkeypatch.setitem(room.MOTION_MODELS, "perspective", everything)
    found = estimate_motion(STILL, TEXTURE.seen(HEIGHT, WIDTH, camera(*STEPS[1])), "perspective")
    assert found.doubt == "the motion found would fold the picture or crush it"
    assert np.array_equal(found.matrix, identity())


def test_a_search_that_comes_back_empty_is_a_doubt(monkeypatch):
    nothing = (lambda before, after: (None, np.zeros(len(before), bool)), lambda before, after: None)
    monkeypatch.setitem(room.MOTION_MODELS, "perspective", nothing)
    found = estimate_motion(STILL, TEXTURE.seen(HEIGHT, WIDTH, camera(*STEPS[1])), "perspective")
    assert found.doubt.startswith("only 0 of ")


@pytest.mark.parametrize("search", [room._search_similarity, room._search_homography])
def test_points_on_one_spot_have_no_motion_or_a_useless_one(search):
    spot = np.full((20, 2), 50.5)
    matrix, shared = search(spot, spot)
    assert matrix is None or len(shared) == 20


def test_pictures_of_two_sizes_and_unknown_models_are_refused():
    with pytest.raises(SettingsError, match="these are 320 x 192 and 64 x 48"):
        estimate_motion(STILL, torch.zeros(3, 48, 64))
    with pytest.raises(SettingsError, match="unknown model of motion 'rigid': known are affine, perspective"):
        estimate_motion(STILL, STILL, "rigid")


class Pan:
    """A video that pans 2 pixels a frame, and is black from frame 3 on."""

    def __init__(self):
        self.asked = []

    def picture(self, frame):
        self.asked.append(frame)
        return torch.zeros(3, HEIGHT, WIDTH) if frame >= 3 else TEXTURE.seen(HEIGHT, WIDTH, shift(-2 * frame, 0))

    def alpha(self, frame):
        return None


def test_a_guide_moves_from_the_frame_before_to_this_one():
    guide = GuideMotion(Pan())
    assert np.array_equal(guide.matrix(0), identity())
    assert furthest(guide.matrix(2), shift(-2, 0)) < 0.05
    flows = guide.flows(1)
    assert torch.allclose(
        flows.forward[30:-30, 30:-30].median(0).values.median(0).values, torch.tensor([-2.0, 0.0]), atol=0.05
    )
    assert not guide.flows(0).backward.any()


def test_what_a_guide_has_found_it_remembers():
    video = Pan()
    guide = GuideMotion(video)
    first = guide.matrix(1), guide.flows(1)
    asked = list(video.asked)
    assert guide.matrix(1) is first[0]
    assert guide.flows(1) is first[1]
    assert video.asked == asked


def test_a_guide_says_once_where_it_holds_still(caplog):
    guide = GuideMotion(Pan())
    with caplog.at_level(logging.WARNING):
        for frame in (1, 2, 3, 3, 2, 3):
            guide.matrix(frame)
    assert [record.getMessage() for record in caplog.records] == [
        "guide video, frame 3: only 0 points found in both pictures; the camera holds still there"
    ]
    assert np.array_equal(guide.matrix(3), identity())


@pytest.mark.parametrize("wrong", [{"model": "flow"}, {"method": "affine"}], ids=str)
def test_a_guide_refuses_what_it_does_not_know_at_once(wrong):
    with pytest.raises(SettingsError, match="known are"):
        GuideMotion(Pan(), **wrong)
