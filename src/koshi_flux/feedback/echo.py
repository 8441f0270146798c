"""Echo: a trail of the frames before, as on a long exposure."""

import torch

from koshi_flux.shared.types import Image


def echo(picture: Image, trail: Image, amount: float) -> Image:
    """Let the previous frame shine through the moved one: (1 - amount) * picture + amount * trail.

    The trail is the last drawn frame where it was, not moved. As that frame holds a trail of its own, one before it
    still has amount**n of its light n frames later (half of it after 3 frames at 0.8), and nothing needs to be kept
    beside the frame. Shares sum to 1, and they are of the picture's values as they are stored, not of light: the mean
    stays between those of both pictures, and a film that stands still is the same film. (A mean of light is brighter
    than the mean of its values, and would brighten the film frame by frame.)

    Args:
        picture: the moved one, as large as the trail.
        trail: the previous frame's picture before it was moved.
        amount: 0 leaves the picture, 1 stops the film.
    """
    return picture if amount == 0 else torch.lerp(picture, trail, amount)
