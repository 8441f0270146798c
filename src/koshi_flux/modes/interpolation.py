"""Interpolation: a walk from prompt to prompt, every frame drawn from noise."""

from collections.abc import Sequence

from koshi_flux.modes.scene import Scene, Start
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import History


def walking(scene: Scene, history: History, path: Sequence[FrameParameters]) -> Start | None:
    """Nothing: the walk is in the prompts and the noise of the frame's parameters."""
    return None
