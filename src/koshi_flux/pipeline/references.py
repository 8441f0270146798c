"""Pictures that frames are drawn by the sight of: an identity to hold on to, beside the picture they start from."""

from functools import cache
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.references import FIRST, PREVIOUS
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import FluxModel, History, Image, Latent


class References:
    """Gives each frame its references as latents; what stays the same is encoded once."""

    def __init__(self, model: FluxModel, size: tuple[int, int]):
        self._model, self._size = model, size
        self._held: tuple[Image, Latent] | None = None
        self._from_file = cache(self._encoded_file)

    def at(self, parameters: FrameParameters, history: History) -> tuple[Latent, ...]:
        """What a frame looks at; the film's own pictures are there once they are drawn."""
        found = (self._latent(name, history) for name in parameters.reference)
        return tuple(latent for latent in found if latent is not None)

    def _latent(self, name: str, history: History) -> Latent | None:
        if name == PREVIOUS:
            return None if history.previous is None else self._model.encode(history.previous.image)
        if name == FIRST:
            return None if history.reference is None else self._first(history.reference.image)
        return self._from_file(name)

    def _first(self, image: Image) -> Latent:
        if self._held is None or self._held[0] is not image:
            self._held = image, self._model.encode(image)
        return self._held[1]

    def _encoded_file(self, name: str) -> Latent:
        width, height = self._size
        return self._model.encode(read_picture(Path(name), width * height, self._model.spec.multiple))


def read_picture(file: Path, pixels: int, multiple: int) -> Image:
    """A picture from disk, upright, at most so many pixels large, its sides cut to multiples.

    Raises:
        SettingsError: there is no such picture, or it cannot be read.
    """
    try:
        with PillowImage.open(file) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except FileNotFoundError:
        raise SettingsError(f"reference: there is no picture {file}; it may also be 'first' or 'previous'") from None
    except (OSError, UnidentifiedImageError) as unreadable:
        raise SettingsError(f"reference: {file} cannot be read as a picture ({unreadable})") from unreadable
    scale = min(1.0, sqrt(pixels / (upright.width * upright.height)))
    width, height = (max(1, int(side * scale) // multiple) * multiple for side in upright.size)
    fitted = ImageOps.fit(upright, (width, height), PillowImage.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).float() / 255
