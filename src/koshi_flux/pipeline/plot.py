"""All moving schedules of a film as one picture."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from koshi_flux.errors import OutputError
from koshi_flux.output.disk import make_folder, replacing
from koshi_flux.schedule.animation import Animation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTS = (".png", ".svg", ".pdf")
"""What a plot can be written as."""


def plot(animation: Animation, path: Path) -> list[str]:
    """Draw every schedule that changes over the film, and the prompts; returns the names of those schedules."""
    if path.suffix.lower() not in PLOTS:
        raise OutputError(f"cannot draw schedules into {path.name!r}: known pictures are {', '.join(PLOTS)}")
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise OutputError("drawing schedules needs matplotlib: pip install 'koshi-flux[plot]'") from missing

    moving = animation.moving()
    figure = Figure(figsize=(11, 1.2 + 1.3 * len(moving)), layout="constrained")
    rows = figure.subplots(len(moving) + 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_prompts(rows[0], animation)
    for row, name in zip(rows[1:], moving, strict=True):
        _draw_schedule(row, animation, name)
    rows[-1].set_xlabel("frame")
    rows[-1].set_xlim(-0.5, animation.frames - 0.5)
    make_folder(path.parent)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)
    return moving


def _draw_schedule(row: "Axes", animation: Animation, name: str) -> None:
    """One curve with a dot at each keyframe of the film."""
    values = animation.values(name)
    frames = np.arange(animation.frames)
    row.plot(frames, values, color="#2b6cb0", linewidth=1.6)
    keys = [key for key in animation.keyframes(name) if key < animation.frames]
    row.plot(keys, values[keys], "o", color="#dd6b20", markersize=4)
    row.set_ylabel(name, rotation=0, ha="right", va="center")
    row.grid(alpha=0.3)


def _draw_prompts(row: "Axes", animation: Animation) -> None:
    """A band for as long as one text leads, with its first words."""
    leading = [max(animation.at(frame).prompt, key=lambda part: part[1])[0] for frame in range(animation.frames)]
    starts = [0, *(f for f in range(1, animation.frames) if leading[f] != leading[f - 1])]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], animation.frames], strict=True)):
        row.axvspan(start - 0.5, end - 0.5, color="#38a169", alpha=0.18 if number % 2 else 0.3)
        room = max(4, round(95 * (end - start) / animation.frames))
        text = leading[start] if len(leading[start]) <= room else leading[start][: room - 1] + "…"
        row.text(start, 0.5, text, va="center", fontsize=8, clip_on=True)
    row.set_yticks([])
    row.set_ylabel("prompt", rotation=0, ha="right", va="center")
