"""Prompts to embeddings: the Qwen3 text encoder, in memory only while prompts are read."""

import gc
import logging
import textwrap
import weakref
from pathlib import Path

import torch
from diffusers import Flux2KleinPipeline
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

from koshi_flux.shared.types import Conditioning
from koshi_flux.weights.parts import read_part

log = logging.getLogger(__name__)

_QUOTED = 200
"""Characters up to which a message quotes the words that were cut."""


class PromptReader:
    """Reads prompts just as Flux2KleinPipeline does: chat template, padding, hidden states 9, 18 and 27.

    Args:
        length: prompts are padded or cut to so many tokens.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, length: int):
        self._folder, self._device, self._dtype, self._length = folder, device, dtype, length
        self._pipeline: Flux2KleinPipeline | None = None

    @torch.no_grad()
    def read(self, text: str) -> Conditioning:
        """Embed a prompt; the first one loads the encoder. Padding is embedded too: n is `length` for every prompt."""
        if self._pipeline is None:
            self._pipeline = self._load()
        if lost := words_cut(text, self._pipeline.tokenizer, self._length):
            log.warning(
                "a prompt is longer than the %d tokens that this model reads; cut off: %s",
                self._length,
                textwrap.shorten(lost, _QUOTED, placeholder=" ..."),
            )
        tokens, _ = self._pipeline.encode_prompt(text, device=self._device, max_sequence_length=self._length)
        return Conditioning(tokens[0].float())

    def release(self) -> None:
        """Give the encoder's memory back."""
        if self._pipeline is None:
            return
        encoder = weakref.ref(self._pipeline.text_encoder)
        self._pipeline = None
        if encoder() is not None:  # something points in a circle; looking for it takes a third of a second
            gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self) -> Flux2KleinPipeline:
        """A pipeline that can do nothing but read."""
        encoder = read_part(Qwen3ForCausalLM, self._folder / "text_encoder", self._dtype).to(self._device)
        tokenizer = Qwen2TokenizerFast.from_pretrained(self._folder / "tokenizer", local_files_only=True)
        return Flux2KleinPipeline(text_encoder=encoder, tokenizer=tokenizer, transformer=None, vae=None, scheduler=None)


def words_cut(text: str, tokenizer: Qwen2TokenizerFast, length: int) -> str:
    """The end of a prompt that is not read, from the word on that the cut falls into; "" if all of it is read."""
    text = text.strip()
    turn = [{"role": "user", "content": text}]
    asked = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    places = tokenizer(asked, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(places) <= length:
        return ""
    cut = max(0, places[length][0] - asked.index(text))
    within_a_word = cut < len(text) and not text[cut].isspace()
    return text[text.rfind(" ", 0, cut) + 1 if within_a_word else cut :].strip()
