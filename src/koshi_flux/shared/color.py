"""Colour spaces in float: sRGB, linear light and CIE Lab (D65), and the statistics of a picture.

Formulas: sRGB IEC 61966-2-1; Lab CIE 15. On the CPU OpenCV does the arithmetic, on a GPU torch does the same.
"""

from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.shared.image import Image, interleaved, planar

Lab: TypeAlias = Float[Tensor, "3 h w"]
"""L in [0, 100], a and b roughly in [-128, 128]."""

ChannelStatistics: TypeAlias = tuple[Float[Tensor, "3"], Float[Tensor, "3"]]
"""Mean and standard deviation of three channels."""

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of R, G and B in brightness (ITU-R BT.709)."""
_WHITE = (0.950456, 1.0, 1.088754)
_RGB_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))


def lab_from_srgb(image: Image) -> Lab:
    """sRGB in [0, 1] to CIE Lab."""
    linear = linear_from_srgb(image)
    if image.device.type == "cpu":
        return planar(cv2.cvtColor(interleaved(linear), cv2.COLOR_LRGB2LAB))
    x, y, z = (_dot(row, linear) / white for row, white in zip(_RGB_TO_XYZ, _WHITE, strict=True))
    fx, fy, fz = (torch.where(v > 0.008856, v.clamp(min=1e-9) ** (1 / 3), 7.787 * v + 16 / 116) for v in (x, y, z))
    lightness = torch.where(y > 0.008856, 116 * fy - 16, 903.3 * y)
    return torch.stack((lightness, 500 * (fx - fy), 200 * (fy - fz)))


def srgb_from_lab(lab: Lab) -> Image:
    """CIE Lab to sRGB, clamped to [0, 1]."""
    if lab.device.type == "cpu":
        return srgb_from_linear(planar(cv2.cvtColor(interleaved(lab), cv2.COLOR_LAB2LRGB)))
    lightness, a, b = lab
    fy = (lightness + 16) / 116
    y = torch.where(lightness > 7.9996, fy**3, lightness / 903.3)
    fy = torch.where(lightness > 7.9996, fy, 7.787 * y + 16 / 116)
    x, z = (torch.where(f > 0.206893, f**3, (f - 16 / 116) / 7.787) for f in (fy + a / 500, fy - b / 200))
    xyz = torch.stack((x * _WHITE[0], y, z * _WHITE[2]))
    return srgb_from_linear(torch.stack([_dot(row, xyz) for row in np.linalg.inv(_RGB_TO_XYZ).tolist()]))


def linear_from_srgb(image: Image) -> Image:
    """Undo the sRGB curve: light intensity in [0, 1]."""
    curve = _power((image + 0.055) / 1.055, 2.4)
    return torch.where(image > 0.04045, curve, image / 12.92)


def srgb_from_linear(linear: Image) -> Image:
    """Apply the sRGB curve to light intensity, clamped to [0, 1]."""
    linear = linear.clamp(0, 1)
    curve = _power(linear, 1 / 2.4) * 1.055 - 0.055
    return torch.where(linear > 0.0031308, curve, linear * 12.92)


def luma(image: Image) -> Float[Tensor, "h w"]:
    """Brightness of every pixel as a weighted sum of its sRGB values."""
    return _dot(LUMA, image)


def mean_and_deviation(image: Float[Tensor, "3 h w"]) -> ChannelStatistics:
    """Mean and standard deviation (over all pixels, not n - 1) of each channel."""
    if image.device.type == "cpu":
        mean, deviation = cv2.meanStdDev(interleaved(image))
        return torch.from_numpy(mean[:, 0]).float(), torch.from_numpy(deviation[:, 0]).float()
    return image.mean(dim=(1, 2)), image.std(dim=(1, 2), correction=0)


def _power(image: Image, exponent: float) -> Image:
    """x ** exponent for x >= 0; OpenCV's is the faster one on a CPU."""
    if image.device.type == "cpu":
        return planar(cv2.pow(interleaved(image), exponent))
    return image**exponent


def _dot(weights: tuple[float, ...] | list[float], image: Image) -> Float[Tensor, "h w"]:
    return weights[0] * image[0] + weights[1] * image[1] + weights[2] * image[2]
