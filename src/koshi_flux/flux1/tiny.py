"""A random FLUX.1 of a few hundred thousand weights, made offline: the real shape, for tests and for trying things out.

Every part is of the real class and wired as in the published models, only narrow, so that whatever runs with it runs
with the real weights. It draws noise.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.tiny import byte_symbols, empty_folder

CLIP_WIDTH = 16
T5_WIDTH = 32
"""Two widths, so that one encoder taken for the other shows."""

CLIP_MARKS = ("<|startoftext|>", "<|endoftext|>")
T5_MARKS = ("<pad>", "</s>", "<unk>")


def make_like(spec: FluxSpec, folder: str | Path, seed: int = 0) -> Path:
    """Write a random model that is drawn with as the published one is."""
    return make_tiny_model(folder, schnell=spec.guidance == "none", seed=seed)


def make_tiny_model(folder: str | Path, *, schnell: bool = False, seed: int = 0) -> Path:
    """Write a random model that `load` and plain FluxPipeline.from_pretrained open; less than 4 MB.

    Args:
        folder: where to; made if absent, and must be empty.
        schnell: like schnell (no guidance, evenly spaced noise levels) instead of like dev.
        seed: of the weights; the same seed gives the same model.
    """
    folder = empty_folder(Path(folder).expanduser())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = FluxPipeline(
            scheduler=_scheduler(schnell),
            vae=_autoencoder(),
            text_encoder=_clip(),
            tokenizer=_clip_tokenizer(),
            text_encoder_2=_t5(),
            tokenizer_2=_t5_tokenizer(256 if schnell else 512),
            transformer=_transformer(is_guided=not schnell),
        )
    pipeline.save_pretrained(folder)
    return folder


def _scheduler(schnell: bool) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(shift=1.0 if schnell else 3.0, use_dynamic_shifting=not schnell)


def _transformer(is_guided: bool) -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=CLIP_WIDTH,
        axes_dims_rope=(4, 14, 14),
        guidance_embeds=is_guided,
    )


def _autoencoder() -> AutoencoderKL:
    levels = 4
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(8, 16, 32, 32),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=8,
        sample_size=64,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _clip() -> CLIPTextModel:
    """The end of a text is told as in the published one: by the highest token, which `eos_token_id` 2 asks for."""
    symbols = 2 * len(byte_symbols())
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=symbols + len(CLIP_MARKS),
            hidden_size=CLIP_WIDTH,
            projection_dim=CLIP_WIDTH,
            intermediate_size=2 * CLIP_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=0,
            eos_token_id=2,
        )
    )


def _clip_tokenizer() -> CLIPTokenizer:
    """One token for each byte within a word, another for each that ends a word."""
    symbols = byte_symbols()
    tokens = (*symbols, *(f"{symbol}</w>" for symbol in symbols), *CLIP_MARKS)
    return CLIPTokenizer(vocab={token: place for place, token in enumerate(tokens)}, merges=[], model_max_length=77)


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=128,
            d_model=T5_WIDTH,
            d_kv=T5_WIDTH // 4,
            d_ff=2 * T5_WIDTH,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
        )
    )


def _t5_tokenizer(longest: int) -> T5TokenizerFast:
    """One token for each printable ASCII character and one for the start of a word; others are read as unknown."""
    pieces = [*((mark, 0.0) for mark in T5_MARKS), ("▁", -2.0), *((chr(code), -4.0) for code in range(33, 127))]
    return T5TokenizerFast(vocab=pieces, model_max_length=longest, extra_ids=0)
