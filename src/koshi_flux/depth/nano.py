"""The bundled depth model: small and quick, trained on the landscapes that nano draws (training/nano/depth.py)."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from koshi_flux.depth.network import MULTIPLE, DepthNetwork
from koshi_flux.errors import ModelError
from koshi_flux.shared.types import Depth, Image

WEIGHTS = Path(__file__).with_name("nano.safetensors")
"""float16, to be small on disk; computed with in float32."""

_LONGER_SIDE = 256
"""Pixels of the longer side as the network sees a picture, whatever its size: about what it was trained on."""

_REMEDY = "Install koshi-flux anew, or make the file with `python -m training.nano.depth`"


class NanoDepth:
    """Near and far of a landscape, in about 30 ms on two cores.

    What it says of a picture does not depend on other pictures: nothing is stretched to fill [0, 1], so that the depth
    of a film does not pump when something near enters the frame.
    """

    def __init__(self, network: DepthNetwork):
        self.network = network.eval()
        self.device = next(network.parameters()).device

    @classmethod
    def load(cls, device: str | torch.device = "cpu", file: Path = WEIGHTS) -> "NanoDepth":
        """Open the bundled weights, or those in another file."""
        network = DepthNetwork()
        network.load_state_dict(_read_weights(file, network.state_dict()))
        return cls(network.to(device))

    @torch.no_grad()
    def estimate(self, image: Image, frame: int = 0) -> Depth:
        """How near every pixel is: 1 nearest, 0 infinitely far; float32, as large as the picture."""
        size = image.shape[1:]
        seen = functional.interpolate(
            image[None].to(self.device, torch.float32), _seen_size(*size), mode="bilinear", antialias=True
        )
        disparity = self.network(seen).clamp(0, 1)
        return functional.interpolate(disparity, size, mode="bilinear", antialias=True)[0, 0]


def _seen_size(height: int, width: int) -> tuple[int, int]:
    """The size at which the network looks at a picture: the same shape, as nearly as multiples of 16 allow."""
    scale = _LONGER_SIDE / max(height, width) / MULTIPLE
    return max(1, round(height * scale)) * MULTIPLE, max(1, round(width * scale)) * MULTIPLE


def _read_weights(file: Path, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file, in float32; refused unless they are those that the network has."""
    try:
        found = load_file(file)
    except FileNotFoundError:
        raise ModelError(f"the weights of the depth model are missing: there is no {file}. {_REMEDY}") from None
    except SafetensorError as damage:
        raise ModelError(f"the weights of the depth model are damaged: {file}: {damage}. {_REMEDY}") from damage
    for name in sorted(wanted.keys() | found.keys()):
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (wanted, found)]
        if shapes[0] != shapes[1]:
            raise ModelError(
                f"{file} holds another model: {name} should be {shapes[0] or 'absent'} "
                f"but is {shapes[1] or 'absent'}. {_REMEDY}"
            )
    return {name: tensor.float() for name, tensor in found.items()}
