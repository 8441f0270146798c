"""Which frames are drawn by the model; the others are moved from their neighbours.

Convention: frames count from 0, as everywhere here; Forge, where these distributions come from, counts from 1.
"""

from collections.abc import Callable, Iterable

from koshi_flux.errors import SettingsError


def drawn_frames(frames: int, cadence: int, distribution: str, prompt_keys: Iterable[int]) -> tuple[int, ...]:
    """The drawn frames of a film, rising: always the first and the last, and between them what `distribution` says.

    Args:
        frames: length of the film.
        cadence: every how manieth frame is drawn, where that counts; more than the film has frames is no error.
        distribution: one of DISTRIBUTIONS.
        prompt_keys: frames at which a prompt begins; those beyond the film's end are passed over.

    Raises:
        SettingsError: no such distribution.
    """
    if distribution not in DISTRIBUTIONS:
        raise SettingsError(f"unknown keyframe_distribution {distribution!r}: known are {', '.join(DISTRIBUTIONS)}")
    ends = {0, frames - 1}
    even = {*range(0, frames, cadence), *ends}
    keys = {key for key in prompt_keys if key < frames}
    return tuple(sorted(DISTRIBUTIONS[distribution](even, keys) | ends))


def check_cadence(cadence: int, frames: int) -> str | None:
    """What to tell someone whose cadence is longer than the film; None when it is not."""
    if cadence <= max(frames, 2):
        return None
    return (
        f"cadence {cadence} is more than the film's {frames} frames: only the first and the last are drawn, "
        f"and all others moved between them; for more, write a cadence below {frames}"
    )


def _redistributed(even: set[int], keys: set[int]) -> set[int]:
    """Each key takes the place of the nearest even frame that is neither a key nor an end; of two, of the earlier."""
    drawn = even | keys
    free = even - keys - {min(even), max(even)}
    for key in sorted(keys - even):
        if not free:
            break
        nearest = min(free, key=lambda frame: (abs(frame - key), frame))
        free.remove(nearest)
        drawn.remove(nearest)
    return drawn


DISTRIBUTIONS: dict[str, Callable[[set[int], set[int]], set[int]]] = {
    "uniform": lambda even, keys: even,
    "prompts": lambda even, keys: keys,
    "additive": lambda even, keys: even | keys,
    "redistributed": _redistributed,
}
"""From every nth frame with both ends, and the frames of prompts, to those that are drawn."""
