"""Random fields: clouds, rock and ridges, a batch at a time.

All randomness comes from one generator on the CPU, so that a seed gives the same scenes on every device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate


@dataclass(frozen=True, slots=True)
class Dice:
    """Where a batch gets its chances from: `count` of them at a time."""

    generator: torch.Generator
    count: int
    device: torch.device

    def uniform(self, low: float, high: float) -> Tensor:
        """One number per picture, (b, 1, 1, 1)."""
        return low + (high - low) * self.grid(1, 1, 1)

    def chance(self, probability: float) -> Tensor:
        """1 or 0 per picture, (b, 1, 1, 1)."""
        return (self.grid(1, 1, 1) < probability).float()

    def grid(self, channels: int, height: int, width: int) -> Tensor:
        """Numbers in [0, 1], (b, c, h, w)."""
        return torch.rand(self.count, channels, height, width, generator=self.generator).to(self.device)


def fractal(dice: Dice, height: int, width: int, cells: int = 3, octaves: int = 5, rough: float = 0.55) -> Tensor:
    """A cloudy field of mean 0 and deviation 1, (b, 1, h, w).

    Octave after octave is added while the field doubles in size, so that all but the last cost little.

    Args:
        dice: where chance comes from.
        height: of the field in pixels.
        width: of the field in pixels.
        cells: of the coarsest octave from top to bottom.
        octaves: how many, fewer where they would be finer than two pixels.
        rough: how strong each octave is against the one before.
    """
    down, across = cells + 1, max(2, round(cells * width / height)) + 1
    field, strength = dice.grid(1, down, across), 1.0
    for _ in range(octaves - 1):
        down, across, strength = 2 * down, 2 * across, strength * rough
        if down > height:
            break
        field = interpolate(field, (down, across), mode="bicubic") + strength * dice.grid(1, down, across)
    field = interpolate(field, (height, width), mode="bicubic" if height > 2 * down else "bilinear")
    return standardised(field)


def ridge(dice: Dice, width: int, cells: int = 3, octaves: int = 7, rough: float = 0.5) -> Tensor:
    """A line from left to right, lowest point 0 and highest 1, (b, 1, 1, w): soft of few octaves, jagged of many."""
    line, strength = dice.grid(1, 1, cells + 1), 1.0
    for _ in range(octaves - 1):
        across, strength = 2 * line.shape[3] - 1, strength * rough
        if across > width:
            break
        line = interpolate(line, (1, across), mode="bilinear", align_corners=True)
        line = line + strength * (dice.grid(1, 1, across) - 0.5)
    line = interpolate(line, (1, width), mode="bicubic" if octaves < 5 else "bilinear", align_corners=True)
    low, high = line.amin(3, keepdim=True), line.amax(3, keepdim=True)
    return (line - low) / (high - low)


def standardised(field: Tensor) -> Tensor:
    """Mean 0 and deviation 1 in each picture."""
    mean = field.mean((2, 3), keepdim=True)
    return (field - mean) / field.std((2, 3), keepdim=True).clamp(min=1e-6)


def sample(tile: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """Read a tile that repeats by mirroring, at world coordinates: one unit is half a tile; (b, c, h, w)."""
    return grid_sample(tile, torch.cat([across, along], 1).movedim(1, 3), padding_mode="reflection", align_corners=True)
