"""What people see in their terminal: tables, progress, errors, and stopping with Ctrl-C. Nothing heavy is imported."""

import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from koshi_flux.schedule.animation import Animation
    from koshi_flux.schedule.importing.report import Imported
    from koshi_flux.shared.spec import FluxSpec
    from koshi_flux.shared.types import Frame


class Echo(logging.Handler):
    """Says what the library logs, as the command line says everything else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say one line."""
        typer.echo(record.getMessage(), err=record.levelno >= logging.WARNING)


def say_film(animation: "Animation", spec: "FluxSpec") -> None:
    """One line about a film, and what its user should hear before it is rendered."""
    from koshi_flux.pipeline.notes import notes

    film = animation.resolved(spec)
    width, height = film.picture_size
    frames, prompts = (
        f"{n} {what}{'s' * (n != 1)}" for n, what in ((film.frames, "frame"), (len(film.prompts), "prompt"))
    )
    typer.echo(
        f"{frames} of {width}x{height} at {film.fps:g} fps ({film.frames / film.fps:.1f} s), "
        f"model {spec.name}, {prompts}"
    )
    for note in notes(film, spec):
        typer.echo(note)
    if film.lora:
        from koshi_flux.pipeline.loras import find_loras

        for lora in find_loras(film, spec).values():
            typer.echo(lora.in_words())
    if film.controlnet or film.ip_adapter:
        from koshi_flux.pipeline.companions import in_words, transformer_of

        for line in in_words(film.controlnet, film.ip_adapter, transformer_of(film, spec)):
            typer.echo(line)


def say_imported(imported: "Imported") -> None:
    """What became of every key of another program's file; keys without a meaning by the reason."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from koshi_flux.schedule.importing.report import FATES

    for fate, heading in FATES.items():
        table = Table("key", "value", "here", "why", title=heading, title_justify="left", box=None)
        for entry in imported.of(fate):
            table.add_row(*map(escape, entry.row()[1:]))
        if fate == "meaningless":
            table = Table("why", "keys", title=heading, title_justify="left", box=None)
            for why, keys in imported.reasons().items():
                table.add_row(escape(why), escape(", ".join(keys)))
        if table.row_count:
            Console(highlight=False).print(table)


def say_models() -> None:
    """A line for every known model."""
    from koshi_flux.pipeline import doctor as examine
    from koshi_flux.pipeline.facts import facts

    columns = ("model", "licence", "weights in bf16", "steps", "denoise", "also called")
    lines: list[tuple[str, ...]] = [(*columns, "weights", "here")]
    for spec, where, need in examine.models():
        row = {**facts(spec), "also called": ", ".join(spec.aliases[:2])}
        lines.append((*(row[column] for column in columns), where, need))
    say_table(lines)


def say_words() -> None:
    """The words that the bundled model knows, by what they tell."""
    from rich.console import Console
    from rich.table import Table

    from koshi_flux.nano.words import known_words

    table = Table.grid("group", "words", padding=(0, 2, 0, 0))
    for group, known in known_words().items():
        table.add_row(group, ", ".join(known))
    Console(highlight=False).print(table)


def say_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def silence_libraries(spec: "FluxSpec") -> None:
    """Keep the libraries' own progress bars off the screen; the toy model needs none of them."""
    if spec.family == "toy":
        return
    import diffusers.utils.logging
    import transformers.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


@contextmanager
def progress_bar(animation: "Animation") -> Iterator[Callable[["Frame"], None]]:
    """A bar with the time left, the prompt and the noise level in use."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[sigma]} {task.fields[prompt]}"),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("", total=animation.frames, sigma="", prompt="loading the model")

        def show(frame: "Frame") -> None:
            sigma = f"σ {frame.sigmas[0]:.2f}" if frame.sigmas else "moved"  # noqa: RUF001
            prompt = max(frame.parameters.prompt, key=lambda part: part[1])[0]
            progress.update(task, completed=frame.index + 1, sigma=sigma, prompt=prompt[:48])

        yield show


def counted(steps: Iterable[int], total: int, doing: str) -> None:
    """Go through all steps behind a bar that says what is being done."""
    from rich.progress import track

    for _ in track(steps, doing, total=total, transient=True):
        pass


@contextmanager
def stop_on_ctrl_c() -> Iterator[list[int]]:
    """The list is empty until Ctrl-C; a second Ctrl-C stops at once."""
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)
        typer.echo("finishing the frame in flight (Ctrl-C again to stop at once)", err=True)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def say_unexpected(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """The last resort for what nobody foresaw."""
    if issubclass(kind, KeyboardInterrupt):
        typer.echo("stopped", err=True)
        return
    typer.secho(
        f"koshi: something unforeseen went wrong ({kind.__name__}: {error}). Frames on disk are safe. "
        "Run the command again with --debug and report what it prints.",
        err=True,
        fg="red",
    )
