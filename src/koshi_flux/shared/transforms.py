"""Plane transforms as 3x3 matrices, and the sampling grid of one matrix.

Convention: a matrix maps where a point is to where it goes, in pixels: the frame spans [0, width] x [0, height], the
centre of pixel (i, j) lies at (i + 0.5, j + 0.5), y down. Matrices compose like functions, `b @ a` does a first; they
are float64, so that a hundred composed frames lose nothing.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from koshi_flux.shared.types import Grid, Mask

Matrix = Float64[np.ndarray, "3 3"]
Camera = Float64[np.ndarray, "4 4"]
"""How a camera moves what it sees: maps (x, y, 1, d) up to scale, x and y in pixels, d = 1 / distance in depth units.

Its last row is (0, 0, 0, 1): what is infinitely far stays so.
"""

_FAR = 1e4
"""Where pixels read that show no part of the picture, in half frames."""


def identity() -> Matrix:
    """The transform that moves nothing."""
    return np.eye(3)


def shift(x: float, y: float) -> Matrix:
    """Move content `x` pixels right and `y` pixels down."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def turn(degrees: float) -> Matrix:
    """Turn about the origin, counter-clockwise on the screen for positive `degrees`."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def scale(factor: float) -> Matrix:
    """Magnify by `factor` about the origin."""
    return np.diag([factor, factor, 1.0])


def about(x: float, y: float, matrix: Matrix) -> Matrix:
    """The same transform about the point (x, y) in place of the origin."""
    moved: Matrix = shift(x, y) @ matrix @ shift(-x, -y)
    return moved


def in_space(matrix: Matrix) -> Camera:
    """A plane transform as a camera: it moves every distance alike."""
    camera = np.eye(4)
    camera[:3, :3] = matrix
    return camera


def flat(camera: Camera, d: float = 1.0) -> Matrix:
    """What a camera does to a picture that is all `d` (1 / distance in depth units) away, as a plane transform."""
    matrix = camera[:3, :3].copy()
    matrix[:, 2] += d * camera[:3, 3]
    return matrix


def grid_from_matrix(matrix: Matrix, height: int, width: int, device: torch.device | None = None) -> Grid:
    """Where every destination pixel reads, for a picture moved by `matrix`.

    Convention: a perspective matrix gives points in front of the eye a positive third coordinate. What lies behind it
    reads far outside the frame, and so does everything where a matrix shows the picture edge-on.
    """
    try:
        source = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return torch.full((height, width, 2), _FAR, device=device)
    to_unit = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]]) @ source
    if not to_unit[2, :2].any():
        to_unit /= to_unit[2, 2]
    if device is None or device.type == "cpu":
        return torch.from_numpy(_grid_with_numpy(to_unit, height, width))
    return _grid_with_torch(to_unit, height, width, device)


def holes(grid: Grid) -> Mask:
    """Where a grid reads outside the frame, so that a border stands in for the picture."""
    reads: Tensor | np.ndarray = grid.numpy() if grid.device.type == "cpu" else grid
    x, y, edge = reads[..., 0], reads[..., 1], 1 + 1e-5
    return torch.as_tensor((x * x > edge * edge) | (y * y > edge * edge))


def _grid_with_numpy(to_unit: Matrix, height: int, width: int) -> Float32[np.ndarray, "h w 2"]:
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5

    def plane(a: float, b: float, c: float) -> Float32[np.ndarray, "h w"]:
        return (a * x + c).astype(np.float32) + (b * y).astype(np.float32)

    u, v = plane(*to_unit[0]), plane(*to_unit[1])
    if to_unit[2, :2].any():
        w = plane(*to_unit[2])
        seen = w > 0
        w = np.where(seen, w, 1)
        u, v = (np.where(seen, axis / w, _FAR).clip(-_FAR, _FAR) for axis in (u, v))
    return np.stack((u, v), axis=-1)


def _grid_with_torch(to_unit: Matrix, height: int, width: int, device: torch.device) -> Grid:
    x, y = (torch.arange(size, device=device, dtype=torch.float64) + 0.5 for size in (width, height))

    def plane(a: float, b: float, c: float) -> Float[Tensor, "h w"]:
        return (a * x + c).float() + (b * y).float()[:, None]

    u, v = plane(*to_unit[0]), plane(*to_unit[1])
    if to_unit[2, :2].any():
        w = plane(*to_unit[2])
        seen = w > 0
        w = torch.where(seen, w, 1)
        u, v = (torch.where(seen, axis / w, _FAR).clip(-_FAR, _FAR) for axis in (u, v))
    return torch.stack((u, v), dim=-1)
