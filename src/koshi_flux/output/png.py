"""A folder of numbered PNG files: lossless, each whole as soon as it has its name, readable again for resuming."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from koshi_flux.errors import OutputError
from koshi_flux.output.disk import make_folder, replacing
from koshi_flux.output.sink import Film, FrameSink, Pixels

# Measured in docs/output.md: as fast as OpenCV's default and 5 to 13 percent smaller.
PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
)


def frame_path(folder: Path, index: int) -> Path:
    """Where frame `index` lies: 000000.png, 000001.png, ..."""
    return folder / f"{index:06d}.png"


class PngFolder(FrameSink):
    """Writes each frame to its own file. The files hold no metadata: equal pixels are equal bytes."""

    def __init__(self, folder: Path, film: Film):
        make_folder(folder)
        self._folder, self._film = folder, film

    def write(self, index: int, pixels: Pixels) -> None:
        """Add a frame; its file appears whole or not at all."""
        self._film.check(index, pixels)
        with replacing(frame_path(self._folder, index)) as partial:
            partial.write_bytes(encode_png(pixels))

    def close(self) -> None:
        """Nothing is left to do: every file is finished."""


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file in memory."""
    # not cv2.imwrite, which does not tell a full disk from success
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), PNG_OPTIONS)[1].tobytes()


def read_png(path: Path) -> Pixels:
    """A frame written before, exactly as it was."""
    try:
        # not cv2.imread, which returns the readable part of a broken file
        with PillowImage.open(path, formats=["PNG"]) as picture:
            return np.array(picture.convert("RGB"))
    except FileNotFoundError as error:
        raise OutputError(f"frame {path.name!r} is missing in {str(path.parent)!r}; render it again") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for broken files
        raise OutputError(f"cannot read {str(path)!r}: {error}; delete it and render it again") from error
