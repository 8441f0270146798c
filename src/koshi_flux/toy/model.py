"""ToyModel: a denoiser that needs no weights and no time, so that films, tests and the docs run anywhere.

A trained model's guess of the clean picture is part what it can still see through the noise, part what the prompt says,
the noisier the more. So is the toy's, in closed form: what can be seen is the Wiener filter for pictures with the
power spectrum of nature, what the prompt says is a painting. From the guess follows the velocity of the rectified flow,
v = (x - guess) / sigma. The latent is the picture itself, 8x8 pixels to a latent pixel, and loses nothing.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.errors import ModelError
from koshi_flux.shared.flow_matching import sigmas_below
from koshi_flux.shared.types import Conditioning, Image, Latent
from koshi_flux.toy.config import TOY
from koshi_flux.toy.painter import paint
from koshi_flux.toy.words import read

_DEVIATION = 0.5
"""Standard deviation of a picture about its mean, in a range of [-1, 1]."""
_MARGIN = 32
"""Pixels mirrored around the picture, so that its left edge is not seen through its right one."""


class ToyModel:
    """A FluxModel without weights: paints what the prompt says; the seed decides the clouds."""

    spec = TOY
    device = torch.device("cpu")
    relief = "take a smaller size"

    def encode_prompt(self, text: str) -> Conditioning:
        """One token: the features of the landscape that the words describe."""
        return Conditioning(torch.tensor([read(text).numbers()]))

    def release_text_encoder(self) -> None:
        """Nothing to free."""

    def check_loras(self, files: Mapping[str, str]) -> Mapping[str, Path]:
        """There are no weights that a LoRA could change."""
        if files:
            raise ModelError("the toy model has no weights that a LoRA could change: choose a FLUX, such as klein-4b")
        return {}

    def use_loras(self, files: Mapping[str, Path]) -> None:
        """Nothing to load."""

    def set_loras(self, strengths: Mapping[str, float]) -> None:
        """Nothing to add."""

    def encode(self, image: Image) -> Latent:
        """Gather 8x8 pixels into each latent pixel."""
        return functional.pixel_unshuffle(image * 2 - 1, self.spec.downscale)

    def decode(self, latent: Latent) -> Image:
        """The inverse of `encode`, clamped to [0, 1]."""
        return (functional.pixel_shuffle(latent, self.spec.downscale) / 2 + 0.5).clamp(0, 1)

    def sigmas(self, steps: int, start: float, width: int, height: int) -> tuple[float, ...]:
        """Evenly spaced, whatever the size."""
        return sigmas_below(start, steps, mu=0.0)

    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        """The velocity towards what shines through the noise and what the prompt says; guidance has no meaning here."""
        x = functional.pixel_shuffle(latent, self.spec.downscale)
        painting = painted(tuple(prompt.tokens[0].tolist()), *x.shape[1:])
        guess = seen(x, sigma, painting.mean(dim=(1, 2), keepdim=True)).lerp(painting, sigma)
        return functional.pixel_unshuffle((x - guess) / sigma, self.spec.downscale)


@lru_cache(maxsize=4)
def painted(features: tuple[float, ...], height: int, width: int) -> Float[Tensor, "3 h w"]:
    """The painting of a landscape's features, in [-1, 1]."""
    return paint(torch.tensor(features), height, width) * 2 - 1


def seen(x: Float[Tensor, "3 h w"], sigma: float, mean: Float[Tensor, "3 1 1"]) -> Float[Tensor, "3 h w"]:
    """The best linear guess of a natural picture with that mean from its noisy version x (Wiener 1949)."""
    margin = min(_MARGIN, *(side // 2 for side in x.shape[1:]))
    deviation = functional.pad((x - (1 - sigma) * mean)[None], (margin,) * 4, mode="reflect")[0]
    power = natural_power(*deviation.shape[1:])
    gain = (1 - sigma) * power / ((1 - sigma) ** 2 * power + sigma**2)
    spectrum = torch.fft.rfft2(deviation, norm="ortho") * gain
    inner = slice(margin, -margin)
    return mean + torch.fft.irfft2(spectrum, s=deviation.shape[1:], norm="ortho")[:, inner, inner]


@lru_cache(maxsize=4)
def natural_power(height: int, width: int) -> Float[Tensor, "h half"]:
    """Power of each frequency of a smooth natural picture, falling with its fourth power, for an orthonormal rfft2."""
    rows = torch.fft.fftfreq(height, 1 / height)[:, None]
    columns = torch.fft.rfftfreq(width, 1 / width)[None]
    return _DEVIATION**2 * height * width / torch.pi * (1 + rows**2 + columns**2) ** -2.0
