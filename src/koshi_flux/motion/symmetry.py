"""Symmetry: folds of the coordinates, so that each pixel shows one place of a small part of the moved picture.

A fold says where in the moved picture every pixel looks; sent `through` the camera's reads, it says where in the
picture before. So a film with symmetry, too, is resampled once per frame.

All symmetries are one: n mirrors through a centre cut the plane into 2n wedges, of which one is shown, and all others
are its images. Whatever then lies outside the frame is brought back by mirrors along the frame's edges, and so on until
all of it lies in the shown wedge and in the frame. So a fold uncovers nothing, and folding twice is folding once. (Of a
wedge that lies outside the frame there is nothing to show; what the frame's mirrors show stands in.)

Convention: `symmetry_angle` turns everything counter-clockwise. At 0

- "mirror" shows the left half, the mirror stands upright;
- "quad" shows the top left quarter;
- "kaleidoscope" shows the wedge of 180 / n degrees above the line from the centre to the left; n is the rounded
  `symmetry_segments`. 1 mirrors the upper half down, 2 is "quad", and less than one folds nothing.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.errors import SettingsError
from koshi_flux.shared.image import strips
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from koshi_flux.shared.types import Grid, Mask

SYMMETRIES = ("none", "mirror", "quad", "kaleidoscope")

_ROUNDS = 16
"""How often wedge and frame take turns at most: two or three times, but more for a sliver at the frame's edge."""
_STILL = 1e-2
"""Pixels by which rounding may still move a place that has arrived."""

Plane = Float[Tensor, "#h #w"]
"""A coordinate of every pixel of some rows, in pixels; single precision, as grids have."""


def fold(parameters: FrameParameters, height: int, width: int, device: torch.device | None = None) -> Grid | None:
    """The place in the moved picture that every pixel of a symmetric one shows; None where nothing is folded.

    Raises:
        SettingsError: no such symmetry.
    """
    wedge = _shown_wedge(parameters)
    if wedge is None:
        return None
    centre = width * parameters.symmetry_center_x, height * parameters.symmetry_center_y
    mirrors = list(_mirrors(*wedge))
    grid = torch.empty((height, width, 2), device=device)
    x, y = _centres(width, device)[None], _centres(height, device)[:, None]
    for rows in strips(height, width) if grid.device.type == "cpu" else [slice(None)]:
        folded_x, folded_y = _folded(x, y[rows], mirrors, centre, (height, width))
        grid[rows, :, 0], grid[rows, :, 1] = folded_x * (2 / width) - 1, folded_y * (2 / height) - 1
    return grid


def through(reads: Grid, uncovered: Mask, fold: Grid) -> tuple[Grid, Mask]:
    """What a camera reads, looked at through a fold: from folded pixels to places in the picture before the move.

    How far each pixel's read lies from the pixel itself is looked up at the folded place: bilinearly, and beyond the
    outermost pixel centres along a straight line. That is exact for every camera in the plane without perspective,
    and for a camera that stands still. A pixel is uncovered where any pixel is that it looks at.

    Args:
        reads: where every pixel of the moved picture reads.
        uncovered: where that has no source.
        fold: where every pixel of the symmetric picture looks in the moved one, within the frame.
    """
    height, width = uncovered.shape
    layers = reads.new_empty((height + 2, width + 2, 3))
    inner = layers[1:-1, 1:-1]
    torch.sub(reads[..., 0], 2 * _centres(width, reads.device) / width - 1, out=inner[..., 0])
    torch.sub(reads[..., 1], 2 * _centres(height, reads.device)[:, None] / height - 1, out=inner[..., 1])
    inner[..., 2] = uncovered
    _extend(layers[:, 1:-1])
    _extend(layers.transpose(0, 1))
    within_layers = functional.pad(
        fold * fold.new_tensor((width / (width + 2), height / (height + 2))), (0, 0, 1, 1, 1, 1)
    )
    looked_up = warp(layers.permute(2, 0, 1), within_layers, "bilinear").permute(1, 2, 0)[1:-1, 1:-1]
    return fold + looked_up[..., :2], looked_up[..., 2] > 1e-3


def _shown_wedge(p: FrameParameters) -> tuple[int, float] | None:
    """How many mirrors there are, and at which angle (degrees, counter-clockwise) the shown wedge begins."""
    match p.symmetry:
        case "none":
            return None
        case "mirror":
            return 1, 90 + p.symmetry_angle
        case "quad":
            return 2, 90 + p.symmetry_angle
        case "kaleidoscope":
            mirrors = round(p.symmetry_segments)
            return (mirrors, 180 - 180 / mirrors + p.symmetry_angle) if mirrors >= 1 else None
        case unknown:
            raise SettingsError(f"unknown symmetry {unknown!r}: known are {', '.join(SYMMETRIES)}")


def _folded(
    x: Plane, y: Plane, mirrors: list[tuple[float, float]], centre: tuple[float, float], size: tuple[int, int]
) -> tuple[Plane, Plane]:
    """Mirror places at the mirrors through the centre, and at the edges of a frame of (height, width)."""
    height, width = size
    for _ in range(_ROUNDS):
        for a, b in mirrors:
            x, y = _in_front(x, y, a, b, *centre)
        inside_x, inside_y = _into_frame(x, width), _into_frame(y, height)
        arrived = max((inside_x - x).abs().max(), (inside_y - y).abs().max()) < _STILL
        x, y = inside_x, inside_y
        if arrived:
            break
    return x.clamp(0, width), y.clamp(0, height)


def _mirrors(wedges: int, begin: float) -> Iterator[tuple[float, float]]:
    """The mirrors, in turn, that bring any point into the wedge of 180 / `wedges` degrees beginning at `begin`.

    Each by the direction (a, b), in pixels, in front of it. The first brings everything into the half turn from
    `begin` on; the next ones, through the centre at 2^k wedges from there, each leave 2^k wedges of what is left.
    """
    yield _left_of(begin)
    for k in reversed(range(math.ceil(math.log2(wedges)))):
        a, b = _left_of(begin + 180 * 2**k / wedges)
        yield -a, -b


def _left_of(degrees: float) -> tuple[float, float]:
    """The direction a quarter turn counter-clockwise from that of an angle, y down."""
    return -math.sin(math.radians(degrees)), -math.cos(math.radians(degrees))


def _in_front(x: Plane, y: Plane, a: float, b: float, centre_x: float, centre_y: float) -> tuple[Plane, Plane]:
    """Mirror what lies behind a mirror through the centre; places in front keep their position exactly."""
    behind = torch.add(x * a - (a * centre_x + b * centre_y), y, alpha=b).clamp_(max=0)
    return x.sub(behind, alpha=2 * a), y.sub(behind, alpha=2 * b)


def _into_frame(position: Plane, size: int) -> Plane:
    """Mirror at 0, and at `size`, what lies outside; places inside keep their position exactly."""
    beyond_0 = position.abs()
    return torch.minimum(beyond_0, 2 * size - beyond_0)


def _centres(size: int, device: torch.device | None) -> Float[Tensor, " size"]:
    return torch.arange(size, device=device, dtype=torch.float32) + 0.5


def _extend(layers: Float[Tensor, "rows columns 3"]) -> None:
    """Fill in the first and the last row along a straight line; the last layer, a mask, is repeated."""
    count = layers.shape[0] - 2
    for edge, nearest, next_to_it in ((0, 1, min(2, count)), (-1, -2, -min(3, count + 1))):
        layers[edge] = 2 * layers[nearest] - layers[next_to_it]
        layers[edge, :, 2] = layers[nearest, :, 2]
