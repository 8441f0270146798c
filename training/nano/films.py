"""Films with nano, watched for hundreds of frames: do they stay on their prompt, do colour and contrast drift?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.color import lab_from_srgb, luma
from koshi_flux.shared.types import Image
from training.nano.classifier import UNKNOWN, labels, read, small
from training.nano.subject import Result, Subject, asked, identity, read_json, write_json

Films = npt.NDArray[np.float64]
"""A value for each frame of each film, (films, frames)."""

_LEAST_CHROMA = 1.0
"""In units of Lab: less colour than this nobody sees."""
_LEAST_CONTRAST = 0.01


def measure_drift(subject: Subject) -> Result:
    """Do films stay on their prompt, and keep their colour and contrast?

    Each film is kept as a file when it is done, so that a stopped evaluation goes on with the next.
    """
    settings = subject.config.drift
    of = identity(subject, "drift")
    del of["films"]
    films = []
    for number in track(range(settings.films), "films", transient=True):
        file = subject.folder / "films" / f"{number:03d}.json"
        kept = read_json(file)
        if kept.get("of") != of:
            kept = {"of": of, **watch_film(subject, number)}
            write_json(file, kept)
        films.append(kept)
    return summary(films)


def watch_film(subject: Subject, number: int) -> Result:
    """Saturation and contrast of every frame of a film, and whether it is on its prompt at some of them."""
    settings, seed = subject.config.drift, subject.seed("drift") + 1000 * number
    (attributes,), (text,) = asked(seed, 1)
    camera: dict[str, Any] = {"zoom": settings.zoom, "denoise": settings.denoise}
    length: dict[str, Any] = {"frames": settings.frames, "size": subject.config.size, "seed": seed}
    animation = Animation(prompts={"0": text}, **length, **camera)
    saturations, contrasts, looked_at, seen = [], [], [], []
    for frame in render(animation, subject.model):
        saturations.append(saturation(frame.image))
        contrasts.append(contrast(frame.image))
        if frame.index % settings.look_every == 0 or frame.index == settings.frames - 1:
            looked_at.append(frame.index)
            seen.append(small(frame.image[None].cpu()))
    reading, (scene, time) = read(subject.classifier, torch.cat(seen)), labels([attributes])
    return {
        "prompt": text,
        "saturation": saturations,
        "contrast": contrasts,
        "looked_at": looked_at,
        "scene": (reading.scene == scene).tolist(),
        "time": None if time == UNKNOWN else (reading.time == time).tolist(),
    }


def saturation(image: Image) -> float:
    """How colourful a picture is: its mean chroma in CIE Lab."""
    return float(lab_from_srgb(image)[1:].norm(dim=0).mean())


def contrast(image: Image) -> float:
    """The standard deviation of a picture's brightness."""
    return float(luma(image).std(correction=0))


def summary(films: Sequence[Mapping[str, Any]]) -> Result:
    """All films in a few figures, and frame by frame for the plot.

    A film is on its prompt when scene and time of day are right; a prompt without a time asks for the scene alone.
    """
    scene = np.array([film["scene"] for film in films])
    timed = [film["time"] for film in films if film["time"] is not None]
    on_prompt = scene & np.array([film["time"] or film["scene"] for film in films])
    colours = ratios([film["saturation"] for film in films], _LEAST_CHROMA)
    contrasts = ratios([film["contrast"] for film in films], _LEAST_CONTRAST)
    return {
        "films": len(films),
        "on_prompt": float(on_prompt[:, -1].mean()),
        "on_prompt_at_first": float(on_prompt[:, 0].mean()),
        "scene": float(scene[:, -1].mean()),
        "time": float(np.mean([film[-1] for film in timed])) if timed else None,
        "saturation": last_ratios(colours),
        "contrast": last_ratios(contrasts),
        "over_frames": {
            "looked_at": films[0]["looked_at"],
            "on_prompt": on_prompt.mean(0).tolist(),
            "saturation": band(colours),
            "contrast": band(contrasts),
        },
    }


def ratios(films: Sequence[Sequence[float]], least: float) -> Films:
    """Each frame's value over that of its film's first frame (films, frames); values below `least` count as it."""
    values = np.maximum(np.array(films, dtype=float), least)
    return values / values[:, :1]


def last_ratios(films: Films) -> Result:
    """The ratios at the last frame: mean and median film, the worst (furthest from 1), and the share within 15 %."""
    last = films[:, -1]
    worst = last[np.abs(np.log(last)).argmax()]
    within = (abs(last - 1) <= 0.15).mean()
    named = {"mean": last.mean(), "median": np.median(last), "worst": worst, "within": within}
    return {name: float(value) for name, value in named.items()}


def band(films: Films) -> Result:
    """Frame by frame the mean film, and between which values eight of ten lie."""
    low, high = np.quantile(films, (0.1, 0.9), axis=0)
    return {"mean": films.mean(0).tolist(), "low": low.tolist(), "high": high.tolist()}
