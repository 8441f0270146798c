"""The pictures and videos that a film names, opened at its size."""

from pathlib import Path

import torch

from koshi_flux.input.picture import read_fitted
from koshi_flux.input.video import GuideVideo, Take, open_video
from koshi_flux.modes.lead import Lead
from koshi_flux.modes.scene import Scene
from koshi_flux.motion.estimate import GuideMotion
from koshi_flux.output.track import Sound
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.types import Footage, Image

CAMERAS = {"2d": "2d", "ransac": "2d", "3d": "3d"}
"""The camera of each mode that has one of its own."""


def open_scene(animation: Animation, device: torch.device) -> Scene:
    """What a film with its size settled brings along."""
    video = open_guide(animation) if animation.video else None
    return Scene(
        camera=CAMERAS.get(animation.mode),
        opening=_opening(animation, video, device),
        video=video,
        lead=_lead(animation, video),
        flow_method=animation.flow_method,
    )


def take(animation: Animation) -> Take:
    """Which frames of the guide video a film follows."""
    a = animation
    return Take(start=a.video_start, end=a.video_end, step=a.video_step, fit=a.video_fit, short=a.video_short)


def open_guide(animation: Animation) -> GuideVideo:
    """The guide video of a film that has one."""
    return open_video(Path(animation.video), animation.picture_size, take(animation))


def sound_of(animation: Animation) -> Sound | None:
    """What a film with its size settled sounds like: its soundtrack, or its guide video's own sound."""
    if animation.soundtrack:
        return Sound(file=Path(animation.soundtrack))
    if not animation.video_audio:
        return None
    video = open_guide(animation)
    return Sound(
        file=Path(animation.video), start=video.starts_at, seconds=video.lasts, speed=video.speed(animation.fps)
    )


def open_picture(animation: Animation, file: str, setting: str) -> Image:
    """A picture that a film names, filling its frame."""
    return read_fitted(Path(file), animation.picture_size, "cover", setting)[0]


def _opening(animation: Animation, video: Footage | None, device: torch.device) -> Image | None:
    """What frame 0 is drawn from: the init image, the video's first picture, or the first guide."""
    if animation.init_image:
        return open_picture(animation, animation.init_image, "init_image").to(device)
    if animation.video_init and video is not None:
        return video.picture(0).to(device)
    guide = animation.at(0).guide
    return open_picture(animation, guide, "guides").to(device) if guide else None


def _lead(animation: Animation, video: Footage | None) -> Lead | None:
    kind = animation.leading
    if kind == "none" or video is None:
        return None
    model = "affine" if kind == "flow" else kind
    return Lead(GuideMotion(video, model, animation.flow_method), kind, animation.hybrid_motion_source)
