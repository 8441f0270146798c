"""Moving the picture: FrameParameters -> one camera -> one resample."""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.motion.affine import camera_2d
from koshi_flux.motion.camera import camera_3d, distances
from koshi_flux.motion.deforum import deforum_camera, deforum_distances, deforum_reads
from koshi_flux.motion.parallax import AnyDepth, check_depth, flattened, parallax_reads
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import Camera, Matrix, flat, grid_from_matrix, holes, in_space
from koshi_flux.shared.types import Depth, Grid, Image, Mask

CAMERAS: dict[str, Callable[[FrameParameters, int, int], Matrix | Camera]] = {
    "2d": camera_2d,
    "3d": lambda p, height, width: deforum_camera(p) if p.lens == "deforum" else camera_3d(p, height, width),
    "video": camera_2d,
    "interpolation": camera_2d,
    "ransac": camera_2d,
}
"""From one frame's parameters, height and width to its camera, by mode."""

_NEAREST = 0.01
"""Of its distance before a move, the least that a thing may be away after it."""


def move(
    image: Image,
    parameters: FrameParameters | Sequence[FrameParameters],
    mode: str = "2d",
    depth: AnyDepth | None = None,
) -> tuple[Image, Mask]:
    """Move a picture by one frame's camera, or by several frames' in turn, with a single resample.

    Convention: docs/conventions.md; the kernel and the border are those of the last frame's parameters.

    Args:
        depth: how near the picture's pixels are, for cameras that travel in space; without it all are 1 unit away.

    Returns:
        The moved picture, and the mask of its pixels that have no source in the old one (where the border stands in).
        A camera that stands still returns the picture itself.
    """
    path = [parameters] if isinstance(parameters, FrameParameters) else list(parameters)
    height, width = image.shape[1:]
    return apply(image, camera_path(path, height, width, mode), path[-1], depth)


def camera_path(path: Sequence[FrameParameters], height: int, width: int, mode: str = "2d") -> Camera:
    """The accumulated camera of several frames, first to last, in pixels."""
    try:
        camera = CAMERAS[mode]
    except KeyError:
        raise SettingsError(f"unknown mode {mode!r}: known modes are {', '.join(CAMERAS)}") from None
    whole = reduce(lambda done, step: step @ done, (camera(p, height, width) for p in path))
    return whole if len(whole) == 4 else in_space(whole)


def apply(
    image: Image, camera: Camera, parameters: FrameParameters, depth: AnyDepth | None = None
) -> tuple[Image, Mask]:
    """Move a picture by a camera, with the kernel and border of `parameters`; also returns the hole mask."""
    if np.array_equal(camera, np.eye(4)):
        return image, torch.zeros(image.shape[1:], dtype=torch.bool, device=image.device)
    grid, uncovered = reads(image, camera, parameters, depth)
    return warp(image, grid, parameters.kernel, parameters.border), uncovered


def reads(
    image: Image, camera: Camera, parameters: FrameParameters, depth: AnyDepth | None = None
) -> tuple[Grid, Mask]:
    """Where every pixel of the moved picture reads in the old one, and where it finds nothing.

    What else bends the picture (a fold, a flow) bends this grid, so that the picture is still resampled once. Deforum's
    `lens` is no matrix in pixels: its camera cannot be joined with others.
    """
    height, width = image.shape[1:]
    if depth is not None:
        check_depth(depth, height, width)
        depth = flattened(depth.to(image.device, torch.float32), parameters.midas_weight)
    if parameters.lens == "deforum":
        return deforum_reads(camera, parameters, _deforum_distances(image, depth))
    if depth is None or not camera[:3, 3].any():
        grid = grid_from_matrix(flat(camera), height, width, image.device)
        return grid, holes(grid)
    return parallax_reads(camera @ distances(parameters), depth)


def moved_depth(depth: Depth, grid: Grid, camera: Camera, parameters: FrameParameters) -> AnyDepth:
    """The depth of a moved picture as its camera sees it now: what it has come nearer to is nearer.

    Formula: 1 / distance becomes d / W, W being the third coordinate of what the camera makes of (x, y, 1, d).

    Args:
        depth: of the picture before the move.
        grid: where the moved picture reads.

    Returns:
        Depths on the scale of `near` and `far`, so more than 1 for what is nearer than that.
    """
    height, width = depth.shape
    before = warp(depth.expand(3, -1, -1), grid, "bilinear", parameters.border)[0]
    if parameters.lens == "deforum":
        return before
    offset, gain = distances(parameters)[3, 2:]
    x, y, d = (grid[..., 0] + 1) * (width / 2), (grid[..., 1] + 1) * (height / 2), offset + gain * before
    a, b, c, e = camera[2].tolist()
    return (d / (a * x + b * y + c + e * d).clamp(min=_NEAREST) - offset) / gain


def _deforum_distances(image: Image, depth: AnyDepth | None) -> AnyDepth:
    return torch.ones_like(image[0]) if depth is None else deforum_distances(depth)
