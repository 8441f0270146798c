"""Videos whose pictures tell their own number: frame n is grey, n * LEVEL bright."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from torch import Tensor

LEVEL = 4


def numbered(count: int, size: tuple[int, int] = (64, 48), channels: int = 3) -> list[np.ndarray]:
    return [np.full((size[1], size[0], channels), n * LEVEL, np.uint8) for n in range(count)]


def number(image: Tensor) -> int:
    """Which frame a picture is of."""
    assert float(image.max() - image.min()) < 2 / 255
    return round(float(image.mean()) * 255 / LEVEL)


def video(
    path: Path,
    frames: int | Sequence[np.ndarray],
    codec: str = "libx264",
    layout: str = "yuv420p",
    times: Sequence[int] | None = None,
    **wishes: Any,
) -> Path:
    """Encode so many numbered frames, or the frames given; `times` are in 1/24 s.

    Wishes: options (the encoder's), display (what set_display_rotation takes), colour (matrix, range), aspect.
    """
    pictures = numbered(frames) if isinstance(frames, int) else frames
    height, width, channels = pictures[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=wishes.get("options", {}))
        stream.width, stream.height, stream.pix_fmt = width, height, layout
        if "display" in wishes:
            stream.set_display_rotation(*wishes["display"])
        if "aspect" in wishes:
            stream.codec_context.sample_aspect_ratio = wishes["aspect"]
        matrix, reach = wishes.get("colour", (None, None))
        if matrix is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, reach
        for place, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, {3: "rgb24", 4: "rgba"}[channels])
            frame = frame.reformat(format=layout, dst_colorspace=matrix, dst_color_range=reach)
            frame.pts, frame.time_base = times[place] if times else place, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
