"""What was measured, for people: a table of what was wanted and reached, plots, and a sheet of pictures."""

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw
from rich.table import Table

from training.nano.captions import SCENES, TIMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]
"""What each section measured, by the section's name."""
Pixels = npt.NDArray[np.uint8]

BLUE, ORANGE, GREEN = "#2b6cb0", "#dd6b20", "#38a169"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row of the table.

    Args:
        key: where the results hold the figure, e.g. "drift.saturation.mean".
        words: what it is.
        unit: "%" for shares, which are held as 0 to 1.
        low: what it must reach; None for no such limit.
        high: what it must not exceed.
    """

    key: str
    words: str
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def reached(self, value: float) -> bool | None:
        """Whether a figure is within the limits; None where nothing is asked of it."""
        if self.low is None and self.high is None:
            return None
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def limits(self) -> str:
        """The limits in words."""
        if self.low is not None and self.high is not None:
            return f"{self.shown(self.low)} to {self.shown(self.high)}"
        if self.low is not None:
            return f"at least {self.shown(self.low)}"
        return "" if self.high is None else f"at most {self.shown(self.high)}"

    def shown(self, value: float) -> str:
        """A figure with its unit: three digits that count."""
        number = 100 * value if self.unit == "%" else value
        places = 0 if number == 0 or not math.isfinite(number) else max(0, 2 - math.floor(math.log10(abs(number))))
        return f"{number:.{places}f} {self.unit}".rstrip()


WANTED = (
    Wanted("autoencoder.psnr", "autoencoder: likeness after a round trip", "dB", low=28),
    Wanted("autoencoder.lost", "autoencoder: likeness lost over the further round trips up to the tenth", "dB", high=2),
    Wanted("classifier.scene", "classifier: scene of renders", "%", low=0.97),
    Wanted("classifier.time", "classifier: time of day of renders", "%", low=0.97),
    Wanted("classifier.scene_ink", "classifier: scene of ink drawings", "%"),
    Wanted("classifier.time_ink", "classifier: time of day of ink drawings", "%"),
    Wanted("classifier.scene_monochrome", "classifier: scene of monochrome renders", "%"),
    Wanted("classifier.time_monochrome", "classifier: time of day of monochrome renders", "%"),
    Wanted("attributes.own.scene", "pictures show the scene that was asked for", "%", low=0.85),
    Wanted("attributes.own.time", "pictures show the time of day that was asked for", "%", low=0.85),
    Wanted("attributes.own.scene_ink", "the scene, in ink drawings", "%"),
    Wanted("attributes.own.time_ink", "the time of day, in ink drawings", "%"),
    Wanted("attributes.own.scene_monochrome", "the scene, in monochrome", "%"),
    Wanted("attributes.own.time_monochrome", "the time of day, in monochrome", "%"),
    Wanted("attributes.own.frechet", "Fréchet distance of pictures from renders"),
    Wanted("attributes.floor", "Fréchet distance of renders from other renders"),
    Wanted("attributes.fewer.scene", "the scene, in fewer steps", "%"),
    Wanted("attributes.fewer.time", "the time of day, in fewer steps", "%"),
    Wanted("attributes.fewer.frechet", "Fréchet distance, in fewer steps"),
    Wanted("drift.on_prompt", "films that are still on their prompt at the last frame", "%", low=0.8),
    Wanted("drift.scene", "films that still show their scene", "%"),
    Wanted("drift.time", "films that still show their time of day", "%"),
    Wanted("drift.on_prompt_at_first", "films that begin on their prompt", "%"),
    Wanted("drift.saturation.mean", "saturation of the last frame over the first", low=0.85, high=1.15),
    Wanted("drift.saturation.median", "the same, median film"),
    Wanted("drift.saturation.worst", "the same, worst film"),
    Wanted("drift.contrast.mean", "contrast of the last frame over the first", low=0.85, high=1.15),
    Wanted("drift.contrast.median", "the same, median film"),
    Wanted("drift.contrast.worst", "the same, worst film"),
    Wanted("depth.spearman", "depth of renders: rank correlation with the truth", low=0.9),
    Wanted("depth.order", "depth of pictures: near and far in the right order", low=0.8),
    Wanted("depth.order_of_renders", "the same, of renders"),
    Wanted("depth.order_of_truth", "the same, of renders by their true depth: the most that can be reached"),
    Wanted("speed.seconds_per_frame", "a frame of a film, everything included", "s", high=0.5),
    Wanted("speed.peak_memory_mb", "memory at most", "MB", high=1536),
    Wanted("speed.seconds_to_load", "loading, after imports", "s", high=1),
)
"""All rows, and what the model must reach."""


def rows(results: Results, wanted: Sequence[Wanted] = WANTED) -> Iterator[tuple[str, str, str, str]]:
    """What, measured, wanted, reached? - of all that was measured so far."""
    for row in wanted:
        value = figure_at(results, row.key)
        if value is not None:
            verdict = {True: "yes", False: "no", None: ""}[row.reached(value)]
            yield row.words, row.shown(value), row.limits, verdict


def figure_at(results: Results, key: str) -> float | None:
    """The figure at a path such as "drift.saturation.mean"; None where it was not measured."""
    value: Any = results
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def table(results: Results) -> Table:
    """The rows for the terminal."""
    shown = Table("", "measured", "wanted", "reached?", title="nano")
    for words, measured, limits, verdict in rows(results):
        shown.add_row(words, measured, limits, verdict, style="red" if verdict == "no" else None)
    return shown


def markdown(results: Results) -> str:
    """The rows for docs/nano.md."""
    lines = ["| | measured | wanted | reached? |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(cells)} |" for cells in rows(results)]) + "\n"


def draw_plots(results: Results, work: Path, folder: Path) -> list[Path]:
    """Write the plots that there are figures for; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = {file.parent.name: read_curve(file) for file in sorted(work.glob("*/curve.jsonl"))}
    plots = {
        "training.png": training_plot(curves) if curves else None,
        "confusion.png": confusion_plot(results["attributes"]["confusion"]) if "attributes" in results else None,
        "drift.png": drift_plot(results["drift"]["over_frames"]) if "drift" in results else None,
    }
    drawn = {folder / name: figure for name, figure in plots.items() if figure is not None}
    for file, figure in drawn.items():
        figure.savefig(file, dpi=100)
    return list(drawn)


def read_curve(file: Path) -> dict[str, list[tuple[float, float]]]:
    """A stage's curve: for each figure its points (minutes, value)."""
    curve: dict[str, list[tuple[float, float]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        point = json.loads(line)
        minutes = point.pop("minutes")
        for name in point.keys() - {"step", "rate"}:
            curve.setdefault(name, []).append((minutes, point[name]))
    return dict(sorted(curve.items()))


def training_plot(curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> "Figure":
    """A small plot for each figure of each stage."""
    from matplotlib.figure import Figure

    panels = [(stage, name, points) for stage, curve in curves.items() for name, points in curve.items()]
    columns = min(4, len(panels))
    lines = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.2 * columns, 2.1 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, (stage, name, points) in zip(axes, panels, strict=False):
        minutes, values = zip(*points, strict=True)
        axis.plot(minutes, values, color=BLUE, linewidth=1.2)
        axis.set_title(f"{stage}: {name}", fontsize=9)
        axis.set_xlabel("minutes", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    return figure


def confusion_plot(confusion: Mapping[str, Sequence[Sequence[int]]]) -> "Figure":
    """What was asked for against what the classifier saw, in percent of what was asked for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    for axis, (name, kinds) in zip(
        figure.subplots(1, 2, width_ratios=(10, 5)), (("scene", SCENES), ("time", TIMES)), strict=True
    ):
        counts = np.array(confusion[name], dtype=float)
        percent = 100 * counts / counts.sum(1, keepdims=True).clip(1)
        axis.imshow(percent, cmap="Blues", vmin=0, vmax=100)
        for (row, column), value in np.ndenumerate(percent):
            if value >= 0.5:
                shade = "white" if value > 60 else "black"
                axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=shade)
        axis.set_xticks(range(len(kinds)), kinds, rotation=45, ha="right")
        axis.set_yticks(range(len(kinds)), kinds)
        axis.set_xlabel("seen")
        axis.set_ylabel(f"{name} asked for")
    return figure


def drift_plot(over_frames: Mapping[str, Any]) -> "Figure":
    """How saturation, contrast and what a film shows change from its first frame to its last."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, name, color in zip(axes, ("saturation", "contrast"), (ORANGE, BLUE), strict=False):
        _draw_band(axis, over_frames[name], color)
        axis.set_title(f"{name} over that of the first frame", fontsize=10)
    axes[2].plot(over_frames["looked_at"], [100 * share for share in over_frames["on_prompt"]], color=GREEN)
    axes[2].axhline(80, color="grey", linestyle=":")
    axes[2].set_ylim(0, 103)
    axes[2].set_title("films on their prompt, %", fontsize=10)
    for axis in axes:
        axis.set_xlabel("frame")
        axis.grid(alpha=0.3)
    return figure


def _draw_band(axis: "Axes", band: Mapping[str, Sequence[float]], color: str) -> None:
    """The mean of all films, and where eight of ten lie."""
    frames = range(len(band["mean"]))
    axis.fill_between(frames, band["low"], band["high"], color=color, alpha=0.2, linewidth=0)
    axis.plot(frames, band["mean"], color=color)
    for limit in (0.85, 1.15):
        axis.axhline(limit, color="grey", linestyle=":")


def contact_sheet(pictures: Sequence[Sequence[Pixels]], down: Sequence[str], across: Sequence[str]) -> Pixels:
    """Pictures (h, w, 3) of one size in rows, with words for each row to the left and for each column above."""
    height, width, _ = pictures[0][0].shape
    left, top = 80, 20
    sheet = PillowImage.new("RGB", (left + width * len(across), top + height * len(down)), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    for column, words in enumerate(across):
        pen.text((left + (column + 0.5) * width, top / 2), words, anchor="mm")
    for row, words in enumerate(down):
        pen.text((left - 6, top + (row + 0.5) * height), words, anchor="rm")
        for column, picture in enumerate(pictures[row]):
            sheet.paste(PillowImage.fromarray(picture), (left + column * width, top + row * height))
    return np.asarray(sheet)


def write_small_png(pixels: Pixels, file: Path, limit: int = 600_000) -> None:
    """Write a picture as a PNG of at most `limit` bytes: in 256 colours, and no larger than that allows."""
    whole = PillowImage.fromarray(pixels)
    for percent in range(100, 20, -8):
        size = (whole.width * percent // 100, whole.height * percent // 100)
        small = whole if percent == 100 else whole.resize(size, PillowImage.Resampling.LANCZOS)
        stream = io.BytesIO()
        small.quantize(256, dither=PillowImage.Dither.NONE).save(stream, "PNG", optimize=True)
        if len(stream.getvalue()) <= limit:
            break
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(stream.getvalue())
