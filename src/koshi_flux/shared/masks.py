"""Soft masks: made of others, prepared, and used to join two pictures.

Convention: 1 (white) is what changes, 0 (black) what stays, and what lies between does so in part.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.errors import SettingsError
from koshi_flux.shared.image import Image

Plane: TypeAlias = Float[Tensor, "h w"]
"""A soft mask, in [0, 1]."""

_EXACT = 4.0
"""Up to this many pixels of blur a Gaussian is computed tap by tap."""
_BOXES = 4
"""Beyond, so many box filters stand in for it, which cost the same whatever their width."""

_SIGNS: Mapping[str, Callable[[Plane, Plane], Plane]] = MappingProxyType(
    {
        "&": torch.minimum,
        "|": torch.maximum,
        "^": lambda a, b: (a - b).abs(),
        "\\": lambda a, b: torch.minimum(a, 1 - b),
    }
)
"""On black and white masks these are the operations on sets; on greys, those of Zadeh's fuzzy sets."""


def evaluate(steps: Iterable[str], leaf: Callable[[str], Plane]) -> Plane:
    r"""The mask that an expression makes of others.

    Args:
        steps: in postfix order, as `MaskExpression.steps`: masks, and the signs ! & | ^ \.
        leaf: the mask of a name such as "{video_mask}" or "[sky.png]".

    Raises:
        SettingsError: the masks differ in size.
    """
    stack: list[Plane] = []
    sizes: dict[tuple[int, ...], str] = {}
    for step in steps:
        if step == "!":
            stack.append(1 - stack.pop())
        elif step in _SIGNS:
            right, left = stack.pop(), stack.pop()
            stack.append(_SIGNS[step](left, right))
        else:
            stack.append(leaf(step))
            sizes.setdefault(tuple(stack[-1].shape), step)
            _check_sizes(sizes)
    return stack.pop()


def prepared(
    mask: Plane, *, invert: bool = False, contrast: float = 1.0, brightness: float = 1.0, blur: float = 0.0
) -> Plane:
    """A mask made ready for use, in this order; each step leaves values in [0, 1].

    Args:
        invert: swap what changes and what stays.
        contrast: scales the distance to 0.5.
        brightness: multiplies: 0.5 halves the change everywhere.
        blur: standard deviation in pixels of a Gaussian that softens the edges; 0 is none. Beyond the frame the mask
            goes on as it is at the edge.
    """
    mask = 1 - mask if invert else mask
    if contrast != 1:
        mask = ((mask - 0.5) * contrast + 0.5).clamp(0, 1)
    if brightness != 1:
        mask = (mask * brightness).clamp(0, 1)
    return _blurred(mask, blur) if blur > 0 else mask


def overlay(drawn: Image, original: Image, mask: Plane) -> Image:
    """The drawn picture where the mask is 1 and the original, to the bit, where it is 0; blended between."""
    return torch.lerp(original, drawn, mask)


def _check_sizes(sizes: Mapping[tuple[int, ...], str]) -> None:
    if len(sizes) > 1:
        (one, (height, width)), (other, (rows, columns)) = ((mask, size) for size, mask in sizes.items())
        raise SettingsError(
            f"the masks {one} ({width}x{height}) and {other} ({columns}x{rows}) cannot be joined: make them one size"
        )


def _blurred(mask: Plane, sigma: float) -> Plane:
    values = mask.cpu().contiguous().numpy()
    if sigma <= _EXACT:
        size = 2 * int(np.ceil(3 * sigma)) + 1
        values = cv2.GaussianBlur(values, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    else:
        for width in _box_widths(sigma):
            values = cv2.blur(values, (width, width), borderType=cv2.BORDER_REPLICATE)
    return torch.from_numpy(values).clamp(0, 1).to(mask.device)


def _box_widths(sigma: float) -> list[int]:
    """Odd widths of box filters that together have the variance of the Gaussian, as nearly as can be.

    A box of width w has the variance (w^2 - 1) / 12. Source: Kovesi 2010, Fast Almost-Gaussian Filtering.
    """
    ideal = (12 * sigma**2 / _BOXES + 1) ** 0.5
    narrow = int((ideal - 1) // 2) * 2 + 1
    narrows = round((_BOXES * (narrow + 2) ** 2 - 12 * sigma**2 - _BOXES) / (4 * narrow + 4))
    return [narrow] * narrows + [narrow + 2] * (_BOXES - narrows)
