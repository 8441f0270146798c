"""The 3D camera at 1024x576: the whole move by depth, and the filling of what it uncovers."""

import math
from collections.abc import Callable

import torch

from benchmarks.stand_in import seconds_of
from koshi_flux.motion import move
from koshi_flux.shared.fill import fill_holes
from koshi_flux.shared.image import planar
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Depth, Image

_ROUNDS = 41
_TRAVEL = {"translation_x": 4.0, "translation_z": 3.0, "rotation_3d_y": 0.5, "rotation_3d_z": 0.3}

TARGETS = {"3D move, bilinear": 10.0, "3D move, spline": 25.0, "fill of the holes": 5.0}
"""In milliseconds, on 2 cores."""


def milliseconds() -> dict[str, float]:
    """Each part in milliseconds; the least of interleaved rounds, which is what the machine can do undisturbed."""
    picture, depth = _picture(576, 1024), _depth(576, 1024)
    bilinear, spline = (FrameParameters(**_TRAVEL, kernel=kernel) for kernel in ("bilinear", "spline"))
    moved, holes = move(picture, bilinear, "3d", depth)
    parts: dict[str, Callable[[], object]] = {
        "3D move, bilinear": lambda: move(picture, bilinear, "3d", depth),
        "3D move, spline": lambda: move(picture, spline, "3d", depth),
        "fill of the holes": lambda: fill_holes(moved, holes),
    }
    with torch.inference_mode():
        rounds = [{name: 1e3 * seconds_of(part) for name, part in parts.items()} for _ in range(_ROUNDS)]
    return {name: min(times[name] for times in rounds) for name in parts}


def _picture(height: int, width: int) -> Image:
    return planar(torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0)).numpy())


def _depth(height: int, width: int) -> Depth:
    """A floor that rises towards the camera, and three balls above it."""
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1.8, 1.8, width)
    depth = (0.3 + 0.3 * y).expand(height, width)
    for turn in range(3):
        distance = torch.hypot(x - math.cos(2 * turn), y - 0.4 * math.sin(2 * turn))
        depth = torch.where(distance < 0.3, 1 - distance, depth)
    return depth.clamp(0, 1).contiguous()
