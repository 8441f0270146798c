"""Pictures from disk: upright, in float, at the size that is wanted."""

from math import sqrt
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped
from PIL import Image as PillowImage
from torch import Tensor

from koshi_flux.errors import SettingsError
from koshi_flux.input.fit import Fit, fitted, inside, unit
from koshi_flux.input.turn import EXIF, EXIF_TAG, UPRIGHT
from koshi_flux.shared.image import Image, planar

Alpha: TypeAlias = Float[Tensor, "h w"]
"""How opaque each pixel is, in [0, 1]."""
Levels: TypeAlias = Shaped[np.ndarray, "rows columns channels"]
"""A picture as stored: RGB, or RGB and alpha, in 8 or 16 bits or float."""

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"))
"""What counts as a picture in a folder."""
_DEEP = ("PNG", "TIFF", "PPM")
"""Formats that Pillow reads in 8 bits only where a pixel has several channels, and OpenCV in all bits."""


def read_rgba(file: Path, setting: str = "picture") -> tuple[Image, Alpha | None]:
    """A picture as large as it is, and how opaque; None for one without alpha.

    Args:
        setting: which one named the file, for messages.

    Raises:
        SettingsError: there is no such picture, or it cannot be read.
    """
    return split(unit(read_levels(file, setting)))


def read_fitted(
    file: Path, size: tuple[int, int], fit: Fit = "cover", setting: str = "picture"
) -> tuple[Image, Alpha | None]:
    """A picture at `size` (width, height), and how opaque; what `contain` leaves bare is black and not opaque."""
    levels = read_levels(file, setting)
    return fitted_rgba(levels, size, fit)


def read_picture(file: Path, pixels: int, multiple: int, setting: str = "picture") -> Image:
    """A picture in its own proportions, at most so many pixels large, its sides cut to multiples."""
    levels = read_levels(file, setting)
    height, width = levels.shape[:2]
    scale = min(1.0, sqrt(pixels / (width * height)))
    size = (max(1, int(width * scale) // multiple) * multiple, max(1, int(height * scale) // multiple) * multiple)
    return planar(fitted(levels[..., :3], size))


def fitted_rgba(
    levels: Levels, size: tuple[int, int], fit: Fit = "cover", aspect: float = 1.0
) -> tuple[Image, Alpha | None]:
    """What was stored as a picture at `size`, and how opaque it is."""
    if fit == "contain" and levels.shape[2] == 3 and inside(levels.shape, size, aspect)[2:] != size:
        opaque = np.full((*levels.shape[:2], 1), 1 if levels.dtype.kind == "f" else np.iinfo(levels.dtype).max)
        levels = np.concatenate((levels, opaque.astype(levels.dtype)), axis=2)
    return split(fitted(levels, size, fit, aspect))


def split(pixels: Float32[np.ndarray, "h w c"]) -> tuple[Image, Alpha | None]:
    """Colours and alpha of float pixels, apart."""
    image = planar(np.ascontiguousarray(pixels[..., :3]))
    return image, torch.from_numpy(np.ascontiguousarray(pixels[..., 3])) if pixels.shape[2] == 4 else None


def read_levels(file: Path, setting: str = "picture") -> Levels:
    """A picture upright, in as many bits as it has."""
    if not file.exists():
        raise SettingsError(f"{setting}: there is no picture {file}; name one that is there")
    try:
        with PillowImage.open(file) as opened:
            turn = EXIF.get(opened.getexif().get(EXIF_TAG, 1), UPRIGHT)
            opened.load()
            levels = _all_bits(file) if opened.format in _DEEP else None
            if levels is None:
                levels = np.array(opened.convert("RGBA" if opened.has_transparency_data else "RGB"))
            return turn(levels)
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as unreadable:
        raise SettingsError(
            f"{setting}: {file} cannot be read as a picture ({unreadable}); save it again as PNG or JPEG"
        ) from unreadable


def _all_bits(file: Path) -> Levels | None:
    """A picture of more than 8 bits a channel; None for others, which Pillow knows better."""
    stored = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype not in (np.uint16, np.float32):
        return None
    if stored.ndim == 2:
        return stored[..., None].repeat(3, axis=2)
    return stored[..., (2, 1, 0, 3)[: stored.shape[2]]]
