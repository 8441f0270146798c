"""Writing without regret: enough room before, whole files after, clear words when it fails.

Imports neither torch nor PyAV.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from koshi_flux.errors import OutputError
from koshi_flux.output.formats import FORMATS

FULL = (errno.ENOSPC, errno.EDQUOT)


def check_space(folder: Path, frames: int, width: int, height: int, suffixes: Iterable[str] = ("",)) -> None:
    """Refuse to start a film of `frames` frames of `width` x `height` pixels that will not fit on the disk.

    Args:
        folder: where the film goes; it need not exist yet.
        suffixes: everything that will be written there, as keys of FORMATS.
    """
    needed = sum(FORMATS[suffix].bytes_per_pixel for suffix in suffixes) * frames * width * height
    free = shutil.disk_usage(_existing(folder)).free
    if free < needed:
        raise OutputError(
            f"the disk is too full: {frames} frames of {width}x{height} need about {_gigabytes(needed)}, "
            f"{_gigabytes(free)} is free in {str(folder)!r}; free some space, write elsewhere or render fewer frames"
        )


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what the operating system says while `what` is written into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OutputError(
                f"the disk is full: cannot write {what}. Every frame before it is safe; free some space and resume"
            ) from error
        raise OutputError(f"cannot write {what}: {error.strerror or error}; write elsewhere or mend that") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    So whoever finds a file named `path` finds a whole one, even after a kill.
    """
    partial = partial_path(path)
    try:
        with explained(path.name):
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """Where `path` is written until it is whole: film.mp4 grows as .film.partial.mp4."""
    return path.with_name(f".{path.stem}.partial{path.suffix}")


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents, unless it is there."""
    with explained(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)


def _existing(folder: Path) -> Path:
    """The nearest folder above `folder` that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
