"""Models whose cost is known: nothing to speak of, or a fixed amount of real arithmetic."""

import time
from collections.abc import Callable

import torch
from torch.nn import functional

from koshi_flux.shared.flow_matching import sigmas_below
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning, Image, Latent


class NullModel:
    """Has FLUX.2's latents and costs next to nothing: shows what the loop itself costs."""

    spec = FluxSpec(name="stand-in", family="stand-in", channels=32)
    device = torch.device("cpu")

    def encode_prompt(self, text: str) -> Conditioning:
        return Conditioning(torch.zeros(1, 1))

    def release_text_encoder(self) -> None:
        pass

    def encode(self, image: Image) -> Latent:
        """The mean colour of 8x8 pixels, in the first three channels."""
        colors = functional.avg_pool2d(image[None], self.spec.downscale)[0]
        return functional.pad(colors, (0, 0, 0, 0, 0, self.spec.channels - 3))

    def decode(self, latent: Latent) -> Image:
        return functional.interpolate(latent[None, :3], scale_factor=self.spec.downscale)[0].clamp(0, 1)

    def sigmas(self, steps: int, start: float, width: int, height: int) -> tuple[float, ...]:
        return sigmas_below(start, steps, mu=0.0)

    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        return torch.zeros_like(latent)


class BusyModel(NullModel):
    """Works for a fixed number of matrix products in every velocity, as a transformer does."""

    def __init__(self, products: int):
        self._matrix = torch.randn(512, 512) / 512**0.5
        self._products = products

    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        x = self._matrix
        for _ in range(self._products):
            x = x @ self._matrix
        return torch.zeros_like(latent) + 0 * x[0, 0]

    def frame(self, image: Image, steps: int) -> None:
        """The bare model calls of one frame: what no loop can avoid."""
        height, width = image.shape[1:]
        latent, prompt = self.encode(image), self.encode_prompt("x")
        for sigma in self.sigmas(steps, 0.5, width, height)[:-1]:
            latent = self.velocity(latent, sigma, prompt, None, 1.0)
        self.decode(latent)


def calibrated(seconds: float, steps: int) -> BusyModel:
    """A busy model whose frames take at least `seconds` here and now."""
    products = 8
    while True:
        model = BusyModel(products)
        if seconds_of(lambda: model.frame(torch.rand(3, 256, 256), steps)) >= seconds:  # noqa: B023
            return model
        products = products * 5 // 4 + 1


def seconds_of(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
