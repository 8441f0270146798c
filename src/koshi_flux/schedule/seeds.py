"""Which seed the noise of each frame is drawn from.

Seeds are counted per drawn frame, as in Deforum, not per frame; from the film's seed 100 they go

| behaviour | seeds of the drawn frames |
|---|---|
| iter | 100 101 102 103 104 105; with N = 3: 100 101 101 101 102 102 |
| fixed | 100 100 100 100 100 100 |
| random | 100, then anything below 2^32, the same in every run |
| ladder | 100 102 101 103 102 104 |
| alternate | 100 101 100 101 100 101 |
| schedule | the values of `seed_schedule` at these frames, without their fractions; below 0 stands for a random one |
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.wiggle import Reals, scrambled

Counts: TypeAlias = NDArray[np.int64]
Seeds: TypeAlias = NDArray[np.uint32]

STEPS: dict[str, Callable[[Counts, int], Counts]] = {
    "iter": lambda count, every: -(-count // every),
    "fixed": lambda count, every: np.zeros_like(count),
    "ladder": lambda count, every: count // 2 + 2 * (count % 2),
    "alternate": lambda count, every: count % 2,
}
"""How far the nth drawn frame's seed lies above the film's, counted from n = 0; `every` is the N of iter."""
BEHAVIORS = ("iter", "fixed", "random", "ladder", "alternate", "schedule")


def seeds(
    behavior: str, seed: int, drawn: Sequence[int], frames: int, iter_n: int = 1, schedule_values: Reals | None = None
) -> Seeds:
    """The noise seed of each frame, (frames,); an in-between has that of the next drawn frame.

    Args:
        behavior: one of BEHAVIORS.
        seed: the film's.
        drawn: the drawn frames, rising.
        frames: length of the film.
        iter_n: for "iter": how many drawn frames in a row share a seed; the first has one to itself.
        schedule_values: for "schedule": a number for each frame.

    Raises:
        SettingsError: no such behaviour, or what it needs is missing.
    """
    count = np.arange(len(drawn))
    if behavior == "schedule":
        of_drawn = _scheduled(seed, np.asarray(drawn), count, schedule_values)
    elif behavior == "random":
        of_drawn = np.where(count == 0, seed % 2**32, _random(seed, count))
    elif behavior in STEPS:
        if iter_n < 1:
            raise SettingsError(f"seed_iter must be at least 1, got {iter_n}")
        of_drawn = (seed % 2**32 + STEPS[behavior](count, iter_n)) % 2**32
    else:
        raise SettingsError(f"unknown seed_behavior {behavior!r}: known are {', '.join(BEHAVIORS)}")
    following = np.searchsorted(drawn, np.arange(frames)).clip(max=len(drawn) - 1)
    return of_drawn[following].astype(np.uint32)


def _scheduled(seed: int, drawn: Counts, count: Counts, values: Reals | None) -> Counts:
    if values is None:
        raise SettingsError("seed_behavior = 'schedule' needs seed_schedule, such as '0:(7), 60:(8)'")
    whole = np.trunc(values[drawn])
    return np.where(whole < 0, _random(seed, count), np.mod(whole, 2.0**32).astype(np.int64))


def _random(seed: int, count: Counts) -> Counts:
    """32 random bits for each drawn frame of a film."""
    film = scrambled(np.asarray(0, np.uint64), np.asarray(seed % 2**64, np.uint64))
    return (scrambled(film, count.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
