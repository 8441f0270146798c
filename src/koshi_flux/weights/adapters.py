"""LoRAs on a transformer of diffusers, at strengths that may change with every frame.

The transformer itself is never touched: what a LoRA adds to a layer is added to what comes out of it. So its weights
and their names stay as they are, in whatever precision and wherever in memory they are held.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import ModelMixin
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import linear
from torch.utils.hooks import RemovableHandle

from koshi_flux.errors import ModelError
from koshi_flux.weights.lora import LoraFacts, Target, check_fit, read_lora
from koshi_flux.weights.lora_file import Change
from koshi_flux.weights.lora_layers import LAYERS

Rows: TypeAlias = tuple[slice, ...]
"""Which rows of a layer's change go to one of the modules that diffusers made of it, one slice after the other."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """A LoRA's change of a layer: the product of two thin matrices."""

    down: Float[Tensor, "rank reads"]
    up: Float[Tensor, "rows rank"]

    def __call__(self, x: Float[Tensor, "*batch reads"]) -> Float[Tensor, "*batch rows"]:
        """What it adds to the layer's output."""
        return linear(linear(x.to(self.down.dtype), self.down), self.up)

    def only(self, rows: Rows) -> "LowRank":
        """The part of it that gives these rows."""
        return LowRank(self.down, torch.cat([self.up[piece] for piece in rows]))

    def to(self, device: torch.device, dtype: torch.dtype) -> "LowRank":
        """A copy elsewhere."""
        return LowRank(self.down.to(device, dtype, copy=True), self.up.to(device, dtype, copy=True))

    def is_finite(self) -> bool:
        """Whether all its values are numbers."""
        return bool(self.down.isfinite().all() and self.up.isfinite().all())


@dataclass(frozen=True, slots=True)
class Kronecker:
    """A LoKr's change of a layer: every value of `left` times the whole of `right`, never written out.

    Args:
        rows: which rows of the product are meant; a part of a Kronecker product is none itself.
    """

    left: Float[Tensor, "a b"]
    right: Float[Tensor, "c d"]
    rows: Rows

    def __call__(self, x: Float[Tensor, "*batch reads"]) -> Float[Tensor, "*batch _"]:
        """What it adds to the layer's output: (left ⊗ right) x is left X rightᵀ, X being x as b rows of d values."""
        whole = self.left @ linear(x.to(self.left.dtype).reshape(*x.shape[:-1], -1, self.right.shape[1]), self.right)
        flat = whole.flatten(-2)
        return torch.cat([flat[..., piece] for piece in self.rows], dim=-1)

    def only(self, rows: Rows) -> "Kronecker":
        """The part of it that gives these rows."""
        return Kronecker(self.left, self.right, rows)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Kronecker":
        """A copy elsewhere."""
        left, right = (factor.to(device, dtype, copy=True) for factor in (self.left, self.right))
        return Kronecker(left, right, self.rows)

    def is_finite(self) -> bool:
        """Whether all its values are numbers."""
        return bool(self.left.isfinite().all() and self.right.isfinite().all())


Additions: TypeAlias = dict[str, LowRank | Kronecker]
"""What is added, by name: of a module for one LoRA, or of a LoRA for one module."""


class Adapters:
    """The LoRAs of one transformer: FluxTransformer2DModel or Flux2Transformer2DModel.

    Changing strengths is free at any time; a compiled transformer may then be compiled anew when it next computes.

    Args:
        name: what messages call the model.
        device: where the transformer computes, wherever its weights wait.
        dtype: what it computes in.
    """

    def __init__(self, transformer: ModelMixin, name: str, device: torch.device, dtype: torch.dtype):
        self.target = Target.of_config(name, {**transformer.config, "_class_name": type(transformer).__name__})
        self._transformer, self._device, self._dtype = transformer, device, dtype
        self._loaded: dict[str, Additions] = {}
        self._strengths: dict[str, Tensor] = {}  # tensors, because what is compiled holds for one number only
        self._hooks: list[RemovableHandle] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are loaded."""
        return tuple(self._loaded)

    def load(self, name: str, file: Path) -> LoraFacts:
        """Put a LoRA beside the transformer, at strength 0; say what it is.

        Raises:
            ModelError: it is damaged, or for another model; everything is as before.
        """
        if name in self._loaded:
            raise ModelError(f"a LoRA named {name!r} is loaded already: unload it, or give this one another name")
        facts, self._loaded[name] = self._read(file)
        self._hang()
        return facts

    def replace(self, files: Mapping[str, Path]) -> dict[str, LoraFacts]:
        """Have these LoRAs and no others, all at strength 0; say what they are.

        Raises:
            ModelError: one of them is damaged, or for another model; everything is as before.
        """
        read = {name: self._read(file) for name, file in files.items()}
        self.unload()
        self._loaded = {name: additions for name, (_, additions) in read.items()}
        self._hang()
        return {name: facts for name, (facts, _) in read.items()}

    def set(self, strengths: Mapping[str, float]) -> None:
        """From now on, add each LoRA this strongly; at 0, and if it is not named, not at all.

        Raises:
            ModelError: there is no such LoRA.
        """
        if unknown := set(strengths) - set(self._loaded):
            loaded = ", ".join(self._loaded) or "none"
            raise ModelError(f"there is no LoRA {', '.join(sorted(unknown))}; loaded are: {loaded}")
        self._strengths.clear()
        for name in (name for name, strength in strengths.items() if strength != 0):
            self._strengths[name] = torch.tensor(float(strengths[name]), device=self._device)

    def unload(self) -> None:
        """Take all LoRAs away; the transformer is what it was before the first."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._loaded.clear()
        self._strengths.clear()

    def _hang(self) -> None:
        """Have every module that a LoRA changes add what is added to it, in the order in which LoRAs were loaded."""
        for hook in self._hooks:
            hook.remove()
        modules = dict.fromkeys(module for additions in self._loaded.values() for module in additions)
        self._hooks = [
            self._transformer.get_submodule(module).register_forward_hook(
                _Adding({name: each[module] for name, each in self._loaded.items() if module in each}, self._strengths)
            )
            for module in modules
        ]

    def _read(self, file: Path) -> tuple[LoraFacts, Additions]:
        """A LoRA that fits; nothing is touched yet."""
        facts = read_lora(file)
        check_fit(facts, self.target)
        additions: Additions = {}
        for module, addition in read_additions(facts, self.target, self._transformer):  # copied: what is read is mapped
            additions.setdefault(module, addition.to(self._device, self._dtype))
        return facts, additions


def read_additions(
    facts: LoraFacts, target: Target, transformer: ModelMixin
) -> Iterator[tuple[str, LowRank | Kronecker]]:
    """What a LoRA that fits the target adds at strength 1, module by module of the transformer, in float32.

    Raises:
        ModelError: it holds what is no number, or does not fit a module.
    """
    with safe_open(facts.file, "pt") as file:
        for change in facts.changes:
            addition = _addition(change, {part: file.get_tensor(key).float() for part, key in change.parts.items()})
            if not addition.is_finite():
                raise ModelError(f"{facts.file} is damaged: {change.key} holds values that are no numbers")
            for template, rows in LAYERS[target.family][change.name].pieces(change.rows).items():
                module = template.format(change.block)
                sizes = change.reads, sum(piece.stop - piece.start for piece in rows)
                _check_sizes(facts, target, sizes, module, transformer)
                yield module, addition.only(rows)


def _check_sizes(
    facts: LoraFacts, target: Target, sizes: tuple[int, int], module: str, transformer: ModelMixin
) -> None:
    """Refuse what only the transformer itself can tell: a layer that it lacks, or that has another size."""
    try:
        found = transformer.get_submodule(module)
    except AttributeError as absent:
        raise ModelError(f"{facts.file.name} changes {module}, which {target.name} does not have") from absent
    has = found.in_features, found.out_features
    if has != sizes:
        raise ModelError(
            f"{facts.file.name} does not fit {target.name}: its {module} has {sizes[0]} to {sizes[1]} values, "
            f"the model's {has[0]} to {has[1]}"
        )


class _Adding:
    """What happens after a module has computed: the additions of those LoRAs follow that are not at 0."""

    def __init__(self, additions: Additions, strengths: Mapping[str, Tensor]):
        self._additions, self._strengths = additions, strengths

    def __call__(self, module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for name, addition in self._additions.items():
            if name in self._strengths:
                output = output + (self._strengths[name] * addition(inputs[0])).to(output.dtype)
        return output


def _addition(change: Change, tensors: dict[str, Tensor]) -> LowRank | Kronecker:
    """A layer's change at strength 1, in float32."""
    scale = change.scale
    if "alpha" in tensors and change.rank:
        scale = tensors["alpha"].item() / change.rank
    if not change.is_lokr:
        return LowRank(tensors["down"], scale * tensors["up"])
    left, right = (
        tensors[factor] if factor in tensors else tensors[f"{factor}_a"] @ tensors[f"{factor}_b"]
        for factor in ("w1", "w2")
    )
    return Kronecker(scale * left, right, (slice(0, change.rows),))
