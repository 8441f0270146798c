"""What a decoder gave as a picture: its own colours, the right way up, in its own proportions."""

from collections.abc import Mapping
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from jaxtyping import UInt8

from koshi_flux.input.turn import UPRIGHT, Turn, turn_of_matrix

UNSPECIFIED = 2
"""The colour matrix of a video that names none (ITU-T H.273, table 4)."""
SCALER = (
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)


def upright(frame: av.VideoFrame, turn: Turn) -> UInt8[np.ndarray, "h w c"]:
    """A frame as RGB, or RGBA if it has alpha, the way up that it is to be shown.

    In 8 bits: FFmpeg's way to more is off by up to a level (white becomes 254).
    """
    form = "rgba" if any(part.is_alpha for part in frame.format.components) else "rgb24"
    pixels = frame.to_ndarray(
        format=form, interpolation=SCALER, src_colorspace=_guess(frame), dst_color_range=ColorRange.JPEG
    )
    return turn(pixels)


def pixel_aspect(stream: VideoStream, turn: Turn) -> float:
    """Width of a pixel over its height, once it is upright."""
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    return 1 / aspect if turn.swap else aspect


def turn_of(frame: av.VideoFrame) -> Turn:
    """How a video is to be held, by one of its frames.

    Ask one frame only: PyAV keeps a frame that was asked until the garbage collector comes by.
    """
    matrix = cast(Mapping[str, Buffer], frame.side_data).get("DISPLAYMATRIX")
    return UPRIGHT if matrix is None else turn_of_matrix(bytes(matrix))


def _guess(frame: av.VideoFrame) -> Colorspace | None:
    """The colour matrix of a frame that names none, as players guess it: BT.709 if larger than television was."""
    if frame.colorspace != UNSPECIFIED or frame.format.is_rgb:
        return None
    return Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601
