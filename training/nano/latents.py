"""Encodes the dataset once, so that the transformer trains on latents alone."""

from dataclasses import dataclass
from pathlib import Path

import torch
import typer
from diffusers import AutoencoderKLFlux2
from torch import Tensor

from koshi_flux.flux2.latents import LatentStatistics
from training.nano.dataset import DatasetConfig, read_shards
from training.nano.stage import CONFIG, WORK, ConfigFile, Device, Work, best_device, read_config


@dataclass(frozen=True, slots=True)
class Latents:
    """All scenes of one size.

    Args:
        values: (n, 32, h / 8, w / 8) in half precision, normalised: what the film loop calls a latent.
        captions: of each.
    """

    values: Tensor
    captions: list[str]


def read_latents(work: Path) -> list[Latents]:
    """The encoded dataset, a group for each size."""
    groups = [torch.load(file) for file in sorted((work / "latents").glob("*.pt"))]
    return [Latents(group["values"], group["captions"]) for group in groups]


@torch.no_grad()
def encode(pictures: Tensor, vae: AutoencoderKLFlux2, place: torch.device) -> Tensor:
    """Latents of pictures (n, 3, h, w) uint8, as the film loop would get them."""
    statistics = LatentStatistics.of(vae.bn, place)
    parts = []
    for part in pictures.split(8):
        raw = vae.encode(part.to(place).float() / 127.5 - 1).latent_dist.mode()
        parts.append(torch.stack([statistics.normalise(one) for one in raw]).half().cpu())
    return torch.cat(parts)


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "") -> None:
    """Encode what is not encoded yet."""
    settings, place = read_config(DatasetConfig, "dataset", config), best_device(device)
    vae = AutoencoderKLFlux2.from_pretrained(work / "autoencoder" / "vae").eval().to(place)
    for height, width, _ in settings.sizes:
        file = work / "latents" / f"{height}x{width}.pt"
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        pictures, captions = read_shards(work, height, width)
        torch.save({"values": encode(pictures, vae, place), "captions": captions}, file)
        typer.echo(f"{file}: {len(captions)} latents")


if __name__ == "__main__":
    typer.run(main)
