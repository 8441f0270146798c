"""Footage: a video, a picture or a folder of pictures that a film follows, frame by frame."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from koshi_flux.errors import SettingsError
from koshi_flux.input.fit import Fit
from koshi_flux.input.picture import Alpha, Levels, fitted_rgba
from koshi_flux.input.stills import stills_at
from koshi_flux.input.video_file import VideoFile
from koshi_flux.shared.image import Image

Short: TypeAlias = Literal["hold", "loop"]
"""What a film shows when its video ends: the last frame, or the video again."""

_KEPT = 4
"""Pictures kept: a frame and the one before it are asked for again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Which frames of a video a film follows, and how they fill its own.

    Convention: frame f of the film shows frame start + step * f of the video. A video's frames are counted from 0 in
    the order they are shown, whatever their times.

    Args:
        start: the first frame.
        end: the last frame; -1 is the video's own last.
        step: every how many-th.
        fit: how a picture of another shape fills the film's.
        short: what follows when the video is shorter than the film.
        setting: which setting named the video; messages begin with it.
    """

    start: int = 0
    end: int = -1
    step: int = 1
    fit: Fit = "cover"
    short: Short = "hold"
    setting: str = "video"

    def __post_init__(self) -> None:
        if self.start < 0:
            raise SettingsError(f"{self.setting}_start must be 0 or more, got {self.start}")
        if self.end != -1 and self.end < self.start:
            raise SettingsError(
                f"{self.setting}_end must be -1 (to the video's end) or at least {self.setting}_start = {self.start}, "
                f"got {self.end}"
            )
        if self.step < 1:
            raise SettingsError(f"{self.setting}_step must be 1 or more, got {self.step}")

    def frames_of(self, total: int, path: Path) -> range:
        """The numbers of the frames that are followed, of a video of `total`."""
        if self.start >= total:
            raise SettingsError(
                f"{self.setting}_start = {self.start} lies beyond the end of {path}, whose last frame is {total - 1}; "
                "set a smaller one"
            )
        return range(self.start, total if self.end == -1 else min(total, self.end + 1), self.step)


@runtime_checkable
class Reel(Protocol):
    """Frames by number, as they are stored."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def promised(self) -> int:
        """How many there should be, as far as the file says so; else 0."""
        ...

    @property
    def still(self) -> bool:
        """Whether it is a single picture that stands for any number of frames."""
        ...

    def at(self, index: int) -> tuple[Levels, float]:
        """A frame upright, and the width of its pixels over their height."""
        ...

    def seconds(self, index: int) -> float | None:
        """When a frame is shown; None where nothing tells."""
        ...


class GuideVideo:
    """Footage from a file, at the film's size.

    Pictures are shared: whoever changes one changes it for the next who asks.
    """

    def __init__(self, reel: Reel, path: Path, size: tuple[int, int], take: Take):
        self._reel, self._path, self._size, self._take = reel, path, size, take
        self._frames = take.frames_of(reel.count, path)
        self._shown = lru_cache(maxsize=_KEPT)(self._read)

    @property
    def count(self) -> int:
        """How many frames of a film the video fills before it ends."""
        return len(self._frames)

    def source(self, frame: int) -> int:
        """Which frame of the video a frame of the film follows."""
        return self._frames[frame % self.count if self._take.short == "loop" else min(frame, self.count - 1)]

    def picture(self, frame: int) -> Image:
        """What the video shows at a frame of the film: float32 on the CPU, at the film's size.

        Raises:
            SettingsError: the file is damaged there.
        """
        return self._shown(self.source(frame))[0]

    def alpha(self, frame: int) -> Alpha | None:
        """How opaque that is; None for a video without alpha. What `contain` leaves bare is not opaque."""
        return self._shown(self.source(frame))[1]

    def _read(self, index: int) -> tuple[Image, Alpha | None]:
        levels, aspect = self._reel.at(index)
        return fitted_rgba(levels, self._size, self._take.fit, aspect)

    def shortage(self, frames: int) -> str | None:
        """What to tell about a video that ends before a film of so many frames; None if it does not."""
        if frames <= self.count or self._reel.still:
            return None
        then = (
            f"it starts over every {self.count} frames"
            if self._take.short == "loop"
            else f"its last one is held from frame {self.count} on"
        )
        torn = f" (the file breaks off: it should have {self._reel.promised})" if self._torn else ""
        counted = f"{self.count} frame{'s' * (self.count != 1)}"
        return f"{self._take.setting}: {self._path.name} gives {counted}{torn}, the film has {frames}: {then}"

    @property
    def _torn(self) -> bool:
        return self._reel.promised > self._reel.count

    @property
    def starts_at(self) -> float:
        """Seconds into the file at which the film begins: its sound begins there too."""
        return self._reel.seconds(self._frames[0]) or 0.0

    @property
    def lasts(self) -> float | None:
        """Seconds of the file that the film follows; None where nothing tells."""
        first, last = (self._reel.seconds(self._frames[place]) for place in (0, -1))
        if first is None or last is None:
            return None
        gap = (last - first) / (self.count - 1) if self.count > 1 else 0.0
        return last - first + gap

    def speed(self, fps: float) -> float:
        """How fast a film of `fps` frames per second shows the video: 2 is twice as fast as it was; 1 if unknown."""
        return self.lasts * fps / self.count if self.lasts else 1.0


def open_video(path: Path, size: tuple[int, int], take: Take | None = None) -> GuideVideo:
    """Open footage for a film: any file that FFmpeg reads, a picture, or a folder of numbered pictures.

    Args:
        path: a file, or a folder whose pictures are taken in the order of the numbers in their names.
        size: (width, height) of the film.
        take: which of its frames, and how; by default all of them, filling the film's.

    Raises:
        SettingsError: it cannot be read, or ends before its first frame.
    """
    take = take or Take()
    return GuideVideo(_reel(path, take.setting), path, size, take)


def check_video(path: Path, take: Take | None = None) -> None:
    """Before a film is begun: can its video be read, and its first picture be decoded?

    Raises:
        SettingsError: it cannot; the message names the setting and the file and says what to do.
    """
    open_video(path, (16, 16), take).picture(0)


def _reel(path: Path, setting: str) -> Reel:
    return stills_at(path, setting) or VideoFile(path, setting)
