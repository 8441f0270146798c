import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.motion import CAMERAS, apply, camera_path, move
from koshi_flux.motion.affine import camera_2d, perspective_flip
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import flat, grid_from_matrix, identity, in_space, shift

flips = st.fixed_dictionaries(
    {f"perspective_flip_{name}": st.floats(-25, 25) for name in ("theta", "phi", "gamma")},
    optional={"perspective_flip_fv": st.floats(30, 100)},
)
cameras = st.fixed_dictionaries(
    {
        "angle": st.floats(-180, 180),
        "zoom": st.floats(0.5, 2),
        "translation_x": st.floats(-50, 50),
        "translation_y": st.floats(-50, 50),
        "transform_center_x": st.floats(0, 1),
        "transform_center_y": st.floats(0, 1),
    }
)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def carried(matrix, x, y):
    u, v, w = matrix @ (x, y, 1)
    return u / w, v / w


def moved(picture, **camera):
    return move(picture, FrameParameters(**camera))[0]


def test_a_still_camera_returns_the_picture_itself():
    picture = noise(3, 8, 12)
    found, holes = move(picture, FrameParameters())
    assert found is picture
    assert holes.shape == (8, 12)
    assert not holes.any()


def test_a_path_that_comes_back_to_where_it_began_returns_the_picture_itself():
    picture = noise(3, 8, 12)
    there, back = FrameParameters(translation_x=4), FrameParameters(translation_x=-4)
    assert move(picture, [there, back])[0] is picture


@settings(max_examples=40)
@given(right=st.integers(-20, 20), down=st.integers(-20, 20))
def test_positive_translations_move_content_right_and_down_by_so_many_pixels(right, down):
    picture = noise(3, 12, 16)
    found = moved(picture, translation_x=right, translation_y=down, border="wrap")
    assert (found - picture.roll((down, right), dims=(1, 2))).abs().max() < 1e-4


def test_a_positive_angle_turns_counter_clockwise():
    picture = noise(3, 16, 16)
    assert (moved(picture, angle=90) - picture.rot90(1, dims=(1, 2))).abs().max() < 1e-4


def test_a_zoom_of_two_shows_the_middle_half():
    assert carried(camera_2d(FrameParameters(zoom=2), 100, 200), 50, 25) == pytest.approx((0, 0))
    assert carried(camera_2d(FrameParameters(zoom=2), 100, 200), 150, 75) == pytest.approx((200, 100))


@given(camera=cameras)
def test_the_transform_centre_holds_still_but_for_the_translation(camera):
    parameters = FrameParameters(**{**camera, "translation_x": 0, "translation_y": 0})
    centre = 200 * parameters.transform_center_x, 100 * parameters.transform_center_y
    assert carried(camera_2d(parameters, 100, 200), *centre) == pytest.approx(centre, abs=1e-9)


def test_translation_comes_before_the_turn():
    # 10 px right first, then a quarter turn counter-clockwise about the middle: up by 10 px
    camera = FrameParameters(translation_x=10, angle=90)
    assert carried(camera_2d(camera, 100, 100), 50, 50) == pytest.approx((50, 40))


@given(flip=flips, x=st.floats(-30, 30), y=st.floats(-30, 30))
def test_a_flip_keeps_the_translation(flip, x, y):
    flat, both = FrameParameters(**flip), FrameParameters(translation_x=x, translation_y=y, **flip)
    assert np.allclose(camera_2d(both, 90, 160), camera_2d(flat, 90, 160) @ shift(x, y))


def test_a_flipped_and_translated_picture_is_the_flip_of_the_translated_one():
    blob = torch.zeros(3, 96, 128)
    blob[:, 40:56, 40:56] = 1
    flip = {"perspective_flip_phi": 10}
    at_once = moved(blob, translation_x=16, **flip)
    in_turn = moved(blob.roll(16, dims=2), **flip)
    assert (at_once - in_turn).abs().max() < 1e-4
    assert (at_once - moved(blob, **flip)).abs().max() > 0.5


@given(view=st.floats(10, 170))
def test_a_flip_by_nothing_is_the_identity(view):
    assert np.array_equal(perspective_flip(FrameParameters(perspective_flip_fv=view), 64, 64), identity())


@given(degrees=st.floats(-90, 90), view=st.floats(30, 120))
def test_a_flip_in_the_plane_turns_about_its_pivot_and_shrinks_a_little(degrees, view):
    flip = perspective_flip(FrameParameters(perspective_flip_theta=degrees, perspective_flip_fv=view), 60, 80)
    if np.radians(degrees) == 0:  # the smallest floats in degrees are none in radians
        assert np.array_equal(flip, identity())
        return
    diagonal = 100  # of a frame of 80 x 60
    pivot = diagonal / np.cos(np.radians(view) / 2) / 2
    distance = diagonal / (2 * np.sin(np.radians(view) / 2))
    x, y = carried(flip, pivot + 10, pivot)
    shrunk = 10 * distance / (distance + 1)
    expected = pivot + shrunk * np.cos(np.radians(degrees)), pivot + shrunk * np.sin(np.radians(degrees))
    assert (x, y) == pytest.approx(expected)


@given(path=st.lists(cameras, min_size=1, max_size=4))
def test_several_frames_compose_first_to_last(path):
    frames = [FrameParameters(**camera) for camera in path]
    x, y = 30, 20
    for frame in frames:
        x, y = carried(camera_2d(frame, 60, 80), x, y)
    assert carried(flat(camera_path(frames, 60, 80)), 30, 20) == pytest.approx((x, y), rel=1e-6, abs=1e-6)


def test_several_frames_are_moved_with_one_resample():
    picture = noise(3, 40, 60)
    path = [FrameParameters(angle=3 * n, zoom=1.02, translation_x=1.5) for n in range(1, 5)]
    expected = warp(picture, grid_from_matrix(flat(camera_path(path, 40, 60)), 40, 60))
    assert torch.equal(move(picture, path)[0], expected)


def test_kernel_and_border_are_those_of_the_last_frame():
    picture = noise(3, 20, 30)
    last = FrameParameters(angle=10, border="wrap", kernel="bilinear")
    found, _ = move(picture, [FrameParameters(zoom=0.8, border="reflect"), last])
    matrix = flat(camera_path([FrameParameters(zoom=0.8), last], 20, 30))
    assert torch.equal(found, warp(picture, grid_from_matrix(matrix, 20, 30), "bilinear", "wrap"))


def test_holes_are_the_columns_that_a_translation_uncovers():
    _, holes = move(noise(3, 16, 32), FrameParameters(translation_x=8))
    assert holes[:, :8].all()
    assert not holes[:, 8:].any()


def test_zooming_out_uncovers_a_frame_around_the_picture_and_zooming_in_nothing():
    _, holes = move(noise(3, 40, 60), FrameParameters(zoom=0.5))
    assert holes.float().mean() == pytest.approx(0.75)
    assert not holes[10:30, 15:45].any()
    _, holes = move(noise(3, 40, 60), FrameParameters(zoom=1.5))
    assert not holes.any()


@pytest.mark.parametrize("flip", ["perspective_flip_phi", "perspective_flip_gamma"])
def test_a_picture_flipped_edge_on_is_all_holes(flip):
    found, holes = move(noise(3, 16, 16), FrameParameters(**{flip: 90}))
    assert holes.all()
    assert found.isfinite().all()


def test_apply_moves_by_any_plane_transform():
    picture = noise(3, 16, 16)
    found, holes = apply(picture, in_space(shift(0, 4)), FrameParameters(border="wrap"))
    assert (found - picture.roll(4, dims=1)).abs().max() < 1e-5
    assert holes[:4].all()
    assert not holes[4:].any()


def test_an_unknown_mode_names_the_known_ones():
    with pytest.raises(SettingsError, match=f"unknown mode '4d': known modes are {', '.join(CAMERAS)}"):
        move(noise(3, 4, 4), FrameParameters(), mode="4d")


@pytest.mark.parametrize(("wrong", "known"), [({"kernel": "lanczos"}, "bilinear"), ({"border": "black"}, "replicate")])
def test_an_unknown_kernel_or_border_names_the_known_ones(wrong, known):
    with pytest.raises(SettingsError, match=known):
        move(noise(3, 4, 4), FrameParameters(angle=1, **wrong))


@pytest.mark.parametrize("camera", [{"angle": 3, "border": "wrap"}, {"perspective_flip_phi": 10}, {"zoom": 0}, {}])
def test_nothing_of_a_move_stays_on_the_cpu(camera):
    picture = torch.empty(3, 16, 24, device="meta")  # a device that holds no values and mixes with no other
    found, holes = move(picture, FrameParameters(**camera))
    assert (found.device, found.shape) == (picture.device, picture.shape)
    assert (holes.device, holes.shape) == (picture.device, picture.shape[1:])


@pytest.mark.parametrize("mode", ["video", "interpolation", "ransac"])
@given(camera=cameras)
def test_the_other_modes_in_the_plane_have_the_camera_of_2d(mode, camera):
    path = [FrameParameters(**camera), FrameParameters(angle=3)]
    assert np.array_equal(camera_path(path, 60, 80, mode), camera_path(path, 60, 80, "2d"))


@given(path=st.lists(cameras, min_size=1, max_size=4))
def test_a_2d_camera_in_space_is_the_plane_one_to_the_bit(path):
    frames = [FrameParameters(**camera) for camera in path]
    whole = identity()
    for frame in frames:
        whole = camera_2d(frame, 60, 80) @ whole
    assert np.array_equal(flat(camera_path(frames, 60, 80)), whole)


def test_a_2d_camera_has_no_use_for_depth():
    picture, camera = noise(3, 16, 24), FrameParameters(angle=5, zoom=1.1)
    plane, deep = move(picture, camera), move(picture, camera, depth=noise(16, 24))
    assert all(map(torch.equal, plane, deep))
