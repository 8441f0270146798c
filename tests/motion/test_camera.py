import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.motion import camera_path
from koshi_flux.motion.affine import perspective_flip
from koshi_flux.motion.camera import camera_3d, distances, lens_matrix
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.transforms import flat, in_space

HEIGHT, WIDTH = 200, 360
FOCAL = 100 / math.tan(math.radians(35))  # of a frame 200 pixels high at 70 degrees
MIDDLE = (180, 100)

poses = st.fixed_dictionaries(
    {f"translation_{axis}": st.floats(-60, 60) for axis in "xyz"}
    | {f"rotation_3d_{axis}": st.floats(-30, 30) for axis in "xyz"}
    | {"fov": st.floats(20, 120)}
)


def carried(camera, x, y, d):
    """Where a camera carries the point that is seen at pixel (x, y), 1 / d units away, and 1 over its new distance."""
    u, v, w, e = camera @ (x, y, 1, d)
    return u / w, v / w, e / w


def seen(d=1.0, at=MIDDLE, **camera):
    return carried(camera_3d(FrameParameters(**camera), HEIGHT, WIDTH), *at, d)


@pytest.mark.parametrize(
    ("travel", "expected"),
    [
        ({"translation_x": 20}, (-0.1 * FOCAL, 0)),  # 20 of 200 to a unit: the camera goes right, content left
        ({"translation_y": 20}, (0, 0.1 * FOCAL)),
        ({"rotation_3d_x": 5}, (0, FOCAL * math.tan(math.radians(5)))),
        ({"rotation_3d_y": 5}, (-FOCAL * math.tan(math.radians(5)), 0)),
    ],
)
def test_content_in_the_middle_goes_where_the_conventions_say(travel, expected):
    x, y, _ = seen(**travel)
    assert (x - 180, y - 100) == pytest.approx(expected)


def test_what_is_twice_as_far_moves_half_as_much_and_the_infinitely_far_not_at_all():
    near, far, farthest = (180 - seen(d=d, translation_x=20)[0] for d in (1, 0.5, 0))
    assert far == pytest.approx(near / 2)
    assert farthest == 0


def test_turning_moves_all_distances_alike():
    turn = {"rotation_3d_x": 3, "rotation_3d_y": -4, "rotation_3d_z": 5}
    assert seen(d=1, at=(20, 30), **turn)[:2] == pytest.approx(seen(d=0.01, at=(20, 30), **turn)[:2])


def test_half_the_way_to_the_picture_doubles_it_and_its_nearness():
    assert seen(at=(190, 90), translation_z=100) == pytest.approx((200, 80, 2))


@given(degrees=st.floats(-180, 180), view=st.floats(20, 120))
def test_turning_about_z_is_in_real_degrees_and_counter_clockwise_at_any_fov(degrees, view):
    # Deforum multiplied it by cot(fov / 2), and sheared what is not square
    a = math.radians(degrees)
    x, y, _ = seen(at=(190, 100), rotation_3d_z=degrees, fov=view)
    assert (x - 180, y - 100) == pytest.approx((10 * math.cos(a), -10 * math.sin(a)), abs=1e-9)


def test_a_turn_by_the_field_of_view_carries_the_upper_edge_to_the_lower_one():
    assert seen(at=(180, 0), rotation_3d_x=70)[:2] == pytest.approx((180, 200))


def test_the_camera_turns_about_x_then_y_then_z():
    turns = {"rotation_3d_x": 10, "rotation_3d_y": 20, "rotation_3d_z": 30}
    whole = camera_3d(FrameParameters(**turns), HEIGHT, WIDTH)
    assert np.allclose(whole, camera_path([FrameParameters(**{k: v}) for k, v in turns.items()], HEIGHT, WIDTH, "3d"))


def test_the_lens_has_square_pixels_unless_the_aspect_says_otherwise():
    square, deforum = (lens_matrix(FrameParameters(aspect=a), HEIGHT, WIDTH) for a in (1, WIDTH / HEIGHT))
    assert square[0, 0] == square[1, 1] == pytest.approx(FOCAL)
    assert deforum[1, 1] == pytest.approx(FOCAL)
    assert deforum[0, 0] == pytest.approx(FOCAL * 1.8)  # cot(fov / 2) of half the width


@given(before=st.floats(20, 120), after=st.floats(20, 120))
def test_another_lens_alone_moves_nothing(before, after):
    still = [FrameParameters(fov=before), FrameParameters(fov=after)]
    assert np.allclose(camera_path(still, HEIGHT, WIDTH, "3d"), np.eye(4))


def test_a_narrower_lens_makes_a_journey_sideways_look_longer():
    steps = [180 - seen(translation_x=10, fov=view)[0] for view in (90, 40)]
    assert steps == pytest.approx([0.05 * 100, 0.05 * 100 / math.tan(math.radians(20))])


@given(pose=poses, x=st.floats(0, WIDTH), y=st.floats(0, HEIGHT), d=st.floats(0.02, 1))
def test_a_camera_projects_what_it_sees_from_its_new_place(pose, x, y, d):
    p = FrameParameters(**pose)
    lens = lens_matrix(p, HEIGHT, WIDTH)
    point = np.linalg.inv(lens) @ (x, y, 1) / d
    for axis, degrees in enumerate((p.rotation_3d_x, p.rotation_3d_y, p.rotation_3d_z)):
        first, second = {0: (1, 2), 1: (2, 0), 2: (0, 1)}[axis]
        a, (b, c) = math.radians(degrees), point[[first, second]]
        point[first], point[second] = math.cos(a) * b + math.sin(a) * c, math.cos(a) * c - math.sin(a) * b
    point += np.array((-p.translation_x, p.translation_y, -p.translation_z)) / 200
    expected = lens @ point
    moved = camera_3d(p, HEIGHT, WIDTH) @ (x, y, 1, d)
    assert np.allclose(moved[:3], expected * d, rtol=1e-6, atol=1e-6)
    assert moved[3] == d


@given(there=poses, back=poses)
def test_cameras_keep_the_infinitely_far_there_and_can_be_undone(there, back):
    camera = camera_path([FrameParameters(**there), FrameParameters(**back)], HEIGHT, WIDTH, "3d")
    assert np.array_equal(camera[3], (0, 0, 0, 1))
    assert np.allclose(np.linalg.inv(camera) @ camera, np.eye(4), atol=1e-6)


def test_the_flip_comes_last():
    flip = {"perspective_flip_phi": 20, "perspective_flip_gamma": -5}
    travel = {"translation_x": 10, "translation_z": -5, "rotation_3d_y": 3}
    both = camera_3d(FrameParameters(**flip, **travel), HEIGHT, WIDTH)
    lens = in_space(perspective_flip(FrameParameters(**flip), HEIGHT, WIDTH))
    assert np.allclose(both, lens @ camera_3d(FrameParameters(**travel), HEIGHT, WIDTH))


def test_depth_one_lies_at_near_and_depth_nought_at_far():
    ruler = distances(FrameParameters(near=100, far=800))
    assert ruler @ (3, 4, 1, 1) == pytest.approx((3, 4, 1, 2))  # half a unit away
    assert ruler @ (3, 4, 1, 0) == pytest.approx((3, 4, 1, 0.25))
    assert distances(FrameParameters()) @ (0, 0, 1, 0) == pytest.approx((0, 0, 1, 1 / 50))
    assert distances(FrameParameters(far=math.inf)) @ (0, 0, 1, 0) == pytest.approx((0, 0, 1, 0))


def test_a_flat_picture_moves_as_its_distance_does():
    camera = camera_3d(FrameParameters(translation_x=20, translation_z=10, rotation_3d_y=4), HEIGHT, WIDTH)
    for d in (1, 0.25):
        x, y, w = flat(camera, d) @ (30, 40, 1)
        assert (x / w, y / w) == pytest.approx(carried(camera, 30, 40, d)[:2])


@pytest.mark.parametrize("view", [0, -20, 180, math.nan])
def test_a_lens_that_cannot_be_is_refused(view):
    with pytest.raises(SettingsError, match="fov must lie between 0 and 180 degrees, got"):
        camera_3d(FrameParameters(fov=view), HEIGHT, WIDTH)


@pytest.mark.parametrize(("near", "far"), [(0, 100), (-1, 100), (300, 200), (math.nan, 200)])
def test_near_and_far_in_the_wrong_order_are_refused(near, far):
    with pytest.raises(SettingsError, match="near and far must be 0 < near <= far, got near"):
        distances(FrameParameters(near=near, far=far))
