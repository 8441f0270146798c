"""Tiny models as published: weights in bfloat16, and settings that follow from their shapes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from koshi_flux.flux1 import tiny as flux1
from koshi_flux.flux2 import tiny as flux2
from tests.weights.single_files import edit

TOKENS = 64
"""As many of a prompt are read, so that reading is quick."""


def rounded(folder: Path) -> Path:
    """Round all weights to bfloat16, and those to 0 that float16 could not hold; statistics stay as they are.

    What is read in another type is copied, so that its address in memory, for which the fastest instructions are
    chosen, does not depend on the file it came from: pictures can be compared bit by bit.
    """
    for file in folder.glob("*/*.safetensors"):
        weights = load_file(file)
        for name, weight in weights.items():
            if not name.startswith("bn."):
                weights[name] = torch.where(weight.abs() < 2**-16, 0, weight).bfloat16()
        save_file(weights, file, metadata={"format": "pt"})
    for tokenizer in folder.glob("tokenizer*"):
        edit(tokenizer / "tokenizer_config.json", model_max_length=TOKENS)
    return folder


@pytest.fixture(scope="session")
def flux1_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like dev: places are told by an eighth and twice seven sixteenths of a head, and CLIP has heads of 64 values."""
    folder = rounded(flux1.make_tiny_model(tmp_path_factory.mktemp("tiny") / "flux1"))
    edit(folder / "transformer" / "config.json", axes_dims_rope=[4, 14, 14])
    edit(folder / "text_encoder" / "config.json", num_attention_heads=1)
    return folder


@pytest.fixture(scope="session")
def klein_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like klein: Qwen3 tells places by a rotation with the base 1,000,000."""
    folder = rounded(flux2.make_tiny_model(tmp_path_factory.mktemp("tiny") / "klein", seed=1))
    edit(folder / "text_encoder" / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 1e6})
    return folder


@pytest.fixture(scope="session")
def dev_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rounded(flux2.make_tiny_model(tmp_path_factory.mktemp("tiny") / "dev", kind="dev", seed=2))
