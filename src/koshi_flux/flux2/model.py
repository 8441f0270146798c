"""FLUX.2 as a FluxModel: pictures to latents and back, prompts to embeddings, and the velocity of the flow."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from torch import Tensor

from koshi_flux.flux2.config import SPECS, empirical_mu, static_mu
from koshi_flux.flux2.folder import check_folder
from koshi_flux.flux2.latents import PATCH, LatentStatistics, in_a_row, text_ids, unpack
from koshi_flux.flux2.text import PromptReader
from koshi_flux.shared.flow_matching import sigmas_below
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning, Image, Latent
from koshi_flux.weights.adapters import Adapters
from koshi_flux.weights.folder import target_of
from koshi_flux.weights.lora import check_loras
from koshi_flux.weights.memory import MemoryPlan
from koshi_flux.weights.model_files import ModelFiles, find_model
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.placement import Holding
from koshi_flux.weights.speed import PLAIN, Speed


def load(
    source: str | Path | ModelFiles,
    spec: FluxSpec | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    plan: MemoryPlan | None = None,
    speed: Speed = PLAIN,
) -> "Flux2Model":
    """Open a model from a diffusers folder, a single file or a repository of the hub; what cannot work is refused here.

    Args:
        source: the folder or file, or owner/name on the hub, which is then downloaded once; or where each part lies.
        spec: the row to film by; by default what the folder says of itself.
        device: where everything is computed, and where latents and embeddings live.
        dtype: of weights and computation; by default bfloat16, and float32 on the CPU. In- and outputs are float32.
        plan: where weights wait until they are needed, and in how many bits; by default on the device, in full.
        speed: by which attention the transformer computes, and whether it is compiled.
    """
    folder = source if isinstance(source, ModelFiles) else find_model(source, known=SPECS.values())
    found = check_folder(folder)
    return Flux2Model(folder, spec or found, Holding.of(device, dtype, plan, speed))


class Flux2Model:
    """A FLUX.2 on a device.

    Each part is read from disk when it is first needed: whoever reads all prompts and releases the text encoder
    before drawing never holds the encoder and the transformer in memory together.
    """

    def __init__(self, folder: ModelFiles, spec: FluxSpec, holding: Holding):
        self.spec, self.device, self.dtype = spec, holding.device, holding.computing
        self._holding, self.relief = holding, holding.plan.relief
        self._folder = folder
        self._reader = PromptReader(folder, holding, spec)

    def encode_prompt(self, text: str) -> Conditioning:
        """Read a prompt: (spec.text_tokens, d) embeddings. The text encoder is loaded when first needed."""
        return self._reader.read(text)

    def release_text_encoder(self) -> None:
        """Free the text encoder's memory; a later `encode_prompt` loads it again."""
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
        vae, statistics = self._autoencoder
        picture = (image * 2 - 1)[None].to(self.device, self.dtype)
        return statistics.normalise(vae.encode(picture).latent_dist.mode()[0].float())

    @torch.no_grad()
    def decode(self, latent: Latent) -> Image:
        """Latent to picture."""
        vae, statistics = self._autoencoder
        picture: Tensor = vae.decode(statistics.denormalise(latent)[None].to(self.dtype)).sample[0]
        return (picture.float() / 2 + 0.5).clamp(0, 1).contiguous()

    def sigmas(self, steps: int, start: float, width: int, height: int) -> tuple[float, ...]:
        """`steps` + 1 falling noise levels from `start` to 0, on the curve for that number of steps and pixels."""
        self.spec.check_size(width, height)
        tokens = (width // self.spec.multiple) * (height // self.spec.multiple)
        return sigmas_below(start, steps, self._own_mu if self._own_mu is not None else empirical_mu(tokens, steps))

    @torch.no_grad()
    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        """dx/dsigma, with an eye on `prompt.references`, as where diffusers' pipelines are given an `image`.

        An undistilled Klein is steered away from `negative`, at twice the cost, if `guidance` > 1; a dev was trained
        to be told its guidance, and knows no negative.
        """
        towards = self._predict("cond", latent, sigma, prompt, guidance)
        if self.spec.guidance != "true" or negative is None or guidance <= 1:
            return towards
        seen = replace(negative, references=prompt.references)
        away = self._predict("uncond", latent, sigma, seen, guidance)
        return away + guidance * (towards - away)

    def _predict(
        self, branch: str, latent: Latent, sigma: float, conditioning: Conditioning, guidance: float
    ) -> Latent:
        """One pass of the transformer; `branch` keeps apart what diffusers' step caches remember, if one is enabled."""
        height, width = latent.shape[1:]
        tokens, places = in_a_row((latent, *conditioning.references))
        embedded = torch.full((1,), guidance, device=self.device) if self.spec.guidance == "embedded" else None
        with self._transformer.cache_context(branch):
            (predicted,) = self._transformer(
                hidden_states=tokens[None].to(self.dtype),
                timestep=torch.full((1,), sigma, device=self.device),
                guidance=embedded,
                encoder_hidden_states=conditioning.tokens[None].to(self.dtype),
                img_ids=places,
                txt_ids=text_ids(len(conditioning.tokens), self.device),
                return_dict=False,
            )
        own = (height // PATCH) * (width // PATCH)  # what is predicted for the references is of no use
        return unpack(predicted[0, :own].float(), height, width)

    @cached_property
    def _adapters(self) -> Adapters:
        return Adapters(self._transformer, self.spec.name, self.device, self.dtype)

    @cached_property
    def _own_mu(self) -> float | None:
        """How far this model bends noise levels at every size, where its scheduler says so; None for FLUX.2's way."""
        return static_mu(self._folder / "scheduler" / "scheduler_config.json")

    @cached_property
    def _transformer(self) -> Flux2Transformer2DModel:
        part = read_part(Flux2Transformer2DModel, self._folder / "transformer", self.dtype, self._holding.reading)
        return self._holding.transformer(part)

    @cached_property
    def _autoencoder(self) -> tuple[AutoencoderKLFlux2, LatentStatistics]:
        """The autoencoder, and its statistics as they were before it was rounded to `dtype`."""
        vae = read_part(AutoencoderKLFlux2, self._folder / "vae", torch.float32)
        statistics = LatentStatistics.of(vae.bn, self.device)
        return self._holding.autoencoder(vae), statistics
