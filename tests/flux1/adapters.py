"""Tiny IP-Adapters and the CLIPs that they look through, made offline."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

SUMMARY = 24
"""Unlike every width of the tiny models, so that one taken for the other shows."""

XLABS = ("ip_adapter_proj_model", "double_blocks.{}.processor.ip_adapter_double_stream_{}_proj")
DIFFUSERS = ("image_proj", "ip_adapter.{}.to_{}_ip")

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 7,
    "projection_dim": SUMMARY,
}


def made_clip(folder: Path, whole: bool = False, **changes: int) -> Path:
    """A random CLIP; `whole` with the half that reads texts, as OpenAI published theirs."""
    torch.manual_seed(7)
    seeing = {**SIZES, **changes}
    if whole:
        reading = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = CLIPConfig(text_config=reading, vision_config=seeing, projection_dim=seeing["projection_dim"])
        CLIPModel(config).save_pretrained(folder)
    else:
        CLIPVisionModelWithProjection(CLIPVisionConfig(**seeing)).save_pretrained(folder)
    return folder


def adapter_weights(
    spelling: tuple[str, str] = XLABS, blocks: int = 1, reads: int = 32, width: int = 64, tokens: int = 4, seed: int = 0
) -> dict[str, Tensor]:
    """Random weights as large as those of a published adapter are beside its model."""
    dice = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return 0.3 * torch.randn(*shape, generator=dice)

    projection, block = spelling
    weights = {
        f"{projection}.proj.weight": drawn(tokens * reads, SUMMARY), f"{projection}.proj.bias": drawn(tokens * reads),
        f"{projection}.norm.weight": 1 + drawn(reads), f"{projection}.norm.bias": drawn(reads),
    }  # fmt: skip
    for number in range(blocks):
        for what in ("k", "v"):
            layer = block.format(number, what)
            weights |= {f"{layer}.weight": drawn(width, reads), f"{layer}.bias": drawn(width)}
    return weights


def made_adapter(file: Path, **how: object) -> Path:
    """The same as a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(adapter_weights(**how), file)
    return file
