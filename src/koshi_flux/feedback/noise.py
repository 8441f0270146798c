"""Grain: zero-mean noise that gives the model something to redraw."""

from koshi_flux.shared.color import lightened
from koshi_flux.shared.noise import frame_noise
from koshi_flux.shared.types import Image

_STREAM = 1
"""The grain's own stream of (seed, frame) noise; stream 0 belongs to the latent."""


def add_grain(image: Image, amount: float, seed: int, frame: int) -> Image:
    """Add Gaussian noise of standard deviation `amount` (1 = the whole range) to the brightness of every pixel."""
    grain = frame_noise(tuple(image.shape[1:]), seed, frame, _STREAM)
    return lightened(image, grain.to(image.device), amount)
