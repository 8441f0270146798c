from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """noise(index, width, height): a frame of incompressible pixels, the same for the same index."""

    def frame(index: int = 0, width: int = 64, height: int = 48) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return frame


@pytest.fixture
def photo() -> np.ndarray:
    """A real picture, 128 x 128."""
    data = pytest.importorskip("skimage.data", reason="pip install 'koshi-flux[dev]'")
    return np.ascontiguousarray(data.astronaut()[:256:2, 64:320:2])
