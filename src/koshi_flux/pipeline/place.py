"""Where a film goes: its run folder and its file, settled before a model is loaded. Imports no torch."""

import re
from itertools import count
from pathlib import Path

from koshi_flux.errors import RunError, SettingsError
from koshi_flux.output.disk import check_space
from koshi_flux.output.formats import check_output, suffix_of
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.spec import FluxSpec

RUNS = Path("runs")
FILM = "film.mp4"
FILM_NAME = Path("state/film")
"""Where a run folder keeps the name of its film."""


def settle(animation: Animation, spec: FluxSpec, out: Path | str | None, resume: bool) -> Path:
    """Where a film goes, having made sure that it can go there.

    Args:
        out: the film's file or folder; None makes a new folder under runs/, named after the first prompt.

    Raises:
        OutputError: the suffix is unknown or the disk too full.
        RunError: the folder already holds a film, or holds none that could be resumed.
    """
    if out is None and resume:
        raise SettingsError("resume needs to know which film: give its `out`")
    path = film_path(unused(RUNS / name_from(animation.title)) if out is None else out)
    if resume:
        check_begun(path)
    else:
        check_free(path)
        width, height = animation.resolved(spec).picture_size
        check_space(path.parent, animation.frames, width, height, suffixes=("", path.suffix.lower()))
    return path


def film_path(out: Path | str) -> Path:
    """The film file that `out` asks for; the folder it lies in is the run folder.

    `out` is a film file (its suffix says of which kind) or a folder, where the film is the one begun there or else a
    film.mp4. A film file in a
    folder that holds other things gets a run folder of its own name there: film.toml and frames must not mix with them.
    """
    out = Path(out)
    check_output(out)
    if suffix_of(out) == "":
        begun = out / FILM_NAME
        return out / (begun.read_text(encoding="utf-8") if begun.is_file() else FILM)
    shared = out.parent.is_dir() and any(out.parent.iterdir()) and not is_run(out.parent)
    return out.parent / out.stem / out.name if shared else out


def is_run(folder: Path) -> bool:
    """Whether a film was begun in this folder."""
    return (folder / "run.jsonl").is_file()


def check_free(film: Path) -> None:
    """Refuse a run folder that already holds a film."""
    if is_run(film.parent):
        raise RunError(
            f"{film.parent} already holds a film. Go on with it (--resume, or resume=True), "
            f"or choose another name, e.g. {unused(film.parent)}"
        )


def check_begun(film: Path) -> None:
    """Refuse to go on where nothing was begun."""
    if not is_run(film.parent):
        raise RunError(f"there is no film to go on with in {film.parent}: leave out --resume to begin one")


def unused(folder: Path) -> Path:
    """`folder` if nothing is there yet, else the first of folder-2, folder-3, ... that is free."""
    if not folder.exists():
        return folder
    return next(other for n in count(2) if not (other := folder.with_name(f"{folder.name}-{n}")).exists())


def name_from(text: str) -> str:
    """A folder name from the first words of a prompt."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words[:5]) or "film"
