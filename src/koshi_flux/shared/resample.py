"""Sampling a picture where a grid points: one cubic spline look-up, or a bilinear one.

Between the pixels i and i + 1 of a line, the cubic spline is a straight line and a bow. With f in [0, 1] the way gone,
y the pixels, and b minus half the second derivatives of the spline at the pixels,

    spline(i + f) = straight(y, i + f) + f (1 - f) * straight(b, i + (1 + f) / 3),

which is the textbook spline with its two curved terms joined. b is a filter of y, so in the plane four bilinear
look-ups do: in the picture, and in its bows across, down, and both ways. The spline passes through the pixels, and a
film that resamples its picture every frame keeps its detail far longer than with bilinear, bicubic or Lanczos kernels.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from koshi_flux.errors import SettingsError
from koshi_flux.shared.image import Image, Pixels, by_strips, interleaved, planar
from koshi_flux.shared.types import Grid

Plane = TypeVar("Plane", Tensor, np.ndarray)
"""A number for every pixel, (rows, w): a tensor on a GPU, an array on the CPU."""

_REACH = 6
"""Half length of the bow filter."""
_SIDE = [3 * math.sqrt(3) * (math.sqrt(3) - 2) ** k for k in range(1, _REACH + 1)]
_SIDE[-1] /= 3 - math.sqrt(3)  # stands for the endless rest too: the taps sum to 0, and what is flat stays flat
_BOW = [*reversed(_SIDE), -2 * sum(_SIDE), *_SIDE]
"""From y to b: 3 * (prefilter of the cubic B-spline - identity); prefilter: Unser, Aldroubi and Eden 1993."""


def warp(image: Image, grid: Grid, kernel: str = "spline", border: str = "replicate") -> Image:
    """Sample `image` where `grid` points.

    Convention: grid holds (x, y) in [-1, 1], pixel centres (align_corners=False), y down; it maps destination to
    source. Outside the frame: `border` "replicate" repeats the edge, "wrap" tiles, "reflect" mirrors about the
    centres of the outermost pixels.

    Args:
        kernel: "spline" (sharp, may overshoot like any interpolating cubic) or "bilinear".
    """
    for name, what, known in ((kernel, "kernel", KERNELS), (border, "border", BORDERS)):
        if name not in known:
            raise SettingsError(f"unknown {what} {name!r}: known are {', '.join(known)}")
    warp_there = _warp_with_opencv if image.device.type == "cpu" else _warp_with_torch
    return warp_there(image, grid, kernel, border)


def _warp_with_opencv(image: Image, grid: Grid, kernel: str, border: str) -> Image:
    pixels, reads = interleaved(image), grid.numpy()
    bows = _bows_with_opencv(pixels, border) if kernel == "spline" else ()
    outside = cv2.BORDER_WRAP if border == "wrap" else cv2.BORDER_REPLICATE
    look_up = partial(cv2.remap, interpolation=cv2.INTER_LINEAR, borderMode=outside)
    out = np.empty((*reads.shape[:2], 3), np.float32)

    def sample(rows: slice) -> None:
        x = _position(reads[rows, :, 0], pixels.shape[1], border)
        y = _position(reads[rows, :, 1], pixels.shape[0], border)
        look_up(pixels, x, y, dst=out[rows])
        for bow, (weight, bow_x, bow_y) in zip(bows, _places(x, y), strict=False):
            cv2.accumulateProduct(look_up(bow, bow_x, bow_y), cv2.cvtColor(weight, cv2.COLOR_GRAY2RGB), dst=out[rows])

    by_strips(len(out), out.shape[1], sample)
    return planar(out)


def _warp_with_torch(image: Image, grid: Grid, kernel: str, border: str) -> Image:
    bows = _bows_with_torch(image, border) if kernel == "spline" else ()
    x, y = _position(grid[..., 0], image.shape[2], border), _position(grid[..., 1], image.shape[1], border)
    out = _look_up_with_torch(image, x, y, border)
    for bow, (weight, bow_x, bow_y) in zip(bows, _places(x, y), strict=False):
        out += weight * _look_up_with_torch(bow, bow_x, bow_y, border)
    return out


def _places(x: Plane, y: Plane) -> Iterator[tuple[Plane, Plane, Plane]]:
    """For pixel positions (x, y): the weight of each bow, and the (x, y) where it is looked up."""
    (x_weight, x_place), (y_weight, y_place) = _place(x), _place(y)
    yield x_weight, x_place, y
    yield y_weight, x, y_place
    yield x_weight * y_weight, x_place, y_place


def _place(position: Plane) -> tuple[Plane, Plane]:
    whole = _floor(position)
    f = position - whole
    return f * (1 - f), whole + (1 + f) / 3


def _bows_with_opencv(pixels: Pixels, border: str) -> Float32[np.ndarray, "3 h w 3"]:
    """The picture's bows across, down, and both ways.

    They lie in one array because the C library keeps freed memory up to twice the largest block it has given: later
    pictures find room there, and are not handed out anew, page by page, by the system (8 ms a frame).
    """
    if border == "wrap":
        pixels = cv2.copyMakeBorder(pixels, *(_REACH,) * 4, cv2.BORDER_WRAP)
    taps = np.array([_BOW], np.float32)
    across, down, both = bows = np.empty((3, *pixels.shape), np.float32)
    for source, kernel, bow in ((pixels, taps, across), (pixels, taps.T, down), (across, taps.T, both)):
        cv2.filter2D(source, -1, kernel, dst=bow, borderType=cv2.BORDER_REFLECT_101)
    inside = slice(_REACH, -_REACH) if border == "wrap" else slice(None)
    return bows[:, inside, inside]


def _bows_with_torch(image: Image, border: str) -> tuple[Image, Image, Image]:
    taps = torch.tensor(_BOW, device=image.device)

    def down(image: Image) -> Image:
        return functional.conv2d(_extended(image, _REACH, border)[:, None], taps.view(1, 1, -1, 1))[:, 0]

    def across(image: Image) -> Image:
        return down(image.mT).mT

    return across(image), down(image), down(across(image))


def _look_up_with_torch(layer: Image, x: Tensor, y: Tensor, border: str) -> Image:
    """Bilinear values at pixel positions inside the frame."""
    around = _extended(_extended(layer, 1, border).mT, 1, border).mT
    height, width = around.shape[1:]
    grid = torch.stack(((2 * x + 3) / width - 1, (2 * y + 3) / height - 1), dim=-1)
    return functional.grid_sample(around[None], grid[None], align_corners=False)[0]


def _extended(image: Image, margin: int, border: str) -> Float[Tensor, "3 rows w"]:
    """The picture with `margin` more rows above and below: tiled, or else mirrored, as the ends of a spline are."""
    outside = _tile if border == "wrap" else _mirror
    rows = torch.arange(-margin, image.shape[1] + margin, device=image.device, dtype=torch.float32)
    return image[:, outside(rows, image.shape[1]).long()]


def _position(grid: Plane, size: int, border: str) -> Plane:
    """Grid values of an axis of `size` pixels as pixel positions, brought inside the frame."""
    return BORDERS[border](grid * (size / 2) + (size - 1) / 2, size)


def _clamp(position: Plane, size: int) -> Plane:
    inside: Plane = position.clip(0, size - 1)
    return inside


def _tile(position: Plane, size: int) -> Plane:
    inside: Plane = position - size * _floor(position / size)
    return inside


def _mirror(position: Plane, size: int) -> Plane:
    """Reflect about the centres of the outermost pixels; a single pixel reflects onto itself."""
    last = max(size - 1, 1)
    return _clamp(last - abs(_tile(position, 2 * last) - last), size)


def _floor(position: Plane) -> Plane:
    whole: Plane = np.floor(position) if isinstance(position, np.ndarray) else position.floor()
    return whole


KERNELS = ("spline", "bilinear")
BORDERS = {"replicate": _clamp, "wrap": _tile, "reflect": _mirror}
