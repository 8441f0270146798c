"""The latent space of FLUX.2: between what the autoencoder gives, what the loop moves and mixes, and tokens.

Convention: the autoencoder gives 32 channels at 1/8 of the picture ("raw"). The transformer reads every 2 x 2 block of
them as one token of 128 values, token channel = 4 * channel + 2 * row + column, and was trained on tokens normalised
by the statistics of the autoencoder's batch norm, one mean and deviation for each of the 128. Our latent is those
normalised values put back in their places: 32 channels at 1/8, in which noise is unit Gaussian. So latents are moved
and mixed with noise as pictures are, and packing them into tokens only reorders numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from koshi_flux.shared.types import Latent

PATCH = 2
"""Latent pixels per token and side."""

APART = 10
"""Steps of time from one picture of a sequence to the next, as the models were trained."""


@dataclass(frozen=True, slots=True)
class LatentStatistics:
    """Mean and deviation of the 128 token channels, always float32: bfloat16 would move them by up to 0.4 %."""

    mean: Float[Tensor, "c 1 1"]
    deviation: Float[Tensor, "c 1 1"]

    @classmethod
    def of(cls, norm: torch.nn.BatchNorm2d, device: torch.device) -> "LatentStatistics":
        """Copy what an autoencoder's batch norm learned; it must still be in the float32 of its file."""
        assert norm.running_mean is not None
        assert norm.running_var is not None
        deviation = (norm.running_var + norm.eps).sqrt()
        return cls(*(values[:, None, None].clone().to(device) for values in (norm.running_mean, deviation)))

    def normalise(self, raw: Latent) -> Latent:
        """From the autoencoder's latent to ours."""
        return pixel_shuffle((pixel_unshuffle(raw, PATCH) - self.mean) / self.deviation, PATCH)

    def denormalise(self, latent: Latent) -> Latent:
        """From our latent to the autoencoder's."""
        return pixel_shuffle(pixel_unshuffle(latent, PATCH) * self.deviation + self.mean, PATCH)


def pack(latent: Latent) -> Float[Tensor, "n d"]:
    """Latent to tokens, row by row."""
    return pixel_unshuffle(latent, PATCH).flatten(1).T


def unpack(tokens: Float[Tensor, "n d"], height: int, width: int) -> Latent:
    """Tokens back to a latent of that height and width, in latent pixels."""
    return pixel_shuffle(tokens.T.reshape(-1, height // PATCH, width // PATCH), PATCH)


def image_ids(height: int, width: int, device: torch.device, time: int = 0) -> Int[Tensor, "n 4"]:
    """Where each token of a latent of that size sits: (time, row, column, 0)."""
    rows, columns = (torch.arange(side // PATCH, device=device) for side in (height, width))
    zero = torch.zeros(1, dtype=torch.long, device=device)
    return torch.cartesian_prod(zero + time, rows, columns, zero)


def text_ids(count: int, device: torch.device) -> Int[Tensor, "n 4"]:
    """Where each of `count` text tokens sits: (0, 0, 0, place in the sentence)."""
    zero = torch.zeros(1, dtype=torch.long, device=device)
    return torch.cartesian_prod(zero, zero, zero, torch.arange(count, device=device))


def in_a_row(
    pictures: Sequence[Float[Tensor, "c _ _"]], first: int = 0
) -> tuple[Float[Tensor, "n d"], Int[Tensor, "n 4"]]:
    """Latents of any sizes as one sequence of tokens, and where each sits: the picture to draw, then those it looks at.

    Every picture has rows and columns of its own, and a time: 0 the first, 10 the next, 20 the one after it.

    Args:
        first: the number of the first; 1 where the picture to draw is not among them.
    """
    places = [
        image_ids(picture.shape[1], picture.shape[2], picture.device, time=APART * number)
        for number, picture in enumerate(pictures, first)
    ]
    return torch.cat([pack(picture) for picture in pictures]), torch.cat(places)
