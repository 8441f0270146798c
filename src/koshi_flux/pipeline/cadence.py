"""In-betweens: the frames that a cadence does not draw."""

from collections.abc import Iterator, Sequence

import torch

from koshi_flux.modes.moving import carried, carried_back
from koshi_flux.modes.scene import Scene, Start
from koshi_flux.motion.flow import Flow, bend, find_flows, follow, meeting
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.resample import warp
from koshi_flux.shared.types import Frame, Image


def in_betweens(
    scene: Scene, before: Frame, after: Frame, path: Sequence[FrameParameters], flow: str = "none"
) -> Iterator[Frame]:
    """The frames between two drawn ones, along `path` (the parameters after `before`, up to those of `after`).

    Each resamples both drawn pictures once, by the camera accumulated from them, and fades evenly from one to the
    other; what only one of them shows comes from that one alone.

    Args:
        flow: how the two are aligned before they fade ("dis", ...): then what the model drew in other places meets
            half-way in place of shining through. "none" only fades.
    """
    for step in range(1, len(path)):
        p = path[step - 1]
        come, back = carried(scene, before, path[:step]), carried_back(scene, after, path[step:], p)
        come_picture, back_picture, share = come.picture, back.picture, torch.tensor(step / len(path)).to(after.image)
        if flow != "none":
            met = meeting(find_flows(come.picture, back.picture, flow), step / len(path), p.cadence_flow_factor)
            come_picture, back_picture = _bent(before, come, met.before, p), _bent(after, back, met.after, p)
            share = met.share
        picture = torch.lerp(come_picture, back_picture, share)
        picture = torch.where(come.uncovered & ~back.uncovered, back_picture, picture)
        picture = torch.where(back.uncovered & ~come.uncovered, come_picture, picture)
        yield Frame(picture.clamp(0, 1), p, drawn=False)


def _bent(frame: Frame, start: Start, flow: Flow, p: FrameParameters) -> Image:
    """A frame's picture where its camera stands, moved along a flow there; still one resample."""
    if start.reads is None:
        return follow(frame.image, flow, p.kernel, p.border)[0]
    return warp(frame.image, bend(start.reads, flow), p.kernel, p.border)
