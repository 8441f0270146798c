"""The feedback chain under the names of the FeedbackSampler: FeedbackConfig and FeedbackProcessor."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from torch import Tensor

from koshi_flux.errors import SettingsError
from koshi_flux.feedback.processor import MATCHES, correct
from koshi_flux.shared.image import interleaved, planar
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Image, Reference

Picture = TypeVar("Picture", Tensor, np.ndarray)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackConfig:
    """What the feedback chain does. The defaults match colours and change nothing else.

    Args:
        color_mode: "LAB" or None (in any case of letters).
        color_strength: 0 leaves the colours, 1 matches them fully.
        contrast_boost: factor about the mean brightness; 1 is neutral.
        sharpen_amount: of the unsharp mask; 0 is neutral.
        noise_amount: standard deviation of the grain, 1 = the whole range; 0 is neutral.
    """

    color_mode: str | None = "LAB"
    color_strength: float = 1.0
    contrast_boost: float = 1.0
    sharpen_amount: float = 0.0
    noise_amount: float = 0.0

    def __post_init__(self) -> None:
        if self.color_coherence not in MATCHES:
            raise SettingsError(f"unknown color_mode {self.color_mode!r}: known modes are {', '.join(MATCHES)}")
        for name in ("color_strength", "contrast_boost", "sharpen_amount", "noise_amount"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")

    @property
    def color_coherence(self) -> str:
        """The mode under the name that films use."""
        return "none" if self.color_mode is None else self.color_mode.lower()

    def parameters(self) -> FrameParameters:
        """The same settings as a frame's parameters."""
        return FrameParameters(
            color_coherence=self.color_coherence,
            color_strength=self.color_strength,
            contrast=self.contrast_boost,
            sharpen=self.sharpen_amount,
            noise=self.noise_amount,
        )


class FeedbackProcessor:
    """The feedback chain for a single picture."""

    def process(
        self,
        image: Picture,
        reference: Picture | None = None,
        config: FeedbackConfig | None = None,
        *,
        seed: int = 0,
        frame: int = 0,
    ) -> Picture:
        """Correct `image` towards `reference`; the result is of the kind that `image` is.

        Args:
            image, reference: tensors (3, h, w) in [0, 1], or arrays (h, w, 3), uint8 or float in [0, 1].
            seed, frame: decide the grain.
        """
        parameters = replace((config or FeedbackConfig()).parameters(), seed=seed, frame=frame)
        goal = None if reference is None else Reference(_as_image(reference))
        corrected = correct(_as_image(image), goal, parameters)
        if isinstance(image, Tensor):
            return corrected.to(image.dtype)
        pixels = interleaved(corrected)
        return (pixels * 255).round().astype(np.uint8) if image.dtype == np.uint8 else pixels.astype(image.dtype)


def _as_image(picture: Tensor | np.ndarray) -> Image:
    if isinstance(picture, Tensor):
        if not picture.is_floating_point() or picture.ndim != 3 or picture.shape[0] != 3:
            raise SettingsError(f"a picture must be a float tensor (3, h, w), got {_description(picture)}")
        return picture.float()
    if picture.ndim != 3 or picture.shape[2] != 3 or not (picture.dtype == np.uint8 or picture.dtype.kind == "f"):
        raise SettingsError(f"a picture must be a uint8 or float array (h, w, 3), got {_description(picture)}")
    scale = 255 if picture.dtype == np.uint8 else 1
    return planar(np.divide(picture, scale, dtype=np.float32, casting="same_kind"))


def _description(picture: Tensor | np.ndarray) -> str:
    return f"{picture.dtype} {tuple(picture.shape)}"
