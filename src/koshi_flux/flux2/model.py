"""FLUX.2 as a FluxModel: pictures to latents and back, prompts to embeddings, and the velocity of the flow."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

from koshi_flux.flux2.config import SPECS, empirical_mu, static_mu
from koshi_flux.flux2.folder import check_folder
from koshi_flux.flux2.latents import PATCH, LatentStatistics, in_a_row, text_ids, unpack
from koshi_flux.flux2.reference_cache import ReferenceCache, enable_memory
from koshi_flux.flux2.text import PromptReader
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning, Latent
from koshi_flux.weights.family import FamilyModel
from koshi_flux.weights.model_files import ModelFiles
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.placement import Holding


class Flux2Model(FamilyModel):
    """A FLUX.2 on a device."""

    published = SPECS.values()

    def __init__(self, files: ModelFiles, spec: FluxSpec, holding: Holding):
        super().__init__(files, spec, holding)
        self._memory = ReferenceCache()
        self._strengths: dict[str, float] = {}

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
        beside, remembered = self._references(conditioning)
        tokens, places = in_a_row((latent, *beside))
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
                **remembered,
            )
        own = (height // PATCH) * (width // PATCH)  # what is predicted for the references is of no use
        return unpack(predicted[0, :own].float(), height, width)

    def _references(self, conditioning: Conditioning) -> tuple[tuple[Latent, ...], dict[str, Any]]:
        """The references that are read with the picture, and what is remembered of them instead where that is."""
        references = conditioning.references
        if not references or not self.spec.reference_cache:
            return references, {}
        memory = self._memory.of(references, self._transformer, self.dtype)
        return (), {"kv_cache": memory, "kv_cache_mode": "cached"}

    def use_loras(self, files: Mapping[str, Path]) -> None:
        """Draw with these LoRAs, by name, and no others; if one does not fit, nothing changes."""
        self._memory.forget()
        super().use_loras(files)

    def set_loras(self, strengths: Mapping[str, float]) -> None:
        """How strongly each is added from now on; references are looked at anew if that is a change."""
        if self._strengths != strengths:
            self._memory.forget()
        self._strengths = dict(strengths)
        super().set_loras(strengths)

    @staticmethod
    def _check(files: ModelFiles) -> FluxSpec:
        return check_folder(files)

    def _open_reader(self) -> PromptReader:
        return PromptReader(self._folder, self._holding, self.spec)

    def _mu(self, tokens: int, steps: int) -> float:
        return self._own_mu if self._own_mu is not None else empirical_mu(tokens, steps)

    @cached_property
    def _own_mu(self) -> float | None:
        """How far this model bends noise levels at every size, where its scheduler says so; None for FLUX.2's way."""
        return static_mu(self._folder / "scheduler" / "scheduler_config.json")

    def _read_transformer(self) -> Flux2Transformer2DModel:
        part = read_part(Flux2Transformer2DModel, self._folder / "transformer", self.dtype, self._holding.reading)
        if self.spec.reference_cache:
            enable_memory(part)
        return part

    def _read_autoencoder(self) -> tuple[AutoencoderKLFlux2, LatentStatistics]:
        """The autoencoder, and its statistics before it is rounded to `dtype`."""
        vae = read_part(AutoencoderKLFlux2, self._folder / "vae", torch.float32)
        return vae, LatentStatistics.of(vae.bn, self.device)


load = Flux2Model.load
