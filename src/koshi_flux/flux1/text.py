"""Prompts to embeddings: T5 for the words, CLIP for a summary, in memory only while prompts are read."""

import logging
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from koshi_flux.shared.types import Conditioning
from koshi_flux.weights.model_files import ModelFiles
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.placement import Holding
from koshi_flux.weights.prompt_cache import cache_for, remembered
from koshi_flux.weights.text import give_memory_back, say_what_was_cut, words_from

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoder:
    """A text encoder with its tokenizer; prompts are padded or cut to `length` tokens, and padding is read too."""

    tokenizer: Any
    network: Any
    length: int
    device: torch.device

    def __call__(self, text: str) -> Any:
        """All that the network makes of a prompt."""
        cut = self.tokenizer(text, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt")
        return self.network(cut.input_ids.to(self.device))


class PromptReader:
    """Reads prompts just as FluxPipeline does.

    T5's last hidden states are what the transformer attends to. CLIP's one summary vector only tints the whole; it is
    made of the first 77 tokens, and nobody is warned of that limit, as every word still counts through T5.

    Args:
        length: T5 reads so many tokens.
    """

    def __init__(self, folder: ModelFiles, holding: Holding, length: int):
        self._folder, self._holding, self._length = folder, holding, length
        self._encoders: tuple[Encoder, Encoder] | None = None
        parts = [folder / part for part in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")]
        self._cache = cache_for(parts, f"{holding.device.type} {holding.computing} {length}")

    @torch.no_grad()
    def read(self, text: str) -> Conditioning:
        """Embed a prompt; the first that was never read loads the encoders. n is `length` for every prompt."""
        if lost := words_cut(text, self._tokenizer, self._length):
            say_what_was_cut(log, lost, self._length)
        return remembered(self._cache, text, self._embed, self._holding.device)

    def _embed(self, text: str) -> Conditioning:
        """Have both encoders read."""
        if self._encoders is None:
            self._encoders = self._load_clip(), self._load_t5()
        clip, t5 = self._encoders
        return Conditioning(t5(text).last_hidden_state[0].float(), clip(text).pooler_output[0].float())

    def release(self) -> None:
        """Give the encoders' memory back."""
        if self._encoders is None:
            return
        dropped = [weakref.ref(encoder.network) for encoder in self._encoders]
        self._encoders = None
        give_memory_back(dropped, self._holding.device)

    def _load_clip(self) -> Encoder:
        network = read_part(CLIPTextModel, self._folder / "text_encoder", self._holding.computing)
        tokenizer = CLIPTokenizer.from_pretrained(self._folder / "tokenizer", local_files_only=True)
        length = min(tokenizer.model_max_length, network.config.max_position_embeddings)
        return Encoder(tokenizer, self._holding.encoder(network), length, self._holding.device)

    def _load_t5(self) -> Encoder:
        network = read_part(T5EncoderModel, self._folder / "text_encoder_2", self._holding.computing)
        return Encoder(self._tokenizer, self._holding.encoder(network), self._length, self._holding.device)

    @cached_property
    def _tokenizer(self) -> T5TokenizerFast:
        """T5's, which says where a prompt is cut."""
        return T5TokenizerFast.from_pretrained(self._folder / "tokenizer_2", local_files_only=True)


def words_cut(text: str, tokenizer: T5TokenizerFast, length: int) -> str:
    """The end of a prompt that T5 does not read, from the word on that the cut falls into; "" if all of it is read."""
    places = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    words = length - 1  # the last token says that the text ends
    return words_from(text, places[words][0]) if len(places) > words else ""
