"""A guide video that leads the film: the picture is moved as the video moves, by its camera or by its flow."""

import logging
from dataclasses import dataclass

from koshi_flux.motion.estimate import GuideMotion, estimate_motion
from koshi_flux.motion.flow import Flow, find_flows
from koshi_flux.shared.transforms import Matrix, identity
from koshi_flux.shared.types import Frame, Image

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lead:
    """Motion taken from a guide video.

    Args:
        motion: of the video.
        kind: "affine" and "perspective" take its camera, "flow" every pixel's own motion.
        source: "video": from one of its frames to another; "previous": from the film's last picture to the video.
    """

    motion: GuideMotion
    kind: str
    source: str = "video"

    def step(self, index: int) -> Matrix:
        """The video's camera from the frame before `index` to that frame; the film's own goes before it."""
        return identity() if self.kind == "flow" or self.source == "previous" else self.motion.matrix(index)

    def towards(self, frame: Frame, to: int) -> Matrix:
        """The camera from a frame's picture to what the video shows at `to`, where that is the source of motion."""
        if self.kind == "flow" or self.source == "video":
            return identity()
        found = estimate_motion(frame.image, self._shown(to, frame.image), self.kind)
        if found.doubt:
            log.warning("frame %d and the guide video: %s; the camera holds still there", to, found.doubt)
        return found.matrix

    def flow(self, frame: Frame, to: int) -> Flow | None:
        """Where each pixel at index `to` comes from in a frame; None for a lead by its camera."""
        if self.kind != "flow":
            return None
        if self.source == "video" and to == frame.index + 1:
            return self.motion.flows(to).backward.to(frame.image.device)
        before = frame.image if self.source == "previous" else self._shown(frame.index, frame.image)
        return find_flows(before, self._shown(to, frame.image), self.motion.method).backward

    def _shown(self, index: int, like: Image) -> Image:
        return self.motion.video.picture(index).to(like.device)
