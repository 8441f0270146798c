"""What a FLUX.2 that was trained for it remembers of the pictures it looks at: their keys and values, computed once.

The reference tokens of such a model attend to one another only, as if they were free of noise, whatever is drawn from
whatever prompt at whatever noise level. So their keys and values follow from the references and the weights alone: they
hold for all steps of a frame, and for all frames that look at the same pictures.
Source: Flux2KleinKVPipeline and Flux2KVCache of diffusers, whose own first step computes them beside the picture; here
a pass of their own does, so that a frame is the same to the bit whether or not they were remembered.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from diffusers.models.transformers.transformer_flux2 import (
    Flux2KVAttnProcessor,
    Flux2KVCache,
    Flux2KVParallelSelfAttnProcessor,
)
from jaxtyping import Float
from torch import Tensor

from koshi_flux.flux2.latents import in_a_row, text_ids

Picture: TypeAlias = Float[Tensor, "c _ _"]
"""A latent of any size."""


def enable_memory(transformer: Any) -> None:
    """Have the blocks keep keys and values of references; without references they compute as before."""
    for block in transformer.transformer_blocks:
        block.attn.set_processor(Flux2KVAttnProcessor())
    for block in transformer.single_transformer_blocks:
        block.attn.set_processor(Flux2KVParallelSelfAttnProcessor())


class ReferenceCache:
    """Keys and values of the references that were looked at last."""

    def __init__(self) -> None:
        self._seen: tuple[Picture, ...] = ()  # held, so that what is the same object is the same picture
        self._memory: Flux2KVCache | None = None

    def of(self, references: Sequence[Picture], transformer: Any, dtype: torch.dtype) -> Flux2KVCache:
        """Those of these references, which the transformer reads if it did not just now."""
        known = len(references) == len(self._seen) and all(map(_is_same, references, self._seen))
        if self._memory is None or not known:
            self.forget()  # first, as two may not fit
            self._seen, self._memory = tuple(references), read_references(references, transformer, dtype)
        return self._memory

    def forget(self) -> None:
        """Free the memory; to be called when weights change."""
        self._seen, self._memory = (), None


@torch.no_grad()
def read_references(references: Sequence[Picture], transformer: Any, dtype: torch.dtype) -> Flux2KVCache:
    """Have a transformer look at references, beside one blank token of a picture and of a prompt, as it needs some."""
    tokens, places = in_a_row(references, first=1)
    words = tokens.new_zeros(1, 1, transformer.config.joint_attention_dim, dtype=dtype)
    with transformer.cache_context("references"):
        _, memory = transformer(
            hidden_states=torch.cat([tokens, torch.zeros_like(tokens[:1])])[None].to(dtype),
            timestep=tokens.new_zeros(1),
            encoder_hidden_states=words,
            img_ids=torch.cat([places, torch.zeros_like(places[:1])]),
            txt_ids=text_ids(1, tokens.device),
            return_dict=False,
            kv_cache_mode="extract",
            num_ref_tokens=len(tokens),
        )
    return memory


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one is other
