"""The depth of a film's frames, kept steady from one to the next."""

from pathlib import Path

import torch

from koshi_flux.depth import is_footage, open_depth
from koshi_flux.depth.align import aligned
from koshi_flux.input.video import GuideVideo, Take, open_video
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Depth, Image


def sees_depth(animation: Animation) -> bool:
    """Whether anything in a film needs the depth of its pictures."""
    return animation.mode == "3d" or animation.save_depth


def open_depth_video(animation: Animation) -> GuideVideo:
    """The video of depths of a film that has one, stretched to its frame."""
    take = Take(fit="stretch", short=animation.video_short, setting="depth")
    return open_video(Path(animation.depth).expanduser(), animation.picture_size, take)


class Depths:
    """Estimates the depth of frames."""

    def __init__(self, animation: Animation, device: torch.device):
        footage = open_depth_video(animation) if is_footage(animation.depth) else None
        self._smoothing = 0.0 if footage else animation.depth_smoothing  # a video of depths is right as it is
        self.model = open_depth(animation.depth, device, footage)

    def of(self, image: Image, parameters: FrameParameters, before: Depth | None = None) -> Depth:
        """The depth of a frame's picture, on the scale of the frame before.

        Args:
            before: the depth of the frame before, moved to this frame; NaN where nothing of it is seen.
        """
        depth = self.model.estimate(image, parameters.frame).to(image.device)
        return aligned(depth, before, self._smoothing)
