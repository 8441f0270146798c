"""Models that tests can predict."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.types import Conditioning, Image, Latent
from koshi_flux.toy.model import ToyModel


class IdentityModel(ToyModel):
    """Redraws every picture exactly as it was: its velocity leads back to the latent it was given to encode.

    Counts what it is asked, so that tests can say how often.
    """

    def __init__(self) -> None:
        self.clean: Latent | None = None
        self.texts: list[str] = []
        self.releases = self.velocities = 0

    def encode_prompt(self, text: str) -> Conditioning:
        self.texts.append(text)
        return super().encode_prompt(text)

    def release_text_encoder(self) -> None:
        self.releases += 1

    def encode(self, image: Image) -> Latent:
        self.clean = super().encode(image)
        return self.clean

    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        self.velocities += 1
        if self.clean is None:
            return super().velocity(latent, sigma, prompt, negative, guidance)
        return (latent - self.clean) / sigma


@pytest.fixture
def identity_model() -> IdentityModel:
    return IdentityModel()


@pytest.fixture
def film_of() -> Callable[..., Animation]:
    """A small film with a toy model; keywords change it."""

    def film(**settings: object) -> Animation:
        small = {"model": "toy", "prompts": "a misty sea at dawn", "size": (64, 48), "frames": 6}
        return Animation(**{**small, **settings})

    return film


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]."""
    return float(-10 * torch.log10(((a - b) ** 2).mean().clamp(min=1e-12)))


@pytest.fixture
def digest() -> Callable[[Path], dict[str, str]]:
    """Names and hashes of the frames of a run folder."""

    def hashes(folder: Path) -> dict[str, str]:
        frames = sorted((folder / "frames").glob("*.png"))
        return {frame.name: hashlib.sha256(frame.read_bytes()).hexdigest() for frame in frames}

    return hashes
