"""Pictures side by side in one PNG, to look at while training."""

from pathlib import Path

import cv2
import torch
from torch import Tensor


def write_sheet(pictures: Tensor, file: Path, columns: int = 8) -> Path:
    """Write pictures (b, 3, h, w) in [0, 1] in rows of `columns`; what is missing in the last row stays black."""
    count, _, height, width = pictures.shape
    rows = -(-count // columns)
    cells = torch.zeros(rows * columns, 3, height, width)
    cells[:count] = pictures.detach().float().cpu().clamp(0, 1)
    sheet = (
        cells.view(rows, columns, 3, height, width).permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), (sheet * 255).round().byte().numpy()[..., ::-1])
    return file
