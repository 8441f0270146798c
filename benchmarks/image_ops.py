"""The picture work of a frame at 1024x576: spline warp, colour match, sharpen, grain."""

import statistics
from collections.abc import Callable

import torch

from benchmarks.stand_in import seconds_of
from koshi_flux.feedback import correct
from koshi_flux.motion import move
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Image, Reference
from koshi_flux.toy.model import ToyModel

_ROUNDS = 31


def milliseconds() -> dict[str, float]:
    """Each part and the whole chain in milliseconds; medians of interleaved rounds."""
    picture, reference = _picture("a misty sea"), Reference(_picture("sunset over mountains"))
    camera = FrameParameters(zoom=1.02, angle=0.7, translation_x=1.3)
    parts: dict[str, Callable[[], object]] = {
        "warp": lambda: move(picture, camera),
        "match": lambda: correct(picture, reference, FrameParameters()),
        "sharpen": lambda: correct(picture, None, FrameParameters(sharpen=0.1)),
        "noise": lambda: correct(picture, None, FrameParameters(noise=0.02)),
        "whole chain": lambda: correct(
            move(picture, camera)[0], reference, FrameParameters(sharpen=0.1, noise=0.02, frame=1)
        ),
    }
    rounds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(_ROUNDS):
        for name, part in parts.items():
            rounds[name].append(1e3 * seconds_of(part))
    return {name: statistics.median(times[3:]) for name, times in rounds.items()}


def _picture(prompt: str) -> Image:
    model = ToyModel()
    latent = torch.randn(192, 576 // 8, 1024 // 8, generator=torch.Generator().manual_seed(1))
    return model.decode(latent - model.velocity(latent, 1.0, model.encode_prompt(prompt), None, 1.0))
