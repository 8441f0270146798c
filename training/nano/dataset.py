"""Renders the scenes that everything is trained on, into shards of one size each; finished shards are kept.

Run it several times at once to use several cores: a shard that another run has begun is left to it.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
import typer
from torch import Tensor

from training.nano.scenes import render
from training.nano.stage import CONFIG, WORK, ConfigFile, Device, StageConfig, Work, best_device, read_config

HELD_OUT = 1_000_000
"""Seeds from here on are never trained on."""


class DatasetConfig(StageConfig):
    """What to render.

    Args:
        shard: scenes per file.
        batch: scenes painted at a time.
        sizes: (height, width, shards): pictures of about as many pixels in several shapes.
    """

    shard: int
    batch: int
    sizes: tuple[tuple[int, int, int], ...]


def shard_files(config: DatasetConfig, work: Path) -> Iterator[tuple[int, int, int, Path]]:
    """(first seed, height, width, file) of every shard."""
    first = 0
    for height, width, shards in config.sizes:
        for number in range(shards):
            yield first, height, width, work / "dataset" / f"{height}x{width}-{number:03d}.pt"
            first += config.shard


def read_shards(work: Path, height: int, width: int) -> tuple[Tensor, list[str]]:
    """All finished pictures of a size, (n, 3, h, w) uint8, and their captions."""
    shards = [torch.load(file) for file in sorted((work / "dataset").glob(f"{height}x{width}-*.pt"))]
    return torch.cat([shard["pictures"] for shard in shards]), [text for shard in shards for text in shard["captions"]]


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "") -> None:
    """Render all shards that are not there yet."""
    settings = read_config(DatasetConfig, "dataset", config)
    for first, height, width, file in shard_files(settings, work):
        begun = file.with_suffix(".begun")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() or begun.exists():
            continue
        begun.touch()
        seeds = range(first, first + settings.shard, settings.batch)
        batches = [render(seed, settings.batch, height, width, best_device(device)) for seed in seeds]
        pictures = torch.cat([(batch.pictures * 255).round().byte().cpu() for batch in batches])
        torch.save({"pictures": pictures, "captions": [text for batch in batches for text in batch.captions]}, begun)
        begun.rename(file)
        typer.echo(f"{file}: {len(pictures)} scenes")


if __name__ == "__main__":
    typer.run(main)
