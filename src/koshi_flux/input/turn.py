"""Which way up a picture is: cameras store what the sensor saw and note beside it how to hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import unpack

import numpy as np
from jaxtyping import Shaped


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored pixels become the picture: first rows and columns change places, then it is mirrored.

    Args:
        swap: rows become columns.
        mirror: left and right change places, after that.
        flip: top and bottom change places, after that.
    """

    swap: bool = False
    mirror: bool = False
    flip: bool = False

    def __call__(self, pixels: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h2 w2 c"]:
        """The picture the right way up, on the same memory."""
        turned = pixels.swapaxes(0, 1) if self.swap else pixels
        return turned[:: -1 if self.flip else 1, :: -1 if self.mirror else 1]


UPRIGHT = Turn()

EXIF_TAG = 0x0112
EXIF: Mapping[int, Turn] = {
    1: UPRIGHT,
    2: Turn(mirror=True),
    3: Turn(mirror=True, flip=True),
    4: Turn(flip=True),
    5: Turn(swap=True),
    6: Turn(swap=True, mirror=True),
    7: Turn(swap=True, mirror=True, flip=True),
    8: Turn(swap=True, flip=True),
}
"""By the orientation that a picture file notes (JEITA CP-3451, tag 0112)."""


def turn_of_matrix(matrix: bytes) -> Turn:
    """By the display matrix of a video: nine numbers a b u, c d v, x y w (ISO/IEC 14496-12, 8.3.2.3).

    A stored pixel (x, y) is shown at (a x + c y, b x + d y). Angles between quarter turns are rounded to the next one.
    """
    a, b, _, c, d, *_ = unpack("=9i", matrix)
    swap = abs(b) > abs(a)
    return Turn(swap, mirror=(c if swap else a) < 0, flip=(b if swap else d) < 0)
