"""What `evaluate` measures and how much of it: the settings, the model with its judge, pictures drawn for prompts."""

import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from koshi_flux.depth.nano import WEIGHTS as DEPTH_WEIGHTS
from koshi_flux.pipeline.factory import load_model
from koshi_flux.pipeline.prompts import Conditionings
from koshi_flux.pipeline.render import invent
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import FluxModel, Image
from training.nano.captions import SCENES, TIME_NAMES, Attributes, caption, draw
from training.nano.classifier import Classifier, load_classifier, weights_file
from training.nano.stage import StageConfig

STAGE = "evaluate"
Result = dict[str, Any]
"""What a section measured: figures and, for the plots, lists of them; as JSON holds it."""


class AutoencoderSettings(StageConfig):
    """Renders to encode and decode, how often in a row."""

    renders: int
    trips: int


class ClassifierSettings(StageConfig):
    """Renders to read."""

    renders: int


class AttributesSettings(StageConfig):
    """Pictures to draw and read, and as many renders to compare them with; each once more in fewer steps."""

    pictures: int
    steps: int
    fewer_steps: int


class DriftSettings(StageConfig):
    """Films, their frames, how they move, and at every which frame the classifier looks."""

    films: int
    frames: int
    look_every: int
    zoom: float
    denoise: float


class DepthSettings(StageConfig):
    """Renders with a known depth, pictures without, and the renders that each of these is compared with."""

    renders: int
    pictures: int
    references: int
    steps: int


class SpeedSettings(StageConfig):
    """Frames of the film that is timed."""

    frames: int


class SheetSettings(StageConfig):
    """Steps of the pictures on the contact sheet, and their width on it."""

    steps: int
    width: int


class EvaluateConfig(StageConfig):
    """How much is measured: a table for each section.

    Args:
        size: width and height of all pictures.
        seed: the first of the held-out seeds; sections lie ten millions apart.
    """

    size: int
    seed: int
    autoencoder: AutoencoderSettings
    classifier: ClassifierSettings
    attributes: AttributesSettings
    drift: DriftSettings
    depth: DepthSettings
    speed: SpeedSettings
    sheet: SheetSettings


@dataclass(frozen=True)
class Subject:
    """What is measured, by which settings, and where the files go."""

    name: str
    config: EvaluateConfig
    device: torch.device
    work: Path
    figures: Path

    @property
    def folder(self) -> Path:
        """Where results are kept."""
        return self.work / STAGE

    @cached_property
    def model(self) -> FluxModel:
        """The model, as the product loads it."""
        return load_model(self.name, self.device)

    @cached_property
    def classifier(self) -> Classifier:
        """The judge."""
        return load_classifier(self.work, self.device)

    @cached_property
    def thumbprint(self) -> list[float]:
        """Tells one set of weights from another: the mean colour of the smallest picture."""
        side = self.model.spec.multiple
        (picture,) = draw_pictures(self.model, ["mountains at sunset"], steps=1, seed=0, size=side)
        return [round(float(value), 3) for value in picture.mean((1, 2))]

    def seed(self, section: str, part: int = 0) -> int:
        """A held-out seed; the parts of a section lie a million apart."""
        return self.config.seed + 10_000_000 * list(EvaluateConfig.model_fields).index(section) + 1_000_000 * part


@torch.inference_mode()
def draw_pictures(model: FluxModel, texts: Sequence[str], steps: int, seed: int, size: int) -> Iterator[Image]:
    """A picture for each prompt, as the first frame of a film is drawn, on the CPU."""
    prompts = Conditionings({text: model.encode_prompt(text) for text in {"", *texts}})
    model.release_text_encoder()
    for number, text in enumerate(texts):
        guidance = model.spec.default_guidance
        parameters = FrameParameters(prompt=((text, 1.0),), seed=seed + number, steps=steps, guidance=guidance)
        yield invent(model, prompts, parameters, (size, size)).image.cpu()


def asked(seed: int, count: int, scenes: Sequence[str] = SCENES) -> tuple[list[Attributes], list[str]]:
    """Random attributes and a prompt for each."""
    rng = random.Random(seed)
    attributes: list[Attributes] = []
    while len(attributes) < count:
        drawn = draw(rng)
        attributes += [drawn] if drawn.scene in scenes else []
    texts = [caption(each, rng) for each in attributes]
    return [told(*pair) for pair in zip(attributes, texts, strict=True)], texts


def told(attributes: Attributes, text: str) -> Attributes:
    """The attributes without a time of day that the prompt does not tell: nobody can be asked for that."""
    tells = attributes.time and any(name in text for name in TIME_NAMES[attributes.time])
    return attributes if tells else replace(attributes, time="")


def identity(subject: Subject, section: str) -> Result:
    """All that a section's figures depend on."""
    config, classifier = subject.config, weights_file(subject.work)
    judges = {"depth": DEPTH_WEIGHTS, "classifier": classifier, "attributes": classifier, "drift": classifier}
    judge = judges.get(section)
    return {
        "model": subject.name,
        "thumbprint": subject.thumbprint,
        "judge": judge.stat().st_mtime if judge and judge.exists() else None,
        "size": config.size,
        "seed": config.seed,
        **getattr(config, section).model_dump(),
    }


def read_json(file: Path) -> Result:
    """What a file holds; nothing if there is none."""
    kept: Result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return kept


def write_json(file: Path, content: Result) -> None:
    """Write a file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".partial").write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(file.with_suffix(".partial"), file)
