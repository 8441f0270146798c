"""Teaches the decoder, once the encoder rests, to draw pictures that encode to the very latents they were drawn from.

A feedback film encodes its own output every frame: what this takes away from each round trip is taken away a hundred
times. The encoder, and so every latent that the transformer has learned, stays as it is.
"""

from pathlib import Path

import torch
import typer
from diffusers import AutoencoderKLFlux2
from torch import Tensor

from training.nano.autoencoder import crops, difference, round_trips
from training.nano.dataset import read_shards
from training.nano.muon import optimisers_for
from training.nano.stage import (
    CONFIG,
    WORK,
    Average,
    ConfigFile,
    Device,
    Training,
    TrainingConfig,
    Work,
    best_device,
    leads,
    learn,
    read_config,
)


class PolishConfig(TrainingConfig):
    """How to polish the decoder.

    Args:
        crop: side of the training crops in pixels.
        cycle: weight of encode(decode(z)) = z, relative to the variance of z.
        trips: round trips that a step may begin with, at most; so the decoder sees what it has worn already.
    """

    crop: int
    cycle: float
    trips: int


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "") -> None:
    """Polish the autoencoder of <work>/autoencoder/vae into <work>/polish/vae."""
    settings, place = read_config(PolishConfig, "polish", config), best_device(device)
    pictures, _ = read_shards(work, 256, 256)
    torch.manual_seed(3)
    model = AutoencoderKLFlux2.from_pretrained(work / "autoencoder" / "vae").to(place)
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)
    average, optimisers = Average(model, decay=0.99), optimisers_for(model, lambda name: not name.startswith("encoder"))
    parts = {"model": model, "average": average, **{f"optimiser{n}": each for n, each in enumerate(optimisers)}}
    training = Training(work / "polish", settings, parts)
    for step in training.run():
        target = crops(pictures, settings.crop, settings.batch).to(place)
        seen = _worn(model, target, int(torch.randint(settings.trips + 1, ())))
        learn(model, polish_loss(model, seen, target, settings.cycle), optimisers, training.rate)
        average.follow(model)
        if step % 100 == 99 and leads():
            training.log(**round_trips(polished(work, average, place), place, training.folder / "sheet.png"))
    if leads():
        polished(work, average, place).save_pretrained(training.folder / "vae")


def polished(work: Path, average: Average, place: torch.device) -> AutoencoderKLFlux2:
    """The autoencoder with the averaged weights."""
    model = AutoencoderKLFlux2.from_pretrained(work / "autoencoder" / "vae").to(place).eval()
    model.load_state_dict(average.weights)
    return model


@torch.no_grad()
def _worn(model: AutoencoderKLFlux2, pictures: Tensor, trips: int) -> Tensor:
    """Pictures after some round trips."""
    for _ in range(trips):
        pictures = model.decode(model.encode(pictures).latent_dist.mode()).sample.clamp(-1, 1)
    return pictures


def polish_loss(model: AutoencoderKLFlux2, seen: Tensor, target: Tensor, cycle: float) -> Tensor:
    """Fidelity to the true picture, and of the latent to itself."""
    latent = model.encode(seen).latent_dist.mode().detach()
    drawn = model.decode(latent).sample
    again = model.encode(drawn).latent_dist.mode()
    return difference(drawn, target) + cycle * (again - latent).square().mean() / latent.var()


def vae_folder(work: Path) -> Path:
    """The polished autoencoder, or the one that there is."""
    polished = work / "polish" / "vae"
    return polished if polished.exists() else work / "autoencoder" / "vae"


if __name__ == "__main__":
    typer.run(main)
