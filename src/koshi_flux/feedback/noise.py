"""Grain: zero-mean noise that gives the model something to redraw."""

from koshi_flux.shared.color import lightened
from koshi_flux.shared.masks import Plane
from koshi_flux.shared.noise import frame_noise
from koshi_flux.shared.types import Image

_STREAM = 1
"""The grain's own stream of a seed's noise; stream 0 belongs to the latent. Every frame has its own, so that grain does
not stand still where seeds do."""


def add_grain(image: Image, amount: float, seed: int, frame: int, where: Plane | None = None) -> Image:
    """Add Gaussian noise of standard deviation `amount` (1 = the whole range) to the brightness of every pixel.

    Args:
        seed: the frame's own.
        where: how much of it each pixel gets, in [0, 1]; None is all of it.
    """
    grain = frame_noise(tuple(image.shape[1:]), seed, stream=_STREAM + frame).to(image.device)
    return lightened(image, grain if where is None else grain * where, amount)
