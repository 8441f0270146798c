"""The 3D camera: a pinhole that travels and turns, as one matrix per frame."""

import math

import numpy as np

from koshi_flux.errors import SettingsError
from koshi_flux.motion.affine import perspective_flip
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.transforms import Camera, Matrix, in_space

UNIT = 200.0
"""Settings' units of length in one depth unit."""


def camera_3d(parameters: FrameParameters, height: int, width: int) -> Camera:
    """How one frame's camera moves what it sees: K_new [R | t] K_old^-1, then the perspective flip.

    Convention: `translation_x` > 0 moves the camera right (content left), `translation_y` > 0 content down,
    `translation_z` > 0 goes forward, in 1/200 depth unit. `rotation_3d_x` > 0 moves content down, `_y` > 0 left,
    `_z` > 0 turns it counter-clockwise, in degrees; about x first, then y, then z. Both ends of the move are seen
    through the frame's own `fov`: a lens that changes makes moves look larger or smaller, and alone moves nothing.
    """
    p, lens = parameters, lens_matrix(parameters, height, width)
    moved = np.eye(4)
    moved[:3, :3] += lens @ (rotation(p) - np.eye(3)) @ np.linalg.inv(lens)  # exactly still without a turn
    moved[:3, 3] = lens @ travel(p)
    whole: Camera = in_space(perspective_flip(p, height, width)) @ moved
    return whole


def lens_matrix(parameters: FrameParameters, height: int, width: int) -> Matrix:
    """From the eye's space (x right, y down, z ahead) to pixels: `fov` is the vertical field of view in degrees.

    `aspect` is the horizontal focal length over the vertical one: 1 means square pixels, width / height is what
    Deforum's lens does to a frame that is not square.
    """
    if not 0 < parameters.fov < 180:
        raise SettingsError(f"fov must lie between 0 and 180 degrees, got {parameters.fov:g}")
    focal = height / 2 / math.tan(math.radians(parameters.fov) / 2)
    return np.array([[parameters.aspect * focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def distances(parameters: FrameParameters) -> Camera:
    """From (x, y, 1, depth) to (x, y, 1, d): depth 1 lies at `near`, depth 0 at `far`, in 1/200 depth unit."""
    near, far = parameters.near, parameters.far
    if not 0 < near <= far:
        raise SettingsError(f"near and far must be 0 < near <= far, got near = {near:g} and far = {far:g}")
    ruler = np.eye(4)
    ruler[3, 2:] = UNIT / far, UNIT / near - UNIT / far
    return ruler


def travel(p: FrameParameters) -> np.ndarray:
    """Where the eye's origin lies, seen from the new eye, in depth units."""
    return np.array([-p.translation_x, p.translation_y, -p.translation_z]) / UNIT


def rotation(p: FrameParameters) -> Matrix:
    """From the old eye's axes to the new one's."""
    (cx, sx), (cy, sy), (cz, sz) = (
        (math.cos(a), math.sin(a))
        for a in (math.radians(degrees) for degrees in (p.rotation_3d_x, p.rotation_3d_y, p.rotation_3d_z))
    )
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    turned: Matrix = about_z @ about_y @ about_x
    return turned
