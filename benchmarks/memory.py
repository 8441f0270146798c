"""Does memory grow with the film?"""

import tempfile
from pathlib import Path

import numpy as np
import psutil

from benchmarks.stand_in import NullModel
from koshi_flux.pipeline.animation import film
from koshi_flux.schedule.animation import Animation

_WARM_UP, _FRAMES = 600, 2000


def megabytes_per_thousand_frames() -> float:
    """Slope of the resident memory over 2,000 frames at 256x256 written to disk, by least squares."""
    animation = Animation(prompts="x", frames=_WARM_UP + _FRAMES, size=(256, 256), zoom=1.01, steps=1, noise=0.02)
    process, resident = psutil.Process(), []
    with tempfile.TemporaryDirectory() as folder:
        for frame in film(animation, NullModel(), Path(folder) / "film.mp4"):
            if frame.index >= _WARM_UP:
                resident.append(process.memory_info().rss / 1e6)
    slope, _ = np.polyfit(np.arange(len(resident)), resident, 1)
    return 1000 * float(slope)
