"""Stage "depth": teach the bundled depth model near and far on landscapes whose depth is known.

    python -m training.nano.depth

Scenes are painted once and kept in the work folder; delete scenes-*.safetensors after a change of the painter. The
stage leaves a curve, a checkpoint, a sheet (picture, true, predicted; two scenes to a row), and the weights where the
package reads them.
"""

import os
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from koshi_flux.depth.nano import WEIGHTS, NanoDepth
from koshi_flux.depth.network import MULTIPLE, DepthNetwork
from training.nano.measures import spearman
from training.nano.muon import optimisers_for
from training.nano.scenes import Scenes, render
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
    learn,
    read_config,
)

HELD_OUT_SEED = 2_000_000_000
"""Of the scenes that are only looked at: far from any seed that is trained on."""

_CHUNK = 25
"""Scenes painted at a time."""
_TIE = 1 / 100
"""Disparities nearer to each other than about this count as equally near: all of a sky is one."""
_EDGES = 0.5
"""Weight of the gradient loss (alpha of MiDaS)."""
_SCALES = 4
"""Sizes at which gradients are compared, each half of the one before (K of MiDaS)."""

Target = Annotated[Path, typer.Option(help="where the finished weights go")]


class DepthConfig(TrainingConfig):
    """The settings of the stage.

    Args:
        scenes: how many to paint and train on.
        size: their height and width in pixels.
        held_out: scenes of other seeds to measure with.
        measure_every: steps between measurements.
    """

    scenes: int
    size: int
    held_out: int
    measure_every: int


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "", target: Target = WEIGHTS) -> None:
    """Train the depth model and put its weights into the package."""
    settings = read_config(DepthConfig, "depth", config)
    average = train(settings, work / "depth", best_device(device))
    held_out = render(HELD_OUT_SEED, 24, 256, 256)
    export(average, target)
    write_sheet(compared(NanoDepth.load(file=target), held_out), work / "depth" / "sheet.png", columns=6)


def train(config: DepthConfig, folder: Path, device: torch.device) -> Average:
    """Train until the steps or the time are over; the averaged weights."""
    pictures, disparity = cached_scenes(folder, config.scenes, config.size)
    held_out = render(HELD_OUT_SEED, config.held_out, 256, 256)
    torch.manual_seed(0)
    network = DepthNetwork().to(device)
    optimisers = optimisers_for(network, lambda _: True)
    average = Average(network, decay=0.995)
    parts = {f"optimiser{number}": optimiser for number, optimiser in enumerate(optimisers)}
    training = Training(folder, config, {"network": network, "average": average, **parts})
    losses: list[float] = []
    for step in training.run():
        rng = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(pictures), (config.batch,), generator=rng)
        seen, true = augment(pictures[chosen].to(device) / 255, disparity[chosen].to(device) / 255, rng)
        loss = depth_loss(network(seen), true)
        learn(network, loss, optimisers, training.rate)
        average.follow(network)
        losses.append(loss.item())
        if (step + 1) % config.measure_every == 0:
            training.log(loss=sum(losses) / len(losses), **measure(averaged(average).to(device), held_out))
            losses.clear()
    training.log(**measure(averaged(average).to(device), held_out))
    return average


def cached_scenes(folder: Path, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, size, size) and disparities (n, 1, size, size) from 0 to 255; painted once, then read back."""
    file = folder / f"scenes-{count}x{size}.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        chunks = [render(first, min(_CHUNK, count - first), size, size) for first in range(0, count, _CHUNK)]
        scenes = {
            "pictures": torch.cat([(chunk.pictures * 255).round().byte() for chunk in chunks]),
            "disparity": torch.cat([(chunk.disparity * 255).round().byte() for chunk in chunks]),
        }
        save_file(scenes, file.with_suffix(".partial"))
        os.replace(file.with_suffix(".partial"), file)
    scenes = load_file(file)
    return scenes["pictures"], scenes["disparity"]


def depth_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """How wrong disparities are, in value and in outline.

    The value is learned as it is, without the shift and scale that MiDaS takes out of its loss: it has to, because its
    data come from many cameras, ours come from one, whose truth is known. A depth that is right by itself needs no
    stretching per picture, and so does not pump from frame to frame. The outlines are those of MiDaS, equation 11
    (Ranftl et al. 2020, arXiv:1907.01341): errors may change only slowly over the picture. Values below 0 hardly count
    as errors, because they are clamped when used: a whole sky can so be infinitely far.
    """
    error = functional.leaky_relu(predicted, 0.05) - true
    loss = error.abs().mean()
    for scale in range(_SCALES):
        coarse = error[..., :: 2**scale, :: 2**scale]
        loss = loss + _EDGES / _SCALES * (coarse.diff(dim=-1).abs().mean() + coarse.diff(dim=-2).abs().mean())
    return loss


def augment(pictures: Tensor, disparity: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Other views of some scenes, in other colours, as soft or grainy as a model's pictures are."""
    pictures, disparity = _windowed(pictures, disparity, rng)
    if torch.rand((), generator=rng) < 0.5:
        pictures, disparity = pictures.flip(-1), disparity.flip(-1)
    return _recolored(_roughened(pictures, rng), rng).clamp(0, 1), disparity


def _windowed(pictures: Tensor, disparity: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A window of the scenes at another size.

    It keeps the lower edge: there the ground is at disparity 1, and so it is again in the window.
    """
    height, width = pictures.shape[2:]
    share_of_height, share_of_width, place, scale = _uniform(rng, (0.8, 1), (0.6, 1), (0, 1), (0.8, 1.1))
    top, across = round(height * (1 - share_of_height)), round(width * share_of_width)
    left = round((width - across) * place)
    size = [max(1, round(side * scale / MULTIPLE)) * MULTIPLE for side in (height - top, across)]
    both = torch.cat((pictures, disparity), dim=1)[..., top:, left : left + across]
    both = functional.interpolate(both, size, mode="bilinear", antialias=True)
    return both[:, :3], both[:, 3:]


def _roughened(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Softer or sharper, each picture by its own amount, and with grain."""
    soft = functional.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    pictures = torch.lerp(pictures, soft, _each(pictures, rng, -0.5, 1.0))
    grain = torch.randn(pictures.shape, generator=rng).to(pictures.device)
    return pictures + grain * _each(pictures, rng, 0.0, 0.05)


def _recolored(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Another exposure, tint, saturation and contrast for each picture."""
    grey = pictures.mean(1, keepdim=True)
    pictures = torch.lerp(grey, pictures, _each(pictures, rng, 0.3, 1.4))
    middle = pictures.mean((1, 2, 3), keepdim=True)
    pictures = middle + (pictures - middle) * _each(pictures, rng, 0.7, 1.2)
    return pictures * _each(pictures, rng, 0.8, 1.2) * _each(pictures, rng, 0.85, 1.15, channels=3)


def _each(pictures: Tensor, rng: torch.Generator, low: float, high: float, channels: int = 1) -> Tensor:
    """A random number for each picture, (b, channels, 1, 1)."""
    numbers = torch.rand(len(pictures), channels, 1, 1, generator=rng)
    return (low + (high - low) * numbers).to(pictures.device)


def _uniform(rng: torch.Generator, *ranges: tuple[float, float]) -> list[float]:
    """A random number from each range."""
    return [low + (high - low) * float(torch.rand((), generator=rng)) for low, high in ranges]


def measure(network: DepthNetwork, held_out: Scenes) -> dict[str, float]:
    """Rank correlation (mean and worst) and mean error over scenes, by the way that the package goes."""
    model = NanoDepth(network)
    predicted = [model.estimate(picture).cpu() for picture in held_out.pictures]
    pairs = list(zip(predicted, held_out.disparity[:, 0], strict=True))
    ranks = [spearman(*((disparity / _TIE).round() for disparity in pair)) for pair in pairs]
    errors = [float((a - b).abs().mean()) for a, b in pairs]
    return {"spearman": sum(ranks) / len(ranks), "worst": min(ranks), "error": sum(errors) / len(errors)}


def averaged(average: Average) -> DepthNetwork:
    """A network with the averaged weights."""
    network = DepthNetwork()
    network.load_state_dict(average.weights)
    return network


def export(average: Average, file: Path) -> None:
    """Write the averaged weights in float16, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".partial")
    save_file({name: weight.half().cpu().contiguous() for name, weight in average.weights.items()}, fresh)
    os.replace(fresh, file)


def compared(model: NanoDepth, scenes: Scenes) -> Tensor:
    """Each scene's picture, true disparity and predicted disparity, one after the other, (3 b, 3, h, w)."""
    predicted = torch.stack([model.estimate(picture).cpu() for picture in scenes.pictures])[:, None]
    grey = [disparity.expand_as(scenes.pictures) for disparity in (scenes.disparity, predicted)]
    return torch.stack((scenes.pictures, *grey), dim=1).flatten(0, 1)


if __name__ == "__main__":
    typer.run(main)
