"""The parts of FLUX models that come as single files: how files name their weights, and what the shapes tell.

Whatever a file calls its weights, they are sorted under the names that diffusers and transformers have for them. From
the shapes under those names follows the config.json that a single file does not have, so a file is known by what is
in it and not by what it is called. What no shape tells is written here, as in the published models.

Imports no torch. Sources: black-forest-labs/flux and flux2 (model.py, autoencoder.py), diffusers 0.42
loaders/single_file_utils.py, ComfyUI comfy/supported_models.py (prefixes) and comfy/text_encoders/ (constants).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from koshi_flux.weights.header import Shape
from koshi_flux.weights.lora_layers import LAYERS, Family, spelled

PartName: TypeAlias = Literal["transformer", "vae", "text_encoder", "text_encoder_2"]
Shapes: TypeAlias = Mapping[str, Shape]
"""By name: of a file's tensors, or of a part's weights."""
Config: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a weight of a part lies in a file.

    Args:
        name: of the tensor.
        rows: which of its rows, one slice after the other; () for all.
        shape: of the weight.
    """

    name: str
    rows: tuple[slice, ...]
    shape: Shape


Pieces: TypeAlias = dict[str, Piece]
"""By the names that diffusers or transformers have for the weights."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of part.

    Args:
        words: what messages call it.
        part: where in a model it belongs.
        network: the class of diffusers or transformers that it is.
        prefixes: what may stand before all its names: nothing, or in ComfyUI's checkpoints the name of the part.
        marks: weights that every such part has, and together no other.
        lacks: weights that only others have.
        sort: from the names in a file to our names.
        config: from the shapes to what the part's config.json would state.
    """

    words: str
    part: PartName
    network: str
    prefixes: tuple[str, ...]
    marks: tuple[str, ...]
    sort: Callable[[Shapes], Pieces]
    config: Callable[[Shapes], Config]
    lacks: tuple[str, ...] = ()

    def fits(self, pieces: Pieces) -> bool:
        """Whether these are the weights of such a part."""
        return all(mark in pieces for mark in self.marks) and not any(mark in pieces for mark in self.lacks)


def sort_text_encoder(*beginnings: str) -> Callable[[Shapes], Pieces]:
    """Names that are ours already, without what else comes along: tables of tokens, a projection, an output layer."""

    def sort(shapes: Shapes) -> Pieces:
        return {name: Piece(name, (), shape) for name, shape in shapes.items() if name.startswith(beginnings)}

    return sort


_NORMS = {
    "double_blocks.{}.img_attn.norm.query_norm": "transformer_blocks.{}.attn.norm_q",
    "double_blocks.{}.img_attn.norm.key_norm": "transformer_blocks.{}.attn.norm_k",
    "double_blocks.{}.txt_attn.norm.query_norm": "transformer_blocks.{}.attn.norm_added_q",
    "double_blocks.{}.txt_attn.norm.key_norm": "transformer_blocks.{}.attn.norm_added_k",
    "single_blocks.{}.norm.query_norm": "single_transformer_blocks.{}.attn.norm_q",
    "single_blocks.{}.norm.key_norm": "single_transformer_blocks.{}.attn.norm_k",
}
"""The layers that no LoRA changes; all others are in LAYERS."""
_BY_NAME = {spelled(name)[0]: ours for theirs, ours in _NORMS.items() for name in (theirs, ours)}


def sort_transformer(family: Family) -> Callable[[Shapes], Pieces]:
    """From BFL's or diffusers' names; where BFL has one layer and diffusers several, each gets its rows."""

    def sort(shapes: Shapes) -> Pieces:
        pieces: Pieces = {}
        for name, shape in shapes.items():
            stem, _, end = name.rpartition(".")
            layer, block = spelled(stem)
            if layer in _BY_NAME:
                pieces[f"{_BY_NAME[layer].format(block)}.weight"] = Piece(name, (), shape)
            elif layer in LAYERS[family] and shape:
                for module, rows in LAYERS[family][layer].pieces(shape[0]).items():
                    height = sum(piece.stop - piece.start for piece in rows)
                    pieces[f"{module.format(block)}.{end}"] = Piece(name, rows, (height, *shape[1:]))
        return pieces

    return sort


_AUTOENCODER = (
    (r"^encoder\.quant_conv\.", "quant_conv."),
    (r"^decoder\.post_quant_conv\.", "post_quant_conv."),
    (r"\.down\.(\d+)\.block\.", r".down_blocks.\1.resnets."),
    (r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
    (r"\.up\.(\d+)\.block\.", r".up_blocks.\1.resnets."),
    (r"\.up\.(\d+)\.upsample\.", r".up_blocks.\1.upsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.norm_out\.", ".conv_norm_out."),
)
"""From BFL's names of an autoencoder to diffusers'; none of these occurs among diffusers' own."""
_RISING = re.compile(r"^decoder\.up\.(\d+)\.")


def sort_autoencoder(shapes: Shapes) -> Pieces:
    """From BFL's or diffusers' names. BFL counts the decoder's levels from the picture, diffusers from the latent."""
    levels = [int(found[1]) for name in shapes if (found := _RISING.match(name))]
    pieces: Pieces = {}
    for name, shape in shapes.items():
        if not name.startswith(("encoder.", "decoder.", "bn.", "quant_conv.", "post_quant_conv.")):
            continue
        ours = _RISING.sub(lambda found: f"decoder.up.{max(levels) - int(found[1])}.", name)
        for theirs, replacement in _AUTOENCODER:
            ours = re.sub(theirs, replacement, ours)
        # BFL writes the layers of an attention as convolutions over single pixels
        pieces[ours] = Piece(name, (), shape[:2] if ".attentions." in ours else shape)
    return pieces


def count(shapes: Shapes, blocks: str) -> int:
    """How many blocks there are below that name."""
    return len({name.removeprefix(f"{blocks}.").split(".")[0] for name in shapes if name.startswith(f"{blocks}.")})


def _transformer_config(shapes: Shapes, embedder: str) -> Config:
    """What both families' transformers state."""
    width, reads = shapes["x_embedder.weight"]
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    return {
        "patch_size": 1,
        "in_channels": reads,
        "out_channels": shapes["proj_out.weight"][0],
        "num_layers": count(shapes, "transformer_blocks"),
        "num_single_layers": count(shapes, "single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "guidance_embeds": f"{embedder}.guidance_embedder.linear_1.weight" in shapes,
    }


def flux1_config(shapes: Shapes) -> Config:
    """A FLUX.1's transformer/config.json; of a head's values a 1/8 tell the time and 7/16 each row and column."""
    common = _transformer_config(shapes, "time_text_embed")
    head = common["attention_head_dim"]
    return {
        "_class_name": "FluxTransformer2DModel",
        **common,
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "axes_dims_rope": [head // 8, 7 * head // 16, 7 * head // 16],
    }


def flux2_config(shapes: Shapes) -> Config:
    """A FLUX.2's transformer/config.json; a quarter of a head's values each tell time, row, column and word."""
    common = _transformer_config(shapes, "time_guidance_embed")
    head = common["attention_head_dim"]
    width, inner = shapes["transformer_blocks.0.ff.linear_out.weight"]
    return {
        "_class_name": "Flux2Transformer2DModel",
        **common,
        "timestep_guidance_channels": shapes["time_guidance_embed.timestep_embedder.linear_1.weight"][1],
        "mlp_ratio": inner / width,
        "axes_dims_rope": [head // 4] * 4,
        "rope_theta": 2000,
        "eps": 1e-6,
    }


def _autoencoder_config(shapes: Shapes) -> Config:
    """What both families' autoencoders state."""
    levels = count(shapes, "encoder.down_blocks")
    channels = [shapes[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"][0] for level in range(levels)]
    return {
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": count(shapes, "encoder.down_blocks.0.resnets"),
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "norm_num_groups": min(32, *channels),
        "sample_size": 1024,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
    }


def vae1_config(shapes: Shapes) -> Config:
    """A FLUX.1's vae/config.json."""
    return {
        "_class_name": "AutoencoderKL",
        **_autoencoder_config(shapes),
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
    }


def vae2_config(shapes: Shapes) -> Config:
    """A FLUX.2's vae/config.json; its decoder may be narrower than its encoder, as BFL's small one is."""
    levels = reversed(range(count(shapes, "decoder.up_blocks")))
    return {
        "_class_name": "AutoencoderKLFlux2",
        **_autoencoder_config(shapes),
        "decoder_block_out_channels": [
            shapes[f"decoder.up_blocks.{level}.resnets.0.conv1.weight"][0] for level in levels
        ],
    }


def clip_config(shapes: Shapes) -> Config:
    """CLIP-L's config.json; heads of 64 values. `eos_token_id` 2 means that the highest token ends a text."""
    tokens, width = shapes["embeddings.token_embedding.weight"]
    return {
        "model_type": "clip_text_model",
        "vocab_size": tokens,
        "hidden_size": width,
        "projection_dim": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, "encoder.layers"),
        "num_attention_heads": max(1, width // 64),
        "max_position_embeddings": shapes["embeddings.position_embedding.weight"][0],
        "bos_token_id": 0,
        "eos_token_id": 2,
    }


def t5_config(shapes: Shapes) -> Config:
    """The config.json of T5 1.1's encoder."""
    first = "encoder.block.0.layer.0.SelfAttention"
    tokens, width = shapes["shared.weight"]
    buckets, heads = shapes[f"{first}.relative_attention_bias.weight"]
    return {
        "model_type": "t5",
        "vocab_size": tokens,
        "d_model": width,
        "d_kv": shapes[f"{first}.q.weight"][0] // heads,
        "d_ff": shapes["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"][0],
        "num_layers": count(shapes, "encoder.block"),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }


def _language_config(shapes: Shapes, head: int, theta: float) -> Config:
    """What Qwen3 and Mistral state: how many values a head has, and the base of the rotation that tells places."""
    tokens, width = shapes["model.embed_tokens.weight"]
    queries, keys = (shapes[f"model.layers.0.self_attn.{name}_proj.weight"][0] for name in "qk")
    return {
        "vocab_size": tokens,
        "hidden_size": width,
        "intermediate_size": shapes["model.layers.0.mlp.gate_proj.weight"][0],
        "num_hidden_layers": count(shapes, "model.layers"),
        "num_attention_heads": queries // head,
        "num_key_value_heads": keys // head,
        "head_dim": head,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "tie_word_embeddings": True,  # what writes answers is not used, and left out of most of these files
    }


def qwen3_config(shapes: Shapes) -> Config:
    """Qwen3's config.json."""
    head = shapes["model.layers.0.self_attn.q_norm.weight"][0]
    return {"model_type": "qwen3", **_language_config(shapes, head, theta=1e6), "rms_norm_eps": 1e-6}


def mistral_config(shapes: Shapes) -> Config:
    """The config.json of the half of Mistral Small 3 that reads."""
    config = _language_config(shapes, head=128, theta=1e9)
    return {"model_type": "mistral", **config, "rms_norm_eps": 1e-5, "sliding_window": None}


_TRANSFORMER = ("", "model.diffusion_model.", "diffusion_model.", "transformer.")
_VAE = ("", "vae.", "first_stage_model.")
_LANGUAGE = ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight")
_Q_NORM = "model.layers.0.self_attn.q_norm.weight"

LAYOUTS = (
    Layout(
        words="a FLUX.1 transformer",
        part="transformer",
        network="FluxTransformer2DModel",
        prefixes=_TRANSFORMER,
        marks=("transformer_blocks.0.norm1.linear.weight", "time_text_embed.text_embedder.linear_1.weight"),
        sort=sort_transformer("flux1"),
        config=flux1_config,
    ),
    Layout(
        words="a FLUX.2 transformer",
        part="transformer",
        network="Flux2Transformer2DModel",
        prefixes=_TRANSFORMER,
        marks=("double_stream_modulation_img.linear.weight", "time_guidance_embed.timestep_embedder.linear_1.weight"),
        sort=sort_transformer("flux2"),
        config=flux2_config,
    ),
    Layout(
        words="a FLUX.2 autoencoder",
        part="vae",
        network="AutoencoderKLFlux2",
        prefixes=_VAE,
        marks=("encoder.conv_in.weight", "decoder.conv_in.weight", "bn.running_mean"),
        sort=sort_autoencoder,
        config=vae2_config,
    ),
    Layout(
        words="a FLUX.1 autoencoder",
        part="vae",
        network="AutoencoderKL",
        prefixes=_VAE,
        marks=("encoder.down_blocks.0.resnets.0.conv1.weight", "decoder.up_blocks.0.resnets.0.conv1.weight"),
        lacks=("bn.running_mean",),
        sort=sort_autoencoder,
        config=vae1_config,
    ),
    Layout(
        words="CLIP",
        part="text_encoder",
        network="CLIPTextModel",
        prefixes=("text_model.", "text_encoders.clip_l.transformer.text_model.", ""),
        marks=("embeddings.token_embedding.weight", "encoder.layers.0.mlp.fc1.weight", "final_layer_norm.weight"),
        sort=sort_text_encoder(
            "embeddings.token_embedding.", "embeddings.position_embedding.", "encoder.layers.", "final_layer_norm."
        ),
        config=clip_config,
    ),
    Layout(
        words="T5",
        part="text_encoder_2",
        network="T5EncoderModel",
        prefixes=("", "text_encoders.t5xxl.transformer."),
        marks=("shared.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        sort=sort_text_encoder("shared.", "encoder.block.", "encoder.final_layer_norm."),
        config=t5_config,
    ),
    Layout(
        words="Qwen3",
        part="text_encoder",
        network="Qwen3ForCausalLM",
        prefixes=("", "text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_8b.transformer."),
        marks=(*_LANGUAGE, _Q_NORM),
        sort=sort_text_encoder("model."),
        config=qwen3_config,
    ),
    Layout(
        words="Mistral",
        part="text_encoder",
        network="MistralForCausalLM",
        prefixes=("", "text_encoders.mistral3_24b.transformer.", "language_model."),
        marks=_LANGUAGE,
        lacks=(_Q_NORM, "model.layers.0.self_attn.q_proj.bias"),
        sort=sort_text_encoder("model."),
        config=mistral_config,
    ),
)
"""All that can be read from single files."""
