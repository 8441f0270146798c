"""Depth that a user has: a video or a picture in which near is white and far is black."""

import torch

from koshi_flux.errors import SettingsError
from koshi_flux.shared.types import Depth, Footage, Image

_LUMA = (0.299, 0.587, 0.114)
"""Of ITU-R BT.601: what brightness the colours of a depth video come to, should it have any."""


class FootageDepth:
    """Reads depths off a video, by the frame; the pictures of the film do not matter to it.

    Such videos hold disparities as numbers: grey of half the value is twice as far, whatever it looks like.
    """

    def __init__(self, footage: Footage, device: str | torch.device = "cpu"):
        self._footage = footage
        self.device = torch.device(device)

    def estimate(self, image: Image, frame: int = 0) -> Depth:
        """What the video shows at that frame of the film; float32, as large as the picture."""
        shown = self._footage.picture(frame).to(self.device, torch.float32)
        if shown.shape != image.shape:
            sizes = " and ".join(f"{width} x {height}" for height, width in (shown.shape[1:], image.shape[1:]))
            raise SettingsError(f"depth: the video of depths and the film differ in size: {sizes}")
        return torch.einsum("chw,c->hw", shown, torch.tensor(_LUMA, device=self.device)).clamp(0, 1)
