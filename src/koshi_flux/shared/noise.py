"""Random numbers that belong to a frame: the same on every device and in any render order."""

import torch
from torch import Tensor

_STREAM = 0x9E3779B97F4A7C15
"""Odd 64-bit step between the seeds of different streams (the golden ratio in 64 bits, as in SplitMix64)."""


def frame_noise(shape: tuple[int, ...], seed: int, frame: int, stream: int = 0) -> Tensor:
    """Unit Gaussian noise of (seed, frame), drawn on the CPU in float32.

    Stream 0 with seed s at frame f equals `torch.randn` seeded with s + f (Deforum's "iter"). Other streams are
    independent noises of the same frame, e.g. 1 for the grain that feedback adds to the picture. Only the lowest 32
    bits of a seed count (torch's CPU generator is the 32-bit Mersenne Twister).
    """
    generator = torch.Generator("cpu").manual_seed((seed + frame + stream * _STREAM) % 2**64)
    return torch.randn(shape, generator=generator)
