"""Which picture a frame starts from: one function per mode, chosen by name.

A film moves in the plane ("2d"), in space ("3d") or as a guide video's camera does ("ransac"): each frame is the last
one, moved, and only the camera differs. Or it follows a guide video ("video"), or walks from prompt to prompt
("interpolation").
"""

from collections.abc import Callable, Sequence

from koshi_flux.modes.interpolation import walking
from koshi_flux.modes.moving import moving
from koshi_flux.modes.scene import Scene, Start
from koshi_flux.modes.video import following
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import History

__all__ = ["MODES", "Mode", "Scene", "Start"]

Mode = Callable[[Scene, History, Sequence[FrameParameters]], Start | None]
"""From what was drawn and the parameters since then (the frame to draw last) to what it starts from; None = noise."""

MODES: dict[str, Mode] = {
    "2d": moving,
    "3d": moving,
    "ransac": moving,
    "video": following,
    "interpolation": walking,
}
