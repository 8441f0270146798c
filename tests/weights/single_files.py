"""Weights under the names that BFL gives them, made up from those of diffusers: what the reader under test undoes."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Weights = dict[str, Tensor]
BYTES = {"F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E8M0": 1, "I8": 1, "U8": 1}

OUTSIDE = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
    "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
    "single_stream_modulation.linear": "single_stream_modulation.lin",
    **{
        f"{embed}.{ours}.linear_{number}": f"{theirs}.{layer}"
        for embed in ("time_text_embed", "time_guidance_embed")
        for ours, theirs in (
            ("timestep_embedder", "time_in"),
            ("text_embedder", "vector_in"),
            ("guidance_embedder", "guidance_in"),
        )
        for number, layer in ((1, "in_layer"), (2, "out_layer"))
    },
}
DOUBLE = {
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    **{
        f"{ours}.{layer}": f"{theirs}.{number}"
        for ours, theirs in (("ff", "img_mlp"), ("ff_context", "txt_mlp"))
        for layer, number in (("net.0.proj", 0), ("net.2", 2), ("linear_in", 0), ("linear_out", 2))
    },
}
SINGLE = {
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
    "norm.linear": "modulation.lin",
    "proj_out": "linear2",
    "attn.to_out": "linear2",
    "attn.to_qkv_mlp_proj": "linear1",
}
JOINED = {
    ("double", "img_attn.qkv"): ("attn.to_q", "attn.to_k", "attn.to_v"),
    ("double", "txt_attn.qkv"): ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    ("single", "linear1"): ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}


def bfl_transformer(weights: Weights) -> Weights:
    """A transformer's weights as BFL publishes them."""
    named: Weights = {}
    for name, weight in weights.items():
        stem, _, end = name.rpartition(".")
        found = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)", stem)
        if found is None:
            if stem == "norm_out.linear":
                scale, shift = weight.chunk(2)
                named[f"{OUTSIDE[stem]}.{end}"] = torch.cat([shift, scale])
            else:
                named[f"{OUTSIDE[stem]}.{end}"] = weight
            continue
        kind = "single" if found[1] else "double"
        layers = SINGLE if found[1] else DOUBLE
        if found[3] in layers:
            end = "scale" if ".norm_" in stem else end
            named[f"{kind}_blocks.{found[2]}.{layers[found[3]]}.{end}"] = weight
    for name in weights:
        found = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)\.(weight|bias)", name)
        for (kind, layer), parts in JOINED.items():
            if found and kind == ("single" if found[1] else "double") and found[3] == parts[0]:
                before = name.removesuffix(f"{parts[0]}.{found[4]}")
                joined = torch.cat([weights[f"{before}{part}.{found[4]}"] for part in parts])
                named[f"{kind}_blocks.{found[2]}.{layer}.{found[4]}"] = joined
    return named


AUTOENCODER = {
    r"^quant_conv": "encoder.quant_conv",
    r"^post_quant_conv": "decoder.post_quant_conv",
    r"down_blocks\.(\d)\.resnets": r"down.\1.block",
    r"down_blocks\.(\d)\.downsamplers\.0": r"down.\1.downsample",
    r"up_blocks\.(\d)\.resnets": lambda found: f"up.{3 - int(found[1])}.block",
    r"up_blocks\.(\d)\.upsamplers\.0": lambda found: f"up.{3 - int(found[1])}.upsample",
    r"mid_block\.resnets\.0": "mid.block_1",
    r"mid_block\.resnets\.1": "mid.block_2",
    r"mid_block\.attentions\.0\.group_norm": "mid.attn_1.norm",
    r"mid_block\.attentions\.0\.to_out\.0": "mid.attn_1.proj_out",
    r"mid_block\.attentions\.0\.to_": "mid.attn_1.",
    r"conv_shortcut": "nin_shortcut",
    r"conv_norm_out": "norm_out",
}


def bfl_autoencoder(weights: Weights) -> Weights:
    """An autoencoder's weights, of four levels, as BFL publishes them."""
    named: Weights = {}
    for name, weight in weights.items():
        theirs = name
        for ours, replacement in AUTOENCODER.items():
            theirs = re.sub(ours, replacement, theirs)
        is_pixelwise = ".attn_1." in theirs and weight.dim() == 2
        named[theirs] = weight[:, :, None, None] if is_pixelwise else weight
    return named


def prefixed(weights: Weights, prefix: str) -> Weights:
    return {prefix + name: weight for name, weight in weights.items()}


def scaled(
    weights: Weights, per_row: bool = False, ends: tuple[str, str] = (".scale_weight", ".scale_input")
) -> Weights:
    """All matrices in 8 bits as ComfyUI holds them: the largest value becomes 448."""
    held: Weights = {}
    for name, weight in weights.items():
        if weight.dim() != 2:
            held[name] = weight
            continue
        largest = weight.abs().amax(1) if per_row else weight.abs().amax()
        scale = largest / 448
        held[name] = (weight / (scale[:, None] if per_row else scale)).to(torch.float8_e4m3fn)
        held[name.removesuffix(".weight") + ends[0]] = scale
        held[name.removesuffix(".weight") + ends[1]] = torch.tensor(0.5)
    return held


def unscaled(held: Weights, end: str = ".scale_weight") -> Weights:
    """The numbers that `scaled` weights stand for, in a type that is none of those computed in: see conftest.py."""
    plain: Weights = {}
    for name, weight in held.items():
        scale = held.get(name.removesuffix(".weight") + end)
        if scale is not None and name.endswith(".weight"):
            plain[name] = (weight.float() * (scale[:, None] if scale.dim() else scale)).double()
        elif not name.endswith((end, ".scale_input", ".input_scale")):
            plain[name] = weight
    return plain


def save(weights: Weights, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, file)
    return file


def save_gguf(weights: Weights, file: Path, kind: str) -> Path:
    """A .gguf file with matrices of that kind, as city96's converter writes them, and the rest in float32."""
    import gguf

    writer = gguf.GGUFWriter(file, "flux")
    writer.add_custom_alignment(64)  # as torch places tensors in memory, see conftest.py
    for name, weight in weights.items():
        fits = weight.dim() == 2 and weight.shape[1] % 32 == 0
        packs = fits and not name.startswith(("img_in", "time_in", "final_layer"))
        how = gguf.GGMLQuantizationType[kind if packs else "F32"]
        data = gguf.quants.quantize(weight.float().numpy(), how)
        writer.add_tensor(name, data, raw_dtype=how)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def save_header(shapes: Mapping[str, Sequence[int]], file: Path, dtype: str = "BF16", **types: str) -> Path:
    """A .safetensors file of zeros that takes no place on disk; some names may be of other `types` than `dtype`."""
    header, end = {}, 0
    for name, shape in shapes.items():
        kind = types.get(name, dtype)
        size = math.prod(shape) * BYTES[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    return file


def shapes_of(weights: Weights) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def weights_of(part: Path) -> Weights:
    """The weights in a part's folder."""
    (file,) = part.glob("*.safetensors")
    return load_file(file)


def edit(file: Path, **changes: object) -> None:
    """Change entries of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
