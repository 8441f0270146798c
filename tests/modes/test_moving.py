"""How a drawn picture is carried to another frame: cameras, leads and folds, in one resample."""

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.modes import MODES, Scene, Start
from koshi_flux.modes.lead import Lead
from koshi_flux.modes.moving import carried, carried_back, folded, moving
from koshi_flux.motion import move
from koshi_flux.motion.estimate import GuideMotion
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Frame, History

HEIGHT, WIDTH = 48, 64


def texture(height=HEIGHT, width=WIDTH, seed=3):
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return torch.from_numpy((smooth - smooth.min()) / np.ptp(smooth)).permute(2, 0, 1).contiguous()


class Pan:
    """Footage whose content goes `step` (x, y) pixels a frame."""

    def __init__(self, step=(2, 1), seed=8):
        self.step, self.whole = step, texture(160, 160, seed)

    def picture(self, frame):
        x, y = 60 - self.step[0] * frame, 60 - self.step[1] * frame
        return self.whole[:, y : y + HEIGHT, x : x + WIDTH].contiguous()

    def alpha(self, frame):
        return None


def drawn(index=0, depth=None):
    return Frame(texture(), FrameParameters(frame=index), depth=depth)


def path_of(frames, **numbers):
    return [FrameParameters(frame=frame, **numbers) for frame in frames]


def led(kind="affine", source="video", step=(2, 1)):
    return Scene(camera="2d", lead=Lead(GuideMotion(Pan(step), "affine" if kind == "flow" else kind), kind, source))


def inside(start, *others):
    """Pixels that all of the starts show, edges aside."""
    known = ~start.uncovered
    for other in others:
        known = known & ~other.uncovered
    known[:6] = known[-6:] = False
    known[:, :8] = known[:, -8:] = False
    assert known.float().mean() > 0.2
    return known


def test_a_film_out_of_nothing_is_drawn_out_of_noise():
    assert moving(Scene(), History(), path_of([0])) is None


def test_an_opening_is_where_a_film_starts_and_has_no_holes():
    opening = texture()
    start = moving(Scene(opening=opening), History(), path_of([0], translation_x=9.0))
    assert start.picture is opening
    assert not start.uncovered.any()


def test_an_opening_is_folded_before_it_is_drawn():
    start = moving(Scene(opening=texture()), History(), path_of([0], symmetry="mirror"))
    assert (start.picture - start.picture.flip(2)).abs().max() < 1e-4
    assert torch.allclose(start.picture[:, :, :32], texture()[:, :, :32], atol=1e-4)


def test_a_camera_that_stands_still_returns_the_very_picture_and_its_depth():
    frame = drawn(depth=torch.rand(HEIGHT, WIDTH))
    for camera in ("2d", "3d", None):
        start = carried(Scene(camera=camera), frame, path_of([1, 2]))
        assert start.picture is frame.image
        assert start.depth is frame.depth
        assert start.reads is None


def test_law_2_a_path_is_one_resample_of_the_whole_camera():
    path = path_of([1, 2, 3], angle=4.0, zoom=1.03, translation_x=2.5)
    start = carried(Scene(), drawn(), path)
    once, uncovered = move(texture(), path)
    assert torch.equal(start.picture, once)
    assert torch.equal(start.uncovered, uncovered)


def test_depth_goes_along_with_the_picture_and_what_came_into_sight_is_uncovered():
    ramp = torch.linspace(0, 1, WIDTH).expand(HEIGHT, WIDTH).contiguous()
    start = carried(Scene(), drawn(depth=ramp), path_of([1, 2], translation_x=3.0))
    assert torch.allclose(start.depth[:, 6:], ramp[:, :-6], atol=1e-5)
    assert start.uncovered[:, :6].all()
    assert not start.uncovered[:, 6:].any()


def test_a_film_without_a_camera_of_its_own_stands_still_whatever_its_schedules_say():
    frame = drawn()
    assert carried(Scene(camera=None), frame, path_of([1], zoom=2.0, translation_z=50.0)).picture is frame.image


def test_going_back_is_the_way_there_undone():
    path = path_of([1, 2, 3, 4], angle=6.0, zoom=1.02, translation_y=-2.0)
    first = drawn()
    last = Frame(carried(Scene(), first, path).picture, path[-1])
    for step in (1, 2, 3):
        come = carried(Scene(), first, path[:step])
        back = carried_back(Scene(), last, path[step:], path[step - 1])
        known = inside(come, back)
        assert (come.picture - back.picture).abs()[:, known].mean() < 2e-3


def test_going_back_in_space_undoes_the_travel_for_what_has_one_depth():
    depth = torch.full((HEIGHT, WIDTH), 0.5)
    path = path_of([1, 2], translation_z=20.0, rotation_3d_y=2.0)
    first = drawn(depth=depth)
    there = carried(Scene(camera="3d"), first, path)
    last = Frame(there.picture, path[-1], depth=depth)
    come = carried(Scene(camera="3d"), first, path[:1])
    back = carried_back(Scene(camera="3d"), last, path[1:], path[0])
    assert (come.picture - back.picture).abs()[:, inside(come, back)].mean() < 0.01


def test_there_is_no_way_back_from_a_camera_that_ends_edge_on():
    path = path_of([1], perspective_flip_gamma=90.0)
    assert carried_back(Scene(), drawn(1), path, FrameParameters(frame=0)).uncovered.all()


@pytest.mark.parametrize("kind", ["affine", "perspective", "flow"])
def test_a_lead_carries_the_picture_as_its_video_goes(kind):
    first = drawn()
    start = carried(led(kind), first, path_of([1, 2, 3]))
    assert (start.picture[:, 10:-6, 12:-8] - first.image[:, 7:-9, 6:-14]).abs().mean() < 0.01
    back = carried_back(led(kind), Frame(first.image, FrameParameters(frame=3)), path_of([2, 3]), path_of([1])[0])
    assert (back.picture[:, 6:-10, 6:-14] - first.image[:, 8:-8, 10:-10]).abs().mean() < 0.01


def test_a_lead_by_its_camera_says_what_came_into_sight():
    start = carried(led("affine"), drawn(), path_of([1, 2, 3]))
    assert start.uncovered[:, :5].all()
    assert start.uncovered[:2].all()
    assert not start.uncovered[4:, 8:].any()


@pytest.mark.parametrize(("factor", "gone"), [(0.0, 0), (1.0, 2), (2.0, 4), (-1.0, -2)])
def test_the_flow_factor_says_how_far_the_film_follows(factor, gone):
    first = drawn()
    start = carried(led("flow", step=(2, 0)), first, path_of([1], hybrid_flow_factor=factor))
    there, here = start.picture[:, 6:-6, 10:-10], first.image[:, 6:-6, 10 - gone : WIDTH - 10 - gone]
    assert (there - here).abs().mean() < 0.01


def test_a_film_led_by_the_last_picture_goes_to_what_the_video_shows():
    scene = led("affine", "previous")
    frame = Frame(scene.lead.motion.video.picture(0), FrameParameters(frame=5))
    start = carried(scene, frame, path_of([6]))
    shown = scene.lead.motion.video.picture(6)
    assert (start.picture - shown)[:, ~start.uncovered].abs().mean() < 0.01


@pytest.mark.parametrize("own", [{"angle": 5.0}, {"zoom": 1.03}, {"translation_x": 2.0}])
def test_a_turning_film_that_a_video_leads_is_undone_frame_by_frame(own):
    """Forth from the first and back from the last, both show the same at every frame between."""
    scene, first, path = led("affine"), drawn(), path_of([1, 2, 3, 4], **own)
    last = Frame(carried(scene, first, path).picture, path[-1])
    for step in (1, 2, 3):
        come = carried(scene, first, path[:step])
        back = carried_back(scene, last, path[step:], path[step - 1])
        assert (come.picture - back.picture).abs()[:, inside(come, back)].mean() < 4e-3


@pytest.mark.parametrize("own", [{"angle": 5.0}, {"zoom": 1.03}])
def test_a_stride_over_several_frames_is_the_same_way_as_frame_by_frame(own):
    scene, path = led("affine"), path_of([1, 2, 3, 4], **own)
    at_once, frame = carried(scene, drawn(), path), drawn()
    for p in path:
        start = carried(scene, frame, [p])
        frame = Frame(start.picture, p)
    assert (at_once.picture - frame.image).abs()[:, inside(at_once)].mean() < 0.01


def test_folds_are_the_last_word():
    start = carried(led("flow"), drawn(), path_of([1], symmetry="quad", angle=10.0))
    assert (start.picture - start.picture.flip(2)).abs().max() < 1e-3
    assert (start.picture - start.picture.flip(1)).abs().max() < 1e-3
    assert folded(texture(), FrameParameters()).equal(texture())


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -0.5, 2.0])
def test_a_depth_that_is_none_is_refused_where_a_camera_travels(broken):
    depth = torch.full((HEIGHT, WIDTH), 0.5)
    depth[3, 4] = broken
    with pytest.raises(SettingsError, match=r"depth must be numbers from 0 \(far\) to 1 \(near\)"):
        carried(Scene(camera="3d"), drawn(depth=depth), path_of([1], translation_z=5.0))


def test_less_weight_on_depth_moves_near_and_far_less_against_each_other():
    """`midas_weight` 0 makes a plane of it: then going sideways moves all of the picture alike."""
    depth = torch.zeros(HEIGHT, WIDTH)
    depth[:, 32:] = 1
    flat = carried(Scene(camera="3d"), drawn(depth=depth), path_of([1], translation_x=8.0, midas_weight=0.0))
    plane = carried(Scene(camera="3d"), drawn(depth=depth.mean().expand_as(depth)), path_of([1], translation_x=8.0))
    assert torch.allclose(flat.picture, plane.picture, atol=1e-5)


def test_every_mode_that_moves_goes_the_same_way():
    assert MODES["2d"] is MODES["3d"] is MODES["ransac"] is moving
    assert isinstance(moving(Scene(), History(previous=drawn()), path_of([1], zoom=1.1)), Start)
