"""`make bench`: one table with what is aimed at and what this machine reaches."""

import statistics

from rich.console import Console
from rich.table import Table

from benchmarks import image_ops, loop, memory, schedules, space


def main() -> None:
    table = Table(title="koshi-flux benchmarks (medians)")
    for column in ("what", "target", "result", ""):
        table.add_column(column)

    def row(what: str, result: float, target: float | None, unit: str) -> None:
        verdict = "" if target is None else "reached" if result <= target else "missed"
        table.add_row(what, "" if target is None else f"<= {target:g} {unit}", f"{result:.3g} {unit}", verdict)

    ratios = [loop.overhead_ratio() for _ in range(3)]
    row("film over bare model calls, 256x256", statistics.median(ratios), 1.05, "x")
    row("engine alone, per frame", loop.engine_milliseconds(), 0.5, "ms")
    for part, milliseconds in image_ops.milliseconds().items():
        row(f"1024x576: {part}", milliseconds, 45 if part == "whole chain" else None, "ms")
    for part, milliseconds in space.milliseconds().items():
        row(f"1024x576: {part} (least)", milliseconds, space.TARGETS[part], "ms")
    row("60 schedules x 10,000 frames", schedules.milliseconds(), 50, "ms")
    row("memory per 1,000 frames, 256x256", memory.megabytes_per_thousand_frames(), 0.2, "MB")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
