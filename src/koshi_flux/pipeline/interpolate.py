"""More frames between those of a finished film: it runs smoother, or slower, and no model is asked.

Frame k of n becomes frame factor * k, unchanged to the last bit; factor - 1 new ones lead from it to the next. The last
frame has no next and is held as long as it was on screen before, or leads back to the first. So there are factor * n
frames, (n - 1) * factor + 1 of them before the hold, shown factor times as fast: the film lasts as long as it did.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image as PillowImage

from koshi_flux.errors import OutputError, RunError, SettingsError
from koshi_flux.motion.flow import agreement, blend, estimate_flow, find_flows, follow
from koshi_flux.output.audio import add_sound
from koshi_flux.output.disk import check_space, replacing
from koshi_flux.output.formats import check_output, suffix_of
from koshi_flux.output.png import frame_path, read_png
from koshi_flux.output.sink import Pixels, to_pixels
from koshi_flux.output.sinks import film_metadata, open_sink
from koshi_flux.output.writer import Writer
from koshi_flux.pipeline.footage import sound_of
from koshi_flux.pipeline.place import film_path, is_run
from koshi_flux.pipeline.rife import find_rife
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import dump_film, load_film
from koshi_flux.shared.image import planar
from koshi_flux.shared.types import Image

Tween: TypeAlias = Callable[[int, Pixels, Pixels], Iterable[Pixels]]
"""Draws the new frames between frame `index` and the next, given both."""
Engine: TypeAlias = Callable[[Sequence[Path]], AbstractContextManager[Tween]]
"""Gets ready to draw between these frames, for as long as a block lasts."""

FACTORS = range(2, 9)
_SLOWEST = 100
_CUT_WIDTH = 256
"""Pixels across of the pictures in which cuts are sought: wide enough for the flow, quick at any size of film."""
_UNLIKE, _UNLIKE_IF_FOUND = 0.07, 0.5
"""Mean difference in [0, 1] above which two frames are a cut: at least the first, and the second if the flow finds all
of one frame in the other, less if it finds less. docs/interpolate.md says how these were measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolation:
    """How a film gets its new frames.

    Args:
        factor: how many frames there will be for each one, 2 to 8.
        slow: how many times as long the film will last; `factor` keeps its frames per second.
        engine: "flow" is built in; "rife" is a program that the user has.
        rife_folder: where that program lies, see `find_rife`.
        loop: whether the last frame leads back to the first; otherwise it is held.
    """

    factor: int = 2
    slow: float = 1.0
    engine: str = "flow"
    rife_folder: Path | None = None
    loop: bool = False

    def __post_init__(self) -> None:
        if self.factor not in FACTORS:
            raise SettingsError(f"factor must be a whole number from 2 to 8, got {self.factor}")
        if not 1 <= self.slow <= _SLOWEST:
            raise SettingsError(
                f"slow must lie between 1 (as long as before) and {_SLOWEST} (times as long), got {self.slow:g}"
            )
        if self.engine not in ENGINES:
            raise SettingsError(f"unknown engine {self.engine!r}: known are {', '.join(ENGINES)}")
        if self.rife_folder is not None and self.engine != "rife":
            raise SettingsError("rife_folder is for the engine 'rife': add --engine rife, or leave the folder out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolated:
    """A film that is ready to be written; see `prepare`.

    Args:
        path: where it will be.
        animation: the film it is made from.
        frames: that film's frames on disk.
        settings: how it gets its new ones.
        engine: what draws them.
    """

    path: Path
    animation: Animation
    frames: tuple[Path, ...]
    settings: Interpolation
    engine: Engine

    @property
    def count(self) -> int:
        """How many frames it will have."""
        return len(self.frames) * self.settings.factor

    @property
    def fps(self) -> float:
        """How many of them are shown in a second."""
        return self.animation.fps * self.settings.factor / self.settings.slow

    def write(self) -> Iterator[int]:
        """Write it; yields the index of each frame. A film that is no slower than it was keeps its sound.

        Left early, by Ctrl-C or an error, it leaves no file, and one of that name as it was; of PNG files those so far.
        """
        # a film file that is closed early gets its name, as that of a run can be gone on with; this one cannot
        whole = replacing(self.path) if suffix_of(self.path) else nullcontext(self.path)
        metadata = film_metadata(self.animation.title, dump_film(self.animation))
        with whole as path, open_sink(path, size=_size(self.frames[0]), fps=self.fps, metadata=metadata) as sink:

            def write(item: tuple[int, Pixels]) -> None:
                sink.write(*item)

            with Writer(write) as writer, self.engine(self._stations()) as tween:
                for index, pixels in enumerate(self._pictures(tween)):
                    writer.put((index, pixels))
                    yield index
        sound = sound_of(self.animation) if self.settings.slow == 1 else None
        if sound is not None:
            add_sound(self.path, sound)

    def _stations(self) -> list[Path]:
        """The frames, and the one that the last leads to."""
        return [*self.frames, self.frames[0 if self.settings.loop else -1]]

    def _pictures(self, tween: Tween) -> Iterator[Pixels]:
        """Every frame, old and new; two old ones are in memory at a time."""
        for index, (before, after) in enumerate(pairwise(map(read_png, self._stations()))):
            yield before
            if np.array_equal(before, after) or is_cut(before, after):
                yield from [before] * (self.settings.factor - 1)
            else:
                yield from tween(index, before, after)


def prepare(run: Path, out: Path | None, settings: Interpolation) -> Interpolated:
    """Look for all that could go wrong before the first frame is made.

    Args:
        run: a run folder, of a film that is finished or not.
        out: where the new film goes, by default beside the run's own; its suffix says of which kind.

    Raises:
        RunError: there is no film in `run`, or frames are missing or do not belong together.
        OutputError: `out` is of no known kind, in the way of something, or does not fit on the disk.
        ModelError: the engine needs something that is not there.
    """
    frames = _frames(run)
    path = out or _beside(film_path(run), settings)
    _check_free(path, run)
    film = Interpolated(
        path=path,
        animation=load_film(run / "film.toml"),
        frames=frames,
        settings=settings,
        engine=ENGINES[settings.engine](settings),
    )
    check_space(path.parent, film.count, *_size(frames[0]), suffixes=(suffix_of(path),))
    return film


def is_cut(before: Pixels, after: Pixels) -> bool:
    """Whether two frames show different scenes: the less of one the flow finds in the other, the less they may differ.

    Between such frames there is nothing; a blend of them would be a ghost of both.
    """
    a, b = (_image(_small(pixels)) for pixels in (before, after))
    forward, backward = estimate_flow(a, b), estimate_flow(b, a)
    found = float(agreement(forward, backward).float().mean())
    difference = float((follow(b, forward, kernel="bilinear")[0] - a).abs().mean())
    return difference > max(_UNLIKE, _UNLIKE_IF_FOUND * found)


def _along_flow(settings: Interpolation) -> Engine:
    def tween(index: int, before: Pixels, after: Pixels) -> Iterator[Pixels]:
        a, b = _image(before), _image(after)
        flows = find_flows(a, b)
        for moment in range(1, settings.factor):
            yield to_pixels(blend(a, b, flows, moment / settings.factor))

    return lambda frames: nullcontext(tween)


def _by_rife(settings: Interpolation) -> Engine:
    rife = find_rife(settings.rife_folder)
    return lambda frames: rife.between(frames, settings.factor)


ENGINES: dict[str, Callable[[Interpolation], Engine]] = {"flow": _along_flow, "rife": _by_rife}


def _frames(run: Path) -> tuple[Path, ...]:
    """The frames of a run folder, all of one size and without gaps."""
    if not is_run(run):
        raise RunError(f"there is no film in {str(run)!r}: name a run folder, e.g. runs/film")
    folder = run / "frames"
    indices = {int(path.stem) for path in folder.glob("*.png") if path.stem.isdigit()}
    if len(indices) < 2:
        there = (
            f"one frame in {str(folder)!r}, and nothing lies between one" if indices else f"no frame in {str(folder)!r}"
        )
        raise RunError(f"there is {there}; render more first: koshi render {run} --resume")
    missing = sorted(set(range(max(indices))) - indices)
    if missing:
        few = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise RunError(
            f"{len(missing)} of {max(indices) + 1} frames are missing in {str(folder)!r} ({few}); render them again: "
            f"koshi render {run} --resume"
        )
    paths = tuple(frame_path(folder, index) for index in sorted(indices))
    _check_sizes(paths)
    return paths


def _check_sizes(frames: Sequence[Path]) -> None:
    expected = _size(frames[0])
    for frame in frames:
        if (size := _size(frame)) != expected:
            raise RunError(
                f"frame {frame.name} is {size[0]}x{size[1]}, but {frames[0].name} is {expected[0]}x{expected[1]}; "
                "the frames of a film have one size, so this one belongs to another: delete it and render it again"
            )


def _size(frame: Path) -> tuple[int, int]:
    """Width and height as the file's first bytes tell them."""
    try:
        with PillowImage.open(frame, formats=["PNG"]) as picture:
            return picture.size
    except OSError as error:
        raise OutputError(f"cannot read {str(frame)!r}: {error}; delete it and render it again") from error


def _beside(film: Path, settings: Interpolation) -> Path:
    """film-x4.mp4 or film-x4-slow2.mp4 for film.mp4."""
    slow = "" if settings.slow == 1 else f"-slow{settings.slow:g}"
    return film.with_name(f"{film.stem}-x{settings.factor}{slow}{film.suffix}")


def _check_free(path: Path, run: Path) -> None:
    """Refuse a place where the new film would mix with other files, or replace the film that it is made from."""
    check_output(path)
    if path.resolve() == film_path(run).resolve():
        raise OutputError(f"{str(path)!r} is the film that the frames belong to; choose another name for the new one")
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(f"{str(path)!r} holds other files, and PNG files want a folder of their own: name a new one")


def _small(pixels: Pixels) -> UInt8[np.ndarray, "small_h small_w 3"]:
    height, width = pixels.shape[:2]
    if width <= _CUT_WIDTH:
        return pixels
    return cv2.resize(pixels, (_CUT_WIDTH, max(1, round(_CUT_WIDTH * height / width))), interpolation=cv2.INTER_AREA)


def _image(pixels: Pixels) -> Image:
    return planar(pixels.astype(np.float32) / 255)
