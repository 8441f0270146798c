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
    other.
    """
    height, width = before.image.shape[1:]
    whole = camera_path(path, height, width)
    for step in range(1, len(path)):
        parameters = path[step - 1]
        done = camera_path(path[:step], height, width)
        come, _ = apply(before.image, done, parameters)
        back, _ = apply(after.image, done @ np.linalg.inv(whole), parameters)
        yield Frame(torch.lerp(come, back, step / len(path)), parameters, drawn=False)
