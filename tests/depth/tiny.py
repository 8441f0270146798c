"""Tiny random depth models of the published kinds, written as transformers writes the real ones."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BeitConfig,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
)

MIDAS = {"image_processor_type": "DPTFeatureExtractor", "resample": 2, "size": {"height": 32, "width": 32}}
MIDAS |= {"keep_aspect_ratio": False, "ensure_multiple_of": 1, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
ANYTHING = {"image_processor_type": "DPTImageProcessor", "resample": 3, "size": {"height": 56, "width": 56}}
ANYTHING |= {"keep_aspect_ratio": True, "ensure_multiple_of": 14}
ANYTHING |= {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
ZOE = {"image_processor_type": "ZoeDepthImageProcessor", "resample": 2, "size": {"height": 32, "width": 48}}
ZOE |= {"keep_aspect_ratio": True, "ensure_multiple_of": 16, "do_pad": True}
ZOE |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def write_midas(folder: Path, **kwargs: Any) -> Path:
    """A DPT with a backbone of its own, as Intel/dpt-large is."""
    config = DPTConfig(
        hidden_size=8, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False,
    )  # fmt: skip
    return _write(DPTForDepthEstimation(config), folder, MIDAS, **kwargs)


def write_hybrid(folder: Path) -> Path:
    """A DPT on a ResNet, as Intel/dpt-hybrid-midas is: it takes pictures of its one size only."""
    bit = {"model_type": "bit", "layer_type": "bottleneck", "depths": [1, 1, 1], "hidden_sizes": [32, 32, 32, 32]}
    bit |= {
        "num_groups": 4,
        "embedding_size": 32,
        "out_features": ["stage1", "stage2", "stage3"],
        "embedding_dynamic_padding": True,
    }
    config = DPTConfig(
        hidden_size=8, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[32, 32, 8, 8], fusion_hidden_size=8, is_hybrid=True,
        backbone_featmap_shape=[1, 32, 2, 2], backbone_config=bit | {"global_padding": "SAME"},
    )  # fmt: skip
    return _write(DPTForDepthEstimation(config), folder, MIDAS)


def write_anything(folder: Path, metric: bool = False) -> Path:
    """A Depth Anything V2, which tells disparities or, if `metric`, metres."""
    backbone = Dinov2Config(
        hidden_size=8, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=8, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8, depth_estimation_type="metric" if metric else "relative", max_depth=20 if metric else 1,
    )  # fmt: skip
    return _write(DepthAnythingForDepthEstimation(config), folder, ANYTHING)


def write_zoe(folder: Path) -> Path:
    """A ZoeDepth, which tells metres."""
    backbone = BeitConfig(
        hidden_size=8, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
        use_relative_position_bias=True,
    )  # fmt: skip
    config = ZoeDepthConfig(
        backbone_config=backbone, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, num_relative_features=8,
        bottleneck_features=8, num_attractors=[4, 2, 2, 1], bin_embedding_dim=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
    )  # fmt: skip
    return _write(ZoeDepthForDepthEstimation(config), folder, ZOE)


def _write(model: Any, folder: Path, preparation: dict[str, Any], *, pickle: bool = False, drop: str = "") -> Path:
    """Random weights, large enough that outputs differ from pixel to pixel.

    Args:
        pickle: write the older kind of file.
        drop: leave out the weights whose names start with this.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.1 if "bias" in name else 0.3))
        for name, weight in model.named_parameters():
            if name.endswith(("conv3.bias", "head.4.bias")):
                weight.fill_(1.0)  # before a ReLU: not everything may fall below 0
    weights = {name: weight for name, weight in model.state_dict().items() if not (drop and name.startswith(drop))}
    model.save_pretrained(folder, state_dict=dict(weights))  # which it empties
    if pickle:
        (folder / "model.safetensors").unlink()
        torch.save(weights, folder / "pytorch_model.bin")
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
    return folder
