"""The command line: `koshi`. The only place that prints; heavy things are imported when a command needs them."""

import atexit
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Annotated

# `koshi check` is to answer at once: no search for pydantic plugins, no thread per core for numpy's matrices, no
# garbage collection of what importing makes, neither now nor when the interpreter ends.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
gc.disable()
atexit.register(gc.freeze)

import typer  # noqa: E402

from koshi_flux.errors import KoshiError, SettingsError  # noqa: E402
from koshi_flux.version import VERSION  # noqa: E402

if TYPE_CHECKING:
    from koshi_flux.schedule.animation import Animation
    from koshi_flux.shared.spec import FluxSpec
    from koshi_flux.shared.types import Frame

app = typer.Typer(
    name="koshi",
    help="Keyframed animation in the Deforum tradition with FLUX models.",
    epilog="Every command takes --debug to show where an error comes from. Start with: koshi render film.toml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Film = Annotated[Path, typer.Argument(help="A film.toml, or the run folder of a film.", metavar="FILM")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. zoom='0:(1.02)'.")
]
Memory = Annotated[
    str, typer.Option("--memory", help="How weights are held: auto, full, offload, minimal.", metavar="HOW")
]
Precision = Annotated[
    str, typer.Option("--precision", help="Of the weights: auto, fp32, bf16, fp8, int8, nf4.", metavar="BITS")
]
Attention = Annotated[
    str, typer.Option("--attention", help="One of diffusers' attention backends, e.g. flash, sage.", metavar="NAME")
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the model: slow at first, then faster.")]
Model = Annotated[str | None, typer.Option("--model", help="A known model's name, or the folder of one.")]


class _Echo(logging.Handler):
    """Says what the library logs, as the command line says everything else."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=record.levelno >= logging.WARNING)


def main() -> None:
    """Run a command; what a user can mend is said in one paragraph, with exit code 2."""
    logging.getLogger("koshi_flux").handlers = [_Echo()]
    logging.getLogger("koshi_flux.pipeline.factory").setLevel(logging.INFO)
    debug = "--debug" in sys.argv
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]
    if not debug:
        sys.excepthook = _say_unexpected
    try:
        typer.main.get_command(app)()  # app() itself would put an excepthook of its own in place
    except KoshiError as error:
        if debug:
            raise
        typer.secho(f"koshi: {error}", err=True, fg="red")
        sys.exit(2)


@app.callback(invoke_without_command=True)
def koshi(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Keyframed animation in the Deforum tradition with FLUX models."""
    if version:
        typer.echo(VERSION)
        raise typer.Exit


@app.command()
def render(
    film: Film,
    overrides: Overrides = None,
    model: Model = None,
    out: Annotated[Path | None, typer.Option(help="The film's file or folder; the suffix decides the kind.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a film that was interrupted.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Number the folder if it is taken.")] = False,
    memory: Memory = "auto",
    precision: Precision = "auto",
    compile: Compile = False,
    attention: Attention = "auto",
) -> None:
    """Render a film."""
    from koshi_flux.pipeline.factory import check_model
    from koshi_flux.pipeline.place import RUNS, settle, unused

    animation = _load(film, overrides, model)
    spec = check_model(animation.model, animation.vae, animation.text_encoder)
    place = out or (film if film.is_dir() else RUNS / film.stem)
    path = settle(animation, spec, unused(place) if new else place, resume)
    _say_film(animation, spec)

    from koshi_flux.pipeline.animation import film as shoot
    from koshi_flux.pipeline.factory import load_model

    gc.enable()
    _silence_libraries(spec)

    with _stop_on_ctrl_c() as stopped, _progress(animation) as show:
        drawn_by = load_model(
            animation.model,
            vae=animation.vae,
            text_encoder=animation.text_encoder,
            memory=memory,
            precision=precision,
            size=animation.resolved(spec).picture_size,
            compile=compile,
            attention=attention,
        )
        frames = shoot(animation, drawn_by, path, resume)
        done = 0
        for frame in frames:
            done = frame.index + 1
            show(frame)
            if stopped and done < animation.frames:
                break
        frames.close()
    if not done:
        typer.echo("Every frame was there already; the film is written anew.")
    elif done < animation.frames:
        typer.echo(f"Stopped after frame {done - 1}; go on with: koshi render {path.parent} --resume")
    typer.echo(str(path))


@app.command()
def check(film: Film, overrides: Overrides = None, model: Model = None) -> None:
    """Say whether a film could be rendered, without rendering it."""
    from koshi_flux.pipeline.factory import check_model

    animation = _load(film, overrides, model)
    spec = check_model(animation.model, animation.vae, animation.text_encoder)
    _say_film(animation, spec)
    moving = animation.moving()
    typer.echo(f"moving: {', '.join(moving)}" if moving else "moving: nothing, the camera stands still")


@app.command()
def preview(
    film: Film,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Where the preview film goes.")] = None,
) -> None:
    """Look at the camera path in seconds, without the model: a film and a contact sheet."""
    from koshi_flux.output.formats import check_output
    from koshi_flux.pipeline.factory import check_model

    animation = _load(film, overrides, None)
    path = out or Path(f"{film.stem}-preview.mp4")
    check_output(path)
    spec = check_model(animation.model, animation.vae, animation.text_encoder)

    from rich.progress import track

    from koshi_flux.pipeline.preview import preview as move
    from koshi_flux.pipeline.preview import sheet_path

    gc.enable()
    for _ in track(move(animation, spec, path), "moving", total=animation.frames, transient=True):
        pass
    typer.echo(f"{path}\n{sheet_path(path)}")


@app.command()
def plot(
    film: Film,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The picture: .png, .svg or .pdf.")] = None,
) -> None:
    """Draw all moving schedules of a film into one picture."""
    from koshi_flux.pipeline.plot import plot as draw

    path = out or Path(f"{film.stem}-schedules.png")
    moving = draw(_load(film, overrides, None), path)
    typer.echo(f"{path} ({', '.join(moving) or 'nothing moves'})")


@app.command()
def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Say more about this one, or download it.", metavar="[MODEL | pull MODEL]"),
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="List the words that the bundled model knows.")] = False,
) -> None:
    """List the known models, the bundled one first, where they are and how this machine can run them."""
    from koshi_flux.pipeline.factory import check_model, find_spec, pull
    from koshi_flux.pipeline.facts import facts

    match names or []:
        case [] if not words:
            return _say_models()
        case ["pull", name]:
            return typer.echo(str(pull(name)))
        case [] | [_]:
            name = names[0] if names else "nano"
        case _:
            raise SettingsError("give one model, or `pull` and a model: koshi models pull klein-4b")
    spec = find_spec(name) or check_model(name)
    if not words:
        _say_table(list(facts(spec).items()))
    elif spec.is_bundled:
        _say_words()
    else:
        raise SettingsError(f"{spec.name} has no list of words, only nano has one: koshi models nano --words")


@app.command("make-tiny-model")
def make_tiny_model(
    folder: Annotated[Path, typer.Argument(help="Where the model goes; must be empty or new.")],
    like: Annotated[str, typer.Option(help="The published model that it is to be like.")] = "flux.2-klein-4b",
    seed: Annotated[int, typer.Option(help="Decides the random weights.")] = 0,
) -> None:
    """Build a tiny FLUX with random weights, to try everything without a download."""
    from koshi_flux.pipeline.factory import SPECS
    from koshi_flux.pipeline.factory import make_tiny_model as make

    _silence_libraries(SPECS["nano"])
    typer.echo(str(make(like, folder, seed)))


@app.command()
def doctor(
    model: Model = None,
    precision: Precision = "auto",
    size: Annotated[str | None, typer.Option(help="Of the pictures, e.g. 1024x576.")] = None,
) -> None:
    """Report what this machine has and which models it can run, or all the ways to run one."""
    from koshi_flux.pipeline import doctor as examine
    from koshi_flux.pipeline.factory import check_model
    from koshi_flux.pipeline.facts import facts
    from koshi_flux.schedule.animation import Animation

    if model:
        spec = check_model(model)
        pixels = Animation.model_validate({"prompts": "", "size": size}).size
        _say_table(list(facts(spec).items()))
        typer.echo()
        _say_table([("--memory", "what that does here"), *examine.plans(spec, precision, pixels)])
        return
    _say_table(list(examine.facts()))
    typer.echo()
    _say_table([(spec.name, where, need) for spec, where, need in examine.models()])


def _load(film: Path, overrides: list[str] | None, model: str | None) -> "Animation":
    """The film of a file or run folder, with what the command line says instead."""
    from koshi_flux.schedule.files import load_film

    path = film / "film.toml" if film.is_dir() else film
    return load_film(path, [*(overrides or []), *([f'model="{model}"'] if model else [])])


def _say_film(animation: "Animation", spec: "FluxSpec") -> None:
    """One line about a film, and what its user should hear before it is rendered."""
    from koshi_flux.pipeline.notes import notes

    film = animation.resolved(spec)
    width, height = film.picture_size
    typer.echo(
        f"{film.frames} frames of {width}x{height} at {film.fps:g} fps ({film.frames / film.fps:.1f} s), "
        f"model {spec.name}, {len(film.prompts)} prompt{'s' if len(film.prompts) > 1 else ''}"
    )
    for note in notes(film, spec):
        typer.echo(note)
    if film.lora:
        from koshi_flux.pipeline.loras import find_loras

        for lora in find_loras(film, spec).values():
            typer.echo(lora.in_words())


def _say_models() -> None:
    """A line for every known model."""
    from koshi_flux.pipeline import doctor as examine
    from koshi_flux.pipeline.facts import facts

    columns = ("model", "licence", "weights in bf16", "steps", "denoise", "also called")
    lines: list[tuple[str, ...]] = [(*columns, "weights", "here")]
    for spec, where, need in examine.models():
        row = {**facts(spec), "also called": ", ".join(spec.aliases[:2])}
        lines.append((*(row[column] for column in columns), where, need))
    _say_table(lines)


def _say_words() -> None:
    """The words that the bundled model knows, by what they tell."""
    from rich.console import Console
    from rich.table import Table

    from koshi_flux.nano.words import known_words

    table = Table.grid("group", "words", padding=(0, 2, 0, 0))
    for group, known in known_words().items():
        table.add_row(group, ", ".join(known))
    Console(highlight=False).print(table)


def _say_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _silence_libraries(spec: "FluxSpec") -> None:
    """Keep the libraries' own progress bars off the screen; the toy model needs none of them."""
    if spec.family == "toy":
        return
    import diffusers.utils.logging
    import transformers.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


@contextmanager
def _progress(animation: "Animation") -> Iterator[Callable[["Frame"], None]]:
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


@contextmanager
def _stop_on_ctrl_c() -> Iterator[list[int]]:
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


def _say_unexpected(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
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


if __name__ == "__main__":
    main()
