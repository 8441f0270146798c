"""FLUX.1 as a FluxModel: pictures to latents and back, prompts to embeddings, and the velocity of the flow."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor

from koshi_flux.flux1.config import SPECS, NoiseCurve
from koshi_flux.flux1.controlnet import ControlNets, check_controlnet
from koshi_flux.flux1.folder import check_folder, read_curve
from koshi_flux.flux1.latents import LatentScale, image_ids, pack, text_ids, unpack
from koshi_flux.flux1.text import PromptReader
from koshi_flux.shared.flow_matching import sigmas_below
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning, Image, Latent
from koshi_flux.weights.adapters import Adapters
from koshi_flux.weights.folder import read_config, target_of
from koshi_flux.weights.hub import find_part
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
) -> "Flux1Model":
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
    return Flux1Model(folder, spec or found, Holding.of(device, dtype, plan, speed))


class Flux1Model:
    """A FLUX.1 on a device.

    Each part is read from disk when it is first needed: whoever reads all prompts and releases the text encoders
    before drawing never holds them and the transformer in memory together.
    """

    def __init__(self, folder: ModelFiles, spec: FluxSpec, holding: Holding):
        self.spec, self.device, self.dtype = spec, holding.device, holding.computing
        self._holding, self.relief = holding, holding.plan.relief
        self._folder = folder
        self._reader = PromptReader(folder, holding, spec.text_tokens)
        self._controlnets = ControlNets({}, holding)
        self._controlled_by: dict[str, Path] = {}

    def encode_prompt(self, text: str) -> Conditioning:
        """Read a prompt: (spec.text_tokens, d) embeddings and a summary. Text encoders are loaded when first needed."""
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

    def check_controlnets(self, files: Mapping[str, str]) -> None:
        """Refuse ControlNets that are not there or do not fit. Nothing is loaded."""
        config = read_config(self._folder, "transformer", (), self.spec.name)
        for file in files.values():
            check_controlnet(find_part(file), config)

    def use_controlnets(self, files: Mapping[str, str]) -> None:
        """Draw with these ControlNets and no others; those of the film before stay loaded if they are the same."""
        self.check_controlnets(files)
        folders = {name: find_part(file) for name, file in files.items()}
        if folders != self._controlled_by:
            self._controlnets, self._controlled_by = ControlNets(folders, self._holding), folders

    @torch.no_grad()
    def encode(self, image: Image) -> Latent:
        """Picture to latent, by the mode of the autoencoder's distribution: the same picture gives the same latent."""
        self.spec.check_size(width=image.shape[2], height=image.shape[1])
        vae, scale = self._autoencoder
        picture = (image * 2 - 1)[None].to(self.device, self.dtype)
        return scale.normalise(vae.encode(picture).latent_dist.mode()[0].float())

    @torch.no_grad()
    def decode(self, latent: Latent) -> Image:
        """Latent to picture."""
        vae, scale = self._autoencoder
        picture: Tensor = vae.decode(scale.denormalise(latent)[None].to(self.dtype)).sample[0]
        return (picture.float() / 2 + 0.5).clamp(0, 1).contiguous()

    def sigmas(self, steps: int, start: float, width: int, height: int) -> tuple[float, ...]:
        """`steps` + 1 falling noise levels from `start` to 0, on the curve for that number of pixels."""
        self.spec.check_size(width, height)
        tokens = (width // self.spec.multiple) * (height // self.spec.multiple)
        return sigmas_below(start, steps, self._curve.mu(tokens))

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
        with self._transformer.cache_context("cond"):
            (tokens,) = self._transformer(**inputs, guidance=told if self._is_guided else None, **controlled)
        return unpack(tokens[0].float(), height, width)

    @cached_property
    def _adapters(self) -> Adapters:
        return Adapters(self._transformer, self.spec.name, self.device, self.dtype)

    @cached_property
    def _curve(self) -> NoiseCurve:
        return read_curve(self._folder, is_guided=self.spec.guidance == "embedded")

    @cached_property
    def _transformer(self) -> FluxTransformer2DModel:
        part = read_part(FluxTransformer2DModel, self._folder / "transformer", self.dtype, self._holding.reading)
        return self._holding.transformer(part)

    @property
    def _is_guided(self) -> bool:
        """Whether the transformer has an input for guidance, whatever row it is filmed by."""
        return bool(self._transformer.config.guidance_embeds)

    @cached_property
    def _autoencoder(self) -> tuple[AutoencoderKL, LatentScale]:
        vae = self._holding.autoencoder(read_part(AutoencoderKL, self._folder / "vae", self.dtype))
        return vae, LatentScale.of(vae)
