"""Prompts to embeddings: the text encoder, Qwen3 or Mistral, in memory only while prompts are read."""

import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline
from diffusers.pipelines.flux2.pipeline_flux2 import format_input
from transformers import (
    Mistral3ForConditionalGeneration,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2TokenizerFast,
    Qwen3ForCausalLM,
)

from koshi_flux.shared.spec import FluxSpec
from koshi_flux.shared.types import Conditioning
from koshi_flux.weights.folder import read_config
from koshi_flux.weights.model_files import ModelFiles
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.placement import Holding
from koshi_flux.weights.prompt_cache import cache_for, remembered
from koshi_flux.weights.text import give_memory_back, say_what_was_cut, words_from

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoder:
    """What is particular to one kind of text encoder.

    Args:
        pipeline: diffusers' class that reads prompts with it.
        network: transformers' class of its weights.
        open_tokenizer: reads its tokenizer from a folder.
        conversation: (tokenizer, prompt) to the whole text that the network is shown.
    """

    pipeline: type
    network: type
    open_tokenizer: Callable[..., Any]
    conversation: Callable[[Any, str], str]


def with_qwen(tokenizer: Any, text: str) -> str:
    """The prompt as the user's turn, and the start of an answer given without thinking."""
    turn = [{"role": "user", "content": text}]
    return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=False))


def with_mistral(tokenizer: Any, text: str) -> str:
    """The system message that FLUX.2-dev was trained with, and the prompt as the user's turn."""
    return str(tokenizer.apply_chat_template(format_input([text])[0], tokenize=False))


# published as a Llama tokenizer, which pads on the left, in a PixtralProcessor, which calls for torchvision
_MISTRALS_TOKENIZER = partial(PreTrainedTokenizerFast.from_pretrained, padding_side="left")

ENCODERS = {
    "qwen3": Encoder(Flux2KleinPipeline, Qwen3ForCausalLM, Qwen2TokenizerFast.from_pretrained, with_qwen),
    "mistral3": Encoder(Flux2Pipeline, Mistral3ForConditionalGeneration, _MISTRALS_TOKENIZER, with_mistral),
    "mistral": Encoder(Flux2Pipeline, MistralForCausalLM, _MISTRALS_TOKENIZER, with_mistral),
}
"""By the name that the text encoder's config.json has for it (model_type)."""


class PromptReader:
    """Reads prompts just as diffusers' pipelines do: conversation, padding, and some hidden states side by side.

    Args:
        folder: of the whole model.
        spec: says how many tokens prompts are padded or cut to, and which hidden states are read.
    """

    def __init__(self, folder: ModelFiles, holding: Holding, spec: FluxSpec):
        self._folder, self._holding = folder, holding
        self._length, self._layers = spec.text_tokens, spec.text_layers
        self._encoder = ENCODERS[read_config(folder, "text_encoder", ("model_type",), spec.name)["model_type"]]
        self._pipeline: Any = None
        setting = f"{holding.device.type} {holding.computing} {spec.text_tokens} {spec.text_layers}"
        self._cache = cache_for([folder / "text_encoder", folder / "tokenizer"], setting)

    @torch.no_grad()
    def read(self, text: str) -> Conditioning:
        """Embed a prompt; the first that was never read loads the encoder.

        Padding is embedded too: n is the same for every prompt.
        """
        conversation = partial(self._encoder.conversation, self._tokenizer)
        if lost := words_cut(text, conversation, self._tokenizer, self._length):
            say_what_was_cut(log, lost, self._length)
        return remembered(self._cache, text, self._embed, self._holding.device)

    def _embed(self, text: str) -> Conditioning:
        """Have the encoder read."""
        if self._pipeline is None:
            self._pipeline = self._load()
        tokens, _ = self._pipeline.encode_prompt(
            text, device=self._holding.device, max_sequence_length=self._length, text_encoder_out_layers=self._layers
        )
        return Conditioning(tokens[0].float())

    def release(self) -> None:
        """Give the encoder's memory back."""
        if self._pipeline is None:
            return
        dropped = weakref.ref(self._pipeline.text_encoder)
        self._pipeline = None
        give_memory_back([dropped], self._holding.device)

    def _load(self) -> Any:
        """A pipeline that can do nothing but read.

        Only that half of the encoder that reads is kept, up to the last layer that is asked for. What comes later, what
        writes answers and what sees pictures is a fifth to a quarter of its weights.
        """
        part = read_part(self._encoder.network, self._folder / "text_encoder", self._holding.computing)
        network = part.get_decoder()
        del network.layers[self._layers[-1] :]
        network.norm = (
            torch.nn.Identity()
        )  # hidden states are asked for as layers leave them, those of the last as well
        return self._encoder.pipeline(
            text_encoder=self._holding.encoder(network),
            tokenizer=self._tokenizer,
            transformer=None,
            vae=None,
            scheduler=None,
        )

    @cached_property
    def _tokenizer(self) -> Any:
        return self._encoder.open_tokenizer(self._folder / "tokenizer", local_files_only=True)


def words_cut(text: str, conversation: Callable[[str], str], tokenizer: Any, length: int) -> str:
    """The end of a prompt that is not read, from the word on that the cut falls into; "" if all of it is read.

    Args:
        conversation: the prompt to the whole text that the encoder is shown.
    """
    shown = conversation(text)
    places = tokenizer(shown, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(places) <= length:
        return ""
    before, after = map(len, conversation("\0").split("\0"))
    return words_from(shown[before : len(shown) - after], max(0, places[length][0] - before))
