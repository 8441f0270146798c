"""A film that follows a guide video: each frame starts from the video's own."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from koshi_flux.errors import SettingsError
from koshi_flux.modes.moving import folded
from koshi_flux.modes.scene import Scene, Start
from koshi_flux.motion.flow import find_flows, follow
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import History, Image


def following(scene: Scene, history: History, path: Sequence[FrameParameters]) -> Start | None:
    """The video's picture; with `video_coherence`, the last drawn frame along the video's flow where they agree.

    What came into sight, and what the video leaves open (`contain`, transparency), is not taken from the last frame.
    """
    if scene.video is None:
        raise SettingsError("mode = 'video' needs `video`: say which, for example video = 'dance.mp4'")
    p = path[-1]
    picture = _shown(scene, p.frame)
    if history.previous is not None:
        picture = picture.to(history.previous.image.device)
        if p.video_coherence > 0:
            flows = find_flows(_shown(scene, history.previous.index).to(picture), picture, scene.flow_method)
            drawn, missing = follow(history.previous.image, flows.backward, p.kernel, p.border)
            picture = torch.lerp(picture, drawn, p.video_coherence * (flows.known & ~missing).float())
    start, opaque = Start.whole(folded(picture, p)), scene.video.alpha(p.frame)
    if opaque is None:
        return start
    return replace(start, uncovered=folded(opaque.expand(3, -1, -1).to(picture), p)[0] < 0.5)


def _shown(scene: Scene, frame: int) -> Image:
    assert scene.video is not None
    return scene.video.picture(frame)
