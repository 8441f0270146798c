"""The picture seen from elsewhere, against ray-cast truth: textured planes whose every view can be computed."""

import math
import sys
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import SettingsError
from koshi_flux.motion import apply, camera_path, move, moved_depth, reads
from koshi_flux.motion.camera import distances, lens_matrix
from koshi_flux.motion.parallax import _carried, check_depth, flattened, parallax_reads
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.transforms import flat, grid_from_matrix, in_space, scale, shift

NEAR, FAR = 200, 1600  # 1 and 8 units away
LEVEL = 1 / 255


@dataclass(frozen=True)
class Wall:
    """A textured plane: the points P with normal . P = 1; a round one ends at `radius` from the point `middle`."""

    normal: tuple[float, float, float]
    frequency: float
    middle: tuple[float, float] = (0, 0)
    radius: float = math.inf

    def inside(self, p):
        return np.hypot(p[..., 0] - self.middle[0], p[..., 1] - self.middle[1]) < self.radius

    def color(self, p):
        x, y, f = p[..., 0], p[..., 1], self.frequency
        waves = [np.sin(f * x * (1 + 0.2 * k) + k) * np.cos(f * y * (1 - 0.1 * k)) for k in range(3)]
        return np.stack([0.5 + 0.25 * wave + 0.15 * np.sin(0.37 * f * (x + y)) for wave in waves])


def view(walls, parameters, height, width, steps=0):
    """What the eye sees `steps` moves after the beginning: picture, 1 / distance, which wall, and where it was seen."""
    lens = lens_matrix(parameters, height, width)
    pose = np.eye(4)
    for _ in range(steps):
        pose = pose_of(parameters) @ pose
    rotation, travel = pose[:3, :3], pose[:3, 3]
    y, x = np.mgrid[:height, :width] + 0.5
    rays = np.stack((x, y, np.ones_like(x)), axis=-1) @ np.linalg.inv(lens).T @ rotation
    eye = -rotation.T @ travel
    picture, nearness, which = np.zeros((3, height, width)), np.zeros((height, width)), np.full((height, width), -1)
    places = np.zeros((height, width, 3))
    for k, wall in enumerate(walls):
        inverse = rays @ wall.normal / (1 - np.dot(wall.normal, eye))
        points = eye + rays / np.where(inverse == 0, 1, inverse)[..., None]
        seen = (inverse > nearness) & wall.inside(points)
        nearness, which = np.where(seen, inverse, nearness), np.where(seen, k, which)
        picture, places = np.where(seen, wall.color(points), picture), np.where(seen[..., None], points, places)
    before = places @ lens.T
    return picture, nearness, which, before[..., :2] / before[..., 2:]


def pose_of(p):
    """[R | t] as the conventions describe it: first the turn about x (down), then y (left), then z (anticlockwise)."""
    pose = np.eye(4)
    for (first, second), degrees in (((1, 2), p.rotation_3d_x), ((2, 0), p.rotation_3d_y), ((0, 1), p.rotation_3d_z)):
        turn, a = np.eye(4), math.radians(degrees)
        turn[first, first] = turn[second, second] = math.cos(a)
        turn[first, second], turn[second, first] = math.sin(a), -math.sin(a)
        pose = turn @ pose
    pose[:3, 3] = np.array((-p.translation_x, p.translation_y, -p.translation_z)) / 200
    return pose


def depth_of(nearness):
    return torch.from_numpy(((nearness - 200 / FAR) / (200 / NEAR - 200 / FAR)).clip(0, 1).astype(np.float32))


def image_of(picture):
    return torch.from_numpy(picture.astype(np.float32))


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def grown(mask, pixels):
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0


SCENE = (
    Wall((0.05, 0.02, 0.2), 3),
    Wall((0.03, 0, 0.6), 7, (0.2, 0.1), 0.35),
    Wall((0, -0.05, 0.85), 9, (-0.6, -0.2), 0.2),
)
"""A tilted wall far behind, and two round ones before it."""

MOVES = [
    {"translation_x": 10},
    {"translation_y": -8, "fov": 50},
    {"translation_z": 15},
    {"translation_z": -12, "rotation_3d_z": 4},
    {"translation_x": 1, "translation_y": -1, "translation_z": 2, "rotation_3d_x": 0.2, "rotation_3d_y": 0.1},
    {"translation_x": 5, "translation_y": 4, "translation_z": -10, "rotation_3d_x": 1, "rotation_3d_y": 2},
    {"translation_x": -40, "translation_z": 30, "rotation_3d_x": 2, "rotation_3d_y": -5, "rotation_3d_z": 8},
]


@pytest.mark.parametrize("travel", MOVES, ids=str)
@pytest.mark.parametrize("size", [(288, 512), (201, 157)])
def test_the_moved_picture_is_the_ray_cast_one_within_a_level(travel, size):
    p = FrameParameters(**travel, near=NEAR, far=FAR)
    picture, nearness, which, _ = view(SCENE, p, *size)
    truth, _, seen, before = view(SCENE, p, *size, steps=1)
    found, uncovered = move(image_of(picture), p, "3d", depth_of(nearness))

    height, width = size
    x, y = before[..., 0], before[..., 1]
    from_edge = np.minimum.reduce((x, width - x, y, height - y))
    source = which[y.clip(0, height - 1).astype(int), x.clip(0, width - 1).astype(int)]
    covered = (from_edge > 0) & (source != seen)  # something else stood there
    outlines = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    rim = grown(outlines | covered, 3) | (from_edge < 2)  # the spline has no neighbours at the edge

    error, holes = (found - image_of(truth)).abs().amax(0).numpy(), uncovered.numpy()
    clean = ~rim & ~holes
    assert clean.mean() > 0.4
    assert error[clean].max() < LEVEL
    gone = from_edge < -0.1
    assert holes[gone].sum() >= 0.99 * gone.sum()  # a wall may show where what would hide it lies outside the frame
    assert not (holes & ~rim).any()
    wide = cv2.morphologyEx(covered.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
    assert holes[wide].sum() >= 0.97 * wide.sum()
    assert (holes & ~covered & (from_edge > 0.1)).mean() < 0.01


def test_fifty_tiny_moves_along_a_path_are_as_sharp_and_bright_as_one_move():
    tiny = {"translation_x": 0.2, "translation_z": 0.1, "rotation_3d_y": 0.02, "rotation_3d_z": 0.03}
    p = FrameParameters(**tiny, near=NEAR, far=FAR)
    _, nearness, _, _ = view(SCENE, p, 192, 256)
    grain = torch.from_numpy(cv2.GaussianBlur(noise(192, 256, 3).numpy(), (0, 0), 1.0)).permute(2, 0, 1)
    once = FrameParameters(**{name: 50 * value for name, value in tiny.items()}, near=NEAR, far=FAR)
    (path, path_holes), (one, one_holes) = (move(grain, way, "3d", depth_of(nearness)) for way in ([p] * 50, once))
    both = ~(path_holes | one_holes)
    assert both.float().mean() > 0.8
    assert abs(path[:, both].mean() - one[:, both].mean()) < 0.2 * LEVEL

    def detail(picture):
        bows = cv2.Laplacian(picture.mean(0).numpy(), cv2.CV_32F)
        return bows[~grown(~both.numpy(), 2)].var()

    assert detail(path) == pytest.approx(detail(one), rel=0.1)
    assert detail(path) == pytest.approx(detail(grain), rel=0.25)  # of which a dolly of a fortieth takes a little


def card(height=64, width=96):
    """Depth of a card in the middle, near, before a far wall: the card is 24 pixels wide."""
    depth = torch.zeros(height, width)
    depth[16:48, 36:60] = 1
    return depth


def test_what_a_near_card_uncovers_is_a_hole_on_the_side_it_leaves():
    # the camera goes right by 8 pixels of the card (near), the wall is 8 times as far and moves by one
    p = FrameParameters(translation_x=200 * 8 / (32 / math.tan(math.radians(35))), near=NEAR, far=FAR)
    found, holes = move(noise(3, 64, 96), p, "3d", card())
    assert holes[18:46, 53:58].all()  # from its new right edge, 52, to where that of the wall comes to lie, 59
    inside = holes[:, 3:93].clone()
    inside[14:50, 48:60] = False
    assert not inside.any()
    assert found.isfinite().all()


def test_a_near_card_hides_what_it_passes_and_is_not_torn():
    p = FrameParameters(translation_x=200 * 8 / (32 / math.tan(math.radians(35))), near=NEAR, far=FAR)
    picture = torch.zeros(3, 64, 96)
    picture[:, 16:48, 36:60] = 1
    found, _ = move(picture, p, "3d", card())
    assert (found[0, 17:47, 29:51] > 0.99).all()
    assert (found[0, :, :27] < 0.01).all()


def test_a_depth_that_is_one_everywhere_moves_like_a_picture_without_depth():
    picture, p = noise(3, 60, 90), FrameParameters(translation_x=6, translation_z=9, rotation_3d_y=3)
    plane, plane_holes = move(picture, p, "3d")
    deep, deep_holes = move(picture, p, "3d", torch.ones(60, 90))
    assert (plane - deep)[:, ~plane_holes].abs().max() < 1e-3
    assert (plane_holes != deep_holes).float().mean() < 0.01


def test_a_camera_that_only_turns_needs_no_depth():
    picture, p = noise(3, 60, 90), FrameParameters(rotation_3d_x=4, rotation_3d_z=9)
    plane, deep = move(picture, p, "3d"), move(picture, p, "3d", noise(60, 90))
    assert all(map(torch.equal, plane, deep))


def test_a_camera_that_stands_still_returns_the_picture_itself():
    picture = noise(3, 20, 30)
    found, holes = move(picture, FrameParameters(), "3d", noise(20, 30))
    assert found is picture
    assert not holes.any()


@pytest.mark.parametrize("magnify", [1.5, 2.5])
def test_a_surface_that_is_magnified_gets_no_cracks(magnify):
    p = FrameParameters(translation_z=200 * (1 - 1 / magnify))  # a picture 1 unit away
    tilted = torch.linspace(0.9, 1, 120).expand(80, 120).contiguous()
    _, holes = move(noise(3, 80, 120), p, "3d", tilted)
    assert not holes.any()


def test_what_the_eye_has_passed_is_a_hole():
    depth = torch.zeros(64, 96)
    depth[:, :48] = 1
    _, holes = move(noise(3, 64, 96), FrameParameters(translation_z=250), "3d", depth)  # near is at 200
    assert not holes[:, 60:].any()
    found, holes = move(noise(3, 64, 96), FrameParameters(translation_z=250), "3d", torch.ones(64, 96))
    assert holes.all()
    assert found.isfinite().all()


@pytest.mark.parametrize(
    "travel",
    [{"rotation_3d_y": 180}, {"rotation_3d_x": 90}, {"translation_z": 1e5}, {"rotation_3d_y": 120, "translation_x": 3}],
)
def test_a_camera_that_looks_elsewhere_sees_holes_only(travel):
    p = FrameParameters(translation_y=1, **travel)
    found, holes = move(noise(3, 32, 48), p, "3d", noise(32, 48, seed=1))
    assert holes.all()
    assert found.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.floats(-1e3, 1e3), min_size=12, max_size=12),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    border=st.sampled_from(["replicate", "wrap", "reflect"]),
)
def test_no_camera_breaks_the_picture(rows, height, width, border):
    camera = np.vstack((np.reshape(rows, (3, 4)), (0.0, 0, 0, 1)))
    depth = noise(height, width)
    found, _ = apply(noise(3, height, width), camera, FrameParameters(border=border), depth)
    assert found.isfinite().all()
    grid, holes = reads(found, camera, FrameParameters(), depth)
    assert grid.isfinite().all()
    assert holes.shape == (height, width)


def test_a_camera_that_flattens_the_picture_sees_holes_only():
    camera = in_space(scale(0))
    camera[0, 3] = 1
    grid, holes = parallax_reads(camera, noise(8, 12))
    assert holes.all()
    assert grid.isfinite().all()


def test_the_grid_is_that_of_the_plane_where_all_depths_are_equal():
    p = FrameParameters(translation_x=3, translation_y=5, translation_z=-4, rotation_3d_x=2, near=100, far=400)
    camera = camera_path([p], 48, 80, "3d")
    found, _ = parallax_reads(camera @ distances(p), torch.full((48, 80), 0.25))
    d = 0.5 + 0.25 * 1.5
    assert (found - grid_from_matrix(flat(camera, d), 48, 80)).abs().max() < 1e-4


def test_the_old_depths_are_carried_with_the_nearest_in_front():
    depth = torch.zeros(16, 32)
    depth[:, 20:24] = 1
    sideways = in_space(shift(0, 0))
    sideways[0, 3] = -10  # depth 1 goes 10 pixels to the left
    found = _carried(sideways, depth)
    assert found.shape == depth.shape
    assert (found[:, 10:14] == 1).all()
    assert (found[:, :8] == 0).all()
    assert (found[:, 18:] == 0).all()


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -0.5, 1.1])
def test_a_depth_that_is_no_depth_is_refused(wrong):
    depth = noise(20, 30)
    depth[3, 4] = wrong
    with pytest.raises(SettingsError, match=r"the depth must be numbers from 0 \(far\) to 1 \(near\)"):
        move(noise(3, 20, 30), FrameParameters(translation_x=1), "3d", depth)


def test_a_depth_of_another_size_is_refused():
    with pytest.raises(SettingsError, match="the depth is 30x20 pixels, its picture 48x32"):
        move(noise(3, 32, 48), FrameParameters(translation_x=1), "3d", noise(20, 30))


@given(depth=st.floats(0, 1))
def test_depths_from_nought_to_one_are_taken(depth):
    check_depth(torch.full((2, 3), depth), 2, 3)


def test_nothing_of_a_move_in_space_stays_on_the_cpu():
    picture, depth = (torch.empty(*shape, device="meta") for shape in ((3, 17, 24), (17, 24)))
    for travel in ({"translation_x": 5, "rotation_3d_x": 1}, {"translation_z": 250}, {"translation_z": 1e9}):
        found, holes = move(picture, FrameParameters(**travel), "3d", depth)
        assert (found.device, found.shape) == (picture.device, picture.shape)
        assert (holes.device, holes.shape) == (picture.device, picture.shape[1:])


def test_both_ways_of_looking_a_depth_up_agree(monkeypatch):
    p = FrameParameters(translation_x=10, translation_z=-8, rotation_3d_y=2, near=NEAR, far=FAR)
    _, nearness, _, _ = view(SCENE, p, 96, 160)
    camera, depth = camera_path([p], 96, 160, "3d") @ distances(p), depth_of(nearness)
    grid, holes = parallax_reads(camera, depth)
    module = sys.modules["koshi_flux.motion.parallax"]
    monkeypatch.setattr(module, "_look_up", module._look_up_with_torch)
    other_grid, other_holes = parallax_reads(camera, depth)
    assert (holes != other_holes).float().mean() < 0.005
    same = ~(holes | other_holes)
    assert (grid - other_grid)[same].abs().quantile(0.99) < 1e-4


def test_a_depth_in_double_precision_will_do():
    picture, p, depth = noise(3, 20, 30), FrameParameters(translation_x=9), noise(20, 30)
    assert all(map(torch.equal, move(picture, p, "3d", depth), move(picture, p, "3d", depth.double())))


@settings(max_examples=20, deadline=None)
@given(weight=st.floats(0, 1))
def test_flattening_keeps_the_mean_and_scales_the_relief(weight):
    depth = torch.linspace(0, 1, 48).expand(32, 48) ** 2
    found = flattened(depth, weight)
    assert float(found.mean()) == pytest.approx(float(depth.mean()), abs=1e-5)
    assert float(found.std()) == pytest.approx(weight * float(depth.std()), abs=1e-5)


def test_a_picture_without_relief_moves_all_alike():
    depth = torch.linspace(0, 1, 64).expand(48, 64)
    picture = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(1))
    flat_film = FrameParameters(translation_x=4, midas_weight=0.0)
    moved, _ = move(picture, flat_film, "3d", depth)
    at_the_mean, _ = move(picture, flat_film, "3d", torch.full_like(depth, 0.5))
    assert (moved - at_the_mean).abs()[:, :, 2:-8].max() < 1e-3


def test_what_the_camera_has_come_nearer_to_is_nearer():
    """A wall 2 units away (near 1, far 10: depth 4/9), half a unit nearer, is 1.5 away: 2/3 = 0.1 + 0.9 d."""
    film = FrameParameters(translation_z=100, near=200, far=2000)
    depth, picture = torch.full((48, 64), 4 / 9), torch.zeros(3, 48, 64)
    camera = camera_path([film], 48, 64, "3d")
    grid, _ = reads(picture, camera, film, depth)
    found = moved_depth(depth, grid, camera, film)
    assert torch.allclose(found, torch.full((48, 64), (2 / 3 - 0.1) / 0.9), atol=1e-4)
