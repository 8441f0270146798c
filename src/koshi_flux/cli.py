"""The command line: `koshi`. The only place that prints; heavy things are imported when a command needs them."""

import atexit
import gc
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

# `koshi check` is to answer at once: no search for pydantic plugins, no thread per core for numpy's matrices, no
# garbage collection of what importing makes, neither now nor when the interpreter ends.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
gc.disable()
atexit.register(gc.freeze)

import typer  # noqa: E402

from koshi_flux.errors import KoshiError, SettingsError  # noqa: E402
from koshi_flux.screen import (  # noqa: E402
    Echo,
    counted,
    progress_bar,
    say_film,
    say_imported,
    say_models,
    say_table,
    say_unexpected,
    say_words,
    silence_libraries,
    stop_on_ctrl_c,
)
from koshi_flux.version import VERSION  # noqa: E402

if TYPE_CHECKING:
    from koshi_flux.schedule.animation import Animation

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


def main() -> None:
    """Run a command; what a user can mend is said in one paragraph, with exit code 2."""
    logging.getLogger("koshi_flux").handlers = [Echo()]
    logging.getLogger("koshi_flux.pipeline.factory").setLevel(logging.INFO)
    debug = "--debug" in sys.argv
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]
    if not debug:
        sys.excepthook = say_unexpected
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
    say_film(animation, spec)

    from koshi_flux.pipeline.animation import film as shoot
    from koshi_flux.pipeline.companions import transformer_of, weights_beside
    from koshi_flux.pipeline.factory import load_model

    gc.enable()
    silence_libraries(spec)

    resolved = animation.resolved(spec)
    with stop_on_ctrl_c() as stopped, progress_bar(animation) as show:
        drawn_by = load_model(
            animation.model,
            vae=animation.vae,
            text_encoder=animation.text_encoder,
            memory=memory,
            precision=precision,
            size=resolved.picture_size,
            beside=weights_beside(resolved.controlnet, resolved.ip_adapter, transformer_of(resolved, spec)),
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
    say_film(animation, spec)
    moving = animation.moving()
    typer.echo(f"moving: {', '.join(moving)}" if moving else "no schedule changes over the film")


@app.command()
def preview(
    film: Film,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Where the preview film goes.")] = None,
) -> None:
    """Look at the camera path in seconds, without the model: a film and a contact sheet."""
    _show(_load(film, overrides, None), out or Path(f"{film.stem}-preview.mp4"))


def _show(animation: "Animation", path: Path) -> None:
    """Write a film's preview."""
    from koshi_flux.output.formats import check_output
    from koshi_flux.pipeline.factory import check_model

    check_output(path)
    spec = check_model(animation.model, animation.vae, animation.text_encoder)

    from koshi_flux.pipeline.preview import preview as move
    from koshi_flux.pipeline.preview import sheet_path

    gc.enable()
    counted(move(animation, spec, path), animation.frames, "moving")
    typer.echo(f"{path}\n{sheet_path(path)}")


@app.command()
def interpolate(
    run: Annotated[Path, typer.Argument(help="The run folder of a film.", metavar="RUN")],
    factor: Annotated[int, typer.Option(help="How many frames for each one, 2 to 8.", metavar="N")] = 2,
    slow: Annotated[float, typer.Option(help="How many times as long the film lasts.", metavar="TIMES")] = 1.0,
    engine: Annotated[str, typer.Option(help="flow (built in) or rife (your rife-ncnn-vulkan).")] = "flow",
    rife_folder: Annotated[Path | None, typer.Option(help="Where rife-ncnn-vulkan is.", metavar="DIR")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Lead the last frame back to the first.")] = False,
    out: Annotated[Path | None, typer.Option(help="The new film; the suffix decides the kind.")] = None,
) -> None:
    """Make a rendered film smoother, or slower, with new frames between its frames."""
    from koshi_flux.pipeline.interpolate import Interpolation, prepare

    settings = Interpolation(factor=factor, slow=slow, engine=engine, rife_folder=rife_folder, loop=loop)
    film = prepare(run, out, settings)
    gc.enable()
    counted(film.write(), film.count, "interpolating")
    typer.echo(f"{film.path} ({film.count} frames at {film.fps:g} fps, {film.count / film.fps:.1f} s)")


@app.command("import")
def import_film(
    file: Annotated[Path, typer.Argument(help="Settings of Deforum, Forge, Parseq, ComfyUI...", metavar="FILE")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The film file to write.")] = Path("film.toml"),
    model: Model = None,
    strength: Annotated[str, typer.Option(help="What strengths become: snr, steps, direct.", metavar="HOW")] = "snr",
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Fetch files that it uses.")] = False,
) -> None:
    """Turn another program's settings file into a film, and say what became of every key."""
    from koshi_flux.pipeline.download import download
    from koshi_flux.schedule.files import save_film
    from koshi_flux.schedule.importing import import_film as read

    if out.exists():
        raise SettingsError(f"{out} is there already: choose another name with -o")
    files = out.parent / f"{out.stem}.files"
    fetch = (lambda address: download(address, files).resolve()) if allow_download else None
    imported = read(file, model=model, strength=strength, fetch=fetch)
    save_film(imported.animation, out, f"imported from {file.name}; {out.stem}.import.md says what became of it")
    report = out.with_suffix(".import.md")
    report.write_text(imported.markdown(), encoding="utf-8")
    say_imported(imported)
    typer.echo(f"{imported.summary()}\n{out}\n{report}")


@app.command()
def export(
    film: Film,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="deforum (settings .txt) or parseq (manifest).")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where it goes; else it is printed.")] = None,
    overrides: Overrides = None,
) -> None:
    """Write a film for Deforum or Parseq, and say what those have no words for."""
    from koshi_flux.schedule.exporting import export_film

    exported = export_film(_load(film, overrides, None), to)
    if out is None:
        typer.echo(exported.text)
    else:
        out.write_text(exported.text, encoding="utf-8")
        typer.echo(str(out))
    for line in exported.unsaid:
        typer.echo(f"not said: {line}", err=True)


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
            return say_models()
        case ["pull", name]:
            return typer.echo(str(pull(name)))
        case [] | [_]:
            name = names[0] if names else "nano"
        case _:
            raise SettingsError("give one model, or `pull` and a model: koshi models pull klein-4b")
    spec = find_spec(name) or check_model(name)
    if not words:
        say_table(list(facts(spec).items()))
    elif spec.is_bundled:
        say_words()
    else:
        raise SettingsError(f"{spec.name} has no list of words, only nano has one: koshi models nano --words")


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this one.", metavar="[NAME]")] = None,
    out: Annotated[Path | None, typer.Option(help="Look at its camera: write a preview film here.")] = None,
) -> None:
    """List the presets, print one as the part of a film file that it is, or look at its camera."""
    from koshi_flux.schedule.animation import Animation
    from koshi_flux.schedule.presets import preset_names, preset_summary, preset_text

    if name is None:
        return say_table([(known, preset_summary(known)) for known in preset_names()])
    typer.echo(preset_text(name), nl=False)
    if out:
        _show(Animation.model_validate({"prompts": "a quiet lake at dawn", "preset": name, "frames": 96}), out)


@app.command("make-tiny-model")
def make_tiny_model(
    folder: Annotated[Path, typer.Argument(help="Where the model goes; must be empty or new.")],
    like: Annotated[str, typer.Option(help="The published model that it is to be like.")] = "flux.2-klein-4b",
    seed: Annotated[int, typer.Option(help="Decides the random weights.")] = 0,
) -> None:
    """Build a tiny FLUX with random weights, to try everything without a download."""
    from koshi_flux.pipeline.factory import SPECS
    from koshi_flux.pipeline.factory import make_tiny_model as make

    silence_libraries(SPECS["nano"])
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
        say_table(list(facts(spec).items()))
        typer.echo()
        say_table([("--memory", "what that does here"), *examine.plans(spec, precision, pixels)])
        return
    say_table(list(examine.facts()))
    typer.echo()
    say_table([(spec.name, where, need) for spec, where, need in examine.models()])


def _load(film: Path, overrides: list[str] | None, model: str | None) -> "Animation":
    """The film of a file or run folder, with what the command line says instead."""
    from koshi_flux.schedule.files import load_film

    path = film / "film.toml" if film.is_dir() else film
    return load_film(path, [*(overrides or []), *([f'model="{model}"'] if model else [])])


if __name__ == "__main__":
    main()
