"""Does memory grow with the film? Run as a program of its own, so that nothing else has filled the heap before."""

import ctypes
import gc
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from benchmarks.stand_in import NullModel
from koshi_flux.pipeline.animation import film
from koshi_flux.schedule.animation import Animation

_WARM_UP, _FRAMES, _EVERY = 400, 2000, 20


def megabytes_per_thousand_frames() -> float:
    """Growth of the resident memory over 2,000 frames at 256x256 written to disk, measured in a fresh process."""
    told = subprocess.run([sys.executable, "-m", "benchmarks.memory"], capture_output=True, text=True, check=True)
    return float(told.stdout)


def growth() -> float:
    """From the median of the first third of the samples to that of the last third, in MB per 1,000 frames.

    Before each sample the heap gives back what it keeps for later, which wanders by a megabyte or two.
    """
    animation = Animation(prompts="x", frames=_WARM_UP + _FRAMES, size=(256, 256), zoom=1.01, steps=1, noise=0.02)
    process, resident = psutil.Process(), []
    with tempfile.TemporaryDirectory() as folder:
        for frame in film(animation, NullModel(), Path(folder) / "film.mp4"):
            if frame.index >= _WARM_UP and frame.index % _EVERY == 0:
                trim_heap()
                resident.append(process.memory_info().rss / 1e6)
    third = len(resident) // 3
    first, last = statistics.median(resident[:third]), statistics.median(resident[-third:])
    return 1000 * (last - first) / (_FRAMES * 2 / 3)


def trim_heap() -> None:
    """Collect garbage and, with glibc, hand free memory back to the system."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    print(growth())
