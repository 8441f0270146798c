"""The 2D camera: angle, zoom, translation and the perspective flip of Deforum, as one matrix per frame."""

import math

import numpy as np

from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.transforms import Matrix, about, scale, shift, turn


def camera_2d(parameters: FrameParameters, height: int, width: int) -> Matrix:
    """How one frame's camera moves the picture, in pixels.

    Convention: translate first, then turn and zoom about the transform centre, then flip. `angle` > 0 turns
    counter-clockwise, `zoom` > 1 magnifies, `translation_x` > 0 moves content right, `translation_y` > 0 down.
    """
    p = parameters
    centre = width * p.transform_center_x, height * p.transform_center_y
    turned = about(*centre, turn(p.angle) @ scale(p.zoom))
    moved: Matrix = perspective_flip(p, height, width) @ turned @ shift(p.translation_x, p.translation_y)
    return moved


def perspective_flip(parameters: FrameParameters, height: int, width: int) -> Matrix:
    """Turn the picture in space and look at it through a lens of `perspective_flip_fv` degrees.

    theta turns in the plane, phi about the horizontal axis, gamma about the vertical one. As in Deforum the pivot is
    not the middle of the frame but lies (side - width) / 2 further right and (side - height) / 2 further down, where
    `side` is the edge of the square that the lens sees, and the picture lies one pixel farther away than would keep
    its size. (Measured against sd-webui-deforum; a film that flips by 0 degrees is not touched.)
    """
    theta, phi, gamma = (
        math.radians(a)
        for a in (parameters.perspective_flip_theta, parameters.perspective_flip_phi, parameters.perspective_flip_gamma)
    )
    if theta == phi == gamma == 0:
        return np.eye(3)
    half_view = math.radians(parameters.perspective_flip_fv) / 2
    diagonal = math.hypot(width, height)
    side = diagonal / math.cos(half_view)
    distance = diagonal / (2 * math.sin(half_view))
    rotation = _about_x(phi) @ _about_y(gamma) @ _about_z(theta)
    lens = np.diag([distance, distance, -1]) @ np.column_stack((rotation[:, :2], (0, 0, -(distance + 1))))
    return about(side / 2, side / 2, lens)


def _about_x(a: float) -> Matrix:
    return np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])


def _about_y(a: float) -> Matrix:
    return np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])


def _about_z(a: float) -> Matrix:
    return np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
