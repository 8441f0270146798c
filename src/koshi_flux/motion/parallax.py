"""Seeing a picture from elsewhere by its depth: where every pixel of the new view reads, and what it cannot show.

A camera carries (x, y, 1, depth) to H (x, y, 1) + e depth, up to scale. So what a pixel (x', y') of the new view may
show lies on a straight line in the old picture, and depth tells how far along: with (a, b, c) = H^-1 (x', y', 1) and
s = H^-1 e,

    read(depth) = start + depth * way,    start = (a, b) / c,    way = s_z * start - (s_x, s_y).

Which depth it is, is guessed by carrying the old picture's depths forward at half the size, the nearest winning, and
then looked up twice where the guess reads. The second look-up is bilinear, and the inverse distance of a plane is
linear in the picture: planes come out exactly. Where the two look-ups disagree by more than a pixel of the way, what
the pixel should show is covered in the old picture: a hole.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.errors import SettingsError
from koshi_flux.shared.transforms import Camera, Matrix, shift
from koshi_flux.shared.types import Depth, Grid, Mask

AnyDepth = Float[Tensor, "rows columns"]
"""A depth of whatever size, not yet checked."""
_Rows = Float[Tensor, "rows w"]
"""A number for every pixel of some rows."""

_FAR = 1e4
"""Where pixels read that show no part of the picture, in half frames."""
_FLAT = 1e12
"""Condition number from which a camera shows the picture edge-on, rounding aside."""
_ROUNDING = 1e-3
"""By which a depth may leave [0, 1]."""
_AHEAD = 1e-6
"""Least weight of a point before the eye."""


class _Eye(NamedTuple):
    """The way back from the new view: H^-1 and s, in pixels counted from the centre of the first.

    `passed` tells whether some of the old picture may lie behind the new eye.
    """

    back: Matrix
    way: Float[np.ndarray, "3"]
    passed: bool


def check_depth(depth: AnyDepth, height: int, width: int) -> None:
    """Refuse a depth that does not fit its picture.

    Raises:
        SettingsError: it is of another size, or somewhere not a number between 0 and 1.
    """
    if depth.shape != (height, width):
        has, wants = f"{depth.shape[1]}x{depth.shape[0]}", f"{width}x{height}"
        raise SettingsError(f"the depth is {has} pixels, its picture {wants}: give a depth as large as the film")
    if depth.device.type == "meta":
        return  # it has no values
    least, most = (bound.item() for bound in depth.aminmax())
    if not (least >= -_ROUNDING and most <= 1 + _ROUNDING):
        raise SettingsError(
            f"the depth must be numbers from 0 (far) to 1 (near), got {least:g} to {most:g}: "
            "replace what is not a number or infinite and scale it"
        )


def flattened(depth: Depth, weight: float) -> Depth:
    """Depth with less relief: `midas_weight`, the share of the estimated depth.

    The rest is the plane at its mean. Things move in proportion to their depth when a camera does, so all of the frame
    moves as fast as before on the average, and only its parts move less against each other. In Deforum the number mixed
    two estimates, of MiDaS and AdaBins; there is one estimate here, and films with 1 are as they were.

    Args:
        weight: 1 keeps the depth, 0 leaves the plane.
    """
    return depth if weight == 1 else torch.lerp(depth.mean().expand_as(depth), depth, weight)


def parallax_reads(camera: Camera, depth: Depth) -> tuple[Grid, Mask]:
    """Where every pixel of the new view reads, and where it finds nothing to show.

    Convention: `camera` carries (x, y, 1, depth), x and y in pixels. Holes are what lies outside the old frame, what
    something nearer covers there, and what would be behind the eye.
    """
    eye = _eye_of(camera, *depth.shape)
    if eye is None:
        return torch.full((*depth.shape, 2), _FAR, device=depth.device), torch.ones_like(depth, dtype=torch.bool)
    x, y, weight = (_linear(row, depth) for row in eye.back)
    away = weight <= _AHEAD if eye.passed else None
    weight.clamp_(min=_AHEAD).reciprocal_()
    start = x.mul_(weight), y.mul_(weight)
    way = [_line(-float(s), float(eye.way[2]), at) for at, s in zip(start, eye.way[:2], strict=True)]

    def along(how_far: Depth) -> tuple[Tensor, Tensor]:
        return torch.addcmul(start[0], how_far, way[0]), torch.addcmul(start[1], how_far, way[1])

    first = _look_up(depth, along(_carried(camera, depth)), "nearest")
    second = _look_up(depth, along(first), "bilinear")
    reads = [_line(1 / n - 1, 2 / n, at) for at, n in zip(along(second), reversed(depth.shape), strict=True)]
    grid = torch.view_as_real(torch.complex(*reads))  # the quickest way to interleave two planes

    length = way[0].square_().addcmul_(way[1], way[1])
    astray = first.sub_(second).square_().mul_(length)  # more than 1 where there is nothing to show
    for at in reads:
        torch.maximum(astray, at.abs_(), out=astray)
    holes = (astray <= 1 + 1e-5).logical_not_()
    if away is not None:
        away |= second * float(eye.way[2]) <= -1
        holes |= away
        grid.clip_(-_FAR, _FAR).masked_fill_(away[..., None], _FAR)
    return grid, holes


def _eye_of(camera: Camera, height: int, width: int) -> _Eye | None:
    """None where the camera sees the picture edge-on."""
    to_centre = shift(-0.5, -0.5)
    plane = to_centre @ camera[:3, :3] @ np.linalg.inv(to_centre)
    if not np.linalg.cond(plane) < _FLAT:
        return None
    back = np.linalg.inv(plane)
    way = back @ to_centre @ camera[:3, 3]
    corners = back[2] @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    return _Eye(back, way, bool(corners.min() <= _AHEAD or way[2] <= -1))


def _carried(camera: Camera, depth: Depth) -> Depth:
    """The depths that the new view's pixels see, roughly: 2x2 pixels at a time, 2 pixels too wide, 0 where unknown.

    Of two points on a ray of the new eye the one that is nearer is nearer for the old eye too, as long as the camera
    turns by less than a right angle: the old depth tells which of them is seen.
    """
    near = _nearest_of_two(_nearest_of_two(depth).T).T
    rows, columns = near.shape
    halves = np.diag([0.5, 0.5, 1.0]) @ camera[:3] @ np.diag([2, 2, 1, 1.0])
    halves[:, 2] += halves[:, :2].sum(axis=1) / 2  # the middle of 2x2 pixels
    x, y, weight = (_linear(row[:3], near).add_(near, alpha=float(row[3])) for row in halves)
    weight.clamp_(min=_AHEAD).reciprocal_()  # what lies behind the eye flies out of the frame
    for at, last in ((x, columns), (y, rows)):
        at.mul_(weight).add_(1).clamp_(0, last + 1).floor_()  # a cell more on every side, for what leaves the frame
    cell = y.mul_(columns + 2).add_(x).long()
    seen = near.new_zeros((rows + 2) * (columns + 2))
    seen.scatter_reduce_(0, cell.flatten(), near.flatten(), "amax")
    wide = _nearest_of_three(_nearest_of_three(seen.view(rows + 2, columns + 2)).T).T
    across = torch.view_as_real(torch.complex(wide, wide)).flatten(1)  # every cell twice, as above
    return torch.stack((across, across), dim=1).flatten(0, 1)[: depth.shape[0], : depth.shape[1]]


def _nearest_of_two(depth: Depth) -> _Rows:
    """Of every two rows the nearest; a last row without a neighbour stays."""
    pairs = torch.maximum(depth[:-1:2], depth[1::2])
    return pairs if len(depth) % 2 == 0 else torch.cat((pairs, depth[-1:]))


def _nearest_of_three(depth: Depth) -> _Rows:
    """Of every three adjacent rows the nearest: two rows fewer."""
    return torch.maximum(torch.maximum(depth[:-2], depth[1:-1]), depth[2:])


def _linear(row: Float[np.ndarray, "3"], like: _Rows) -> _Rows:
    """row[0] * x + row[1] * y + row[2], exact to float32, at every pixel of `like`."""
    height, width = like.shape
    x = torch.from_numpy((row[0] * np.arange(width) + row[2]).astype(np.float32)).to(like.device)
    y = torch.from_numpy((row[1] * np.arange(height)).astype(np.float32)).to(like.device)
    return x + y[:, None]


def _line(offset: float, slope: float, x: _Rows) -> _Rows:
    """offset + slope * x in one pass."""
    return torch.add(x.new_full((), offset), x, alpha=slope)


def _look_up(depth: Depth, at: tuple[Tensor, Tensor], how: str) -> _Rows:
    """Values at pixel positions counted from the centre of the first pixel; beyond the edge, the edge's."""
    if depth.device.type != "cpu":
        return _look_up_with_torch(depth, at, how)
    kernel = cv2.INTER_NEAREST if how == "nearest" else cv2.INTER_LINEAR
    x, y = (axis.numpy() for axis in at)
    return torch.from_numpy(cv2.remap(depth.numpy(), x, y, kernel, borderMode=cv2.BORDER_REPLICATE))


def _look_up_with_torch(depth: Depth, at: tuple[Tensor, Tensor], how: str) -> _Rows:
    grid = torch.stack(
        [(2 * axis + 1) / size - 1 for axis, size in zip(at, reversed(depth.shape), strict=True)], dim=-1
    )
    read = functional.grid_sample(depth[None, None], grid[None], how, padding_mode="border", align_corners=False)
    return read[0, 0]
