"""Moving the picture: FrameParameters -> one matrix -> one resample."""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.motion.affine import camera_2d
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import Matrix, grid_from_matrix, holes, identity
from koshi_flux.shared.types import Image, Mask

Camera = Callable[[FrameParameters, int, int], Matrix]
CAMERAS: dict[str, Camera] = {"2d": camera_2d}


def move(
    image: Image, parameters: FrameParameters | Sequence[FrameParameters], mode: str = "2d", depth: None = None
) -> tuple[Image, Mask]:
    """Move a picture by one frame's camera, or by several frames' in turn, with a single resample.

    Convention: docs/conventions.md; the kernel and the border are those of the last frame's parameters.

    Args:
        depth: for cameras that see depth; the 2D camera has no use for it.

    Returns:
        The moved picture, and the mask of its pixels that have no source in the old one (where the border stands in).
        A camera that stands still returns the picture itself.
    """
    path = [parameters] if isinstance(parameters, FrameParameters) else list(parameters)
    height, width = image.shape[1:]
    return apply(image, camera_path(path, height, width, mode), path[-1])


def camera_path(path: Sequence[FrameParameters], height: int, width: int, mode: str = "2d") -> Matrix:
    """The accumulated camera of several frames, first to last, in pixels."""
    try:
        camera = CAMERAS[mode]
    except KeyError:
        raise SettingsError(f"unknown mode {mode!r}: known modes are {', '.join(CAMERAS)}") from None
    return reduce(lambda done, p: camera(p, height, width) @ done, path, identity())


def apply(image: Image, matrix: Matrix, parameters: FrameParameters) -> tuple[Image, Mask]:
    """Move a picture by a matrix, with the kernel and border of `parameters`; also returns the hole mask."""
    height, width = image.shape[1:]
    if np.array_equal(matrix, identity()):
        return image, torch.zeros((height, width), dtype=torch.bool, device=image.device)
    grid = grid_from_matrix(matrix, height, width, image.device)
    return warp(image, grid, parameters.kernel, parameters.border), holes(grid)
