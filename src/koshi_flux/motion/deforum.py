"""Deforum's 3D camera, which is no pinhole: its moves to the pixel, and the pinhole's settings that come closest.

Deforum takes the screen's x and y (-1 to 1 across the frame) for places in space whatever their distance, projects
them before and after the move, and subtracts the difference where the move *ends*. Hence its quirks: a turn in the
plane is multiplied by cot(fov / 2) and divided by the distance, a frame that is not square is stretched as it turns,
and what moves away uncovers nothing but smears. (Measured against sd-webui-deforum.)
"""

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.motion.camera import UNIT, rotation, travel
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.transforms import Camera, holes
from koshi_flux.shared.types import Depth, Grid, Mask

_LEVELS = 1024
"""Bins of the histogram that Deforum evens out."""
_FAR = 1e4
"""Where pixels read that show no part of the picture, in half frames."""


def pinhole_of_deforum(parameters: FrameParameters, height: int, width: int, distance: float = 1.0) -> FrameParameters:
    """Deforum's camera settings as settings of ours that move a picture at `distance` depth units nearly the same way.

    At distance z Deforum's camera is, to first order, a lens with cot(fov / 2) = z stretched to the frame, whose motion
    is multiplied by cot(fov / 2) / z of the fov that was set; `rotation_3d_z` too. Only one distance can be met: 1 is
    that of films without depth, 1.5 the middle of those with it, which lies between 1 and 2. Sideways moves agree at
    every distance. What remains grows with the square of a frame's motion: about 1.3 pixels for a turn of 5 degrees.
    """
    p = parameters
    gain = 1 / math.tan(math.radians(p.fov) / 2) / distance
    return replace(
        p,
        translation_x=gain * p.translation_x / p.aspect,
        translation_y=gain * p.translation_y,
        translation_z=gain * p.translation_z / (1 - p.translation_z / UNIT / distance),
        rotation_3d_x=gain * p.rotation_3d_x,
        rotation_3d_y=gain * p.rotation_3d_y / p.aspect,
        rotation_3d_z=gain * p.rotation_3d_z,
        fov=2 * math.degrees(math.atan(1 / distance)),
        aspect=width / height,
        near=UNIT,
        far=2 * UNIT,
    )


def deforum_camera(parameters: FrameParameters) -> Camera:
    """How Deforum's camera moves points of its own space, in depth units; several frames compose by `@`."""
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = rotation(parameters), travel(parameters)
    return moved


def deforum_distances(depth: Depth) -> Float[Tensor, "h w"]:
    """Deforum's distance of every pixel from a relative depth: 1 for the nearest to 2, evenly many at each."""
    least, most = depth.aminmax()
    level = ((depth - least) / (most - least) * _LEVELS).nan_to_num(_LEVELS).long().clamp(max=_LEVELS - 1).flatten()
    counts = torch.zeros(_LEVELS, device=depth.device).index_add_(0, level, torch.ones_like(level, dtype=torch.float32))
    return (2 - counts.cumsum(0)[level] / level.numel()).view_as(depth)


def deforum_reads(camera: Camera, parameters: FrameParameters, distances: Float[Tensor, "h w"]) -> tuple[Grid, Mask]:
    """Where every pixel reads that Deforum's `camera` moves, and where that is outside the frame.

    `fov` and `aspect` are those of `parameters`; `distances` are 1 everywhere in a film without depth.
    """
    height, width = distances.shape
    x = torch.linspace(-1, 1, width, device=distances.device)  # from pixel centre to pixel centre, unlike the grid
    y = torch.linspace(-1, 1, height, device=distances.device)[:, None]
    moved_x, moved_y, moved_z = (a * x + b * y + c * distances + t for a, b, c, t in camera[:3].tolist())
    behind = moved_z <= 0
    moved_z = moved_z.masked_fill(behind, 1)
    gain = 1 / math.tan(math.radians(parameters.fov) / 2)
    across, down = (torch.arange(n, device=distances.device) * (2 / n) + (1 / n - 1) for n in (width, height))
    reads_x = across - gain / parameters.aspect * (moved_x / moved_z - x / distances)
    reads_y = down[:, None] - gain * (moved_y / moved_z - y / distances)
    grid = torch.stack((reads_x, reads_y), dim=-1).masked_fill(behind[..., None], _FAR)
    return grid, holes(grid)
