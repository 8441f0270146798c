"""A film in one file: it grows under a temporary name and gets its own when it is whole."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from koshi_flux.errors import OutputError
from koshi_flux.output.disk import explained, make_folder, partial_path, replacing
from koshi_flux.output.sink import Film, FrameSink, Pixels


@runtime_checkable
class Encoder(Protocol):
    """Knows one kind of file; a plain OSError tells what the disk said."""

    def add(self, pixels: Pixels) -> None:
        """Encode the next frame."""
        ...

    def finish(self) -> None:
        """Write what is still held back, then close the file."""
        ...

    def abandon(self) -> None:
        """Close the file as it is."""
        ...


class FilmFile(FrameSink):
    """Writes frames to `path` through an encoder, so that a file named film.mp4 always plays."""

    def __init__(self, path: Path, film: Film, encoder: Callable[[Path, Film], Encoder]):
        self._path, self._film = path, film
        self._empty, self._broken, self._closed = True, False, False
        make_folder(path.parent)
        with explained(path.name):
            self._encoder = encoder(partial_path(path), film)
            # PyAV opens the file with the first frame; a folder that cannot be written to is better told now
            partial_path(path).open("ab").close()

    def write(self, index: int, pixels: Pixels) -> None:
        """Add a frame."""
        self._film.check(index, pixels)
        try:
            with explained(f"frame {index} of {self._path.name}"):
                self._encoder.add(pixels)
        except OutputError:
            self._broken = True  # a film with a hole must not get its name, even if the disk has room again
            raise
        self._empty = False

    def close(self) -> None:
        """Finish the film and give it its name; without a frame, or with a broken one, leave no file."""
        if self._closed:
            return
        self._closed = True
        if self._empty or self._broken:
            with suppress(OSError):  # the full disk that broke the film has been reported by then
                self._encoder.abandon()
            partial_path(self._path).unlink(missing_ok=True)
        else:
            with replacing(self._path):
                self._encoder.finish()
