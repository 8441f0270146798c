"""In-betweens: the frames that a cadence does not draw."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from koshi_flux.motion import apply, camera_path
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.transforms import Matrix
from koshi_flux.shared.types import Frame

_FLAT = 1e12
"""Condition number from which a matrix shows the picture edge-on, rounding aside."""


def in_betweens(before: Frame, after: Frame, path: Sequence[FrameParameters]) -> Iterator[Frame]:
    """The frames between two drawn ones, along `path` (the parameters after `before`, up to those of `after`).

    Each resamples both drawn pictures once, by the camera accumulated from them, and fades evenly from one to the
    other; what only one of them shows comes from that one alone.
    """
    height, width = before.image.shape[1:]
    back_to_before = _undone(camera_path(path, height, width))
    for step in range(1, len(path)):
        parameters = path[step - 1]
        done = camera_path(path[:step], height, width)
        come, come_holes = apply(before.image, done, parameters)
        back, back_holes = apply(after.image, done @ back_to_before, parameters)
        share = torch.full_like(come[0], step / len(path))
        share[come_holes & ~back_holes], share[back_holes & ~come_holes] = 1, 0
        yield Frame(torch.lerp(come, back, share), parameters, drawn=False)


def _undone(camera: Matrix) -> Matrix:
    """The way back; a matrix that shows nothing where the camera ended edge-on and there is none."""
    edge_on = np.linalg.cond(camera) > _FLAT
    return np.zeros((3, 3)) if edge_on else np.linalg.inv(camera)
