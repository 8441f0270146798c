"""Random numbers that belong to a frame: the same on every device and in any render order."""

import torch
from torch import Tensor

from koshi_flux.shared.blend import slerp

_STREAM = 0x9E3779B97F4A7C15
"""Odd 64-bit step between the seeds of different streams (the golden ratio in 64 bits, as in SplitMix64)."""


def frame_noise(shape: tuple[int, ...], seed: int, frame: int = 0, stream: int = 0) -> Tensor:
    """Unit Gaussian noise of a frame's own seed, drawn on the CPU in float32.

    Stream 0 equals `torch.randn` seeded with the seed. Other streams are independent noises of the same frame, e.g. 1
    for the grain that feedback adds to the picture. Only the lowest 32 bits of a seed count (torch's CPU generator is
    the 32-bit Mersenne Twister).

    Args:
        shape: of the noise.
        seed: the frame's own, or the film's together with `frame`.
        frame: added to the seed.
        stream: which of the noises of the same seed.
    """
    generator = torch.Generator("cpu").manual_seed((seed + frame + stream * _STREAM) % 2**64)
    return torch.randn(shape, generator=generator)


def subseeded(noise: Tensor, other: Tensor, strength: float) -> Tensor:
    """Noise on the way to another noise: `noise` itself at strength 0, `other` at 1, unit Gaussian all the way.

    The whole of it is one vector, turned along the arc between both: two independent noises mixed by their sum would
    have a deviation of 0.71 half way, and be drawn as a dull picture.
    """
    return slerp(noise.flatten(), other.flatten(), strength).view_as(noise)
