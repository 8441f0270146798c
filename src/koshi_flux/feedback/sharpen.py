"""Anti-blur: unsharp masking of the brightness alone, so that no colour fringes build up."""

import cv2
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.shared.color import lightened, luma
from koshi_flux.shared.types import Image

_SIGMA = 1.0
_RADIUS = 3


def sharpen(image: Image, amount: float) -> Image:
    """Add `amount` times the fine detail of the brightness (what a Gaussian of 1 px takes away)."""
    detail = _detail_with_opencv if image.device.type == "cpu" else _detail_with_torch
    return lightened(image, detail(luma(image)), amount)


def _detail_with_opencv(plane: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    size = 2 * _RADIUS + 1
    values = plane.numpy()
    return torch.from_numpy(values - cv2.GaussianBlur(values, (size, size), _SIGMA))


def _detail_with_torch(plane: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=plane.device)
    taps = torch.softmax(-(offsets**2) / (2 * _SIGMA**2), dim=0)
    padded = functional.pad(plane[None, None], (_RADIUS,) * 4, mode="reflect")
    rows = functional.conv2d(padded, taps.view(1, 1, 1, -1))
    return plane - functional.conv2d(rows, taps.view(1, 1, -1, 1))[0, 0]
