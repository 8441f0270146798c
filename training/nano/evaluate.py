"""Measure nano on what it has never seen, all in one command: `python -m training.nano.evaluate --model nano`.

Every section goes through the product's own functions. What was measured is kept in <work>/evaluate/results.json, and
measured again only when the model, the judge or the section's settings have changed. All seeds are held out.
"""

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from koshi_flux.depth.nano import NanoDepth
from koshi_flux.errors import SettingsError
from koshi_flux.output.sink import to_pixels
from koshi_flux.shared.types import FluxModel, Image
from training.nano.captions import SCENES, STYLES, TIMES, Attributes, caption
from training.nano.classifier import Reading, accuracies, confusion, frechet_distance, labels, read, renders, small
from training.nano.films import measure_drift
from training.nano.measures import psnr, spearman
from training.nano.report import contact_sheet, draw_plots, markdown, table, write_small_png
from training.nano.scenes import paint
from training.nano.stage import CONFIG, WORK, ConfigFile, Device, Work, best_device, read_config
from training.nano.subject import (
    STAGE,
    EvaluateConfig,
    Result,
    Subject,
    asked,
    draw_pictures,
    identity,
    read_json,
    told,
    write_json,
)

_TIE = 1 / 100
"""Disparities nearer to each other than about this count as equally near: all of a sky is one."""


def measure_autoencoder(subject: Subject) -> Result:
    """How like itself a render is after 1, 2, ... trips through encode and decode, in dB."""
    settings = subject.config.autoencoder
    likeness = []
    for scenes in renders(subject.seed("autoencoder"), settings.renders, subject.config.size):
        for picture in track(scenes.pictures, "autoencoder", transient=True):
            likeness.append([psnr(seen, picture) for seen in round_trips(subject.model, picture, settings.trips)])
    after = np.mean(likeness, axis=0).tolist()
    return {"psnr": after[0], "lost": after[0] - after[-1], "after": after}


def round_trips(model: FluxModel, picture: Image, count: int) -> Iterator[Image]:
    """The picture after each of `count` trips through the autoencoder."""
    seen = picture.to(model.device)
    for _ in range(count):
        seen = model.decode(model.encode(seen))
        yield seen.cpu()


def measure_classifier(subject: Subject) -> Result:
    """How well the judge knows renders that it has not learned from."""
    reading, attributes = read_renders(subject, subject.seed("classifier"), subject.config.classifier.renders)
    return accuracies(reading, attributes)


def read_renders(subject: Subject, seed: int, count: int) -> tuple[Reading, list[Attributes]]:
    """What the judge says of random renders, and what they show."""
    pictures: list[Tensor] = []
    attributes: list[Attributes] = []
    for scenes in renders(seed, count, subject.config.size):
        pictures.append(small(scenes.pictures))
        attributes += scenes.attributes
    return read(subject.classifier, torch.cat(pictures)), attributes


def measure_attributes(subject: Subject) -> Result:
    """Do pictures show what was asked for, and how far are they from renders?"""
    settings = subject.config.attributes
    seed, count = subject.seed("attributes"), settings.pictures
    attributes, texts = asked(seed, count)
    reference, other = (read_renders(subject, subject.seed("attributes", part), count)[0].features for part in (1, 2))
    result: Result = {"floor": frechet_distance(reference, other)}
    for name, steps in (("own", settings.steps), ("fewer", settings.fewer_steps)):
        drawn = draw_pictures(subject.model, texts, steps, seed, subject.config.size)
        pictures = [small(picture[None]) for picture in track(drawn, f"{steps} steps", count, transient=True)]
        reading = read(subject.classifier, torch.cat(pictures))
        distance = frechet_distance(reading.features, reference)
        result[name] = {"steps": steps, "frechet": distance, **accuracies(reading, attributes)}
        if name == "own":
            result["confusion"] = confusions(reading, attributes)
    return result


def confusions(reading: Reading, attributes: Sequence[Attributes]) -> Result:
    """Which scene and which time were taken for which."""
    scenes, times = labels(attributes)
    return {
        "scene": confusion(scenes, reading.scene, len(SCENES)),
        "time": confusion(times, reading.time, len(TIMES)),
    }


def measure_depth(subject: Subject) -> Result:
    """Is depth right where the truth is known, and are near and far in order where it is not?"""
    settings, size = subject.config.depth, subject.config.size
    depth = NanoDepth.load(subject.device)
    ranks: dict[str, list[float]] = {scene: [] for scene in SCENES}
    for scenes in renders(subject.seed("depth"), settings.renders, size):
        for picture, true, attributes in zip(scenes.pictures, scenes.disparity, scenes.attributes, strict=True):
            pair = (disparity / _TIE for disparity in (depth.estimate(picture).cpu(), true[0]))
            ranks[attributes.scene].append(spearman(*(disparity.round() for disparity in pair)))
    by_scene = {scene: float(np.mean(values)) for scene, values in ranks.items() if values}
    every = [value for values in ranks.values() for value in values]
    return {"spearman": float(np.mean(every)), "worst": min(every), "by_scene": by_scene, **orders(subject, depth)}


def orders(subject: Subject, depth: NanoDepth) -> Result:
    """Are near and far in order: in pictures, in renders of the same, and in those by their true depth?

    Pictures of space are left out: they have no ground that leads from near to far.
    """
    settings, seed, size = subject.config.depth, subject.seed("depth", 1), subject.config.size
    attributes, texts = asked(seed, settings.pictures, scenes=[scene for scene in SCENES if scene != "space"])
    drawn = draw_pictures(subject.model, texts, settings.steps, seed, size)
    found: dict[str, list[float]] = {"order": [], "order_of_renders": [], "order_of_truth": []}
    for number, picture in enumerate(track(drawn, "depth", len(texts), transient=True)):
        scenes = paint([attributes[number]] * (settings.references + 1), seed + number, size, size)
        reference, other = scenes.disparity[1:, 0].mean(0), scenes.pictures[0]
        seen = (
            depth.estimate(picture.to(depth.device)),
            depth.estimate(other.to(depth.device)),
            scenes.disparity[0, 0],
        )
        for name, disparity in zip(found, seen, strict=True):
            found[name].append(layer_order(disparity.cpu(), reference))
    return {name: float(np.nanmean(values)) for name, values in found.items()}


def layer_order(disparity: Tensor, reference: Tensor, bands: int = 8, apart: float = 0.1) -> float:
    """Do the layers of a picture lie as they do in renders of the same thing? 1 yes, 0 by chance, -1 all reversed.

    A drawn picture has no true depth to compare with pixel by pixel, but landscapes are built in layers from the
    bottom to the sky, and the mean disparity of several renders with the same attributes says which layer belongs
    before which: where hills stand, that the city rises, where the sky begins. Both are averaged in horizontal bands;
    of all pairs of bands that differ in the reference by more than `apart`, it is the share in the same order less
    the share in reverse (Kendall's tau over these pairs). Pairs that the reference leaves open, such as two bands of
    sky, are not judged, which a rank correlation over all bands would. It tells nothing of outlines: the rank
    correlation with the truth on renders does.

    Args:
        disparity: (h, w), 1 nearest, 0 infinitely far.
        reference: (h, w), the same.

    Returns:
        NaN where the reference orders nothing.
    """
    rows = [functional.adaptive_avg_pool2d(each[None], (bands, 1)).flatten() for each in (disparity, reference)]
    got, wanted = (each[:, None] - each for each in rows)
    judged = wanted > apart
    return float(got[judged].sign().mean()) if judged.any() else math.nan


def measure_speed(subject: Subject) -> Result:
    """What a short film costs in a process of its own."""
    name = str(Path(subject.name).resolve()) if Path(subject.name).is_dir() else subject.name
    options = [name, subject.config.speed.frames, subject.config.size, subject.device]
    command = [sys.executable, "-m", "training.nano.speed", *map(str, options)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: Result = json.loads(told.stdout.splitlines()[-1])
    return measured


def draw_sheet(subject: Subject) -> Result:
    """Draw a contact sheet: a column for each scene, a row for each time of day and for each style."""
    settings = subject.config.sheet
    plain = [(time, "") for time in TIMES]
    styled = [(TIMES[number % len(TIMES)], style) for number, style in enumerate(filter(None, STYLES))]
    rng = random.Random(subject.seed("sheet"))
    attributes = [
        Attributes(scene, "", "", style=style) if scene == "space" else Attributes(scene, time, "clear", style=style)
        for time, style in plain + styled
        for scene in SCENES
    ]
    texts = [full_caption(each, rng) for each in attributes]
    drawn = draw_pictures(subject.model, texts, settings.steps, subject.seed("sheet"), subject.config.size)
    shrunk = (functional.interpolate(picture[None], (settings.width,) * 2, mode="area")[0] for picture in drawn)
    pixels = [to_pixels(picture) for picture in track(shrunk, "sheet", len(texts), transient=True)]
    lines = [pixels[start : start + len(SCENES)] for start in range(0, len(pixels), len(SCENES))]
    write_small_png(
        contact_sheet(lines, [style or time for time, style in plain + styled], SCENES), sheet_file(subject)
    )
    return {"prompts": texts}


def full_caption(attributes: Attributes, rng: random.Random) -> str:
    """A prompt that does not leave the time of day to chance."""
    while told(attributes, text := caption(attributes, rng)) != attributes:
        pass
    return text


def sheet_file(subject: Subject) -> Path:
    """Where the contact sheet lies."""
    return subject.figures / "pictures.png"


SECTIONS: dict[str, Callable[[Subject], Result]] = {
    "autoencoder": measure_autoencoder,
    "classifier": measure_classifier,
    "attributes": measure_attributes,
    "depth": measure_depth,
    "speed": measure_speed,
    "sheet": draw_sheet,
    "drift": measure_drift,
}
"""What there is to measure; the longest comes last."""


def measure(subject: Subject, sections: Sequence[str]) -> Result:
    """Measure what has not been measured yet; all results, those of earlier runs included."""
    file = subject.folder / "results.json"
    results = read_json(file)
    for section in sections:
        of = identity(subject, section)
        if results.get(section, {}).get("of") != of:
            results[section] = {"of": of, **SECTIONS[section](subject)}
            write_json(file, results)
    return results


def chosen(only: str) -> list[str]:
    """The sections named in "attributes,drift", or all of them."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(SECTIONS)
    for name in names:
        if name not in SECTIONS:
            raise SettingsError(f"there is no section {name!r} to measure: known are {', '.join(SECTIONS)}")
    return names


def main(
    model: Annotated[str, typer.Option(help="a known model, or the folder of one")] = "nano",
    only: Annotated[str, typer.Option(help="sections to measure, e.g. attributes,drift; by default all")] = "",
    figures: Annotated[Path, typer.Option(help="the folder of the plots")] = Path("docs/images/nano"),
    work: Work = WORK,
    config: ConfigFile = CONFIG,
    device: Device = "",
) -> None:
    """Measure a model, show what it reaches, draw the plots."""
    subject = Subject(model, read_config(EvaluateConfig, STAGE, config), best_device(device), work, figures)
    results = measure(subject, chosen(only))
    (subject.folder / "figures.md").write_text(markdown(results), encoding="utf-8")
    draw_plots(results, work, figures)
    Console().print(table(results))


if __name__ == "__main__":
    typer.run(main)
