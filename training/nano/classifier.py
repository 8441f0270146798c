"""The judge of nano's pictures: a small network that names scene and time of day, trained on renders alone.

It never sees a picture that nano made before it judges one. Pictures are read at 128 x 128, whatever their size, and
roughened in training (blur, noise, block artefacts, slightly other colours), so that it names what a picture shows
and not how cleanly it was made.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from koshi_flux.errors import ModelError
from training.nano.captions import SCENES, TIMES, Attributes
from training.nano.scenes import Scenes, render
from training.nano.stage import (
    CONFIG,
    WORK,
    ConfigFile,
    Device,
    Training,
    TrainingConfig,
    Work,
    best_device,
    learn,
    read_config,
)

STAGE = "classifier"
SIDE = 128
"""Pixels to a side of what is read."""
UNKNOWN = -1
"""The time of a picture that has none: it is not learned from, nor counted."""
NEARLY_COLOURLESS = ("ink", "monochrome")
"""The style and the mood that leave little colour to tell the time of day by: counted separately as well."""

_WIDTHS = (16, 32, 64, 128)
"""Channels where a value stands for 2, 4, 8 and 16 pixels across."""
_BANDS = 4
"""The last map is averaged in this many bands from top to bottom: what is sky and what is ground stays apart."""
_FEATURES = 64


class ClassifierConfig(TrainingConfig):
    """The settings of the classifier.

    Args:
        renders: scenes to learn from.
        watched: further scenes that the curve shows the accuracy on.
        size: pixels to a side of a render, before it is brought to 128.
        seed: of the first batch of renders.
    """

    renders: int
    watched: int
    size: int
    seed: int


class Classifier(nn.Module):
    """Pictures to scene and time of day: 0.4 million weights, 0.11 GFLOP a picture."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *_WIDTHS[:-1])
        self.body = nn.Sequential(*(Halving(*widths) for widths in zip(inputs, _WIDTHS, strict=True)))
        self.summary = nn.Linear(_WIDTHS[-1] * _BANDS, _FEATURES)
        self.scene = nn.Linear(_FEATURES, len(SCENES))
        self.time = nn.Linear(_FEATURES, len(TIMES))

    def features(self, pictures: Tensor) -> Tensor:
        """What the two answers are read off: (b, 3, 128, 128) in [0, 1] to (b, 64)."""
        bands = functional.adaptive_avg_pool2d(self.body(pictures * 2 - 1), (_BANDS, 1))
        return functional.relu(self.summary(bands.flatten(1)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the scene (b, 10) and of the time (b, 4)."""
        features = self.features(pictures)
        return self.scene(features), self.time(features)


class Halving(nn.Module):
    """Half the size, and one convolution added to what came in."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs))
        self.same = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The same, smaller and wiser."""
        x = functional.relu(self.down(x))
        return x + functional.relu(self.same(x))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the classifier says of some pictures.

    Args:
        scene: (b,) places in SCENES.
        time: (b,) places in TIMES; of pictures without a time it means nothing.
        features: (b, 64), float64.
    """

    scene: Tensor
    time: Tensor
    features: Tensor


@torch.inference_mode()
def read(classifier: Classifier, pictures: Tensor) -> Reading:
    """Judge pictures (b, 3, h, w) in [0, 1] of any size."""
    device = next(classifier.parameters()).device
    features = torch.cat([classifier.features(part.to(device)) for part in torch.split(small(pictures), 64)])
    scene, time = (head(features).argmax(1).cpu() for head in (classifier.scene, classifier.time))
    return Reading(scene, time, features.double().cpu())


def small(pictures: Tensor) -> Tensor:
    """Pictures as they are read: each of the 128 x 128 pixels is the mean of the area it covers."""
    return functional.interpolate(pictures, (SIDE, SIDE), mode="area")


def labels(attributes: Sequence[Attributes]) -> tuple[Tensor, Tensor]:
    """The right answers: places in SCENES, and in TIMES or UNKNOWN."""
    scenes = [SCENES.index(each.scene) for each in attributes]
    times = [TIMES.index(each.time) if each.time else UNKNOWN for each in attributes]
    return torch.tensor(scenes), torch.tensor(times)


def accuracies(reading: Reading, attributes: Sequence[Attributes]) -> dict[str, float | int | None]:
    """The share of right answers, of all pictures and of those with little colour; None where there is no picture."""
    scenes, times = labels(attributes)
    right_scene, right_time, timed = reading.scene == scenes, reading.time == times, times != UNKNOWN
    shares: dict[str, float | int | None] = {
        "scene": _share(right_scene),
        "time": _share(right_time[timed]),
        "count": len(attributes),
    }
    for look in NEARLY_COLOURLESS:
        chosen = torch.tensor([look in (each.style, each.mood) for each in attributes], dtype=torch.bool)
        shares[f"scene_{look}"] = _share(right_scene[chosen])
        shares[f"time_{look}"] = _share(right_time[chosen & timed])
        shares[f"count_{look}"] = int(chosen.sum())
    return shares


def _share(right: Tensor) -> float | None:
    return float(right.double().mean()) if len(right) else None


def confusion(wanted: Tensor, answered: Tensor, kinds: int) -> list[list[int]]:
    """How often each was taken for each: rows are what was wanted, columns the answer; UNKNOWN is left out."""
    known = wanted != UNKNOWN
    places = wanted[known] * kinds + answered[known]
    counts: list[list[int]] = torch.bincount(places, minlength=kinds * kinds).view(kinds, kinds).tolist()
    return counts


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """How far apart two sets of features (n, d) lie, as if each were a Gaussian cloud: 0 for equal clouds.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), with A and B the covariances (Dowson and Landau 1982; Heusel et
    al. 2017, arXiv:1706.08500, use it for generated pictures). (A B)^(1/2) has the trace of (R B R)^(1/2) with
    R = A^(1/2), which is symmetric.
    """
    a, b = a.double(), b.double()
    root = _root(torch.cov(a.T, correction=0))
    product = root @ torch.cov(b.T, correction=0) @ root
    overlap = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
    spread = a.var(0, correction=0).sum() + b.var(0, correction=0).sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + spread - 2 * overlap)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a covariance."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


@dataclass(frozen=True, slots=True)
class Examples:
    """Renders as they are kept: small and in 256 levels.

    Args:
        pictures: (n, 3, 128, 128), uint8.
        scenes: (n,) places in SCENES.
        times: (n,) places in TIMES, or UNKNOWN.
    """

    pictures: Tensor
    scenes: Tensor
    times: Tensor

    def batch(self, places: Tensor, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Some of them: pictures in [0, 1], scenes and times."""
        pictures = self.pictures[places].to(device).float() / 255
        return pictures, self.scenes[places].to(device), self.times[places].to(device)


def renders(seed: int, count: int, size: int, device: torch.device | str = "cpu", batch: int = 32) -> Iterator[Scenes]:
    """Random scenes a batch at a time; each batch has a seed of its own, from `seed` on."""
    for number, start in enumerate(range(0, count, batch)):
        yield render(seed + number, min(batch, count - start), size, size, device)


def paint_examples(config: ClassifierConfig, file: Path, device: torch.device) -> Examples:
    """The renders to learn from, painted once and kept in `file`; the watched ones are the last."""
    wanted = f"{config.renders + config.watched} of {config.size} from {config.seed}"
    if file.exists():
        kept = torch.load(file, weights_only=True)
        if kept.pop("wanted") == wanted:
            return Examples(**kept)
    pictures: list[Tensor] = []
    attributes: list[Attributes] = []
    for scenes in renders(config.seed, config.renders + config.watched, config.size, device):
        pictures.append(small(scenes.pictures).mul(255).round().byte().cpu())
        attributes += scenes.attributes
    examples = Examples(torch.cat(pictures), *labels(attributes))
    kept = {"pictures": examples.pictures, "scenes": examples.scenes, "times": examples.times}
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"wanted": wanted, **kept}, file.with_suffix(".partial"))
    os.replace(file.with_suffix(".partial"), file)
    return examples


def train(
    classifier: Classifier, examples: Examples, config: ClassifierConfig, folder: Path, device: torch.device
) -> Classifier:
    """Teach it to name all examples but the last `config.watched`, on which the curve shows its accuracy."""
    classifier.to(device).train()
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=config.rate, weight_decay=0.02)
    training = Training(folder, config, {"model": classifier, "optimiser": optimiser})
    learned = len(examples.pictures) - config.watched
    for step in training.run():
        dice = np.random.default_rng((config.seed, step))
        places = torch.from_numpy(dice.integers(learned, size=config.batch))
        pictures, scenes, times = examples.batch(places, device)
        loss = _loss(classifier(roughened(pictures, dice).to(memory_format=torch.channels_last)), scenes, times)
        learn(classifier, loss, [optimiser], training.rate)
        if (step + 1) % 100 == 0:
            training.log(loss=loss.item(), rate=training.rate, **_watched(classifier, examples, config.watched))
    return classifier.eval()


def _loss(logits: tuple[Tensor, Tensor], scenes: Tensor, times: Tensor) -> Tensor:
    """The cross entropies of both answers; a picture without a time adds nothing to the second."""
    scene = functional.cross_entropy(logits[0], scenes, label_smoothing=0.02)
    time = functional.cross_entropy(logits[1], times, ignore_index=UNKNOWN, reduction="sum", label_smoothing=0.02)
    return scene + time / len(times)


def _watched(classifier: Classifier, examples: Examples, count: int) -> Mapping[str, float]:
    """The accuracy on the last examples, which are not learned from."""
    if not count:
        return {}
    classifier.eval()
    reading = read(classifier, examples.pictures[-count:].float() / 255)
    classifier.train()
    times = examples.times[-count:]
    right = {
        "scene": _share(reading.scene == examples.scenes[-count:]),
        "time": _share((reading.time == times)[times != UNKNOWN]),
    }
    return {name: share for name, share in right.items() if share is not None}


def roughened(pictures: Tensor, dice: np.random.Generator) -> Tensor:
    """Pictures (b, 3, h, w) as a less careful painter would make them; none of it turns day into dusk.

    Mirrored, magnified up to a quarter, blurred, in other colours by a few percent, with noise and block artefacts;
    each picture in its own measure.
    """

    def drawn(low: float, high: float, channels: int = 1) -> Tensor:
        values = dice.uniform(low, high, size=(len(pictures), channels, 1, 1))
        return torch.from_numpy(values).to(pictures)

    pictures = _magnified(pictures, 1 / drawn(1, 1.25), 2 * (drawn(0, 1) < 0.5) - 1, drawn(-1, 1, channels=2))
    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    pictures = pictures.lerp(blurred, drawn(-0.4, 1))
    pictures = pictures * drawn(0.95, 1.05, channels=3) + drawn(-0.03, 0.03)
    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (pictures - grey) * drawn(0.85, 1.15)
    grain = torch.from_numpy(dice.standard_normal(tuple(pictures.shape), dtype=np.float32)).to(pictures)
    return blocky((pictures + grain * drawn(0, 0.03)), drawn(0.001, 0.15)).clamp(0, 1)


def _magnified(pictures: Tensor, share: Tensor, mirror: Tensor, place: Tensor) -> Tensor:
    """The part of each picture that is `share` of a side wide, at `place` in [-1, 1], as large as the whole."""
    matrix = torch.zeros(len(pictures), 2, 3, device=pictures.device, dtype=pictures.dtype)
    matrix[:, 0, 0], matrix[:, 1, 1] = (share * mirror)[:, 0, 0, 0], share[:, 0, 0, 0]
    matrix[:, :, 2] = (place * (1 - share))[:, :, 0, 0]
    grid = functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def blocky(pictures: Tensor, step: Tensor) -> Tensor:
    """What JPEG does to a picture: the cosine transform of every 8 x 8 block, rounded to multiples of `step`.

    Args:
        pictures: both sides multiples of 8.
        step: (b, 1, 1, 1), in units of the orthonormal transform: 0.1 leaves errors of up to 0.05 a coefficient.
    """
    count, channels, height, width = pictures.shape
    waves = _cosines().to(pictures)
    blocks = pictures.reshape(count, channels, height // 8, 8, width // 8, 8)
    steps = step.view(-1, 1, 1, 1, 1, 1)
    rounded = (torch.einsum("bcyixj,ki,lj->bcykxl", blocks, waves, waves) / steps).round() * steps
    return torch.einsum("bcykxl,ki,lj->bcyixj", rounded, waves, waves).reshape(pictures.shape)


def _cosines() -> Tensor:
    """The orthonormal cosine transform of 8 values, a wave in each row."""
    place = torch.arange(8)
    waves = torch.cos(torch.pi / 8 * (place + 0.5) * place[:, None]) / 2
    waves[0] /= 2**0.5
    return waves


def weights_file(work: Path) -> Path:
    """Where the trained classifier lies."""
    return work / STAGE / "classifier.safetensors"


def load_classifier(work: Path, device: torch.device | str = "cpu") -> Classifier:
    """Open the trained classifier."""
    file = weights_file(work)
    if not file.is_file():
        raise ModelError(f"there is no classifier in {file}: train it first with `python -m training.nano.classifier`")
    classifier = Classifier()
    classifier.load_state_dict(load_file(file))
    return classifier.to(device).eval()


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "") -> None:
    """Paint the renders, train the classifier on them, keep its weights."""
    settings, place = read_config(ClassifierConfig, STAGE, config), best_device(device)
    examples = paint_examples(settings, work / STAGE / "renders.pt", place)
    classifier = train(Classifier(), examples, settings, work / STAGE, place)
    save_file({name: value.contiguous().cpu() for name, value in classifier.state_dict().items()}, weights_file(work))


if __name__ == "__main__":
    typer.run(main)
