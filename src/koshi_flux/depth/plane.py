"""No depth at all: everything is equally far, as in a film of paper."""

import torch

from koshi_flux.shared.types import Depth, Image


class PlaneDepth:
    """A picture is a plane as near as anything can be: a camera zooms into it, turns and tilts it.

    That is the distance, one depth unit, at which Deforum puts everything when depth warping is off.
    """

    def __init__(self, device: str | torch.device = "cpu"):
        self.device = torch.device(device)

    def estimate(self, image: Image, frame: int = 0) -> Depth:
        """1 everywhere, as large as the picture."""
        return torch.ones(image.shape[1:], device=self.device)
