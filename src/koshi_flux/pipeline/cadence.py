"""In-betweens: the frames that a cadence does not draw."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from koshi_flux.motion import apply, camera_path
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Frame


def in_betweens(before: Frame, after: Frame, path: Sequence[FrameParameters]) -> Iterator[Frame]:
    """The frames between two drawn ones, along `path` (the parameters after `before`, up to those of `after`).

    Each resamples both drawn pictures once, by the camera accumulated from them, and fades evenly from one to the
    other; what only one of them shows comes from that one alone.
    """
    height, width = before.image.shape[1:]
    whole = camera_path(path, height, width)
    for step in range(1, len(path)):
        parameters = path[step - 1]
        done = camera_path(path[:step], height, width)
        come, come_holes = apply(before.image, done, parameters)
        back, back_holes = apply(after.image, done @ np.linalg.inv(whole), parameters)
        share = torch.full_like(come[0], step / len(path))
        share[come_holes & ~back_holes], share[back_holes & ~come_holes] = 1, 0
        yield Frame(torch.lerp(come, back, share), parameters, drawn=False)
