"""The facts of one published model, as a row of a table. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from koshi_flux.errors import SettingsError

GuidanceKind = Literal["none", "true", "embedded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxSpec:
    """One published model: what differs between models is stated here and nowhere else.

    Args:
        name: what users type and what film.toml records, e.g. "flux.2-klein-4b".
        aliases: other spellings that people type.
        family: the folder that films with it: "toy", "flux1", "flux2".
        hub_id: the repository on the Hugging Face hub; "" for models that are not downloaded.
        folder: where the weights of a bundled model lie; None for all others.
        licence: of the weights.
        channels: spatial latent channels (32 for FLUX.2).
        downscale: picture pixels per latent pixel and side.
        multiple: width and height must be multiples of this.
        default_size: (width, height) in pixels when the film states none.
        default_steps: Euler steps per frame when the film states none.
        default_denoise: start sigma in [0, 1] when the film states none.
        default_guidance: guidance scale when the film states none.
        guidance: "none" (distilled: ignored), "true" (classifier-free, negative prompts work), "embedded".
        text_encoder: what reads the prompt.
        text_tokens: prompts are padded or cut to so many tokens.
        text_layers: hidden states of the text encoder that are read side by side; () where only its last one is.
        references: whether it can look at other pictures while it draws.
        reference_cache: whether it was trained to look at them once and to remember what it saw.
        controlnets: whether there are ControlNets for it.
        ip_adapters: whether there are IP-Adapters for it.
        memory_gb: (transformer, text encoder) weights in bf16, in GiB; (0, 0) when it does not matter.
    """

    name: str
    family: str
    channels: int
    downscale: int = 8
    multiple: int = 16
    aliases: tuple[str, ...] = ()
    hub_id: str = ""
    folder: Path | None = None
    licence: str = ""
    default_size: tuple[int, int] = (1024, 1024)
    default_steps: int = 4
    default_denoise: float = 0.5
    default_guidance: float = 1.0
    guidance: GuidanceKind = "none"
    text_encoder: str = ""
    text_tokens: int = 512
    text_layers: tuple[int, ...] = ()
    references: bool = False
    reference_cache: bool = False
    controlnets: bool = False
    ip_adapters: bool = False
    memory_gb: tuple[float, float] = (0.0, 0.0)

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture that cannot be cut into tokens.

        Raises:
            SettingsError: with the nearest size that can.
        """
        if width % self.multiple or height % self.multiple:
            near = " x ".join(str(max(1, round(side / self.multiple)) * self.multiple) for side in (width, height))
            raise SettingsError(
                f"{self.name} draws in multiples of {self.multiple} pixels, got {width} x {height}: try {near}"
            )

    @property
    def is_bundled(self) -> bool:
        """Whether the weights came with koshi-flux."""
        return self.folder is not None
