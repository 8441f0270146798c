from struct import pack

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from koshi_flux.input.turn import EXIF, UPRIGHT, Turn, turn_of_matrix

STORED = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)  # 0 1 2 / 3 4 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_are_those_that_pillow_knows(orientation):
    picture = PillowImage.fromarray(STORED[..., 0])
    picture.getexif()[0x0112] = orientation
    assert (EXIF[orientation](STORED)[..., 0] == np.array(ImageOps.exif_transpose(picture))).all()


def test_swapping_comes_before_mirroring():
    assert Turn(swap=True, mirror=True)(STORED)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]  # a quarter turn clockwise


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), UPRIGHT),
        ((0, 1, -1, 0), Turn(swap=True, mirror=True)),  # x' = -y, y' = x: what was left is on top
        ((0, -1, 1, 0), Turn(swap=True, flip=True)),
        ((-1, 0, 0, -1), Turn(mirror=True, flip=True)),
        ((-1, 0, 0, 1), Turn(mirror=True)),
        ((0, 1, 1, 0), Turn(swap=True)),
        ((0.99, -0.1, 0.1, 0.99), UPRIGHT),  # a horizon that was not level
    ],
)
def test_display_matrices(matrix, turn):
    a, b, c, d = (round(value * 65536) for value in matrix)
    assert turn_of_matrix(pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)) == turn
