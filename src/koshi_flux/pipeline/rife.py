"""RIFE draws the frames in between: the user's rife-ncnn-vulkan, in a process of its own.

RIFE is a network for just that (Huang et al. 2022, arXiv:2011.06294). The program brings its models and runs on any GPU
with Vulkan (https://github.com/nihui/rife-ncnn-vulkan). It is started anew for every few pictures, so whatever becomes
of it, ours goes on: a crash, a hang and pictures left out each end in a sentence.
"""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from koshi_flux.errors import ModelError, OutputError
from koshi_flux.output.disk import explained
from koshi_flux.output.png import read_png
from koshi_flux.output.sink import Pixels

NAME = "rife-ncnn-vulkan"
_MODEL = "rife-v4"
"""What the name of a model's folder must hold: only these draw any moment, older ones the middle alone, and the
program tells them by that name."""
_FILES = ("flownet.param", "flownet.bin")
_ADVICE = (
    "get it from https://github.com/nihui/rife-ncnn-vulkan/releases, unpack it and name its folder "
    "(--rife-folder DIR), or take the engine 'flow', which needs no program"
)
_PICTURES = 24
"""New pictures for each start of the program, which costs about a second; so many lie on disk at a time."""


@dataclass(frozen=True, slots=True)
class Rife:
    """The program and the model it is to use.

    Args:
        program: the executable.
        model: the folder of the model's files.
        patience: seconds that a picture may take before the program counts as hung; CPUs need a few for each.
    """

    program: Path
    model: Path
    patience: float = 30.0

    @contextmanager
    def between(self, pictures: Sequence[Path], factor: int) -> Iterator["Batches"]:
        """What draws `factor` - 1 moments between each of these pictures and the next, while the block lasts."""
        with TemporaryDirectory(prefix="koshi-rife-") as scratch:
            yield Batches(self, tuple(pictures), factor, Path(scratch))


class Batches:
    """Asks the program for the moments of a few pairs of pictures at once and hands them out pair by pair."""

    def __init__(self, rife: Rife, pictures: tuple[Path, ...], factor: int, scratch: Path):
        self._rife, self._pictures, self._factor = rife, pictures, factor
        self._pairs = max(1, _PICTURES // factor)
        self._start: int | None = None
        self._inputs, self._outputs, self._log = scratch / "in", scratch / "out", scratch / "log"

    def __call__(self, index: int, before: Pixels, after: Pixels) -> Iterator[Pixels]:
        """The moments between picture `index` and the next, which are `before` and `after`."""
        start = index - index % self._pairs
        if start != self._start:
            self._draw(start)
            self._start = start
        for moment in range(1, self._factor):
            yield self._read((index - start) * self._factor + moment, before)

    def _draw(self, start: int) -> None:
        """Have all moments from picture `start` on drawn, as many pairs as belong together."""
        pictures = self._pictures[start : start + self._pairs + 1]
        with explained(f"pictures for {NAME}"):
            for folder in (self._inputs, self._outputs):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            for number, picture in enumerate(pictures):
                shutil.copyfile(picture, self._inputs / f"{number:08d}.png")
        count = len(pictures) * self._factor
        self._run(count)
        written = sum(self._output(number).is_file() for number in range(count))
        if written < count:
            raise self._failure(f"wrote {written} of {count} pictures")

    def _run(self, count: int) -> None:
        """Start the program and wait for it."""
        rife = self._rife
        folders = ["-i", str(self._inputs), "-o", str(self._outputs)]
        # the program takes the kind of a model from its whole path, so outer folders are left out of it
        command = [str(rife.program), *folders, "-m", rife.model.name, "-n", str(count), "-f", "%08d.png"]
        patience = rife.patience * count
        try:
            with self._log.open("wb") as log:
                done = subprocess.run(
                    command,
                    cwd=rife.model.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=patience,
                    check=False,
                )
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"hung: {count} pictures were not there after {patience:.0f} s") from error
        except OSError as error:
            raise ModelError(f"cannot start {str(rife.program)!r}: {error.strerror or error}; {_ADVICE}") from error
        if done.returncode:
            raise self._failure(_ending(done.returncode))

    def _output(self, number: int) -> Path:
        """Where the program writes moment `number` of all, that of the first picture being 0; it counts from 1."""
        return self._outputs / f"{number + 1:08d}.png"

    def _read(self, number: int, before: Pixels) -> Pixels:
        try:
            pixels = read_png(self._output(number))
        except OutputError as error:
            raise self._failure("wrote a broken picture") from error
        if pixels.shape != before.shape:
            (height, width), (tall, wide) = pixels.shape[:2], before.shape[:2]
            raise self._failure(f"drew {width}x{height} instead of {wide}x{tall}")
        return pixels

    def _failure(self, what: str) -> OutputError:
        """What the program did wrong, with the last lines that it said."""
        lines = self._log.read_bytes()[-1000:].decode(errors="replace").splitlines()
        said = " / ".join([line.strip() for line in lines if line.strip()][-3:])[-300:]
        return OutputError(
            f"{NAME} {what}{said and f' ({said})'}; try another model than {self._rife.model.name} or the engine "
            "'flow'. The film's frames are untouched"
        )


def find_rife(folder: Path | None = None) -> Rife:
    """The program and its best model.

    Args:
        folder: of the unpacked program, or of one model; by default where the program on the PATH lies.

    Raises:
        ModelError: one or the other is not there.
    """
    if folder is not None and not folder.is_dir():
        raise ModelError(f"there is no folder {str(folder)!r}; {_ADVICE}")
    found = _find_program(folder)
    if found is None:
        where = "on the PATH" if folder is None else f"in {str(folder)!r}, beside it or on the PATH"
        raise ModelError(f"the engine 'rife' needs the program {NAME}, which is not {where}: {_ADVICE}")
    program = Path(found).resolve()
    return Rife(program, _find_model((folder or program.parent).resolve()))


def _find_program(folder: Path | None) -> str | None:
    """In `folder` or, as that may be a model's, around it; else on the PATH."""
    for place in () if folder is None else (folder, folder.resolve().parent):
        if found := shutil.which(NAME, path=str(place)):
            return found
        if (place / NAME).is_file():
            raise ModelError(f"{str(place / NAME)!r} may not be run: chmod +x {place / NAME}")
    return shutil.which(NAME)


def _find_model(folder: Path) -> Path:
    """The newest model in `folder`, which may be a model itself."""
    places = (folder, *sorted(folder.glob("*/")), *sorted(folder.glob("*/*/")))
    models = [place for place in places if any((place / name).is_file() for name in _FILES)]
    usable = [place for place in models if _MODEL in place.name]
    if usable:
        best = max(usable, key=_version)
        missing = [name for name in _FILES if not (best / name).is_file()]
        if missing:
            raise ModelError(f"the model {str(best)!r} lacks {' and '.join(missing)}; unpack it again")
        return best
    if models:
        names = ", ".join(place.name for place in models)
        raise ModelError(
            f"{str(folder)!r} holds {names}, but only a model whose folder is called {_MODEL}... can draw every "
            f"moment between two frames; {_ADVICE}"
        )
    raise ModelError(f"there is no RIFE model in {str(folder)!r}, that is {' and '.join(_FILES)}; {_ADVICE}")


def _version(model: Path) -> list[int]:
    """[4, 26] for rife-v4.26."""
    return [int(number) for number in re.findall(r"\d+", model.name)]


def _ending(code: int) -> str:
    """How a process ended: signals are negative."""
    if code > 0:
        return f"ended with code {code}"
    known = {number.value: number.name for number in signal.Signals}
    return f"crashed ({known.get(-code, f'signal {-code}')})"
