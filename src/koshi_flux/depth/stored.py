"""Depth in files: 16-bit grey PNG, which every compositing program reads. White (65535) is depth 1, the nearest."""

from pathlib import Path

import cv2
import numpy as np
import torch

from koshi_flux.errors import SettingsError
from koshi_flux.shared.types import Depth

_WHITE = 65535


def encode_depth16(depth: Depth) -> bytes:
    """A PNG file in memory; depth is rounded to 1 / 65535."""
    levels = (depth.clamp(0, 1) * _WHITE).round().cpu().numpy().astype(np.uint16)
    return bytes(cv2.imencode(".png", levels)[1])


def read_depth16(file: Path) -> Depth:
    """A depth that was written as 16-bit grey PNG, float32 on the CPU.

    Raises:
        SettingsError: there is no such file, or it holds something else.
    """
    try:
        content = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as unreadable:
        raise SettingsError(f"cannot read the depth {file}: {unreadable.strerror}") from unreadable
    levels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
    if levels is None or levels.dtype != np.uint16 or levels.ndim != 2:
        raise SettingsError(f"{file} is no whole 16-bit grey PNG, which depths are kept in")
    return torch.from_numpy(levels.astype(np.float32) / _WHITE)
