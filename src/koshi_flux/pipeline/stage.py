"""What a film does to a picture before and after the model: everything of a frame but the drawing itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import nan

import torch

from koshi_flux.feedback import correct
from koshi_flux.feedback.echo import echo
from koshi_flux.feedback.hybrid import HybridMask, composite
from koshi_flux.feedback.match import match_lab
from koshi_flux.modes import MODES, Start
from koshi_flux.modes.moving import folded
from koshi_flux.pipeline.depths import Depths, sees_depth
from koshi_flux.pipeline.footage import open_picture, open_scene
from koshi_flux.pipeline.masks import Masks
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.fill import fill_holes
from koshi_flux.shared.masks import Plane, overlay
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Depth, Frame, History, Image, Mask, Reference

_SPECKS = 1e-3
"""Share of a frame up to which uncovered pixels are only filled: drawing them anew costs steps for the whole frame."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture made ready to be redrawn.

    Args:
        picture: corrected.
        kept: the one before corrections, which stays where nothing changes.
        changes: where the model may change it; None is everywhere.
        uncovered: pixels to be drawn out of noise, as they have no source; None if there are none.
        depth: of the picture; NaN where it is not known.
    """

    picture: Image
    kept: Image
    changes: Plane | None = None
    uncovered: Mask | None = None
    depth: Depth | None = None

    def put_back(self, drawn: Image) -> Image:
        """What was drawn, with the kept picture where nothing changes."""
        if self.changes is None:
            return drawn
        new = self.changes if self.uncovered is None else torch.where(self.uncovered, 1.0, self.changes)
        return overlay(drawn, self.kept, new)


class Stage:
    """A film's pictures, videos, masks and depth, opened once, and what they do to its frames."""

    def __init__(self, animation: Animation, device: torch.device):
        self.scene = open_scene(animation, device)
        self.masks = Masks(animation, device)
        self._film, self._device = animation, device
        self._keeps_depth = sees_depth(animation)
        self._hybrid = HybridMask(
            kind=animation.hybrid_mask,
            inverse=animation.hybrid_mask_inverse,
            equalize=animation.hybrid_mask_equalize,
            auto_contrast=animation.hybrid_mask_auto_contrast,
        )
        self._guide = lru_cache(maxsize=2)(self._open_guide)

    def canvas(self, history: History, path: Sequence[FrameParameters]) -> Canvas | None:
        """What a frame is redrawn from; None for one that is drawn out of noise."""
        start = self._start(history, path)
        if start is None:
            return None
        p = path[-1]
        picture, uncovered = start.picture, None
        if p.uncovered == "redraw":
            picture = fill_holes(picture, start.uncovered)
            uncovered = start.uncovered if start.uncovered.float().mean() > _SPECKS else None
        kept = self._guided(picture, p)
        picture = kept
        if history.previous is not None:
            picture = echo(picture, history.previous.image, p.echo)
        picture = correct(picture, history.reference, p, self.masks.grain(p))
        depth = None if start.depth is None else start.depth.masked_fill(start.uncovered, nan)
        changes = self.masks.changes(p)
        if p.denoise == 0 and uncovered is not None:
            changes = torch.zeros_like(picture[0])  # all but the uncovered pixels stay, and pass no autoencoder
        return Canvas(picture, kept, changes, uncovered, depth)

    def finished(self, frame: Frame, canvas: Canvas | None) -> Frame:
        """A drawn frame with what lies outside of masks put back, the video mixed in, and its depth.

        A frame out of noise is folded only now, as there was nothing to fold before.
        """
        image, depth = folded(frame.image, frame.parameters) if canvas is None else frame.image, None
        if canvas is not None and self._film.mask_overlay:
            image = canvas.put_back(image)
        if self._film.hybrid_composite == "after-generation":
            image = self._composite(image, frame.parameters)
        if self._keeps_depth:
            depth = self._depths.of(image, frame.parameters, None if canvas is None else canvas.depth)
        return replace(frame, image=image.contiguous(), depth=depth)

    def _start(self, history: History, path: Sequence[FrameParameters]) -> Start | None:
        """What the mode makes of the history, with the video mixed in before or after."""
        before, p = history.previous, path[-1]
        if before is not None and self._film.hybrid_composite == "before-motion":
            mixed = self._composite(before.image, p)
            history = replace(history, previous=replace(before, image=mixed))
        start = MODES[self._film.mode](self.scene, history, path)
        if start is None or before is None or self._film.hybrid_composite != "normal":
            return start
        return replace(start, picture=self._composite(start.picture, p))

    def _composite(self, picture: Image, p: FrameParameters) -> Image:
        assert self.scene.video is not None, "schedule.checks asks for a video"
        video = self.scene.video.picture(p.frame).to(picture.device)
        depth = None
        if self._hybrid.needs_depth:
            shown = video if self._hybrid.kind == "video-depth" else picture
            depth = self._depths.of(shown, p)
        return composite(picture, video, p, self._hybrid, depth)

    @cached_property
    def _depths(self) -> Depths:
        return Depths(self._film, self._device)

    def _guided(self, picture: Image, p: FrameParameters) -> Image:
        """The picture on its way to a guide: some of the guide shines through, and colours go towards its own."""
        if not p.guide:
            return picture
        guide = self._guide(p.guide)
        blended = torch.lerp(picture, guide.image.to(picture.device), p.guide_blend)
        return match_lab(blended, guide, p.guide_color) if p.guide_color > 0 else blended

    def _open_guide(self, file: str) -> Reference:
        return Reference(open_picture(self._film, file, "guides").to(self._device))
