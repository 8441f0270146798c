"""One part of a model folder, read from disk."""

from pathlib import Path
from typing import Any

import torch

from koshi_flux.errors import ModelError


def read_part(kind: Any, part: Path, dtype: torch.dtype) -> Any:
    """Load a part as an object of class `kind`, on the CPU.

    Both libraries only warn when weights are missing, and fill them up with random ones: that is refused here.
    """
    try:
        model, report = kind.from_pretrained(part, dtype=dtype, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as unfit:
        reason = str(unfit).split(". ")[0]
        raise ModelError(
            f"{part} holds other weights than its config.json states ({reason}). Download both again"
        ) from unfit
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{part} lacks {len(missing)} of its weights, e.g. {missing[0]}. Download it again")
    return model
