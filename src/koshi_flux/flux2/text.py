"""Prompts to embeddings: the Qwen3 text encoder, in memory only while prompts are read."""

import gc
from pathlib import Path

import torch
from diffusers import Flux2KleinPipeline
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

from koshi_flux.flux2.parts import read_part
from koshi_flux.shared.types import Conditioning


class PromptReader:
    """Reads prompts just as Flux2KleinPipeline does: chat template, 512 tokens, hidden states 9, 18 and 27."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype):
        self._folder, self._device, self._dtype = folder, device, dtype
        self._pipeline: Flux2KleinPipeline | None = None

    @torch.no_grad()
    def read(self, text: str) -> Conditioning:
        """Embed a prompt; the first one loads the encoder. Padding is embedded too, so n is 512 for every prompt."""
        if self._pipeline is None:
            self._pipeline = self._load()
        tokens, _ = self._pipeline.encode_prompt(text, device=self._device)
        return Conditioning(tokens[0].float())

    def release(self) -> None:
        """Give the encoder's memory back."""
        self._pipeline = None
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self) -> Flux2KleinPipeline:
        """A pipeline that can do nothing but read."""
        encoder = read_part(Qwen3ForCausalLM, self._folder / "text_encoder", self._dtype).to(self._device)
        tokenizer = Qwen2TokenizerFast.from_pretrained(self._folder / "tokenizer", local_files_only=True)
        return Flux2KleinPipeline(text_encoder=encoder, tokenizer=tokenizer, transformer=None, vae=None, scheduler=None)
