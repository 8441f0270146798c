"""One part of a model, read out of a single file: BFL's, ComfyUI's or diffusers' names, 8 bits with scales, .gguf."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import Module
from transformers import PreTrainedModel

from koshi_flux.errors import ModelError
from koshi_flux.weights.header import is_gguf, open_gguf
from koshi_flux.weights.layouts import Config
from koshi_flux.weights.single_file import PLAIN, Content, contents

Weights = dict[str, Tensor]


def read_from_file(kind: Any, file: Path, dtype: torch.dtype, bits: Any = None) -> Any:
    """Load the part of class `kind` out of a file, whatever else is in there, on the CPU.

    Args:
        dtype: of all weights, but for those that a .gguf file holds in fewer bits: they stay as they are.
        bits: diffusers' quantisation config, for a transformer that is to be held in fewer bits than it is read in.
    """
    content = next((each for each in contents(file).values() if each.layout.network == kind.__name__), None)
    if content is None:
        raise ModelError(f"{file} holds no {kind.__name__}")
    config, weights = content.config(), read_weights(content, dtype)
    if issubclass(kind, PreTrainedModel):
        return _of_transformers(kind, file, config, weights, dtype)
    if any(_is_packed(weight) for weight in weights.values()):
        if bits is not None:
            raise ModelError(f"{file} holds few bits already ({content.precision}): ask for no other precision")
        bits = _unpacking(dtype)
    return _of_diffusers(kind, file, config, weights, bits)


def read_weights(content: Content, dtype: torch.dtype) -> Weights:
    """A part's weights under the names that diffusers and transformers have for them.

    Where nothing is to be computed they are not copied either: they are read when they are first used.
    """
    with _opened(content.file) as tensor:
        return {own: _weight(content, own, tensor, dtype) for own in content.pieces}


def _weight(content: Content, own: str, tensor: Callable[[str], Tensor], dtype: torch.dtype) -> Tensor:
    """One weight: its rows, times the scale of its layer if it has one."""
    piece = content.pieces[own]

    def rows(whole: Tensor) -> Tensor:
        return torch.cat([whole[part] for part in piece.rows]) if len(piece.rows) > 1 else whole[piece.rows or ...]

    weight = rows(tensor(piece.name))
    if _is_packed(weight):
        return weight
    if piece.name in content.scales:
        scale = tensor(content.scales[piece.name]).float().reshape(-1, *[1] * (weight.dim() - 1))
        weight = weight.float() * (rows(scale) if len(scale) > 1 else scale)
    return weight.reshape(piece.shape).to(dtype if weight.is_floating_point() else weight.dtype)


@contextmanager
def _opened(file: Path) -> Iterator[Callable[[str], Tensor]]:
    """How to get a tensor of a file by its name."""
    if is_gguf(file):
        tensors = {tensor.name: tensor for tensor in open_gguf(file).tensors}
        yield lambda name: _from_gguf(tensors[name])
    else:
        with safe_open(file, "pt") as opened:
            yield opened.get_tensor


def _from_gguf(tensor: Any) -> Tensor:
    """A tensor of a .gguf file, with a note of how it is packed if it does not hold plain numbers."""
    from diffusers.quantizers.gguf.utils import GGUFParameter

    data = torch.from_numpy(tensor.data)
    if tensor.tensor_type.name == "BF16":
        return data.view(torch.bfloat16)
    return data if tensor.tensor_type.name in PLAIN else GGUFParameter(data, quant_type=tensor.tensor_type)


def _is_packed(weight: Tensor) -> bool:
    """Whether a weight is in llama.cpp's bits, to be unpacked whenever it is used."""
    return hasattr(weight, "quant_type")


def _unpacking(dtype: torch.dtype) -> Any:
    """How diffusers is to compute with such weights."""
    from diffusers import GGUFQuantizationConfig

    return GGUFQuantizationConfig(compute_dtype=dtype)


def _of_transformers(kind: Any, file: Path, config: Config, weights: Weights, dtype: torch.dtype) -> Any:
    """A text encoder with these weights."""
    model, report = kind.from_pretrained(
        None, config=kind.config_class(**config), state_dict=weights, dtype=dtype, output_loading_info=True
    )
    _refuse_missing(file, set(report["missing_keys"]))
    return model


def _of_diffusers(kind: Any, file: Path, config: Config, weights: Weights, bits: Any) -> Any:
    """A transformer or autoencoder with these weights."""
    with torch.device("meta"):
        model: Module = kind.from_config(config)
    expected = model.state_dict()
    _refuse_missing(file, set(expected) - set(weights))
    for name, weight in weights.items():
        found = tuple(getattr(weight, "quant_shape", weight.shape))
        if name not in expected or found != tuple(expected[name].shape):
            should = f"should be {tuple(expected[name].shape)}" if name in expected else "should not be there"
            raise ModelError(f"{file} is no whole {kind.__name__}: {name} is {found} large, it {should}")
    if bits is None:
        model.load_state_dict(weights, assign=True)
        return model.eval()
    with TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config), encoding="utf-8")
        return kind.from_single_file(weights, config=folder, quantization_config=bits)


def _refuse_missing(file: Path, names: set[str]) -> None:
    if names:
        raise ModelError(f"{file} lacks {len(names)} of its weights, e.g. {min(names)}. Download it again")
