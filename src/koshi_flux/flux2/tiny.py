"""A random FLUX.2 of a few hundred thousand weights, made offline: the real shape, for tests and for trying things out.

Every part is of the real class and wired as in the published models, only narrow, so that whatever runs with it runs
with the real weights. It draws noise.
"""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinKVPipeline,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralVisionConfig,
    PreTrainedTokenizerFast,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from koshi_flux.flux2.config import FLUX_2_DEV, KLEIN_4B, Kind
from koshi_flux.shared.spec import FluxSpec, GuidanceKind
from koshi_flux.weights.tiny import byte_symbols, empty_folder

QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""How Qwen3 is spoken to: turns between markers, and an empty thought where thinking is switched off."""

MISTRAL_TOKENS = ("<unk>", "<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]")

MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% set text = message.content | map(attribute='text') | join %}"
    "{% if message.role == 'system' %}[SYSTEM_PROMPT]{{ text }}[/SYSTEM_PROMPT]"
    "{% else %}[INST]{{ text }}[/INST]{% endif %}{% endfor %}"
)
"""How Mistral is spoken to: what it should be, then turns between markers, each in pieces of text."""

BYTES = 256
TEXT_WIDTH = 16
LANGUAGE = {
    "hidden_size": TEXT_WIDTH,
    "intermediate_size": 2 * TEXT_WIDTH,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": TEXT_WIDTH // 2,
    "max_position_embeddings": 1024,
}
"""Sizes of both text encoders; each is as deep as is read, plus the layer after which hidden states are normalised."""


def make_like(spec: FluxSpec, folder: str | Path, seed: int = 0) -> Path:
    """Write a random model that is drawn with as the published one is."""
    kinds: dict[GuidanceKind, Kind] = {"none": "klein", "true": "klein-base", "embedded": "dev"}
    return make_tiny_model(folder, kind="klein-kv" if spec.reference_cache else kinds[spec.guidance], seed=seed)


def make_tiny_model(folder: str | Path, *, kind: Kind = "klein", seed: int = 0) -> Path:
    """Write a random model that `load` and plain DiffusionPipeline.from_pretrained open; less than 4 MB.

    Args:
        folder: where to; made if absent, and must be empty.
        kind: which of the published models it is like.
        seed: of the weights; the same seed gives the same model.
    """
    folder = empty_folder(Path(folder).expanduser())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = _dev() if kind == "dev" else _klein(kind)
    pipeline.save_pretrained(folder)
    return folder


def _klein(kind: Kind) -> Flux2KleinPipeline | Flux2KleinKVPipeline:
    pipeline = Flux2KleinKVPipeline if kind == "klein-kv" else Flux2KleinPipeline
    return pipeline(
        scheduler=_scheduler(),
        vae=_autoencoder(),
        text_encoder=_qwen(),
        tokenizer=_qwen_tokenizer(),
        transformer=_transformer(guidance_embeds=False),
        is_distilled=kind != "klein-base",
    )


def _dev() -> Flux2Pipeline:
    return Flux2Pipeline(
        scheduler=_scheduler(),
        vae=_autoencoder(),
        text_encoder=_mistral(),
        tokenizer=_mistral_tokenizer(),
        transformer=_transformer(guidance_embeds=True),
    )


def _scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


def _transformer(guidance_embeds: bool) -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        in_channels=128,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=3 * TEXT_WIDTH,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=guidance_embeds,
    )


def _autoencoder() -> AutoencoderKLFlux2:
    """An autoencoder whose statistics are not those of a fresh one, so that forgetting them shows."""
    vae = AutoencoderKLFlux2(block_out_channels=(8, 16, 32, 32), layers_per_block=1, norm_num_groups=8, sample_size=64)
    vae.bn.running_mean.normal_(0, 0.5)
    vae.bn.running_var.uniform_(0.5, 4)
    return vae


def _qwen() -> Qwen3ForCausalLM:
    depth = KLEIN_4B.text_layers[-1] + 1
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=BYTES + len(QWEN_TOKENS), num_hidden_layers=depth, **LANGUAGE))


def _mistral() -> Mistral3ForConditionalGeneration:
    """A Mistral that could also see, with a single small layer."""
    depth = FLUX_2_DEV.text_layers[-1] + 1
    reading = MistralConfig(vocab_size=BYTES + len(MISTRAL_TOKENS), num_hidden_layers=depth, **LANGUAGE)
    seeing = PixtralVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, patch_size=4, image_size=64
    )
    image_token = BYTES + MISTRAL_TOKENS.index("[IMG]")
    return Mistral3ForConditionalGeneration(
        Mistral3Config(text_config=reading, vision_config=seeing, image_token_index=image_token, spatial_merge_size=1)
    )


def _qwen_tokenizer() -> Qwen2TokenizerFast:
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=_byte_cutter(QWEN_TOKENS),
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        model_max_length=1024,
    )
    tokenizer.chat_template = QWEN_TEMPLATE
    return tokenizer


def _mistral_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_byte_cutter(MISTRAL_TOKENS),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        model_max_length=1024,
    )
    tokenizer.chat_template = MISTRAL_TEMPLATE
    return tokenizer


def _byte_cutter(special: tuple[str, ...]) -> Tokenizer:
    """One token for each byte: any text in any language can be cut, without a vocabulary."""
    cutter = Tokenizer(models.BPE(vocab={symbol: place for place, symbol in enumerate(byte_symbols())}, merges=[]))
    cutter.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    cutter.decoder = decoders.ByteLevel()
    cutter.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return cutter
