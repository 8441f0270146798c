"""How a picture of any size fills the film's frame."""

from typing import Literal, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float32, Shaped

Fit: TypeAlias = Literal["cover", "contain", "stretch"]
"""cover: fills the frame, what hangs over is cut off; contain: all of it, black around; stretch: pulled to shape."""


def fitted(
    pixels: Shaped[np.ndarray, "h w c"], size: tuple[int, int], fit: Fit = "cover", aspect: float = 1.0
) -> Float32[np.ndarray, "h2 w2 c"]:
    """The picture at `size`, in [0, 1].

    Args:
        pixels: 8 or 16 bits a channel, or float in [0, 1].
        size: (width, height) to fill.
        aspect: width of a stored pixel over its height; videos made for television have others than 1.
    """
    if fit == "contain":
        left, top, width, height = inside(pixels.shape, size, aspect)
        frame = np.zeros((size[1], size[0], pixels.shape[2]), np.float32)
        frame[top : top + height, left : left + width] = resized(unit(pixels), (width, height))
        return frame
    return resized(unit(_cut(pixels, size, aspect) if fit == "cover" else pixels), size)


def inside(shape: tuple[int, ...], size: tuple[int, int], aspect: float = 1.0) -> tuple[int, int, int, int]:
    """Where a picture of `shape` (h, w, ...) lies in a frame that contains it: left, top, width, height."""
    height, width = shape[0], shape[1] * aspect
    scale = min(size[0] / width, size[1] / height)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    return (size[0] - w) // 2, (size[1] - h) // 2, w, h


def unit(pixels: Shaped[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w c"]:
    """Levels of 8 or 16 bits as float in [0, 1]; floats are clamped."""
    if pixels.dtype.kind == "u":
        return np.ascontiguousarray(pixels, np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return np.ascontiguousarray(pixels, np.float32).clip(0, 1)


def resized(pixels: Float32[np.ndarray, "h w c"], size: tuple[int, int]) -> Float32[np.ndarray, "h2 w2 c"]:
    """The whole picture at `size`: what shrinks is averaged over areas, what grows is a cubic, and stays in [0, 1]."""
    height, width, channels = pixels.shape
    shrunk = (min(width, size[0]), min(height, size[1]))
    if shrunk != (width, height):
        pixels = cv2.resize(pixels, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != size:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return pixels.reshape(size[1], size[0], channels)


def _cut(pixels: Shaped[np.ndarray, "h w c"], size: tuple[int, int], aspect: float) -> Shaped[np.ndarray, "h2 w2 c"]:
    """The middle of the picture, in the proportions of `size`."""
    height, width = pixels.shape[:2]
    scale = max(size[0] / (width * aspect), size[1] / height)
    w, h = max(1, round(size[0] / (scale * aspect))), max(1, round(size[1] / scale))
    left, top = (width - w) // 2, (height - h) // 2
    return pixels[top : top + h, left : left + w]
