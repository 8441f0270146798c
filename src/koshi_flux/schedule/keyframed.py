"""A number per frame -> a schedule that says the same with as few keyframes as straight lines allow."""

import numpy as np

from koshi_flux.schedule.curve import Array, Schedule
from koshi_flux.schedule.expression import show_number

EXACT = 1e-10
"""How far a frame may lie off the straight line between two keyframes."""


def keyframed(values: Array, name: str = "schedule") -> Schedule:
    """A schedule in koshi's dialect with these values in a film of their length: exact at its keys, else to 1e-10."""
    return Schedule.parse(keyframes_text(values), name)


def keyframes_text(values: Array) -> str:
    """The same as text, without exponents, so that Deforum reads it alike."""
    return ", ".join(f"{frame}:({plain(values[frame])})" for frame in corners(values).tolist())


def corners(values: Array) -> np.typing.NDArray[np.intp]:
    """The frames that have to be keyframes, rising; between any two of them the values lie on a straight line.

    `values` is (frames,) or (frames, n), of which all n have to.
    """
    columns = values.reshape(len(values), -1)
    if np.ptp(columns, axis=0).max(initial=0) == 0:
        return np.zeros(1, dtype=np.intp)
    frames = np.arange(len(columns))
    bends = (np.abs(np.diff(columns, 2, axis=0)) > EXACT).any(axis=1)
    keys = np.unique(np.concatenate(([0], np.flatnonzero(bends) + 1, [len(columns) - 1])))
    while (off := _off_the_line(columns, frames, keys)).size:  # small bends that add up
        keys = np.union1d(keys, off)
    return keys


def plain(number: float) -> str:
    """The shortest text without an exponent that reads back as the same number."""
    text = show_number(number)
    return np.format_float_positional(number, trim="-") if "e" in text else text


def _off_the_line(
    columns: Array, frames: np.typing.NDArray[np.intp], keys: np.typing.NDArray[np.intp]
) -> np.typing.NDArray[np.intp]:
    lines = np.stack([np.interp(frames, keys, column[keys]) for column in columns.T], axis=1)
    return np.flatnonzero((np.abs(lines - columns) > EXACT).any(axis=1))
