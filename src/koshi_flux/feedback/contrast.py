"""Contrast: stretch a picture about its own mean brightness."""

import torch

from koshi_flux.shared.color import luma
from koshi_flux.shared.types import Image


def stretch(image: Image, contrast: float) -> Image:
    """Scale the distance of every value to the mean brightness by `contrast`; the mean brightness itself stays."""
    return torch.lerp(luma(image).mean(), image, contrast)
