"""Filling holes of a picture with what surrounds them, smoothly: a stand-in until a model draws there.

Push and pull (Gortler, Grzeszczuk, Szeliski and Cohen 1996, "The Lumigraph", section 3.4): the known pixels are
averaged into ever smaller pictures, and what is unknown in one takes the colour of the next, interpolated.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.shared.image import Image, Pixels, interleaved, planar
from koshi_flux.shared.types import Mask

_GREY = 0.5
"""The colour of a picture that has holes only."""


def fill_holes(image: Image, holes: Mask) -> Image:
    """The picture with its `holes` filled from around them; all other pixels are as they were, to the bit.

    Whatever stands in the holes is not read. A picture without holes is returned itself, one of holes only is grey.
    """
    if not holes.any():
        return image
    if image.device.type == "cpu":
        return planar(_fill_with_opencv(interleaved(image), ~holes.numpy()))
    known = ~holes
    around = _around_with_torch(torch.where(holes, 0, image), known.to(image.dtype)[None])
    return torch.where(holes, around, image)


def _fill_with_opencv(pixels: Pixels, known: np.ndarray) -> Pixels:
    seen = known.view(np.uint8)
    around = _around_with_opencv(cv2.copyTo(pixels, seen), known.astype(np.float32))
    return cv2.copyTo(pixels, seen, dst=around)


def _around_with_opencv(colors: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The surroundings of every pixel, from colours times the `share` of them that is known."""
    height, width = share.shape
    half = -(-width // 2), -(-height // 2)
    colors, share = (cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (colors, share))
    if share.size == 1:
        blend = colors / share if share.item() else np.full_like(colors, _GREY)
    elif share.min() == 1:
        blend = colors
    else:
        blend = colors + (1 - share)[..., None] * _around_with_opencv(colors, share)
    return cv2.resize(blend.reshape(half[1], half[0], 3), (width, height), interpolation=cv2.INTER_LINEAR)


def _around_with_torch(colors: Float[Tensor, "3 h w"], share: Float[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    height, width = share.shape[1:]
    half = -(-height // 2), -(-width // 2)
    colors, share = (functional.interpolate(plane[None], half, mode="area")[0] for plane in (colors, share))
    if half == (1, 1):
        blend = torch.where(share > 0, colors / share.clamp(min=1e-9), _GREY)
    else:
        blend = colors + (1 - share) * _around_with_torch(colors, share)
    return functional.interpolate(blend[None], (height, width), mode="bilinear")[0]
