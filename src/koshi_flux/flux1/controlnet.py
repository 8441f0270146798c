"""ControlNets of FLUX.1: what they make of a control picture is added to what the transformer's blocks compute."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias

import torch
from diffusers import FluxControlNetModel
from torch import Tensor

from koshi_flux.flux1.latents import pack
from koshi_flux.shared.types import Control
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.placement import Holding

MODES = {"canny": 0, "picture": 1, "depth": 2, "gray": 5}
"""By which number a union ControlNet is told what it is shown.

Source: the table of control modes of InstantX/FLUX.1-dev-Controlnet-Union; "picture" is its "tile".
"""

Samples: TypeAlias = Sequence[Tensor]
"""What is added after each block, (1, tokens, width) each."""


class ControlNets:
    """The ControlNets of one transformer."""

    def __init__(self, folders: Mapping[str, Path], holding: Holding):
        self._nets: dict[str, FluxControlNetModel] = {
            name: holding.beside(read_part(FluxControlNetModel, folder, holding.computing))
            for name, folder in folders.items()
        }
        self._dtype = holding.computing

    def additions(
        self, controls: Sequence[Control], inputs: Mapping[str, Any], guidance: Tensor, blocks: tuple[int, int]
    ) -> dict[str, Samples]:
        """What the transformer is to add, as its own arguments.

        Args:
            controls: what each is shown, and how strongly it is added.
            inputs: what the transformer is given, without its guidance.
            guidance: for those ControlNets that read it.
            blocks: how many double and how many single blocks the transformer has.
        """
        sums: list[list[Tensor]] = [[], []]
        for control in controls:
            net = self._nets[control.name]
            mode = torch.full((1, 1), MODES[control.kind], device=control.latent.device) if net.union else None
            made = net(
                **inputs,
                controlnet_cond=pack(control.latent)[None].to(self._dtype),
                controlnet_mode=mode,
                conditioning_scale=control.strength,
                guidance=guidance if net.config.guidance_embeds else None,
            )
            for place, (samples, count) in enumerate(zip(made, blocks, strict=True)):
                sums[place] = _sum(sums[place], spread(samples or (), count))
        names = ("controlnet_block_samples", "controlnet_single_block_samples")
        return {name: samples for name, samples in zip(names, sums, strict=True) if samples}


def spread(samples: Samples, blocks: int) -> list[Tensor]:
    """One for each block out of fewer, each serving several in a row, as FluxTransformer2DModel does it."""
    if not samples:
        return []
    several = ceil(blocks / len(samples))
    return [samples[block // several] for block in range(blocks)]


def _sum(some: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    if not some or not others:
        return some or others
    return [one + other for one, other in zip(some, others, strict=True)]
