"""One part of a model, read from disk: from its folder, or out of a single file."""

from pathlib import Path
from typing import Any

import torch

from koshi_flux.errors import ModelError
from koshi_flux.weights.from_file import read_from_file


def read_part(kind: Any, part: Path, dtype: torch.dtype, bits: Any = None) -> Any:
    """Load a part as an object of class `kind`, on the CPU, from its folder or from a file that holds it.

    `bits` is diffusers' quantisation config, for a transformer that is to be read in fewer bits than `dtype` has.

    Both libraries only warn when weights are missing, and fill them up with random ones: that is refused here.
    """
    if part.is_file():
        return read_from_file(kind, part, dtype, bits)
    options = {"quantization_config": bits} if bits else {}
    try:
        model, report = kind.from_pretrained(
            part, dtype=dtype, local_files_only=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError) as unfit:
        reason = str(unfit).split(". ")[0]
        raise ModelError(
            f"{part} holds other weights than its config.json states ({reason}). Download both again"
        ) from unfit
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{part} lacks {len(missing)} of its weights, e.g. {missing[0]}. Download it again")
    return model
