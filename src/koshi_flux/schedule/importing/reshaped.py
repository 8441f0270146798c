"""Old schedules with other numbers: the keys stay where they were, and maths stays maths.

What is written here is in the old schedule's own dialect, so that it is evaluated as the old film was.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from koshi_flux.schedule import deforum
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.keyframed import corners, plain

Values = npt.NDArray[np.float64]
_DECIMALS = 9


def mapped(schedule: Schedule, number: Callable[[float], float], formula: str) -> Schedule:
    """The same keyframes with every value put through a function.

    Between two numbers the way stays a straight line, so what is no multiple is met at the keys and nearly between.

    Args:
        number: the function, for values that are numbers.
        formula: the function as maths in which `{0}` stands for the value, without commas, which Deforum splits at.
    """
    if schedule.dialect == "koshi":
        written = [(str(keyframe.key), str(keyframe.value)) for keyframe in schedule.entries]
    else:
        written = deforum.parts(schedule.text, schedule.dialect)
    entries = []
    for keyframe, (key, value) in zip(schedule.entries, written, strict=True):
        if keyframe.is_number:
            new = plain(round(number(float(keyframe.value.evaluate())), _DECIMALS))
        else:
            new = formula.format(_grouped(value))
        entries.append(f"{key}:({new})")
    easing = str(schedule.easing) if schedule.dialect == "koshi" else None
    return Schedule.parse(", ".join(entries), schedule.name, schedule.dialect, easing)


def scaled(schedule: Schedule, factor: float) -> Schedule:
    """The same keyframes with every value multiplied."""
    return mapped(schedule, lambda value: value * factor, f"{{0}}*{plain(round(factor, _DECIMALS))}")


def baked(values: Values, name: str, dialect: str) -> Schedule:
    """A schedule with these values at the frames of a film: a key wherever they leave a straight line."""
    values = np.round(values, _DECIMALS)
    frames = corners(values).tolist()
    while len(frames) > 1 and values[frames[-1]] == values[frames[-2]]:  # the last value holds by itself
        frames.pop()
    return Schedule.parse(", ".join(f"{frame}:({plain(values[frame])})" for frame in frames), name, dialect)


def simplest(schedule: Schedule) -> Schedule | float:
    """A schedule that stays at one number as that number."""
    if not schedule.is_constant:
        return schedule
    return float(schedule.entries[0].value.evaluate()) + 0.0


def steady(values: Values) -> bool:
    """Whether a film has the same value at every frame."""
    return bool(np.ptp(values) == 0)


def _grouped(maths: str) -> str:
    """Maths in parentheses, if it does not stand in some already."""
    depth = 0
    for place, sign in enumerate(maths):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return maths if maths[0] == "(" and place == len(maths) - 1 else f"({maths})"
    return f"({maths})"
