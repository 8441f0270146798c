"""What a film's ControlNets are shown: something made of the moved picture, at every frame that is redrawn."""

from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.depth.nano import NanoDepth
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Control, ControlledModel, FluxModel, Image

CANNY = (100, 200)
"""Thresholds of the edges, of gradients in 8-bit steps: those of the examples that ControlNets are published with."""


class Controls:
    """Gives each frame what its ControlNets are shown. They are loaded here."""

    def __init__(self, animation: Animation, model: FluxModel):
        self._kinds = {name: net.kind for name, net in animation.controlnet.items()}
        self._model = model
        if isinstance(model, ControlledModel):
            model.use_controlnets({name: net.file for name, net in animation.controlnet.items()})

    def at(self, parameters: FrameParameters, picture: Image | None) -> tuple[Control, ...]:
        """Of the moved picture; nothing for a frame that has none, or that is not redrawn."""
        if picture is None or parameters.denoise == 0:
            return ()
        return tuple(
            Control(name, self._kinds[name], self._model.encode(self._seen(picture, self._kinds[name])), strength)
            for name, strength in parameters.controlnet
            if strength != 0
        )

    def _seen(self, picture: Image, kind: str) -> Image:
        match kind:
            case "canny":
                return edges(picture)
            case "depth":
                return _as_grey(self._depth.estimate(picture))
            case "gray":
                return _as_grey(_brightness(picture))
        return picture

    @cached_property
    def _depth(self) -> NanoDepth:
        return NanoDepth.load(self._model.device)


def edges(picture: Image) -> Image:
    """White lines on black, one pixel wide (Canny 1986)."""
    levels = (_brightness(picture).clamp(0, 1) * 255).round().byte().cpu().numpy()
    found = cv2.Canny(np.ascontiguousarray(levels), *CANNY)
    return _as_grey(torch.from_numpy(found).to(picture) / 255)


def _brightness(picture: Image) -> Float[Tensor, "h w"]:
    """Luma of ITU-R BT.601, which cv2.cvtColor computes."""
    return torch.einsum("chw,c->hw", picture, torch.tensor((0.299, 0.587, 0.114)).to(picture))


def _as_grey(plane: Float[Tensor, "h w"]) -> Image:
    return plane.expand(3, -1, -1).contiguous()
