"""The words of this room: pixels, the film they belong to, and what takes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8

from koshi_flux.errors import OutputError
from koshi_flux.shared.types import Image

Pixels: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""A picture as files hold it: sRGB in 0..255, y down."""


def to_pixels(image: Image) -> Pixels:
    """Round a picture, the only time in its life: to the nearest of 256 levels, halves to even, outside [0, 1] clamped.

    The rounding happens where the picture lies, so that a GPU hands over bytes and not floats.
    """
    if image.isnan().any():
        raise OutputError("the picture holds values that are no numbers (NaN): the model overflowed; try float32")
    levels = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """What a file has to know before its first frame.

    Args:
        size: (width, height) in pixels.
        fps: frames per second, exact.
        metadata: texts to embed; `comment` (the film.toml) survives in every kind of video file.
    """

    size: tuple[int, int]
    fps: Fraction = Fraction(24)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def check(self, index: int, pixels: Pixels) -> None:
        """Refuse a frame of another size: an encoder would crop, stretch or crash."""
        height, width, _ = pixels.shape
        if (width, height) != self.size:
            expected = "x".join(map(str, self.size))
            raise OutputError(f"frame {index} is {width}x{height}, but the film is {expected}")


def frame_rate(fps: float) -> Fraction:
    """The exact rate that a rounded number means: 23.976 (or 23.98) is 24000/1001, 12.5 is 25/2."""
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    return ntsc if abs(ntsc / Fraction(fps) - 1) < 0.00025 else Fraction(fps).limit_denominator(1000)


@runtime_checkable
class FrameSink(Protocol):
    """Takes the frames of a film, in order, and leaves a file behind.

    Convention: frames come without gaps; a video plays them one after the other, whatever their first index.
    A sink closed early leaves the film so far; one closed without a frame leaves nothing.
    """

    def write(self, index: int, pixels: Pixels) -> None:
        """Add a frame."""
        ...

    def close(self) -> None:
        """Finish the file. Closing twice does no harm."""
        ...

    def __enter__(self) -> "FrameSink":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()
