"""Video files through PyAV, encoded while the film is rendered."""

from pathlib import Path
from typing import cast

import av
import numpy as np
from av.codec.codec import Codec, UnknownCodecError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from koshi_flux.errors import OutputError
from koshi_flux.output.formats import FORMATS
from koshi_flux.output.sink import Film, Pixels

THREADS = 4  # fixed, because x264 writes other bytes for another number of threads
SCALER = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


class VideoEncoder:
    """Encodes frames into a video as the row of FORMATS for its suffix says.

    The same frames give the same bytes: no dates, no random ids, no library versions are written.
    """

    def __init__(self, path: Path, film: Film):
        self._format, self._fps = FORMATS[path.suffix.lower()], film.fps
        _require(self._format.encoder, path.suffix)
        self._container = av.open(str(path), "w", container_options={**self._format.container, "fflags": "+bitexact"})
        self._container.metadata.update(film.metadata)
        self._stream = self._add_stream(film)
        self._reformatter = VideoReformatter()
        self._count = 0

    def _add_stream(self, film: Film) -> VideoStream:
        kind = self._format
        options = {**kind.options, "flags": "+bitexact"}
        stream = cast(VideoStream, self._container.add_stream(kind.encoder, rate=film.fps, options=options))
        stream.thread_count, stream.pix_fmt = THREADS, kind.layout
        stream.width, stream.height = film.size
        if self._yuv:
            stream.width, stream.height = (side + side % 2 for side in film.size)  # see `even`
            codec = stream.codec_context  # says what `_converted` does, so that players undo the same
            codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
            codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return stream

    @property
    def _yuv(self) -> bool:
        """Whether colours are stored as BT.709 differences, at half size, and not as RGB."""
        return self._format.layout.startswith("yuv")

    def add(self, pixels: Pixels) -> None:
        """Encode the next frame."""
        frame = self._converted(pixels)
        frame.pts, frame.time_base = self._count, 1 / self._fps
        self._container.mux(self._stream.encode(frame))
        self._count += 1

    def _converted(self, pixels: Pixels) -> av.VideoFrame:
        """The frame in the encoder's layout."""
        if not self._yuv:
            return self._reformatter.reformat(av.VideoFrame.from_ndarray(pixels, "rgb24"), format=self._format.layout)
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(even(pixels), "rgb24"),
            format=self._format.layout,
            interpolation=SCALER,
            dst_colorspace=Colorspace.ITU709,  # the default is BT.601: players would show (0, 255, 0) as (0, 216, 0)
            dst_color_range=ColorRange.MPEG,
            dst_color_primaries=ColorPrimaries.BT709,
            dst_color_trc=ColorTrc.BT709,
        )

    def finish(self) -> None:
        """Write the frames that the encoder still holds and the index."""
        with self._container as container:
            container.mux(self._stream.encode(None))

    def abandon(self) -> None:
        """Close the file as it is."""
        self._container.close()


def even(pixels: Pixels) -> UInt8[np.ndarray, "even_h even_w 3"]:
    """The picture with its last column and row repeated where needed: colour at half size wants even sides."""
    height, width, _ = pixels.shape
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def encoders() -> dict[str, bool]:
    """The video encoders that we use, and whether this PyAV has them: for `koshi doctor`."""
    return {kind.encoder: _has(kind.encoder) for kind in FORMATS.values() if kind.encoder}


def read_metadata(path: Path) -> dict[str, str]:
    """The texts embedded in a video file, keys in lower case: `comment` is the film.toml it was made from."""
    try:
        with av.open(str(path)) as container:
            return {key.lower(): text for key, text in container.metadata.items()}
    except av.error.FFmpegError as error:
        raise OutputError(f"cannot read {str(path)!r} as a video: {error.strerror}; name a whole video file") from error


def _has(encoder: str) -> bool:
    try:
        Codec(encoder, "w")
    except UnknownCodecError:
        return False
    return True


def _require(encoder: str, suffix: str) -> None:
    """Refuse a format whose encoder this PyAV was built without."""
    if not _has(encoder):
        works = [other for other, kind in FORMATS.items() if other and (not kind.encoder or _has(kind.encoder))]
        raise OutputError(
            f"cannot write {suffix}: this PyAV has no encoder {encoder!r}. Write {', '.join(works)} or PNG files, "
            "or get PyAV with all encoders: pip install --force-reinstall --only-binary :all: av"
        )
