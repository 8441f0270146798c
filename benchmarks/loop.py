"""What the loop adds to the model: on disk and film included, and for the engine alone."""

import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import torch

from benchmarks.stand_in import NullModel, calibrated, seconds_of
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation

_STEPS = 2
_ROUNDS, _BLOCK = 15, 3


def overhead_ratio() -> float:
    """Seconds of a frame in a film (moved, corrected, drawn, written) over seconds of the bare model calls.

    A stand-in model of at least 150 ms a frame at 256x256; blocks of frames and of bare calls take turns, medians.
    """
    model = calibrated(0.16, _STEPS)
    frames = 1 + _ROUNDS * _BLOCK
    settings = {"zoom": 1.01, "angle": 0.5, "sharpen": 0.1, "noise": 0.02, "steps": _STEPS}
    animation = Animation(prompts="x", frames=frames, size=(256, 256), denoise=0.5, **settings)
    picture = torch.rand(3, 256, 256)
    in_film, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        shots = film(animation, model, Path(folder) / "film.mp4")
        next(shots)
        for _ in range(_ROUNDS):
            bare += [seconds_of(lambda: model.frame(picture, _STEPS)) for _ in range(_BLOCK)]
            in_film += [seconds_of(lambda: next(shots)) for _ in range(_BLOCK)]
        shots.close()
    return statistics.median(in_film) / statistics.median(bare)


def engine_milliseconds() -> float:
    """A frame of the loop without a model and without image work, in milliseconds; median of 20 blocks."""
    still = {"color_coherence": "none", "steps": 1, "size": (16, 16)}
    shots = render(Animation(prompts="x", frames=2100, denoise=0.5, **still), NullModel())
    next(shots)
    blocks = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in islice(shots, 100):
            pass
        blocks.append((time.perf_counter() - start) * 10)
    return statistics.median(blocks)
