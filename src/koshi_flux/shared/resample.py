"""Sampling a picture where a grid points: one prefiltered cubic B-spline look-up, or a bilinear one.

The cubic B-spline is evaluated as four bilinear look-ups on prefiltered coefficients (Ruijters, ter Haar Romeny and
Suetens 2008, "Efficient GPU-based texture interpolation using uniform B-splines"; prefilter: Unser, Aldroubi and Eden
1993). It interpolates, and a film that resamples its picture every frame keeps its detail far longer than with
bilinear, bicubic or Lanczos kernels.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.shared.image import Image, interleaved, planar
from koshi_flux.shared.types import Grid

Plane = Float[Tensor, "rows w"]
Padded = Float[Tensor, "c ph pw"]
Lookup = Callable[[Plane, Plane], Float[Tensor, "c rows w"]]

_REACH = 8
"""Half length of the prefilter: its first neglected tap is 4e-6 of the first."""
_POLE = math.sqrt(3) - 2
_PREFILTER = [math.sqrt(3) * _POLE ** abs(k) for k in range(-_REACH, _REACH + 1)]
_MARGIN = 2
"""Coefficients kept outside the frame: what a four-tap kernel can reach from the border."""
_STRIP = 128
"""Rows sampled at once on the CPU, so that the working set stays in its caches."""


def warp(image: Image, grid: Grid, kernel: str = "spline", border: str = "replicate") -> Image:
    """Sample `image` where `grid` points.

    Convention: grid holds (x, y) in [-1, 1], pixel centres (align_corners=False), y down; it maps destination to
    source. Outside the frame: `border` "replicate" repeats the edge, "wrap" tiles, "reflect" mirrors about the edge.

    Args:
        kernel: "spline" (sharp, may overshoot like any interpolating cubic) or "bilinear".
    """
    height, width = image.shape[1:]
    x = BORDERS[border](grid[..., 0] * (width / 2) + (width - 1) / 2, width)
    y = BORDERS[border](grid[..., 1] * (height / 2) + (height - 1) / 2, height)
    sample = KERNELS[kernel](image, border)
    if image.device.type != "cpu":
        return sample(x, y)
    out = torch.empty((*x.shape, image.shape[0])).permute(2, 0, 1)
    for top in range(0, x.shape[0], _STRIP):
        rows = slice(top, top + _STRIP)
        out[:, rows] = sample(x[rows], y[rows])
    return out


def _clamp(position: Plane, size: int) -> Plane:
    return position.clamp(0, size - 1)


def _tile(position: Plane, size: int) -> Plane:
    return position.remainder(size)


def _mirror(position: Plane, size: int) -> Plane:
    """Reflect about the centres of the outermost pixels; a single pixel reflects onto itself."""
    last = max(size - 1, 1)
    return (last - (position.remainder(2 * last) - last).abs()).clamp(0, size - 1)


def _spline(image: Image, border: str) -> Lookup:
    look_up = _look_up_in(_coefficients(image, border))

    def sample(x: Plane, y: Plane) -> Float[Tensor, "c rows w"]:
        left, right, far_x = _taps(x + _MARGIN)
        upper, lower, far_y = _taps(y + _MARGIN)
        across, down = _per_channel(far_x, image.shape[0]), _per_channel(far_y, image.shape[0])
        top = look_up(left, upper).lerp(look_up(right, upper), across)
        bottom = look_up(left, lower).lerp(look_up(right, lower), across)
        return top.lerp(bottom, down)

    return sample


def _taps(position: Plane) -> tuple[Plane, Plane, Plane]:
    """Two bilinear positions that carry the four cubic weights of an axis, and the share of the second."""
    whole = position.floor()
    f = position - whole
    g = 1 - f
    outer_near, outer_far = g * g * g / 6, f * f * f / 6
    far = (f * (1 + f) / 2 + 1 / 6).sub_(outer_far, alpha=2)
    return whole - outer_near / (1 - far), whole + 1 + outer_far / far, far


def _per_channel(share: Plane, channels: int) -> Float[Tensor, "c rows w"]:
    """The share repeated for every channel: torch broadcasts slowly over interleaved memory."""
    return planar(cv2.merge([share.numpy()] * channels)) if share.device.type == "cpu" else share[None]


def _coefficients(image: Image, border: str) -> Padded:
    """B-spline coefficients of the picture, with `_MARGIN` more on every side."""
    prefilter = _prefilter_with_opencv if image.device.type == "cpu" else _prefilter_with_torch
    return prefilter(image, border == "wrap")


def _prefilter_with_opencv(image: Image, tiled: bool) -> Padded:
    pad = _REACH + _MARGIN
    outside = cv2.BORDER_WRAP if tiled else cv2.BORDER_REFLECT_101
    padded = cv2.copyMakeBorder(interleaved(image), pad, pad, pad, pad, outside)
    taps = np.array(_PREFILTER, dtype=np.float32)
    return planar(cv2.sepFilter2D(padded, -1, taps, taps)[_REACH:-_REACH, _REACH:-_REACH])


def _prefilter_with_torch(image: Image, tiled: bool) -> Padded:
    padded = functional.pad(image[None], (_REACH + _MARGIN,) * 4, mode="circular" if tiled else "reflect")[0]
    taps = torch.tensor(_PREFILTER, device=image.device)
    rows = functional.conv2d(padded[:, None], taps.view(1, 1, 1, -1))
    return functional.conv2d(rows, taps.view(1, 1, -1, 1))[:, 0]


def _bilinear(image: Image, border: str) -> Lookup:
    if border != "wrap":
        return _look_up_in(image)
    look_up = _look_up_in(functional.pad(image[None], (_MARGIN,) * 4, mode="circular")[0])
    return lambda x, y: look_up(x + _MARGIN, y + _MARGIN)


def _look_up_in(image: Padded) -> Lookup:
    """Bilinear values at pixel positions of `image`, which must all lie inside it."""
    return _look_up_with_opencv(image) if image.device.type == "cpu" else _look_up_with_torch(image)


def _look_up_with_opencv(image: Padded) -> Lookup:
    pixels = interleaved(image)

    def look_up(x: Plane, y: Plane) -> Float[Tensor, "c rows w"]:
        return planar(cv2.remap(pixels, x.numpy(), y.numpy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    return look_up


def _look_up_with_torch(image: Padded) -> Lookup:
    last = torch.tensor([image.shape[2] - 1, image.shape[1] - 1], device=image.device)

    def look_up(x: Plane, y: Plane) -> Float[Tensor, "c rows w"]:
        grid = torch.stack((x, y), dim=-1) * 2 / last - 1
        return functional.grid_sample(image[None], grid[None], padding_mode="border", align_corners=True)[0]

    return look_up


KERNELS: dict[str, Callable[[Image, str], Lookup]] = {"spline": _spline, "bilinear": _bilinear}
BORDERS: dict[str, Callable[[Plane, int], Plane]] = {"replicate": _clamp, "wrap": _tile, "reflect": _mirror}
