"""The toy model's painter: features of a landscape -> a smooth picture."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.shared.types import Image

_HORIZON = 0.55
_RIDGES = 4


def paint(features: Float[Tensor, " f"], height: int, width: int) -> Image:
    """Paint the landscape whose `Landscape.numbers()` are `features`, at any size; smooth in every feature."""
    sky, horizon, far, near, light = features[:15].view(5, 3, 1, 1)
    glow, relief, softness, light_x, light_y, phase = features[15:]
    x = ((torch.arange(width) + 0.5) / height)[None]
    y = ((torch.arange(height) + 0.5) / height)[:, None]

    depth = (y / _HORIZON).clamp(0, 1)
    picture = sky + (horizon - sky) * depth * depth * (3 - 2 * depth)
    distance = (x - light_x * width / height) ** 2 + (y - light_y) ** 2
    halo = glow * torch.exp(-distance / 0.06) * 0.6 + glow * torch.exp(-distance / 0.003) * 0.5
    picture = picture + (light - picture) * halo.clamp(0, 1)
    for ridge in range(_RIDGES):
        nearness = ridge / (_RIDGES - 1)
        top = _HORIZON + 0.36 * nearness**1.5 - relief * (1 - 0.4 * nearness) * _outline(x, ridge, phase)
        cover = torch.sigmoid((y - top) / (softness * (0.5 + nearness)).clamp(min=1e-3))
        shade = far + (near - far) * nearness + 0.08 * (horizon - far) * (top + 0.25 - y).clamp(0, 0.25) / 0.25
        picture = picture + (shade - picture) * cover
    return picture.clamp(0, 1)


def _outline(x: Float[Tensor, "1 w"], ridge: int, phase: Float[Tensor, ""]) -> Float[Tensor, "1 w"]:
    """A ridge's height along x, roughly in [-1, 1]."""
    turn = 2 * math.pi * (phase + 0.37 * ridge)
    waves = ((1.1 + 0.5 * ridge, 0.6), (2.9 + 0.7 * ridge, 0.3), (6.7 + 1.3 * ridge, 0.1))
    return sum((share * torch.sin(2 * math.pi * f * x + turn * (1 + f))) for f, share in waves)  # type: ignore[return-value]
