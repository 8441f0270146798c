"""Optical flow: where every pixel of one picture went in the next, and pictures moved or blended along it.

Convention: a flow holds, for every pixel, how far (x, y) its content moves, in pixels, y down. The flow from a picture
to an earlier one ("backward") says where each pixel came from, which is what a picture is moved along.

OpenCV finds the flow on the CPU from 8-bit brightness, wherever the pictures are; what it finds lies where they lie.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.shared.color import luma
from koshi_flux.shared.resample import warp
from koshi_flux.shared.transforms import holes
from koshi_flux.shared.types import Grid, Image, Mask

Flow: TypeAlias = Float[Tensor, "h w 2"]
"""How far the content of every pixel moves, (x, y) in pixels."""
Field: TypeAlias = Float[Tensor, "h w c"]
"""Some numbers for every pixel."""
FlowMethod: TypeAlias = Callable[[Image, Image], Flow]
Gray: TypeAlias = UInt8[np.ndarray, "h w"]
Vectors: TypeAlias = Float32[np.ndarray, "h w 2"]

_SMALLEST = 32
"""Pixels of a side up to which pictures are padded for OpenCV, whose coarse-to-fine search needs some."""
_ROUNDS = 4
"""Of the search for where a pixel came from. The error shrinks each time by how much neighbours' motions differ."""
_FOUND = 0.5
"""Pixels by which that search may miss before a pixel counts as having come from nowhere."""
_DOUBTFUL, _ABSENT = 1e-3, 1e-6
"""Weight of a picture in a blend where only it shows something, and where it does not even show that."""


@dataclass(frozen=True, slots=True)
class Flows:
    """How things move between two pictures, both ways.

    Args:
        forward: from the earlier picture to the later; where there is nothing to go by, as around there.
        backward: from the later one to the earlier: the flow to move a picture along.
        stays: pixels of the earlier picture that the later one shows too.
        known: pixels of the later picture that the earlier one showed too; the others came into sight.
    """

    forward: Flow
    backward: Flow
    stays: Mask
    known: Mask


@dataclass(frozen=True, slots=True)
class Meeting:
    """How two pictures make one between them.

    Args:
        before: what each pixel reads in the earlier picture, relative to its own place.
        after: the same for the later picture.
        share: of the later picture, in [0, 1].
    """

    before: Flow
    after: Flow
    share: Float[Tensor, "h w"]


def estimate_flow(before: Image, after: Float[Tensor, "3 _ _"], method: str = "dis") -> Flow:
    """Where the content of each pixel of `before` is in `after`.

    Args:
        method: "dis", "dis-fine" (slower, for fine detail), "farneback" or "raft" (needs torchvision).
    """
    check_flow_method(method)
    if before.shape != after.shape:
        sizes = " and ".join(f"{picture.shape[2]} x {picture.shape[1]}" for picture in (before, after))
        raise SettingsError(f"flow is found between pictures of one size, these are {sizes}")
    return FLOW_METHODS[method](before, after)


def check_flow_method(method: str) -> None:
    """Refuse a method of finding flow that is unknown or not installed; quick, to be asked before a film begins."""
    if method not in FLOW_METHODS:
        raise SettingsError(f"unknown flow method {method!r}: known are {', '.join(FLOW_METHODS)}")
    if method == "raft" and find_spec("torchvision") is None:
        raise ModelError("flow method 'raft' needs torchvision: pip install torchvision, or choose 'dis'")


def gray(image: Image) -> Gray:
    """Brightness in 256 levels, on the CPU: what OpenCV looks for motion in."""
    return (luma(image.cpu()).numpy() * 255).clip(0, 255).round().astype(np.uint8)


def grid_from_flow(flow: Flow) -> Grid:
    """Where every pixel reads, for a picture moved along a backward flow."""
    return _grid(*_reads(flow))


def follow(image: Image, backward: Flow, kernel: str = "spline", border: str = "replicate") -> tuple[Image, Mask]:
    """Move a picture along a flow, given from the new picture back to the old one.

    Returns:
        The moved picture, and the mask of its pixels that came from outside the frame (the border stands in).
    """
    grid = grid_from_flow(backward)
    return warp(image, grid, kernel, border), holes(grid)


def bend(grid: Grid, backward: Flow) -> Grid:
    """Where every pixel reads, for a picture moved by a camera (its grid) and then along a flow: still one resample.

    A flow that reads outside the frame reads as far outside the picture, beside what the camera shows at the edge.
    """
    x, y = _reads(backward)
    height, width = backward.shape[:2]
    nearest_x, nearest_y = x.clamp(0.5, width - 0.5), y.clamp(0.5, height - 0.5)
    beyond = torch.stack(((x - nearest_x) * (2 / width), (y - nearest_y) * (2 / height)), dim=-1)
    return _at(grid, nearest_x, nearest_y) + beyond


def agreement(forward: Flow, backward: Flow) -> Mask:
    """Pixels of the first picture that the second one shows too: there and back again leads to where one began.

    Formula: |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, with b read where f leads (Sundaram, Brox and Keutzer 2010).
    """
    x, y = _reads(forward)
    height, width = forward.shape[:2]
    back = _at(backward, x, y)
    inside = (x > 0) & (x < width) & (y > 0) & (y < height)
    return inside & (_square(forward + back) < 0.01 * (_square(forward) + _square(back)) + 0.5)


def find_flows(before: Image, after: Image, method: str = "dis") -> Flows:
    """The flows between two pictures both ways, checked against each other."""
    forward, backward = estimate_flow(before, after, method), estimate_flow(after, before, method)
    stays, known = agreement(forward, backward), agreement(backward, forward)
    return Flows(_filled(forward, stays), _filled(backward, known), stays, known)


def between(before: Image, after: Image, share: float, method: str = "dis", factor: float = 1.0) -> Image:
    """The picture at `share` of the way from one to the next: both move to where things are then, and are blended.

    What only one of them shows comes from that one alone. Each is resampled once.

    Args:
        share: 0 gives `before` itself, 1 gives `after`.
        factor: of the motion; 0 is a plain cross-fade.
    """
    return blend(before, after, find_flows(before, after, method), share, factor)


def blend(before: Image, after: Image, flows: Flows, share: float, factor: float = 1.0) -> Image:
    """As `between`, where the flows are known already: several pictures between the same two share them."""
    if share in (0, 1):
        return after if share else before
    met = meeting(flows, share, factor)
    return torch.lerp(follow(before, met.before)[0], follow(after, met.after)[0], met.share)


def meeting(flows: Flows, share: float, factor: float = 1.0) -> Meeting:
    """Where a picture between two reads in each, and how much it shows of each.

    Args:
        share: how far on the way it is, 0 < share < 1.
        factor: of the motion.
    """
    come, come_weight = _arrived(share * factor * flows.forward, flows.stays)
    back, back_weight = _arrived((1 - share) * factor * flows.backward, flows.known)
    following = min(1.0, abs(factor))  # where nothing follows its motion, nothing is covered by what does
    here, there = (1 - share) * (1 + following * (come_weight - 1)), share * (1 + following * (back_weight - 1))
    return Meeting(come, back, there / (here + there))


def _arrived(flow: Flow, seen: Mask) -> tuple[Flow, Float[Tensor, "h w"]]:
    """Where each pixel reads in a picture whose pixels have gone along `flow`, and how far that can be relied on.

    A pixel that reads `back` off its place shows what has gone there if flow(place + back) = -back; the search for
    that repeats it. Where nothing has gone the search misses.

    Args:
        seen: pixels that the other picture shows too; the others are covered sooner or later.
    """
    back = -flow
    for _ in range(_ROUNDS):
        back = -_at(flow, *_reads(back))
    x, y = _reads(back)
    height, width = seen.shape
    missed = _square(back + _at(flow, x, y)).sqrt() > _FOUND
    missed |= (x < 0) | (x > width) | (y < 0) | (y > height)
    sure = _at(seen[..., None].float(), x, y)[..., 0]
    return back, torch.where(missed, _ABSENT, sure.clamp(min=_DOUBTFUL))


def _filled(flow: Flow, reliable: Mask) -> Flow:
    """The flow, with that of the surroundings where it is not reliable, e.g. for what leaves the frame."""
    values = _spread(flow.cpu().numpy(), reliable.cpu().numpy().astype(np.float32))
    return torch.from_numpy(values).to(flow.device)


def _spread(values: Vectors, weight: Float32[np.ndarray, "h w"]) -> Vectors:
    """Fill what has no weight from a picture of half the size, itself filled that way."""
    height, width = weight.shape
    if weight.all():
        return values
    if height == width == 1:
        return np.zeros_like(values)
    half = (width + 1) // 2, (height + 1) // 2
    small = cv2.resize(np.dstack((values * weight[..., None], weight)), half, interpolation=cv2.INTER_AREA)
    some = small[..., 2] > 0
    means = small[..., :2] / np.where(some, small[..., 2], 1)[..., None]
    around = cv2.resize(_spread(means, some.astype(np.float32)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(weight[..., None] > 0, values, around)


def _reads(flow: Flow) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Where the arrows of a flow end: x and y in pixels, the frame spans [0, w] x [0, h]."""
    height, width = flow.shape[:2]
    x, y = (torch.arange(size, device=flow.device) + 0.5 for size in (width, height))
    return flow[..., 0] + x, flow[..., 1] + y[:, None]


def _grid(x: Float[Tensor, "h w"], y: Float[Tensor, "h w"]) -> Grid:
    height, width = x.shape
    return torch.stack((x * (2 / width) - 1, y * (2 / height) - 1), dim=-1)


def _at(field: Field, x: Float[Tensor, "h w"], y: Float[Tensor, "h w"]) -> Field:
    """Bilinear values of a field at places in pixels; beyond the frame those of its edge."""
    look_up = _at_with_opencv if field.device.type == "cpu" else _at_with_torch
    return look_up(field, x, y)


def _at_with_opencv(field: Field, x: Float[Tensor, "h w"], y: Float[Tensor, "h w"]) -> Field:
    """One number at a time: of two together OpenCV 5 rounds the places to 1/32 pixel."""
    places = (x - 0.5).numpy(), (y - 0.5).numpy()
    look_up = partial(cv2.remap, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    planes = (field[..., k].contiguous().numpy() for k in range(field.shape[2]))
    return torch.from_numpy(np.dstack([look_up(plane, *places) for plane in planes]))


def _at_with_torch(field: Field, x: Float[Tensor, "h w"], y: Float[Tensor, "h w"]) -> Field:
    planes = field.permute(2, 0, 1)[None]
    read = functional.grid_sample(planes, _grid(x, y)[None], padding_mode="border", align_corners=False)
    return read[0].permute(1, 2, 0)


def _square(flow: Flow) -> Float[Tensor, "h w"]:
    return flow[..., 0] ** 2 + flow[..., 1] ** 2


def _with_opencv(search: Callable[[Gray, Gray], Vectors], before: Image, after: Image) -> Flow:
    height, width = before.shape[1:]
    missing = [(0, max(0, _SMALLEST - size)) for size in (height, width)]
    grays = (np.pad(gray(picture), missing, mode="edge") for picture in (before, after))
    flow = search(*grays)[:height, :width]
    return torch.from_numpy(np.ascontiguousarray(flow)).to(before.device)


def _dis(before: Gray, after: Gray) -> Vectors:
    """Dense inverse search (Kroeger et al. 2016), preset medium: in a turn half the error of preset fast."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)


def _dis_fine(before: Gray, after: Gray) -> Vectors:
    """Deforum's "DIS Fine": the search goes down to single pixels."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setGradientDescentIterations(192)
    search.setFinestScale(0)
    search.setPatchSize(8)
    search.setPatchStride(4)
    return search.calc(before, after, None)


def _farneback(before: Gray, after: Gray) -> Vectors:
    """Polynomial expansion (Farneback 2003), with Deforum's numbers."""
    return cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 5, 21, 5, 7, 1.2, 0)


def _raft(before: Image, after: Image, network: Callable[[Tensor, Tensor], list[Tensor]] | None = None) -> Flow:
    """Recurrent all-pairs transforms (Teed and Deng 2020), on the pictures' own device.

    Args:
        network: takes pictures (1, 3, h, w) in [-1, 1], sides multiples of 8 and at least 128; the last of what it
            gives is the flow (1, 2, h, w). None is torchvision's.
    """
    network = network or _raft_network(before.device)
    height, width = before.shape[1:]
    bottom, right = (max(128, -(-size // 8) * 8) - size for size in (height, width))
    padded = (functional.pad(image[None] * 2 - 1, (0, right, 0, bottom), mode="replicate") for image in (before, after))
    with torch.inference_mode():
        flow = network(*padded)[-1]
    return flow[0, :, :height, :width].permute(1, 2, 0).clone()


@cache
def _raft_network(device: torch.device) -> Callable[[Tensor, Tensor], list[Tensor]]:
    raft = importlib.import_module("torchvision.models.optical_flow")
    try:
        network = raft.raft_large(weights=raft.Raft_Large_Weights.DEFAULT)
    except OSError as unreachable:
        raise ModelError(f"RAFT's weights cannot be fetched ({unreachable}): choose flow method 'dis'") from unreachable
    loaded: Callable[[Tensor, Tensor], list[Tensor]] = network.eval().to(device)
    return loaded


FLOW_METHODS: dict[str, FlowMethod] = {
    "dis": partial(_with_opencv, _dis),
    "dis-fine": partial(_with_opencv, _dis_fine),
    "farneback": partial(_with_opencv, _farneback),
    "raft": _raft,
}
