"""Plane transforms as 3x3 matrices, and the sampling grid of one matrix.

Convention: a matrix maps where a point is to where it goes, in pixels: the frame spans [0, width] x [0, height], the
centre of pixel (i, j) lies at (i + 0.5, j + 0.5), y down. Matrices compose like functions, `b @ a` does a first; they
are float64, so that a hundred composed frames lose nothing.
"""

import math

import numpy as np
import torch
from jaxtyping import Float64

from koshi_flux.shared.types import Grid, Mask

Matrix = Float64[np.ndarray, "3 3"]

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


def grid_from_matrix(matrix: Matrix, height: int, width: int, device: torch.device | None = None) -> Grid:
    """Where every destination pixel reads, for a picture moved by `matrix`.

    Convention: a perspective matrix gives points in front of the eye a positive third coordinate. What lies behind it
    reads far outside the frame, and so does everything where a matrix shows the picture edge-on.
    """
    try:
        source = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return torch.full((height, width, 2), _FAR, device=device)
    perspective = source[2, :2].any()
    to_unit = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]]) @ source
    if not perspective:
        to_unit /= source[2, 2]
    x, y = (torch.arange(size, dtype=torch.float64) + 0.5 for size in (width, height))
    u, v, w = (((a * x + c).float().to(device), (b * y).float().to(device)[:, None]) for a, b, c in to_unit.tolist())
    grid = torch.empty(height, width, 2, device=device)
    torch.add(*u, out=grid[..., 0])
    torch.add(*v, out=grid[..., 1])
    if perspective:
        nearness = torch.add(*w)[..., None]
        grid = torch.where(nearness > 0, grid / nearness, _FAR).clamp(-_FAR, _FAR)
    return grid


def holes(grid: Grid) -> Mask:
    """Where a grid reads outside the frame, so that a border stands in for the picture."""
    x, y = grid.abs().unbind(dim=-1)
    return torch.maximum(x, y) > 1 + 1e-5
