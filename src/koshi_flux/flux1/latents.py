"""The latent space of FLUX.1: between what the autoencoder gives, what the loop moves and mixes, and tokens.

Convention: the autoencoder gives 16 channels at 1/8 of the picture ("raw"). Shifted and scaled by two numbers of its
config they are our latent, in which noise is unit Gaussian. The transformer reads every 2 x 2 block of it as one token
of 64 values, token channel = 4 * channel + 2 * row + column.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from koshi_flux.shared.types import Latent

PATCH = 2
"""Latent pixels per token and side."""


@dataclass(frozen=True, slots=True)
class LatentScale:
    """What makes the autoencoder's latents about as large as noise."""

    shift: float
    factor: float

    @classmethod
    def of(cls, vae: Any) -> "LatentScale":
        """What an autoencoder's config states; for the published one 0.1159 and 0.3611."""
        return cls(float(vae.config.shift_factor), float(vae.config.scaling_factor))

    def normalise(self, raw: Latent) -> Latent:
        """From the autoencoder's latent to ours."""
        return (raw - self.shift) * self.factor

    def denormalise(self, latent: Latent) -> Latent:
        """From our latent to the autoencoder's."""
        return latent / self.factor + self.shift


def pack(latent: Latent) -> Float[Tensor, "n d"]:
    """Latent to tokens, row by row."""
    return pixel_unshuffle(latent, PATCH).flatten(1).T


def unpack(tokens: Float[Tensor, "n d"], height: int, width: int) -> Latent:
    """Tokens back to a latent of that height and width, in latent pixels."""
    return pixel_shuffle(tokens.T.reshape(-1, height // PATCH, width // PATCH), PATCH)


def image_ids(height: int, width: int, device: torch.device) -> Int[Tensor, "n 3"]:
    """Where each token of a latent of that size sits: (0, row, column)."""
    rows, columns = (torch.arange(side // PATCH, device=device) for side in (height, width))
    return torch.cartesian_prod(torch.zeros(1, dtype=torch.long, device=device), rows, columns)


def text_ids(count: int, device: torch.device) -> Int[Tensor, "n 3"]:
    """Where each of `count` text tokens sits: all at (0, 0, 0), for T5 has already told them apart."""
    return torch.zeros(count, 3, dtype=torch.long, device=device)
