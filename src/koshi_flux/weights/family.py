"""What the models of all families have in common: diffusers' parts, each read when it is first needed, and LoRAs."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from koshi_flux.shared.flow_matching import sigmas_below
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning, Image, Latent
from koshi_flux.weights.adapters import Adapters
from koshi_flux.weights.folder import target_of
from koshi_flux.weights.lora import check_loras
from koshi_flux.weights.memory import MemoryPlan
from koshi_flux.weights.model_files import ModelFiles, find_model
from koshi_flux.weights.placement import Holding
from koshi_flux.weights.speed import PLAIN, Speed

M = TypeVar("M", bound="FamilyModel")


@runtime_checkable
class Reader(Protocol):
    """What reads a family's prompts, and is in memory only meanwhile."""

    def read(self, text: str) -> Conditioning:
        """Embed a prompt."""
        ...

    def release(self) -> None:
        """Give the memory of text encoders back."""
        ...


@runtime_checkable
class LatentSpace(Protocol):
    """Between what an autoencoder gives and the latents of the loop, in which noise is unit Gaussian."""

    def normalise(self, raw: Latent) -> Latent:
        """From the autoencoder's latent to ours."""
        ...

    def denormalise(self, latent: Latent) -> Latent:
        """From our latent to the autoencoder's."""
        ...


class FamilyModel(ABC):
    """A model in diffusers' parts on a device. A family adds how they are read, its noise curve and its velocity.

    Each part is read from disk when it is first needed: whoever reads all prompts and releases the text encoders
    before drawing never holds them and the transformer in memory together.
    """

    published: ClassVar[Iterable[FluxSpec]]
    """The family's rows."""

    def __init__(self, files: ModelFiles, spec: FluxSpec, holding: Holding):
        self.spec, self.device, self.dtype = spec, holding.device, holding.computing
        self._holding, self.relief = holding, holding.plan.relief
        self._folder = files
        self._reader = self._open_reader()

    @classmethod
    def load(
        cls: type[M],
        source: str | Path | ModelFiles,
        spec: FluxSpec | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        plan: MemoryPlan | None = None,
        speed: Speed = PLAIN,
    ) -> M:
        """Open a model from a diffusers folder, a single file or a repository of the hub; what cannot work is refused.

        Args:
            source: the folder or file, or owner/name on the hub, which is then downloaded once; or where each part is.
            spec: the row to film by; by default what the folder says of itself.
            device: where everything is computed, and where latents and embeddings live.
            dtype: of weights and computation; by default bfloat16, float32 on the CPU. In- and outputs are float32.
            plan: where weights wait until they are needed, and in how many bits; by default on the device, in full.
            speed: by which attention the transformer computes, and whether it is compiled.
        """
        files = source if isinstance(source, ModelFiles) else find_model(source, known=cls.published)
        found = cls._check(files)
        return cls(files, spec or found, Holding.of(device, dtype, plan, speed))

    def encode_prompt(self, text: str) -> Conditioning:
        """Read a prompt: (spec.text_tokens, d) embeddings. Text encoders are loaded when first needed."""
        return self._reader.read(text)

    def release_text_encoder(self) -> None:
        """Free the text encoders' memory; a later `encode_prompt` loads them again."""
        self._reader.release()

    def check_loras(self, files: Mapping[str, str]) -> Mapping[str, Path]:
        """Where LoRAs are, by name; refused by their headers if they do not fit. Nothing is loaded."""
        found = check_loras(files, target_of(self._folder, self.spec.name)) if files else {}
        return {name: facts.file for name, facts in found.items()}

    def use_loras(self, files: Mapping[str, Path]) -> None:
        """Draw with these LoRAs, by name, and no others; if one does not fit, nothing changes."""
        if files or "_adapters" in self.__dict__:  # without, the transformer need not be loaded yet
            self._adapters.replace(files)

    def set_loras(self, strengths: Mapping[str, float]) -> None:
        """How strongly each is added from now on; those not named are not."""
        if "_adapters" in self.__dict__:
            self._adapters.set(strengths)

    @torch.no_grad()
    def encode(self, image: Image) -> Latent:
        """Picture to latent, by the mode of the autoencoder's distribution: the same picture gives the same latent."""
        self.spec.check_size(width=image.shape[2], height=image.shape[1])
        vae, space = self._autoencoder
        picture = (image * 2 - 1)[None].to(self.device, self.dtype)
        return space.normalise(vae.encode(picture).latent_dist.mode()[0].float())

    @torch.no_grad()
    def decode(self, latent: Latent) -> Image:
        """Latent to picture."""
        vae, space = self._autoencoder
        picture: Tensor = vae.decode(space.denormalise(latent)[None].to(self.dtype)).sample[0]
        return (picture.float() / 2 + 0.5).clamp(0, 1).contiguous()

    def sigmas(self, steps: int, start: float, width: int, height: int) -> tuple[float, ...]:
        """`steps` + 1 falling noise levels from `start` to 0, on the curve for that number of steps and pixels."""
        self.spec.check_size(width, height)
        tokens = (width // self.spec.multiple) * (height // self.spec.multiple)
        return sigmas_below(start, steps, self._mu(tokens, steps))

    @abstractmethod
    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        """dx/dsigma at `latent`."""

    @staticmethod
    @abstractmethod
    def _check(files: ModelFiles) -> FluxSpec:
        """Refuse files that would fail, or draw nonsense, once loaded; otherwise say which model they hold."""

    @abstractmethod
    def _open_reader(self) -> Reader:
        """What reads prompts; nothing is loaded yet."""

    @abstractmethod
    def _mu(self, tokens: int, steps: int) -> float:
        """How far noise levels are bent for so many image tokens and steps."""

    @abstractmethod
    def _read_transformer(self) -> Any:
        """The transformer, on the CPU."""

    @abstractmethod
    def _read_autoencoder(self) -> tuple[Any, LatentSpace]:
        """The autoencoder on the CPU, and the space of its latents."""

    @cached_property
    def _adapters(self) -> Adapters:
        return Adapters(self._transformer, self.spec.name, self.device, self.dtype)

    @cached_property
    def _transformer(self) -> Any:
        return self._holding.transformer(self._read_transformer())

    @cached_property
    def _autoencoder(self) -> tuple[Any, LatentSpace]:
        vae, space = self._read_autoencoder()
        return self._holding.autoencoder(vae), space
