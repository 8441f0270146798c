"""The picture: a float tensor (3, h, w), and the same memory as OpenCV wants it (h, w, 3).

A picture that came from OpenCV keeps its interleaved memory under a permuted view, so a chain of operations on the
CPU copies nothing in between.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

Image: TypeAlias = Float[Tensor, "3 h w"]
"""A picture in float: sRGB in [0, 1], y down."""
Pixels: TypeAlias = Float32[np.ndarray, "h w 3"]
"""A picture as OpenCV wants it."""

_STRIP = 65536
"""Pixels of a strip: a few planes of one fit a core's second cache."""


def interleaved(image: Float[Tensor, "3 h w"]) -> Pixels:
    """The picture as an (h, w, 3) array; shares memory if it is stored that way, else copies."""
    pixels = image.permute(1, 2, 0)
    if pixels.stride()[1:] == (pixels.shape[2], 1):
        return pixels.numpy()
    return np.asarray(cv2.merge([plane.numpy() for plane in image]))


def planar(pixels: Pixels) -> Float[Tensor, "3 h w"]:
    """The array as a (3, h, w) tensor on the same memory."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def clamped(image: Image) -> Image:
    """The picture with every value brought into [0, 1]; a new one even where nothing changes."""
    return planar(interleaved(image).clip(0, 1)) if image.device.type == "cpu" else image.clamp(0, 1)


def by_strips(height: int, width: int, work: Callable[[slice], None]) -> None:
    """Do something with arrays for the rows of a picture, strip by strip, on all cores: most of OpenCV works on one."""
    for _ in _workers().map(work, strips(height, width)):
        pass


def strips(height: int, width: int) -> Iterator[slice]:
    """The rows of a picture a few at a time, so that what is computed of them stays in the processor's caches."""
    rows = max(1, _STRIP // width)
    return (slice(top, top + rows) for top in range(0, height, rows))


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())
