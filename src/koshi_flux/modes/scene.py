"""What a film brings along beside its schedules, and what a frame starts from."""

from dataclasses import dataclass

import torch

from koshi_flux.modes.lead import Lead
from koshi_flux.shared.types import Depth, Footage, Grid, Image, Mask


@dataclass(frozen=True, slots=True)
class Start:
    """What a frame is drawn from.

    Args:
        picture: the moved one, or one from outside.
        uncovered: its pixels that have no source; something stands in for them.
        depth: of the picture, where that of the frame it comes from is known.
        reads: where its pixels lie in the frame's picture; None for a picture that was not moved.
    """

    picture: Image
    uncovered: Mask
    depth: Depth | None = None
    reads: Grid | None = None

    @classmethod
    def whole(cls, picture: Image) -> "Start":
        """A picture that has a source everywhere."""
        return cls(picture, torch.zeros(picture.shape[1:], dtype=torch.bool, device=picture.device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a film brings along.

    Args:
        camera: of the film: "2d" or "3d"; None for a film that no camera of its own moves.
        opening: what frame 0 starts from; None draws it out of noise.
        video: the guide video.
        lead: how that moves the film.
        flow_method: how optical flow is found in it.
    """

    camera: str | None = "2d"
    opening: Image | None = None
    video: Footage | None = None
    lead: Lead | None = None
    flow_method: str = "dis"
