"""Depth models that are published for transformers: MiDaS 3 (DPT), Depth Anything and ZoeDepth, on all their backbones.

Pictures are prepared here, because the processors of transformers need torchvision.
"""

from math import sqrt
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForDepthEstimation

from koshi_flux.depth.align import repaired, sampled
from koshi_flux.depth.folder import WEIGHTS, DepthFiles, check_folder
from koshi_flux.errors import ModelError
from koshi_flux.shared.types import Depth, Image

_FAR, _NEAR = 0.01, 0.99
"""The shares of a picture beyond which what is farthest and nearest does not count: a few stray pixels."""

_UNUSED = "neck.fusion_stage.layers.0.residual_layer1."
"""Weights that MiDaS is published without, and that nothing is computed with: the first fusion has one input only."""


class PublishedDepth:
    """Near and far of any picture, told by a network that has seen millions.

    These networks tell disparities up to a factor and a shift, other ones for every picture. So every picture's own
    are stretched to [0, 1], and `align.aligned` fits them to those of the frame before. Nothing is remembered from one
    picture to the next: a film that is resumed sees the depths that it would have seen.
    """

    def __init__(self, network: Any, files: DepthFiles):
        self.network = network.eval()
        self.device = next(network.parameters()).device
        self._how, self._metric = files.preparation, files.metric

    @classmethod
    def load(cls, files: DepthFiles | Path, device: str | torch.device = "cpu") -> "PublishedDepth":
        """Read a model from its folder, in float32.

        Raises:
            ModelError: it is incomplete, or its weights do not fit its config.json.
        """
        files = check_folder(files) if isinstance(files, Path) else files
        return cls(_read_network(files.folder).to(device), files)

    @torch.no_grad()
    def estimate(self, image: Image, frame: int = 0) -> Depth:
        """How near every pixel is: 1 nearest, 0 farthest; float32, as large as the picture.

        Raises:
            ModelError: the network returned nothing but NaN.
        """
        rows, columns = self._margins(image)
        height, width = image.shape[1:]
        told = self.network(pixel_values=self._prepared(image)).predicted_depth[:, None].float()
        whole = (height + 2 * rows, width + 2 * columns)
        told = functional.interpolate(told, whole, mode="bilinear", antialias=True)
        told = repaired(told[0, 0, rows : rows + height, columns : columns + width])
        return from_metres(told) if self._metric else stretched(told)

    def _prepared(self, image: Image) -> Float[Tensor, "1 3 seen_h seen_w"]:
        """The picture as the network wants it."""
        rows, columns = self._margins(image)
        pixels = image[None].to(self.device, torch.float32)
        pixels = functional.pad(pixels, (columns, columns, rows, rows), mode="reflect")
        size = self._how.seen_size(*pixels.shape[2:])
        kernel = "bicubic" if self._how.bicubic else "bilinear"
        pixels = functional.interpolate(pixels, size, mode=kernel, antialias=True).clamp(0, 1)
        mean, deviation = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1)
            for values in (self._how.mean, self._how.deviation)
        )
        return (pixels * self._how.scale - mean) / deviation

    def _margins(self, image: Image) -> tuple[int, int]:
        """Rows above and below, columns to both sides, of the picture mirrored.

        Source: ZoeDepth, the padding in `DepthModel._infer_with_pad_aug` (isl-org/ZoeDepth, zoedepth/models).
        """
        if not self._how.margin:
            return 0, 0
        height, width = image.shape[1:]
        return min(height - 1, int(sqrt(height / 2) * 3)), min(width - 1, int(sqrt(width / 2) * 3))


def stretched(disparity: Depth) -> Depth:
    """Disparities of any scale, stretched to [0, 1]; all 1 if they are all alike: a plane, as `plane` has it."""
    values = sampled(disparity)
    far, near = (float(torch.quantile(values, share)) for share in (_FAR, _NEAR))
    if near - far <= 1e-6 * max(abs(far), abs(near)):
        return torch.ones_like(disparity)
    return ((disparity - far) / (near - far)).clamp(0, 1)


def from_metres(distance: Depth) -> Depth:
    """Distances in metres as depth: what is farther than anything has depth 0, whatever the picture shows."""
    disparity = 1 / distance.clamp(min=1e-3)
    return (disparity / torch.quantile(sampled(disparity), _NEAR)).clamp(0, 1)


def _read_network(folder: Path) -> Any:
    """The network of a folder, on the CPU; refused if weights that are used are missing."""
    try:
        network, report = AutoModelForDepthEstimation.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True, weights_only=True
        )
    except UnpicklingError as unsafe:
        raise ModelError(
            f"{folder / WEIGHTS[1]} holds more than weights, which may be a program, or is damaged: it is not read. "
            f"Take the model from where it gives {WEIGHTS[0]}"
        ) from unsafe
    except (OSError, ValueError, RuntimeError, StrictDataclassError) as unfit:
        reason = " ".join(str(unfit).split(". ")[0].split())
        raise ModelError(
            f"{folder} holds other weights than its config.json states ({reason}). Download both again"
        ) from unfit
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(_UNUSED))
    if missing:
        raise ModelError(f"{folder} lacks {len(missing)} of its weights, e.g. {missing[0]}. Download it again")
    return network
