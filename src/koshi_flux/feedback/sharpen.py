"""Anti-blur: unsharp masking of the brightness alone, so that no colour fringes build up."""

import cv2
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.shared.color import luma
from koshi_flux.shared.types import Image

_SIGMA = 1.0
_RADIUS = 3


def sharpen(image: Image, amount: float) -> Image:
    """Add `amount` times the fine detail of the brightness (what a Gaussian of 1 px takes away)."""
    brightness = luma(image)
    return image + amount * (brightness - _blur(brightness))


def _blur(plane: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Gaussian blur, mirrored at the edges."""
    size = 2 * _RADIUS + 1
    if plane.device.type == "cpu":
        return torch.from_numpy(cv2.GaussianBlur(plane.contiguous().numpy(), (size, size), _SIGMA))
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=plane.device)
    taps = torch.softmax(-(offsets**2) / (2 * _SIGMA**2), dim=0)
    padded = functional.pad(plane[None, None], (_RADIUS,) * 4, mode="reflect")
    rows = functional.conv2d(padded, taps.view(1, 1, 1, size))
    return functional.conv2d(rows, taps.view(1, 1, size, 1))[0, 0]
