"""Which picture a frame starts from: one function per mode, chosen by name."""

from collections.abc import Callable, Sequence

from koshi_flux.modes.two_d import two_d
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import History, Image

Mode = Callable[[History, Sequence[FrameParameters]], Image | None]
"""From what was drawn and the parameters since then (the frame to draw last) to the picture to redraw; None = none."""

MODES: dict[str, Mode] = {"2d": two_d}
