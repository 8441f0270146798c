"""A random Klein of a few hundred thousand weights, made offline: the real shape, for tests and for trying things out.

Every part is of the real class and wired as in the published models, only narrow, so that whatever runs with it runs
with the real weights. It draws noise.
"""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

from koshi_flux.errors import OutputError
from koshi_flux.flux2.folder import TEXT_LAYERS

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""How Qwen3 is spoken to: turns between markers, and an empty thought where thinking is switched off."""

TEXT_WIDTH = 16


def make_tiny_model(folder: str | Path, *, distilled: bool = True, seed: int = 0) -> Path:
    """Write a random model that `load` and plain Flux2KleinPipeline.from_pretrained open; less than 4 MB.

    Args:
        folder: where to; made if absent, and must be empty.
        distilled: like klein (guidance ignored), or like klein-base (classifier-free guidance).
        seed: of the weights; the same seed gives the same model.
    """
    folder = _empty_folder(Path(folder).expanduser())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
            vae=_autoencoder(),
            text_encoder=_text_encoder(),
            tokenizer=_tokenizer(),
            transformer=_transformer(),
            is_distilled=distilled,
        )
    pipeline.save_pretrained(folder)
    return folder


def _empty_folder(folder: Path) -> Path:
    """Make a folder to write to; never write among other files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as refused:
        raise OutputError(f"cannot make a model folder at {folder}: {refused.strerror}") from refused
    if occupied:
        raise OutputError(f"{folder} is not empty: give a new or an empty folder for the tiny model")
    return folder


def _transformer() -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        in_channels=128,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=len(TEXT_LAYERS) * TEXT_WIDTH,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=False,
    )


def _autoencoder() -> AutoencoderKLFlux2:
    """An autoencoder whose statistics are not those of a fresh one, so that forgetting them shows."""
    vae = AutoencoderKLFlux2(block_out_channels=(8, 16, 32, 32), layers_per_block=1, norm_num_groups=8, sample_size=64)
    vae.bn.running_mean.normal_(0, 0.5)
    vae.bn.running_var.uniform_(0.5, 4)
    return vae


def _text_encoder() -> Qwen3ForCausalLM:
    """As deep as the transformer reads, plus the layer after which hidden states are normalised."""
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=256 + len(SPECIAL_TOKENS),
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=TEXT_LAYERS[-1] + 1,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=TEXT_WIDTH // 2,
            max_position_embeddings=1024,
        )
    )


def _tokenizer() -> Qwen2TokenizerFast:
    """One token for each byte: any text in any language can be cut, without a vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    cutter = Tokenizer(models.BPE(vocab={symbol: place for place, symbol in enumerate(alphabet)}, merges=[]))
    cutter.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    cutter.decoder = decoders.ByteLevel()
    cutter.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL_TOKENS])
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=cutter,
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        model_max_length=1024,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
