"""Parsing and evaluating a long film's schedules."""

import statistics

from benchmarks.stand_in import seconds_of
from koshi_flux.schedule.curve import Schedule

_FRAMES = 10_000


def milliseconds() -> float:
    """60 schedules, 20 of them with maths, over 10,000 frames, in milliseconds; median of 9."""
    numbers = [f"0:({i}), 100:({i + 1.5}), 5000:(-{i}), 9999:(0)" for i in range(40)]
    maths = [f"0:(1+{i}*sin(2*pi*t/{30 + i})), 7000:(where(t<8000, t/max_f, cos(t)))" for i in range(20)]

    def evaluate() -> None:
        for text in (*numbers, *maths):
            Schedule.parse(text).values(_FRAMES)

    return statistics.median(1e3 * seconds_of(evaluate) for _ in range(9))
