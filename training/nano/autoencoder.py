"""Trains nano's autoencoder: 8 x 8 pixels to 32 numbers and back, again and again without wear.

Three things beside fidelity make its latents fit for films:
- what it decodes must encode to the latent it came from, and it is shown its own pictures again as inputs, with the
  true pictures as targets, so that round trips do not add up;
- a mirrored or halved latent must decode to the mirrored or halved picture, which makes latents easier to learn and
  possible to move (the idea of EQ-VAE, Kouzelis et al. 2025, arXiv:2502.09509);
- a little noise and a weak pull to the unit Gaussian keep them smooth (Kingma and Welling 2013, arXiv:1312.6114).
"""

from pathlib import Path

import torch
import typer
from diffusers import AutoencoderKLFlux2
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_unshuffle

from training.nano.dataset import HELD_OUT, read_shards
from training.nano.measures import psnr
from training.nano.muon import optimisers_for
from training.nano.scenes import render
from training.nano.sheet import write_sheet
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
    processes,
    read_config,
)


class AutoencoderConfig(TrainingConfig):
    """How to train the autoencoder.

    Args:
        channels: of the four scales, finest first.
        groups: of every group norm.
        crop: side of the training crops in pixels; doubled, four times fewer, in the last fifth.
        gaussian: weight of the pull to the unit Gaussian.
        echoes: share of the batch that is the model's own output, from a third of the time on.
        halved: how often the halved latent is decoded too.
        cycle: weight of encode(decode(z)) = z, relative to the variance of z.
    """

    channels: tuple[int, int, int, int]
    groups: int
    crop: int
    gaussian: float
    echoes: float
    halved: float
    cycle: float


def build(config: AutoencoderConfig) -> AutoencoderKLFlux2:
    """An untrained autoencoder."""
    return AutoencoderKLFlux2(
        block_out_channels=config.channels, layers_per_block=1, norm_num_groups=config.groups, sample_size=256
    )


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "") -> None:
    """Train, measure the latents' statistics, and write the autoencoder to <work>/autoencoder/vae."""
    settings = read_config(AutoencoderConfig, "autoencoder", config)
    place = best_device(device)
    pictures, _ = read_shards(work, 256, 256)
    torch.manual_seed(0)
    model = build(settings).to(place)
    average = Average(model, decay=0.998)
    optimisers = optimisers_for(model, lambda _: True)
    parts = {"model": model, "average": average, **{f"optimiser{n}": each for n, each in enumerate(optimisers)}}
    training = Training(work / "autoencoder", settings, parts)
    echo: tuple[Tensor, Tensor] | None = None
    for step in training.run():
        larger = 2 if training.progress > 0.8 else 1
        target = crops(pictures, larger * settings.crop, settings.batch // larger**2).to(place)
        seen, target = _with_echoes(target, echo, settings.echoes if training.progress > 1 / 3 else 0.0)
        loss, drawn = _loss(model, seen, target, settings)
        learn(model, loss, optimisers, training.rate)
        average.follow(model)
        echo = (drawn.detach().clamp(-1, 1), target)
        if step % 250 == 249 and leads():
            current = averaged(settings, average, place)
            training.log(loss=loss.item(), **round_trips(current, place, training.folder / "sheet.png"))
    if leads():
        finish(averaged(settings, average, place), pictures, training.folder / "vae")


def crops(pictures: Tensor, crop: int, count: int) -> Tensor:
    """Random squares of random pictures (n, 3, h, w) uint8, in [-1, 1]; each process takes its share of `count`."""
    height, width = pictures.shape[2:]
    count = max(1, count // processes())
    chosen = torch.randint(len(pictures), (count,)).tolist()
    tops = torch.randint(height - crop + 1, (count,)).tolist()
    lefts = torch.randint(width - crop + 1, (count,)).tolist()
    places = zip(chosen, tops, lefts, strict=True)
    cut = torch.stack([pictures[i, :, top : top + crop, left : left + crop] for i, top, left in places])
    return cut.float() / 127.5 - 1


def _with_echoes(target: Tensor, echo: tuple[Tensor, Tensor] | None, share: float) -> tuple[Tensor, Tensor]:
    """Replace a share of the inputs by what the model last drew, and their targets by what that should have been.

    Which ones is left to chance, so that some are shown a second and a third time and none for ever.
    """
    count = round(share * len(target))
    if echo is None or not count or echo[0].shape != target.shape:
        return target, target
    chosen = torch.randperm(len(target))[:count]
    drawn, true = (pictures[chosen] for pictures in echo)
    return torch.cat([drawn, target[count:]]), torch.cat([true, target[count:]])


def _loss(model: AutoencoderKLFlux2, seen: Tensor, target: Tensor, config: AutoencoderConfig) -> tuple[Tensor, Tensor]:
    """Fidelity of the picture, of its mirror image or of its half, and the pull; and the picture drawn."""
    latents = model.encode(seen).latent_dist
    latent = latents.sample()
    mirrored = bool(torch.rand(()) < 0.5)
    drawn = model.decode(latent.flip(3) if mirrored else latent).sample
    drawn = drawn.flip(3) if mirrored else drawn
    loss = difference(drawn, target) + config.gaussian * latents.kl().mean() / latent[0].numel()
    if config.cycle:
        wanted = latents.mean.detach()
        again = model.encode(drawn).latent_dist.mean
        loss = loss + config.cycle * (again - wanted).square().mean() / wanted.var()
    if torch.rand(()) < config.halved:
        loss = loss + 0.25 * difference(model.decode(avg_pool2d(latent, 2)).sample, avg_pool2d(target, 2))
    return loss, drawn


def difference(drawn: Tensor, target: Tensor) -> Tensor:
    """Of colours, absolute and squared; of edges; and of the colours of whole areas, whose casts would add up."""
    error = drawn - target
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + 4 * error.square().mean() + 0.5 * edges + 2 * avg_pool2d(error, 8).abs().mean()


@torch.no_grad()
def round_trips(model: AutoencoderKLFlux2, place: torch.device, sheet: Path) -> dict[str, float]:
    """Fidelity in dB on whole held-out pictures, after one round trip and after five, and a sheet of them."""
    true = render(HELD_OUT, 8, 256, 256, place).pictures
    trips = [true]
    for _ in range(5):
        trips.append((model.decode(model.encode(trips[-1] * 2 - 1).latent_dist.mode()).sample / 2 + 0.5).clamp(0, 1))
    write_sheet(torch.cat([trips[0], trips[1], trips[5]]), sheet)
    return {"psnr": _mean_psnr(trips[1], true), "psnr_5_trips": _mean_psnr(trips[5], true)}


def _mean_psnr(pictures: Tensor, true: Tensor) -> float:
    """The mean over pictures, in dB."""
    return sum(psnr(*pair) for pair in zip(pictures, true, strict=True)) / len(true)


def averaged(config: AutoencoderConfig, average: Average, place: torch.device) -> AutoencoderKLFlux2:
    """The model with its averaged weights."""
    model = build(config).to(place).eval()
    model.load_state_dict(average.weights)
    return model


@torch.no_grad()
def finish(model: AutoencoderKLFlux2, pictures: Tensor, folder: Path) -> None:
    """Measure mean and variance of the 128 token channels over real scenes, and write the model."""
    place = next(model.parameters()).device
    chosen = pictures[:: max(1, len(pictures) // 256)][:256]
    tokens = torch.cat(
        [
            pixel_unshuffle(model.encode(part.to(place).float() / 127.5 - 1).latent_dist.mode(), 2).cpu()
            for part in chosen.split(16)
        ]
    )
    model.bn.running_mean.copy_(tokens.mean((0, 2, 3)))
    model.bn.running_var.copy_(tokens.var((0, 2, 3)))
    model.bn.num_batches_tracked.fill_(1)
    model.save_pretrained(folder)


if __name__ == "__main__":
    typer.run(main)
