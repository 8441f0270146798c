"""The words of the loop: pictures, latents, frames, history, and what a model must be able to do."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from koshi_flux.shared.color import ChannelStatistics, lab_from_srgb, mean_and_deviation
from koshi_flux.shared.image import Image
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.spec import FluxSpec

__all__ = [
    "AdaptedModel",
    "Conditioning",
    "Control",
    "ControlledModel",
    "Depth",
    "DepthModel",
    "FluxModel",
    "Footage",
    "Frame",
    "Grid",
    "History",
    "Image",
    "Impression",
    "Latent",
    "Mask",
    "Reference",
]

Latent: TypeAlias = Float[Tensor, "c lh lw"]
"""A spatial latent, lh = h / downscale. Tokens exist only inside a model's `velocity`."""
Grid: TypeAlias = Float[Tensor, "h w 2"]
"""Where each destination pixel reads: (x, y) in [-1, 1], pixel centres (align_corners=False), y down."""
Depth: TypeAlias = Float[Tensor, "h w"]
"""Relative inverse depth (disparity) in [0, 1]: 1 is nearest, 0 infinitely far; half the value is twice as far.

Convention: that of MiDaS and Depth-Anything. Only ratios mean something; there is no unit of length.
"""
Mask: TypeAlias = Bool[Tensor, "h w"]
"""True where something is so, e.g. where a moved picture has no source."""


@dataclass(frozen=True, slots=True)
class Control:
    """What a ControlNet is shown at one frame.

    Args:
        name: of the ControlNet.
        kind: what was made of the moved picture: "canny", "depth", "gray" or "picture".
        latent: of that, as large as the frame's own.
        strength: how much of what the ControlNet makes of it is added.
    """

    name: str
    kind: str
    latent: Latent
    strength: float


@dataclass(frozen=True, slots=True)
class Impression:
    """What an IP-Adapter makes of a picture: a few tokens that are attended to beside those of the prompt.

    Args:
        keys: of those tokens, for each block of the model that attends to them.
        values: the same.
        strength: how much of what attention finds there is added.
    """

    keys: tuple[Float[Tensor, "n d"], ...]
    values: tuple[Float[Tensor, "n d"], ...]
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a frame is drawn by: what a text encoder made of a prompt, and pictures to go by.

    Args:
        tokens: (n, d) embeddings; n is the same for all prompts of a model, so that conditionings can be mixed.
        pooled: (p,) summary vector, for families that use one.
        references: latents of pictures to look at while drawing, each of its own size; for families that can.
        controls: what ControlNets are shown, for families that have some.
        adapters: what IP-Adapters make of their pictures, for families that have some.
    """

    tokens: Float[Tensor, "n d"]
    pooled: Float[Tensor, " p"] | None = None
    references: tuple[Float[Tensor, "c _ _"], ...] = ()
    controls: tuple[Control, ...] = ()
    adapters: tuple[Impression, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """A finished frame.

    Args:
        image: the picture as decoded, float, not yet rounded; contiguous, so that a stored one computes the same.
        parameters: what it was made with.
        latent: where the picture came from; None when it never passed the model (denoise = 0, or an in-between).
        sigmas: the noise levels it was drawn through; () when it was not.
        drawn: False for the in-betweens of a cadence.
        depth: of the picture, in films whose camera sees it.
    """

    image: Image
    parameters: FrameParameters
    latent: Latent | None = None
    sigmas: tuple[float, ...] = ()
    drawn: bool = True
    depth: Depth | None = None

    @property
    def index(self) -> int:
        """Its place in the film, counted from 0."""
        return self.parameters.frame


@dataclass(frozen=True)
class Reference:
    """A picture that others are kept to, with its statistics measured once."""

    image: Image

    @cached_property
    def lab_statistics(self) -> ChannelStatistics:
        """Mean and standard deviation of L, a and b."""
        return mean_and_deviation(lab_from_srgb(self.image))


@dataclass(frozen=True, slots=True)
class History:
    """What a frame may look back on. Threaded through the loop, never mutated.

    Args:
        reference: the first picture of the film, which colour is kept to.
        previous: the last drawn frame.
    """

    reference: Reference | None = None
    previous: Frame | None = None

    def after(self, frame: Frame) -> "History":
        """The history once `frame` is drawn."""
        return replace(self, reference=self.reference or Reference(frame.image), previous=frame)


@runtime_checkable
class FluxModel(Protocol):
    """A family's whole duty. A model gives velocities; the loop is ours.

    Convention: sigma 1 is pure noise, sigma 0 the clean latent; x(sigma) = (1 - sigma) * latent + sigma * noise,
    and velocity = dx/dsigma (rectified flow, Liu et al. 2022, arXiv:2209.03003).
    """

    spec: FluxSpec
    device: torch.device
    relief: str
    """What a user can change when memory runs out."""

    def encode_prompt(self, text: str) -> Conditioning:
        """Read a prompt. The text encoder is loaded when first needed and stays until it is released."""
        ...

    def release_text_encoder(self) -> None:
        """Free the text encoder's memory; a later `encode_prompt` loads it again."""
        ...

    def check_loras(self, files: Mapping[str, str]) -> Mapping[str, Path]:
        """Where LoRAs are, by name, given as files or places on the hub; nothing is loaded.

        Raises:
            ModelError: one is not there, or was made for another model.
        """
        ...

    def use_loras(self, files: Mapping[str, Path]) -> None:
        """Draw with these LoRAs, by name, and no others; if one does not fit, nothing changes."""
        ...

    def set_loras(self, strengths: Mapping[str, float]) -> None:
        """How strongly each is added from now on; those not named are not."""
        ...

    def encode(self, image: Image) -> Latent:
        """Picture to spatial latent, float32, deterministic."""
        ...

    def decode(self, latent: Latent) -> Image:
        """Spatial latent to picture, float32, clamped to [0, 1]."""
        ...

    def sigmas(self, steps: int, start: float, width: int, height: int) -> tuple[float, ...]:
        """`steps` + 1 falling noise levels from `start` to 0 on the model's own curve, for a picture of that size."""
        ...

    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        """dx/dsigma at `latent`; `negative` and `guidance` matter only where `spec.guidance` says so."""
        ...


@runtime_checkable
class ControlledModel(FluxModel, Protocol):
    """A model that there are ControlNets for (`spec.controlnets`)."""

    def check_controlnets(self, files: Mapping[str, str]) -> None:
        """Find ControlNets, by name, given as folders or places on the hub; nothing is loaded.

        Raises:
            ModelError: one is not there, or was made for another model.
        """
        ...

    def use_controlnets(self, files: Mapping[str, str]) -> None:
        """Draw with these ControlNets, by name, and no others, where `Conditioning.controls` says so."""
        ...


@runtime_checkable
class AdaptedModel(FluxModel, Protocol):
    """A model that there are IP-Adapters for (`spec.ip_adapters`)."""

    def check_ip_adapters(self, places: Mapping[str, tuple[str, str]]) -> None:
        """Find IP-Adapters, by name, each as (its file, its image encoder: a folder, or "" for the usual one).

        Both may be on the hub. Nothing is loaded.

        Raises:
            ModelError: one is not there, or was made for another model.
        """
        ...

    def use_ip_adapters(self, places: Mapping[str, tuple[str, str]]) -> None:
        """Have these IP-Adapters, by name, and no others, look at pictures; they are loaded when they first do."""
        ...

    def look(self, image: Image, names: Collection[str]) -> Mapping[str, Impression]:
        """What these IP-Adapters make of a picture, at strength 1; it holds for every frame."""
        ...

    def release_ip_adapters(self) -> None:
        """Free the memory of IP-Adapters and their image encoders; a later `look` loads them again."""
        ...


@runtime_checkable
class DepthModel(Protocol):
    """Whatever tells near from far in a single picture."""

    device: torch.device

    def estimate(self, image: Image, frame: int = 0) -> Depth:
        """How near every pixel is: float32, as large as the picture, on the model's device.

        Args:
            frame: the picture's place in the film, for models that are films of depths themselves.
        """
        ...


@runtime_checkable
class Footage(Protocol):
    """A film that another one follows: a guide video, or a video of masks or depths."""

    def picture(self, frame: int) -> Image:
        """What it shows at a frame of our film: float32 on the CPU, at our film's size."""
        ...

    def alpha(self, frame: int) -> Float[Tensor, "h w"] | None:
        """How opaque that is, in [0, 1]; None for a video without alpha."""
        ...
