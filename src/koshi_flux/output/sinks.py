"""The sink for a path, chosen by its suffix."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from koshi_flux.output.film_file import FilmFile
from koshi_flux.output.formats import check_output, suffix_of
from koshi_flux.output.gif import GifEncoder
from koshi_flux.output.png import PngFolder
from koshi_flux.output.sink import Film, FrameSink, frame_rate
from koshi_flux.output.video import VideoEncoder
from koshi_flux.version import VERSION

SINKS: dict[str, Callable[[Path, Film], FrameSink]] = {
    "": PngFolder,
    ".mp4": partial(FilmFile, encoder=VideoEncoder),
    ".webm": partial(FilmFile, encoder=VideoEncoder),
    ".mov": partial(FilmFile, encoder=VideoEncoder),
    ".mkv": partial(FilmFile, encoder=VideoEncoder),
    ".gif": partial(FilmFile, encoder=GifEncoder),
}


def open_sink(
    path: Path, *, size: tuple[int, int], fps: float = 24.0, metadata: Mapping[str, str] | None = None
) -> FrameSink:
    """Start a file or folder of frames; close it, or use it in a `with`, to have it finished.

    Args:
        path: where; the suffix says what, see FORMATS.
        size: (width, height) in pixels.
        fps: frames per second; 23.976 means 24000/1001.
        metadata: texts to embed, see `film_metadata`.
    """
    check_output(path)
    return SINKS[suffix_of(path)](path, Film(size=size, fps=frame_rate(fps), metadata=metadata or {}))


def film_metadata(title: str, film: str) -> dict[str, str]:
    """The texts to embed: what the film is called, its film.toml as text, and what made it.

    These are the names that every container knows. GIF keeps the comment only.
    """
    return {"title": title, "comment": film, "description": f"made with koshi-flux {VERSION}"}
