"""ToyModel: a rectified flow that is known exactly, so that films and tests need no weights and no time.

Its pictures are a Gaussian field around the painted landscape: x0 = painting + clouds, where the clouds have the power
spectrum `cloud_power`. For such pictures the best guess of x0 from a noisy x is a Wiener filter, and with it the
velocity of the flow is exact: v = (x - E[x0 | x]) / sigma. Large shapes of the moved picture survive a redraw, fine ones
follow the prompt, just as with a trained model. The latent is the picture itself, 8x8 pixels to a latent pixel.
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.shared.flow_matching import sigmas_below
from koshi_flux.shared.types import Conditioning, Image, Latent
from koshi_flux.toy.config import TOY
from koshi_flux.toy.painter import paint
from koshi_flux.toy.words import read

_CLOUDS = 0.12
"""Standard deviation of the clouds, in a picture that spans [-1, 1]."""
_CLOUD_SIZE = 3.0
"""Cycles per frame below which the clouds' power is flat."""
_TINTED_SHARE = 0.15
"""Power of coloured clouds relative to grey ones."""
_OPPONENT = torch.tensor([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / torch.tensor([[3.0], [2.0], [6.0]]).sqrt()
"""Orthonormal colour axes: grey, red-green, yellow-blue."""


class ToyModel:
    """A FluxModel without weights. Same words, same landscape; the seed decides the clouds."""

    spec = TOY
    device = torch.device("cpu")

    def encode_prompt(self, text: str) -> Conditioning:
        """One token: the features of the landscape that the words describe."""
        return Conditioning(torch.tensor([read(text).numbers()]))

    def release_text_encoder(self) -> None:
        """Nothing to free."""

    def encode(self, image: Image) -> Latent:
        """Gather 8x8 pixels into each latent pixel; loses nothing."""
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
        """The exact velocity towards pictures of the prompt; guidance has no meaning here."""
        x = functional.pixel_shuffle(latent, self.spec.downscale)
        height, width = x.shape[1:]
        painting = paint(prompt.tokens[0], height, width) * 2 - 1
        surprise = torch.fft.rfft2(torch.tensordot(_OPPONENT, x - (1 - sigma) * painting, dims=1), norm="ortho")
        power = cloud_power(height, width)
        kept = (1 - sigma) * power / ((1 - sigma) ** 2 * power + sigma**2)
        clouds = torch.fft.irfft2(surprise * kept, s=(height, width), norm="ortho")
        guess = painting + torch.tensordot(_OPPONENT.T, clouds, dims=1)
        return functional.pixel_unshuffle((x - guess) / sigma, self.spec.downscale)


@lru_cache(maxsize=4)
def cloud_power(height: int, width: int) -> Float[Tensor, "3 h half"]:
    """Power spectrum of the clouds along the opponent axes, for an orthonormal real FFT of (h, w)."""
    rows = torch.fft.fftfreq(height, 1 / height)[:, None]
    columns = torch.fft.rfftfreq(width, 1 / width)[None]
    shape = (1 + (rows**2 + columns**2) / _CLOUD_SIZE**2) ** -2.0
    grey = _CLOUDS**2 * height * width / (torch.pi * _CLOUD_SIZE**2) * shape
    return torch.stack((grey, _TINTED_SHARE * grey, _TINTED_SHARE * grey))
