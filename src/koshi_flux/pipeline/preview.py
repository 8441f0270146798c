"""Looking at a camera path in seconds: the film without its model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from koshi_flux.depth import is_footage
from koshi_flux.output.disk import replacing
from koshi_flux.output.png import encode_png
from koshi_flux.output.sink import Pixels, to_pixels
from koshi_flux.output.sinks import open_sink
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.settings.camera import CameraSettings
from koshi_flux.schedule.settings.film import FilmSettings
from koshi_flux.schedule.settings.footage import FootageSettings
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Frame, History, Image, Reference
from koshi_flux.toy.model import ToyModel

_SHOWN = {
    *FilmSettings.model_fields.keys()
    - {"model", "vae", "text_encoder", "cadence", "keyframe_distribution", "cadence_flow"},
    *CameraSettings.model_fields.keys() - {"save_depth", "uncovered"},
    *FootageSettings.model_fields.keys() - {"video_audio"},
    *("init_image", "video_init"),
}
"""The settings of a film that its preview follows."""

_SHEET = (4, 3)
"""Pictures across and down on the contact sheet."""
_THUMB = 320
"""Width of a picture on the contact sheet, in pixels."""


def preview(animation: Animation, spec: FluxSpec, path: Path) -> Iterator[int]:
    """Write the moving camera to `path` and a contact sheet beside it (`sheet_path`); yields each frame's index.

    The first picture is painted by the toy model and ruled into squares, every other one is only moved: nothing is
    redrawn or corrected.
    """
    animation = camera_only(animation.resolved(spec))
    shown = set(np.linspace(0, animation.frames - 1, num=_SHEET[0] * _SHEET[1]).round().astype(int).tolist())
    thumbs: list[Pixels] = []
    with open_sink(path, size=animation.picture_size, fps=animation.fps) as sink:
        for frame in moved(animation):
            pixels = to_pixels(frame.image)
            sink.write(frame.index, pixels)
            if frame.index in shown:
                thumbs.append(_thumb(pixels, frame.index))
            yield frame.index
    with replacing(sheet_path(path)) as partial:
        partial.write_bytes(encode_png(contact_sheet(thumbs)))


def moved(animation: Animation) -> Iterator[Frame]:
    """The frames of a film that only moves a ruled picture."""
    painted = next(render(animation, ToyModel()))
    first = replace(painted, image=ruled(painted.image))
    yield first
    yield from render(animation, ToyModel(), History(Reference(first.image), first))


def ruled(picture: Image) -> Image:
    """The picture under a fine grid of squares, an eighth of its height wide, so that every motion shows."""
    height, width = picture.shape[1:]
    picture = picture.clone()
    for at in range(height // 16, max(height, width), height // 8):
        picture[:, :, at : at + 2] = picture[:, :, at : at + 2].lerp(torch.ones(()), 0.35)
        picture[:, at : at + 2] = picture[:, at : at + 2].lerp(torch.ones(()), 0.35)
    return picture


def sheet_path(path: Path) -> Path:
    """Where the contact sheet of a preview lies."""
    return path.with_suffix(".png")


def camera_only(animation: Animation) -> Animation:
    """The same camera with nothing but the toy model's pictures to look at; of depth models only the bundled one."""
    kept = {name: value for name, value in animation.given().items() if name in _SHOWN}
    if not is_footage(animation.depth) and animation.depth != "plane":
        kept["depth"] = "nano"
    still = {"denoise": 0, "steps": 4, "guidance": 1, "color_coherence": "none", "uncovered": "border"}
    return Animation(**{**kept, **still, "model": "toy"})


def contact_sheet(thumbs: list[Pixels]) -> UInt8[np.ndarray, "sh sw 3"]:
    """Pictures of one size in rows, `_SHEET[0]` to a row; the last row is filled up with grey."""
    across = min(_SHEET[0], len(thumbs))
    blank = np.full_like(thumbs[0], 40)
    padded = thumbs + [blank] * (-len(thumbs) % across)
    return np.vstack([np.hstack(padded[i : i + across]) for i in range(0, len(padded), across)])


def _thumb(pixels: Pixels, index: int) -> UInt8[np.ndarray, "th tw 3"]:
    """A small copy with its frame number in the corner."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (_THUMB, round(_THUMB * height / width)), interpolation=cv2.INTER_AREA)
    for thickness, color in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(small, str(index), (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, thickness, cv2.LINE_AA)
    return small
