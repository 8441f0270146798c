"""FLUX.1 as a FluxModel: pictures to latents and back, prompts to embeddings, and the velocity of the flow."""

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel

from koshi_flux.flux1.companions import AdapterFiles, find_controlnet, find_ip_adapter
from koshi_flux.flux1.config import SPECS, NoiseCurve
from koshi_flux.flux1.controlnet import ControlNets
from koshi_flux.flux1.folder import check_folder, read_curve
from koshi_flux.flux1.ip_adapter import IpAdapters, attend, lend_ear
from koshi_flux.flux1.latents import LatentScale, image_ids, pack, text_ids, unpack
from koshi_flux.flux1.text import PromptReader
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning, Image, Impression, Latent
from koshi_flux.weights.family import FamilyModel
from koshi_flux.weights.folder import read_config
from koshi_flux.weights.model_files import ModelFiles
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.placement import Holding


class Flux1Model(FamilyModel):
    """A FLUX.1 on a device."""

    published = SPECS.values()

    def __init__(self, files: ModelFiles, spec: FluxSpec, holding: Holding):
        super().__init__(files, spec, holding)
        self._controlnets = ControlNets({}, holding)
        self._controlled_by: dict[str, Path] = {}
        self._ip_adapters = IpAdapters({}, holding)

    def check_controlnets(self, files: Mapping[str, str]) -> None:
        """Refuse ControlNets that are not there or do not fit. Nothing is loaded."""
        self._find_controlnets(files)

    def use_controlnets(self, files: Mapping[str, str]) -> None:
        """Draw with these ControlNets and no others; those of the film before stay loaded if they are the same."""
        folders = self._find_controlnets(files)
        if folders != self._controlled_by:
            self._controlnets, self._controlled_by = ControlNets(folders, self._holding), folders

    def check_ip_adapters(self, places: Mapping[str, tuple[str, str]]) -> None:
        """Refuse IP-Adapters that are not there or do not fit, or whose image encoder does not. Nothing is loaded."""
        self._find_ip_adapters(places)

    def use_ip_adapters(self, places: Mapping[str, tuple[str, str]]) -> None:
        """Have these IP-Adapters and no others look at pictures; they are loaded when they first do."""
        self._ip_adapters = IpAdapters(self._find_ip_adapters(places), self._holding)

    def look(self, image: Image, names: Collection[str]) -> Mapping[str, Impression]:
        """What these IP-Adapters make of a picture, at strength 1; it holds for every frame."""
        return self._ip_adapters.look(image, names)

    def release_ip_adapters(self) -> None:
        """Free the memory of IP-Adapters and their image encoders; a later `look` loads them again."""
        self._ip_adapters.release()

    @torch.no_grad()
    def velocity(
        self, latent: Latent, sigma: float, prompt: Conditioning, negative: Conditioning | None, guidance: float
    ) -> Latent:
        """dx/dsigma. Guidance is a number that the transformer reads, where it was trained to; `negative` is not read.

        `cache_context` names the pass for diffusers' step caches, if one is enabled.
        """
        height, width = latent.shape[1:]
        assert prompt.pooled is not None
        inputs = {
            "hidden_states": pack(latent)[None].to(self.dtype),
            "timestep": torch.full((1,), sigma, device=self.device),
            "encoder_hidden_states": prompt.tokens[None].to(self.dtype),
            "pooled_projections": prompt.pooled[None].to(self.dtype),
            "img_ids": image_ids(height, width, self.device),
            "txt_ids": text_ids(len(prompt.tokens), self.device),
            "return_dict": False,
        }
        told = torch.full((1,), guidance, device=self.device)
        config = self._transformer.config
        blocks = config.num_layers, config.num_single_layers
        controlled = self._controlnets.additions(prompt.controls, inputs, told, blocks)
        attend(self._transformer, prompt.adapters)
        with self._transformer.cache_context("cond"):
            (tokens,) = self._transformer(**inputs, guidance=told if config.guidance_embeds else None, **controlled)
        return unpack(tokens[0].float(), height, width)

    def _find_controlnets(self, files: Mapping[str, str]) -> dict[str, Path]:
        return {name: find_controlnet(file, self._shape) for name, file in files.items()}

    def _find_ip_adapters(self, places: Mapping[str, tuple[str, str]]) -> dict[str, AdapterFiles]:
        return {name: find_ip_adapter(file, encoder, self._shape) for name, (file, encoder) in places.items()}

    @cached_property
    def _shape(self) -> Mapping[str, Any]:
        """What the transformer's config states."""
        return read_config(self._folder, "transformer", ("attention_head_dim",), self.spec.name)

    @staticmethod
    def _check(files: ModelFiles) -> FluxSpec:
        return check_folder(files)

    def _open_reader(self) -> PromptReader:
        return PromptReader(self._folder, self._holding, self.spec.text_tokens)

    def _mu(self, tokens: int, steps: int) -> float:
        """On this curve the number of steps does not matter."""
        return self._curve.mu(tokens)

    @cached_property
    def _curve(self) -> NoiseCurve:
        return read_curve(self._folder, is_guided=self.spec.guidance == "embedded")

    def _read_transformer(self) -> FluxTransformer2DModel:
        part = read_part(FluxTransformer2DModel, self._folder / "transformer", self.dtype, self._holding.reading)
        lend_ear(part)
        return part

    def _read_autoencoder(self) -> tuple[AutoencoderKL, LatentScale]:
        vae = read_part(AutoencoderKL, self._folder / "vae", self.dtype)
        return vae, LatentScale.of(vae)


load = Flux1Model.load
