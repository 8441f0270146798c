"""Colour spaces in float: sRGB, linear light and CIE Lab (D65), and the statistics of a picture.

Formulas: sRGB IEC 61966-2-1; Lab CIE 15. On the CPU OpenCV does the arithmetic, on a GPU torch does the same.
Colours that sRGB does not have are clamped on the way into Lab and on the way out.
"""

from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.shared.image import Image, interleaved, planar, strips

Lab: TypeAlias = Float[Tensor, "3 h w"]
"""L in [0, 100], a and b roughly in [-128, 128]."""

ChannelStatistics: TypeAlias = tuple[Float[Tensor, "3"], Float[Tensor, "3"]]
"""Mean and standard deviation of three channels."""

Values = TypeVar("Values", Tensor, np.ndarray)

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of R, G and B in brightness (ITU-R BT.709)."""
_TOE = 0.04045
"""The sRGB curve is straight below this value, and below _TOE / 12.92 in linear light."""
_WHITE = (0.950456, 1.0, 1.088754)
_RGB_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))


def lab_from_srgb(image: Image) -> Lab:
    """sRGB in [0, 1] to CIE Lab."""
    if image.device.type != "cpu":
        return _lab_with_torch(image)
    pixels = interleaved(image)
    lab = np.empty_like(pixels)
    for rows in strips(*pixels.shape[:2]):  # OpenCV's own way from sRGB is off by half a unit of L
        cv2.cvtColor(linear_from_srgb(pixels[rows]), cv2.COLOR_LRGB2LAB, dst=lab[rows])
    return planar(lab)


def srgb_from_lab(lab: Lab) -> Image:
    """CIE Lab to sRGB in [0, 1]."""
    if lab.device.type != "cpu":
        return _srgb_with_torch(lab)
    return planar(cv2.cvtColor(interleaved(lab), cv2.COLOR_LAB2RGB))


def linear_from_srgb(values: Values) -> Values:
    """Undo the sRGB curve, for tensors and arrays: light intensity in [0, 1]."""
    bright: Values = values.clip(_TOE, None)
    base = (bright + 0.055) / 1.055
    curve: Values = cv2.pow(base, 2.4) if isinstance(base, np.ndarray) else base**2.4  # twice as fast as numpy's
    linear: Values = curve + (values - bright) / 12.92
    return linear


def srgb_from_linear(values: Tensor) -> Tensor:
    """Apply the sRGB curve to light intensity; the result is clamped to [0, 1]."""
    bright = values.clamp(min=_TOE / 12.92)
    return (bright ** (1 / 2.4) * 1.055 - 0.055 + (values - bright) * 12.92).clamp(0, 1)


def scaled(lab: Lab, gain: Float[Tensor, "3"], offset: Float[Tensor, "3"]) -> Lab:
    """Every channel times its gain, plus its offset."""
    if lab.device.type != "cpu":
        return lab * gain[:, None, None] + offset[:, None, None]
    return planar(cv2.transform(interleaved(lab), torch.column_stack((gain.diag(), offset)).numpy()))


def luma(image: Image) -> Float[Tensor, "h w"]:
    """Brightness of every pixel as a weighted sum of its sRGB values."""
    if image.device.type != "cpu":
        return _dot(LUMA, image)
    return torch.from_numpy(cv2.transform(interleaved(image), np.array([LUMA])))


def lightened(image: Image, by: Float[Tensor, "h w"], amount: float = 1.0) -> Image:
    """Add `amount * by` to R, G and B alike: the brightness of a pixel changes, its colour differences do not."""
    if image.device.type != "cpu":
        return image + amount * by
    return planar(cv2.scaleAdd(cv2.cvtColor(by.numpy(), cv2.COLOR_GRAY2RGB), amount, interleaved(image)))


def mean_and_deviation(image: Float[Tensor, "3 h w"]) -> ChannelStatistics:
    """Mean and standard deviation (over all pixels, not n - 1) of each channel."""
    if image.device.type != "cpu":
        return image.mean(dim=(1, 2)), image.std(dim=(1, 2), correction=0)
    mean, deviation = cv2.meanStdDev(interleaved(image))
    return torch.from_numpy(mean[:, 0]).float(), torch.from_numpy(deviation[:, 0]).float()


def _lab_with_torch(image: Image) -> Lab:
    linear = linear_from_srgb(image.clamp(0, 1))
    x, y, z = (_dot(row, linear) / white for row, white in zip(_RGB_TO_XYZ, _WHITE, strict=True))
    fx, fy, fz = (torch.where(v > 0.008856, v.clamp(min=1e-9) ** (1 / 3), 7.787 * v + 16 / 116) for v in (x, y, z))
    lightness = torch.where(y > 0.008856, 116 * fy - 16, 903.3 * y)
    return torch.stack((lightness, 500 * (fx - fy), 200 * (fy - fz)))


def _srgb_with_torch(lab: Lab) -> Image:
    lightness, a, b = lab
    fy = (lightness + 16) / 116
    y = torch.where(lightness > 7.9996, fy**3, lightness / 903.3)
    fy = torch.where(lightness > 7.9996, fy, 7.787 * y + 16 / 116)
    x, z = (torch.where(f > 0.206893, f**3, (f - 16 / 116) / 7.787) for f in (fy + a / 500, fy - b / 200))
    xyz = torch.stack((x * _WHITE[0], y, z * _WHITE[2]))
    return srgb_from_linear(torch.stack([_dot(row, xyz) for row in np.linalg.inv(_RGB_TO_XYZ).tolist()]))


def _dot(weights: tuple[float, ...] | list[float], image: Image) -> Float[Tensor, "h w"]:
    return weights[0] * image[0] + weights[1] * image[1] + weights[2] * image[2]
