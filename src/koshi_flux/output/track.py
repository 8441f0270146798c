"""The part of a file's sound that belongs to a film: as the packets it is stored in, or as samples."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from jaxtyping import Float32

Samples: TypeAlias = Float32[np.ndarray, "channels _"]
Packets: TypeAlias = Iterator[av.Packet]  # type: ignore[type-arg]  # generic to mypy only

GAP = 0.1
"""Seconds without sound that are kept as silence; less is taken for the rounding of times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """Which sound a film gets.

    Args:
        file: a video or an audio file.
        start: seconds into it at which the film begins.
        seconds: how much of it is heard, then it is silent; None is to its end.
        speed: how fast the film shows what the file holds: 2 is twice as fast.
    """

    file: Path
    start: float = 0.0
    seconds: float | None = None
    speed: float = 1.0


class Track:
    """A sound, cut to a film that lasts `length` seconds."""

    def __init__(self, source: InputContainer, sound: Sound, length: float):
        self.stream, self.length = source.streams.audio[0], length
        self._source, self._sound = source, sound
        codec = self.stream.codec_context
        self.codec, self.rate = codec.name, codec.sample_rate
        self.channels = min(2, codec.channels)
        self.layout = "mono" if self.channels == 1 else "stereo"
        # AAC in broadcast files tells its kind in every packet, and not once as other containers want it
        self.complete = codec.extradata is not None or codec.name != "aac"
        self._base = self.stream.time_base or Fraction(1, self.rate)

    @property
    def heard_rate(self) -> int:
        """At which rate the stored samples are played, so that they are as fast as the film."""
        return round(self.rate * self._sound.speed)

    def fills(self) -> bool:
        """Whether the sound lasts as long as the film."""
        if self._sound.seconds is not None and self._sound.seconds < self.length:
            return False
        last = max(((packet.pts or 0) + (packet.duration or 0) for packet in self.packets(preroll=False)), default=0)
        return float(last * self._base) > self.length - GAP

    def packets(self, preroll: bool) -> Packets:
        """What is heard as it is stored, its times those of the film.

        Args:
            preroll: begin with the packet that ends where the film begins: the next one is decoded with its help.
        """
        start, end = round(self._sound.start / self._base), round((self._sound.start + self.length) / self._base)
        for packet in self._stored():
            begins, lasts = packet.pts or 0, packet.duration or 0
            if begins >= end:
                return
            if begins >= start or (preroll and begins + lasts >= start):
                packet.duration = min(lasts, end - begins)
                packet.pts = packet.dts = begins - start
                yield packet

    def samples(self) -> Iterator[Samples]:
        """What is heard in pieces, together as long as the film, to be played at `heard_rate`."""
        total = round(self.length * self.heard_rate)
        return exactly(self._pieces(), total, round(GAP * self.rate), self.channels)

    def _stored(self) -> Packets:
        """All packets from shortly before the film begins."""
        self._source.seek(max(0, int((self._sound.start - 1) / self._base)), stream=self.stream)
        return (packet for packet in self._source.demux(self.stream) if packet.size)

    def _pieces(self) -> Iterator[tuple[int, Samples]]:
        """(at which sample of the film it begins, sound) in order; damaged packets are left out."""
        limit = None if self._sound.seconds is None else round(self._sound.seconds * self.rate)
        mixer, place = AudioResampler(format="fltp", layout=self.layout), 0
        for frame in self._frames():
            if frame.time is not None:
                place = round((frame.time - self._sound.start) * self.rate)
            if limit is not None and place >= limit:
                return
            piece = np.concatenate([part.to_ndarray() for part in mixer.resample(frame)], axis=1)
            yield place, piece[:, : None if limit is None else limit - place]
            place += piece.shape[1]

    def _frames(self) -> Iterator[AudioFrame]:
        decoder = self.stream.codec_context
        for packet in self._stored():
            with suppress(av.error.InvalidDataError):
                yield from decoder.decode(packet)
        yield from decoder.decode(None)


def exactly(pieces: Iterable[tuple[int, Samples]], total: int, gap: int, channels: int) -> Iterator[Samples]:
    """The pieces end to end as `total` samples: what lies before 0 or after the end is cut, what lacks is silent.

    Args:
        pieces: (where it begins, samples) in order.
        gap: samples up to which a hole between two pieces is taken for a rounding error and closed.
    """
    done = 0
    for place, piece in pieces:
        if place - done > gap:
            yield from silence(min(place, total) - done, channels)
            done = min(place, total)
        heard = (piece[:, max(0, -place) :] if done == 0 else piece)[:, : total - done]
        done += heard.shape[1]
        if heard.shape[1]:
            yield heard
        if done == total:
            return
    yield from silence(total - done, channels)


def silence(samples: int, channels: int, most: int = 48_000) -> Iterator[Samples]:
    """Nothing to hear, in pieces of at most so many samples."""
    for start in range(0, samples, most):
        yield np.zeros((channels, min(most, samples - start)), np.float32)
