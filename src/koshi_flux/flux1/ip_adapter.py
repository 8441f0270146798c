"""IP-Adapters of FLUX.1: pictures that are attended to as prompts are.

CLIP sums a picture up in one vector, an adapter makes a few tokens of it, and of these keys and values for every double
block, whose image tokens attend to them beside all else. None of that depends on the frame or its noise: it is computed
once for a picture, and neither CLIP nor adapter need be in memory while frames are drawn.
Source: FluxIPAdapterMixin and FluxIPAdapterAttnProcessor of diffusers, which compute the same at every step.
"""

import weakref
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from jaxtyping import Float
from PIL import Image as PillowImage
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import layer_norm, linear
from transformers import CLIPVisionModelWithProjection
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from koshi_flux.flux1.companions import AdapterFiles
from koshi_flux.shared.types import Image, Impression
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.placement import Holding
from koshi_flux.weights.text import give_memory_back

Heard: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Keys, values and strength of an impression, for one block; what is compiled holds for one number, but any tensor."""


class AttentionToPictures(FluxAttnProcessor):  # type: ignore[misc]  # untyped
    """Attention of a double block that also attends to what is `heard`; where that is nothing, all is as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: tuple[Heard, ...] = ()

    def __call__(
        self, attn: Any, hidden_states: Tensor, *others: Any
    ) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]:
        """What is added to the picture's tokens and to the prompt's; third, what impressions add to the picture's."""
        picture, prompt = super().__call__(attn, hidden_states, *others)
        if not self.heard:
            return picture, prompt
        query = attn.norm_q(attn.to_q(hidden_states).unflatten(-1, (attn.heads, -1)))
        added = torch.zeros_like(picture)
        for keys, values, strength in self.heard:
            heads = (each.reshape(1, len(each), attn.heads, -1) for each in (keys, values))
            found = dispatch_attention_fn(query, *heads, backend=self._attention_backend)
            added = added + strength * found.flatten(2, 3)
        return picture, prompt, added


def lend_ear(transformer: Any) -> None:
    """Make a transformer's double blocks able to attend to impressions."""
    for block in transformer.transformer_blocks:
        block.attn.set_processor(AttentionToPictures())


def attend(transformer: Any, impressions: Sequence[Impression]) -> None:
    """Have a transformer that lends an ear attend to these impressions and no others from now on."""
    strengths = [torch.tensor(each.strength, device=each.keys[0].device) for each in impressions]
    for place, block in enumerate(transformer.transformer_blocks):
        block.attn.processor.heard = tuple(
            (each.keys[place], each.values[place], strength)
            for each, strength in zip(impressions, strengths, strict=True)
        )


class Clip(CLIPVisionModelWithProjection):  # type: ignore[misc]  # untyped
    """The half of a CLIP that sees; most are published with the half that reads, which is left out without a word."""

    _keys_to_ignore_on_load_unexpected = ("text_", "logit_scale")


class IpAdapter:
    """An IP-Adapter in memory."""

    def __init__(self, files: AdapterFiles, device: torch.device, dtype: torch.dtype):
        self._files = files
        with safe_open(files.file, "pt") as opened:
            self._weights = {name: opened.get_tensor(name).to(device, dtype) for name in files.tensors()}

    def impression(self, summary: Float[Tensor, " summary"]) -> Impression:
        """What it makes of CLIP's summary of a picture, at strength 1."""
        spelling = self._files.spelling
        projected = linear(summary, *self._layer(f"{spelling.projection}.proj")).reshape(self._files.tokens, -1)
        tokens = layer_norm(projected, projected.shape[1:], *self._layer(f"{spelling.projection}.norm"))
        keys, values = (
            tuple(linear(tokens, *self._layer(spelling.layer(block, what))) for block in range(self._files.blocks))
            for what in ("k", "v")
        )
        return Impression(keys, values)

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        return self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]


class IpAdapters:
    """The IP-Adapters of one model, in memory with their encoders from when they first look until they are released."""

    def __init__(self, files: Mapping[str, AdapterFiles], holding: Holding):
        self._files, self._holding = files, holding
        self._adapters: dict[str, IpAdapter] = {}
        self._encoders: dict[Path, Any] = {}

    @torch.no_grad()
    def look(self, image: Image, names: Collection[str]) -> dict[str, Impression]:
        """What these make of a picture; those that look through the same CLIP have it look once."""
        encoders = {self._files[name].encoder for name in names}
        summaries = {folder: self._summary(image, folder) for folder in encoders}
        return {name: self._adapter(name).impression(summaries[self._files[name].encoder]) for name in names}

    def release(self) -> None:
        """Give the memory back."""
        dropped = [weakref.ref(encoder) for encoder in self._encoders.values()]
        self._adapters.clear()
        self._encoders.clear()
        give_memory_back(dropped, self._holding.device)

    def _summary(self, image: Image, folder: Path) -> Float[Tensor, " summary"]:
        if folder not in self._encoders:
            part = read_part(Clip, folder, self._holding.computing)
            self._encoders[folder] = part.to(self._holding.device)
        encoder = self._encoders[folder]
        seen = as_clip_sees(image, encoder.config.image_size)
        return encoder(seen[None].to(self._holding.device, self._holding.computing)).image_embeds[0]

    def _adapter(self, name: str) -> IpAdapter:
        if name not in self._adapters:
            self._adapters[name] = IpAdapter(self._files[name], self._holding.device, self._holding.computing)
        return self._adapters[name]


def as_clip_sees(image: Image, side: int) -> Float[Tensor, "3 side side"]:
    """The middle of a picture as CLIP was trained to read it, in bytes and by Pillow, as CLIPImageProcessor does it."""
    levels = (image.clamp(0, 1) * 255).round().byte().movedim(0, 2).cpu().numpy()
    height, width = image.shape[1:]
    short = min(height, width)
    resized = PillowImage.fromarray(np.ascontiguousarray(levels)).resize(
        (side * width // short, side * height // short), PillowImage.Resampling.BICUBIC
    )
    left, top = ((whole - side) // 2 for whole in resized.size)
    middle = torch.from_numpy(np.array(resized.crop((left, top, left + side, top + side)))).movedim(2, 0) / 255
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return (middle - mean) / deviation
