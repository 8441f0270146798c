"""The walk of interpolation mode: from prompt to prompt, through text and noise, and back to the first if it loops.

Text is what `PromptSchedule` blends; here is the way home for it (`looped`), and the same walk for noise (`walk`).
A loop is as long as the film: the frame after the last one would be frame 0 again, so that it plays round without a
jump and without a frame shown twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from koshi_flux.schedule.expression import Expression, Number, Scope
from koshi_flux.schedule.functions import smoothstep
from koshi_flux.schedule.grammar import places
from koshi_flux.schedule.prompts import PromptSchedule


@dataclass(frozen=True, slots=True)
class Step:
    """Where a frame stands between two prompts.

    Args:
        start: the prompt it comes from, counted from 0 in the order of frames.
        end: the prompt it goes to.
        share: how far it has come, in [0, 1).
        seeds: of the noise at both ends; the frame's own is slerped between them by `share`.
    """

    start: int
    end: int
    share: float
    seeds: tuple[int, int]


def prompt_keys(
    prompts: PromptSchedule, frames: int, seed: int = 0, fps: float = 24.0, bpm: float = 120.0
) -> tuple[int, ...]:
    """The frames at which a prompt begins, rising, in a film of `frames` frames; some may lie after its end."""
    return tuple(sorted(_places(prompts, Scope(frames, seed, fps, bpm))))


def looped(
    prompts: PromptSchedule, frames: int, seed: int = 0, fps: float = 24.0, bpm: float = 120.0
) -> PromptSchedule:
    """The same prompts, going back to the first one at the end of a film; keys after its end are left out."""
    at = dict(zip(_places(prompts, Scope(frames, seed, fps, bpm)), prompts.keyframes, strict=True))
    within = {frame: keyframe for frame, keyframe in at.items() if frame < frames}
    first = at[min(at)]
    home = Expression((Number(float(frames)),), str(frames), 1, f"{prompts.name}['{frames}']")
    return replace(prompts, keyframes=(*within.values(), replace(first, key=home)))


def walk(
    keys: Sequence[int], frames: int, seed: int = 0, loop: bool = False, blend: str = "linear"
) -> tuple[Step, ...]:
    """Where each frame stands on the way past the prompts, and between which noises.

    The noise of a film's nth prompt, counted from 0, is that of seed + n.

    Args:
        keys: the frames of the prompts, rising (`prompt_keys`).
        frames: length of the film.
        seed: the film's.
        loop: from the last prompt go back to the first, which the frame after the film's end would reach; otherwise
            stay at the last. Prompts after the film's end are left out of a loop, and moved towards without one.
        blend: "linear", or "ease" for a gentle start and end of every step, as prompts blend.
    """
    keys = [key for key in keys if key < frames or not loop]
    stops = [*keys, frames] if loop else list(keys)
    place = np.interp(np.arange(frames), stops, np.arange(len(stops)))
    start = np.floor(place)
    share = smoothstep(place - start) if blend == "ease" else place - start
    return tuple(_step(int(i), float(way), len(keys), seed) for i, way in zip(start, share, strict=True))


def _step(start: int, share: float, prompts: int, seed: int) -> Step:
    end = (start + 1) % prompts if share > 0 else start
    return Step(start, end, share, ((seed + start) % 2**32, (seed + end) % 2**32))


def _places(prompts: PromptSchedule, scope: Scope) -> list[int]:
    return places([keyframe.key for keyframe in prompts.keyframes], scope)
