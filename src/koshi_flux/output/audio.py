"""The sound of another file for a finished film; its pictures are copied as they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from koshi_flux.errors import OutputError
from koshi_flux.output.disk import replacing
from koshi_flux.output.formats import FORMATS, suffix_of
from koshi_flux.output.track import Packets, Sound, Track

TOLERANCE = 0.01
"""By how much a film may be faster or slower than its sound and still get it: so little is not heard in the pitch."""
EXACT = 1e-4
"""Speeds as close to 1 as this are left alone: 6 milliseconds in a minute."""
TEXTS = ("title", "comment", "description")


@dataclass(frozen=True, slots=True)
class Voice:
    """How one kind of film holds sound.

    Args:
        encoder: for sound that is not copied.
        copies: codecs that are copied; lossless ones lose nothing by the encoder and are cut to the sample by it.
        preroll: whether sound may begin before the film, unheard.
        bits: per second; 0 for lossless encoders.
    """

    encoder: str
    copies: frozenset[str]
    preroll: bool = True
    bits: int = 0


VOICES = {
    ".mp4": Voice("aac", frozenset(("aac",)), bits=192_000),
    ".mov": Voice("pcm_s24le", frozenset(("aac",))),  # what editors expect beside ProRes
    ".mkv": Voice("pcm_s24le", frozenset(("aac", "opus", "mp3")), preroll=False),
    ".webm": Voice("libopus", frozenset(("opus", "vorbis")), preroll=False, bits=160_000),
}


def check_sound(film: Path, sound: Sound) -> str | None:
    """Before a film is begun: why it will have no sound, in words; None if it will.

    Raises:
        OutputError: the file cannot be read.
    """
    if suffix_of(film) not in VOICES:
        kind = film.suffix or "a folder of PNG files"
        return f"{film.name} gets no sound: {', '.join(VOICES)} hold sound, {kind} does not"
    if abs(sound.speed - 1) > TOLERANCE:
        return (
            f"{film.name} gets no sound: it shows {sound.file.name} at {sound.speed:.3g} times its speed; "
            "choose an fps at which both last equally long"
        )
    if sound.file.is_dir():
        return f"{film.name} gets no sound: {sound.file.name} is a folder"
    with _opened(sound.file) as container:
        return None if container.streams.audio else f"{film.name} gets no sound: {sound.file.name} has none"


def add_sound(film: Path, sound: Sound) -> str | None:
    """Give a finished film sound, exactly as long as the film is; sound that it had goes.

    Returns:
        Why it gets none, in words; None if it has it now.

    Raises:
        OutputError: the sound cannot be read, or the disk is full. The film is as it was then.
    """
    refused = check_sound(film, sound)
    if refused is not None:
        return refused
    suffix = suffix_of(film)
    options = {**FORMATS[suffix].container, "fflags": "+bitexact"}
    with replacing(film) as partial, _opened(film) as pictures, _opened(sound.file) as source, _readable(sound.file):
        track = Track(source, sound, _length(pictures))
        with av.open(str(partial), "w", container_options=options) as target:
            texts = {key.lower(): text for key, text in pictures.metadata.items()}
            target.metadata.update({key: text for key, text in texts.items() if key in TEXTS})
            shown = _copied(pictures.demux(pictures.streams.video[0]), target, pictures.streams.video[0])
            heard = _heard(track, target, VOICES[suffix], abs(sound.speed - 1) <= EXACT)
            for packet in merge(shown, heard, key=_time):
                target.mux_one(packet)
    return None


def _heard(track: Track, target: OutputContainer, voice: Voice, at_its_speed: bool) -> Packets:
    """A track in a stream of the film: copied if nothing about it has to change, else encoded."""
    if at_its_speed and track.codec in voice.copies and track.complete and track.fills():
        return _copied(track.packets(voice.preroll), target, track.stream)
    return _encoded(track, target, voice)


def _copied(packets: Packets, target: OutputContainer, template: Stream) -> Packets:
    """Packets as they are, in a stream of their kind."""
    stream = target.add_stream_from_template(template)

    def moved() -> Packets:
        for packet in packets:
            if packet.size:
                packet.stream = stream
                yield packet

    return moved()


def _encoded(track: Track, target: OutputContainer, voice: Voice) -> Packets:
    """A track in a stream of the kind that the film holds."""
    rates = Codec(voice.encoder, "w").audio_rates
    rate = track.rate if rates is None or track.rate in rates else 48_000
    options = {"flags": "+bitexact"}
    stream = cast(AudioStream, target.add_stream(voice.encoder, rate=rate, layout=track.layout, options=options))
    if voice.bits:
        stream.codec_context.bit_rate = voice.bits

    def spoken() -> Packets:
        done = 0
        for samples in track.samples():
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", track.layout)
            frame.sample_rate, frame.pts, frame.time_base = track.heard_rate, done, Fraction(1, track.heard_rate)
            done += samples.shape[1]
            yield from stream.encode(frame)
        yield from stream.encode(None)

    return spoken()


def _length(film: InputContainer) -> float:
    """Seconds that the pictures of a film last."""
    stream = film.streams.video[0]
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (film.duration or 0) / av.time_base


def _time(packet: av.Packet) -> float:  # type: ignore[type-arg]
    """When a packet is to be written, in seconds."""
    return float((packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    with _readable(path), av.open(str(path), metadata_errors="ignore") as container:
        yield container


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say which file could not be read, and what to do."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, av.error.InvalidDataError, av.error.EOFError) as error:
        raise OutputError(
            f"cannot read the sound of {path} ({error.strerror}); name a whole video or audio file"
        ) from error
