"""The 2D film: each frame is the previous one, moved in the plane."""

from collections.abc import Sequence

from koshi_flux.motion import move
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import History, Image


def two_d(history: History, path: Sequence[FrameParameters]) -> Image | None:
    """The last drawn frame, moved along `path` with one resample; None when nothing has been drawn yet."""
    if history.previous is None:
        return None
    moved, _ = move(history.previous.image, path, mode="2d")
    return moved
