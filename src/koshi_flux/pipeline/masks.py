"""The masks of a film: what its expressions come to at every frame."""

from functools import cache, lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.input.picture import read_fitted
from koshi_flux.input.video import GuideVideo, Take, open_video
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.masks import MaskExpression
from koshi_flux.shared.color import luma
from koshi_flux.shared.masks import Plane, evaluate, prepared
from koshi_flux.shared.parameters import FrameParameters


class Masks:
    """Gives each frame its masks on a device. What shows masks is opened when first needed; a few are kept."""

    def __init__(self, animation: Animation, device: torch.device):
        self._film, self._device = animation, device
        self._parsed = cache(MaskExpression.parse)
        self._still = lru_cache(maxsize=8)(self._read)
        self._video: GuideVideo | None = None

    def changes(self, parameters: FrameParameters) -> Plane | None:
        """Where the picture may change, 1 is fully; None is everywhere."""
        film, mask = self._film, self._made(parameters.mask, parameters.frame)
        return (
            None
            if mask is None
            else prepared(
                mask,
                invert=film.mask_invert,
                contrast=film.mask_contrast,
                brightness=film.mask_brightness,
                blur=film.mask_blur,
            ).to(self._device)
        )

    def grain(self, parameters: FrameParameters) -> Plane | None:
        """Where noise is added; None is everywhere."""
        mask = self._made(parameters.noise_mask, parameters.frame)
        return None if mask is None else mask.to(self._device)

    def _made(self, expression: str, frame: int) -> Plane | None:
        if not expression:
            return None
        return evaluate(self._parsed(expression).steps, lambda leaf: self._leaf(leaf, frame))

    def _leaf(self, leaf: str, frame: int) -> Plane:
        if leaf == "{video_mask}":
            self._video = self._video or open_mask_video(self._film)
            return luma(self._video.picture(frame)).clamp(0, 1)
        return self._still(leaf)

    def _read(self, leaf: str) -> Float[Tensor, "h w"]:
        film, (width, height) = self._film, self._film.picture_size
        if leaf == "{everywhere}":
            return torch.ones(height, width)
        if leaf == "{alpha}":
            opaque = read_fitted(Path(film.init_image), film.picture_size, "cover", "init_image")[1]
            assert opaque is not None, "pipeline.materials asks for transparency"
            return opaque
        file = film.mask_image if leaf == "{mask}" else leaf[1:-1]
        picture, _ = read_fitted(Path(file), film.picture_size, "stretch", "mask_image" if leaf == "{mask}" else "mask")
        return luma(picture).clamp(0, 1)


def open_mask_video(animation: Animation) -> GuideVideo:
    """The video of masks of a film that has one; it is followed as the guide video is, and stretched to the frame."""
    a = animation
    take = Take(
        start=a.video_start,
        end=a.video_end,
        step=a.video_step,
        fit="stretch",
        short=a.video_short,
        setting="mask_video",
    )
    return open_video(Path(a.mask_video), a.picture_size, take)
