"""A video file as frames by number: exactly the one asked for, from anywhere, and quickly one after the other."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from jaxtyping import Int64

from koshi_flux.errors import SettingsError
from koshi_flux.input.decoded import pixel_aspect, turn_of, upright
from koshi_flux.input.picture import Levels
from koshi_flux.input.turn import Turn

ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these leave their alpha out."""
FAR = 32
"""A key frame so many frames ahead is worth a seek; frames nearer are reached by decoding on."""
TRIES = 3
"""Key frames to seek to, from the nearest one backwards, before a video is read from its beginning."""


@dataclass(frozen=True, slots=True)
class Index:
    """What a video's packets say of its frames, in the order they are shown.

    Args:
        times: in units of the stream's time base; empty where the file does not say when frames are shown.
        keys: numbers of the frames that decoding can start from, ascending.
        count: how many frames there are.
        promised: how many the header announces; 0 where it does not.
    """

    times: Int64[np.ndarray, " n"]
    keys: Int64[np.ndarray, " k"]
    count: int
    promised: int

    def number(self, time: int | None, expected: int) -> int:
        """Which frame is shown at a time; the one that was `expected` next where times say nothing."""
        if time is None or not len(self.times):
            return expected
        return int(np.searchsorted(self.times, time))


class VideoFile:
    """A video's frames by number, counted from 0 in the order they are shown, whatever their times.

    Opening it reads the file once, without decoding. Frames asked for in order are decoded in one go; others from the
    key frame before them.

    Raises:
        SettingsError: it cannot be read as a video.
    """

    still = False

    def __init__(self, path: Path, setting: str = "video"):
        self._path, self._setting = path, setting
        self._container, self._stream = open_stream(path, setting)
        self._index = read_index(path, setting)
        self._frames, self._next, self._damage = self._decoded(0), 0, ""
        self._turn: Turn | None = None
        if not self.count:
            raise SettingsError(f"{setting}: {path} holds no frame; name a whole video file")

    @property
    def count(self) -> int:
        """How many frames there are."""
        return self._index.count

    @property
    def promised(self) -> int:
        """How many frames the file's header announces; 0 where it does not."""
        return self._index.promised

    def seconds(self, index: int) -> float | None:
        """When a frame is shown, on the clock that the file's sound goes by too; None where nothing tells."""
        if len(self._index.times) and self._stream.time_base:
            return float(self._index.times[index] * self._stream.time_base)
        return float(index / self._stream.average_rate) if self._stream.average_rate else None

    def at(self, index: int) -> tuple[Levels, float]:
        """A frame upright, RGB or RGBA in 8 bits, and the width of its pixels over their height.

        Raises:
            SettingsError: the file is damaged there.
        """
        try:
            if not self._next <= index or self._key_before(index) > self._next + FAR:
                self._frames = self._starting_near(index)
            frame = self._read_on_to(index)
        except av.error.FFmpegError as error:
            raise self._broken(index, str(error.strerror)) from error
        self._turn = self._turn or turn_of(frame)
        return upright(frame, self._turn), pixel_aspect(self._stream, self._turn)

    def _read_on_to(self, index: int) -> av.VideoFrame:
        """The frame `index`, or the next that a decoder without complaints gives."""
        for number, frame in self._frames:
            self._next = number + 1
            if number == index or (number > index and not self._damage):
                return frame
            if number > index:
                break
        raise self._broken(index, self._damage or "the file ends before it")

    def _key_before(self, index: int) -> int:
        """The last frame up to `index` that decoding can start from."""
        place = int(np.searchsorted(self._index.keys, index, side="right"))
        return int(self._index.keys[place - 1]) if place else 0

    def _starting_near(self, index: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames from the key frame before `index` on, or from wherever a less exact file lets us."""
        key = self._key_before(index)
        for _ in range(TRIES):
            if key == 0:
                break
            self._container.seek(int(self._index.times[key]), stream=self._stream)
            frames = ((number, frame) for number, frame in self._decoded(key) if number >= key)
            first = next(frames, None)
            if first is not None and first[0] <= index:
                return chain((first,), frames)
            key = self._key_before(key - 1)
        self._container.close()
        self._container, self._stream = open_stream(self._path, self._setting)
        return self._decoded(0)

    def _decoded(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their numbers as the decoder gives them, from where the file stands; damaged packets skipped."""
        self._damage, number = "", first - 1
        decoder = _decoder(self._stream)
        for packet in self._container.demux(self._stream):
            try:
                frames = decoder.decode(packet) if packet.size else decoder.decode(None)
            except av.error.FFmpegError as error:
                self._damage = str(error.strerror)
                continue
            for frame in frames:
                number = self._index.number(frame.pts, number + 1)
                yield number, frame

    def _broken(self, index: int, why: str) -> SettingsError:
        until = f"set {self._setting}_end = {index - 1}, or " if index else ""
        return SettingsError(
            f"{self._setting}: frame {index} of {self._path} cannot be decoded ({why}); {until}encode the video anew. "
            "Frames of the film up to there are kept"
        )


def open_stream(path: Path, setting: str = "video") -> tuple[InputContainer, VideoStream]:
    """A video file and its pictures.

    Raises:
        SettingsError: it is missing, empty, no video, or has sound only.
    """
    if not path.exists():
        raise SettingsError(f"{setting}: there is no file {path}; name a video that is there")
    if not path.stat().st_size:
        raise SettingsError(f"{setting}: {path} is empty; name a whole video file")
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except av.error.FFmpegError as error:
        raise SettingsError(
            f"{setting}: {path} cannot be read as a video ({error.strerror}); name a whole video file, such as mp4"
        ) from error
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]  # no cover art
    if not streams:
        container.close()
        raise SettingsError(f"{setting}: {path} has no pictures, only sound; name a video file")
    streams[0].thread_type = "AUTO"
    return container, streams[0]


def read_index(path: Path, setting: str = "video") -> Index:
    """Read a video's packets, decoding nothing; a file that breaks off counts up to there."""
    container, stream = open_stream(path, setting)
    with container:
        shown, hidden = _packets(container, stream)
        promised = max(0, stream.frames - hidden)
        if not _timed([time for time, _ in shown], container.format.name, stream):
            return Index(np.empty(0, np.int64), np.empty(0, np.int64), len(shown), promised)
    times, keys = np.array([time for time, _ in shown], np.int64), np.array([key for _, key in shown], bool)
    order = np.argsort(times)
    return Index(times[order], np.flatnonzero(keys[order]), len(shown), promised)


def _packets(container: InputContainer, stream: VideoStream) -> tuple[list[tuple[int | None, bool]], int]:
    """(time, whether decoding can start there) of every frame, and how many more are in the file but not shown."""
    shown: list[tuple[int | None, bool]] = []
    hidden, cut = 0, False
    with suppress(av.error.FFmpegError):  # nothing comes after that; `promised` tells
        for packet in container.demux(stream):
            if packet.size and packet.is_discard:  # editing a file may leave frames in it
                hidden += 1
            elif packet.size:
                shown.append((packet.pts, packet.is_keyframe))
                cut = packet.is_corrupt
    return shown[:-1] if cut else shown, hidden


def _timed(times: list[int | None], container: str, stream: VideoStream) -> bool:
    """Whether packets say when their frames are shown, each at a time of its own."""
    if container == "avi" and stream.codec_context.has_b_frames:  # AVI numbers packets as they are decoded
        return False
    return None not in times and len(set(times)) == len(times)


def _decoder(stream: VideoStream) -> VideoCodecContext:
    """What decodes a stream with all that is in it."""
    name = stream.codec_context.name
    if stream.metadata.get("alpha_mode") == "1" and name in ALPHA_DECODERS:
        return cast(VideoCodecContext, VideoCodecContext.create(ALPHA_DECODERS[name], "r"))
    return stream.codec_context
