"""Hybrid compositing: parts of a guide video shown through a film's own picture, by a mask made of either.

The formulas are Deforum's (`hybrid_composite` in sd-webui-deforum), in float, so that nothing is rounded on the way.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from koshi_flux.errors import SettingsError
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Image

Opacity: TypeAlias = Float[Tensor, "h w"]
"""How much of the film's own picture shows, in [0, 1]; the rest shows the video."""
Picture: TypeAlias = Float[Tensor, "3 _ _"]
Plane: TypeAlias = Float[Tensor, "_ _"]
"""A picture or a depth whose size is yet to be checked."""

MASK_KINDS = ("none", "blend", "depth", "video-depth", "difference")
EQUALIZE = ("none", "before", "after", "both")

_GRAY = (0.299, 0.587, 0.114)
"""Weights of R, G and B in a mask (ITU-R BT.601, as Pillow has them)."""
_WHOLE_RANGE = (0.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridMask:
    """What a hybrid film's mask is made of. White keeps the film's own picture, black shows the video.

    Args:
        kind: "none" shows the video everywhere; "blend" is the brightness of picture and video, mixed by
            `hybrid_mask_blend`; "difference" is how much their brightness differs; "depth" and "video-depth" are how
            near things in the picture or in the video are.
        inverse: black for white.
        equalize: spread the mask's values evenly over [0, 1] "before" its contrast is changed, "after", or "both".
        auto_contrast: stretch the mask until its percentiles `hybrid_mask_low` and `hybrid_mask_high` are 0 and 1.
            Percentiles other than 0 and 100 ask for that by themselves.
    """

    kind: str = "none"
    inverse: bool = False
    equalize: str = "none"
    auto_contrast: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("mask", self.kind, MASK_KINDS), ("mask_equalize", self.equalize, EQUALIZE)):
            if value not in known:
                raise SettingsError(f"unknown hybrid_{name} {value!r}: known are {', '.join(known)}")

    @property
    def needs_depth(self) -> bool:
        """Whether `composite` must be told a depth: the picture's ("depth") or the video's ("video-depth")."""
        return self.kind in ("depth", "video-depth")


def composite(
    picture: Image,
    video: Picture,
    parameters: FrameParameters,
    mask: HybridMask | None = None,
    depth: Plane | None = None,
) -> Image:
    """Show a guide video through a picture, as far as `mask` and `hybrid_alpha` say.

    Formula: shown = mask * picture + (1 - mask) * video; the result is picture + hybrid_alpha * (shown - picture).

    Args:
        picture: the film's own, in [0, 1].
        video: what the guide video shows now, of the same size; brought to the picture's device.
        parameters: `hybrid_alpha`, `hybrid_mask_blend`, `hybrid_mask_contrast`, `hybrid_mask_low`, `hybrid_mask_high`.
        mask: None is no mask: the video everywhere.
        depth: for masks that need one.
    """
    mask = mask or HybridMask()
    if video.shape != picture.shape:
        raise SettingsError(f"the guide video is {_size(video)}, the film {_size(picture)}: they must be of one size")
    video = video.to(picture.device)
    shown = video
    if mask.kind != "none":
        shown = torch.lerp(video, picture, opacity(picture, video, parameters, mask, depth))
    return torch.lerp(picture, shown, parameters.hybrid_alpha)


def opacity(
    picture: Image, video: Image, parameters: FrameParameters, mask: HybridMask, depth: Plane | None = None
) -> Opacity:
    """The mask of `composite` itself, e.g. to look at: inverted, equalised, its contrast changed, in that order."""
    values = _source(picture, video, parameters.hybrid_mask_blend, mask, depth)
    if mask.inverse:
        values = 1 - values
    if mask.equalize in ("before", "both"):
        values = _equalized(values)
    values = torch.lerp(values.mean(), values, parameters.hybrid_mask_contrast).clamp(0, 1)
    percentiles = parameters.hybrid_mask_low, parameters.hybrid_mask_high
    if mask.auto_contrast or percentiles != _WHOLE_RANGE:
        values = _stretched(values, *percentiles)
    if mask.equalize in ("after", "both"):
        values = _equalized(values)
    return values


def _source(picture: Image, video: Image, blend: float, mask: HybridMask, depth: Plane | None) -> Opacity:
    if mask.kind == "blend":
        return torch.lerp(_gray(picture), _gray(video), blend)
    if mask.kind == "difference":
        return (_gray(picture) - _gray(video)).abs()
    if mask.kind == "none":
        return torch.zeros_like(picture[0])
    if depth is None:
        raise SettingsError(f'hybrid_mask = {mask.kind!r} needs a depth: choose one with `depth`, e.g. "nano"')
    if depth.shape != picture.shape[1:]:
        size = f"{depth.shape[1]} x {depth.shape[0]}"
        raise SettingsError(f"the depth of hybrid_mask = {mask.kind!r} is {size}, the film {_size(picture)}")
    return depth.to(picture.device).clamp(0, 1)


def _gray(image: Image) -> Opacity:
    red, green, blue = image
    return _GRAY[0] * red + _GRAY[1] * green + _GRAY[2] * blue


def _equalized(values: Opacity) -> Opacity:
    """Pillow's ImageOps.equalize: each value becomes the share of darker pixels, of all but those of the brightest.

    Counted in 256 levels; values between two levels lie between what those become.
    """
    counts = torch.bincount((values * 255).round().long().flatten(), minlength=256).cpu().numpy()
    brightest = counts[counts.nonzero()[0][-1]]
    if brightest == values.numel():
        return values
    darker = np.concatenate(([0], counts.cumsum()[:-1]))
    table = torch.tensor((darker / (values.numel() - brightest)).clip(0, 1), dtype=values.dtype, device=values.device)
    below = (values * 255).long().clamp(max=254)
    return torch.lerp(table[below], table[below + 1], values * 255 - below)


def _stretched(values: Opacity, low: float, high: float) -> Opacity:
    """Bring the percentiles `low` and `high` to 0 and 1; what is as flat as that stays."""
    if not 0 <= low < high <= 100:
        raise SettingsError(
            f"hybrid_mask_low and hybrid_mask_high must hold 0 <= low < high <= 100, got {low} and {high}"
        )
    dark, bright = np.percentile(values.cpu().numpy(), (low, high)).tolist()
    if bright <= dark:
        return values
    return ((values - dark) / (bright - dark)).clamp(0, 1)


def _size(image: Image) -> str:
    return f"{image.shape[2]} x {image.shape[1]}"
