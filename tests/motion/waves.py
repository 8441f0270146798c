"""A texture whose value is known at every place, so that pictures of it moved by any matrix are exact."""

import numpy as np
import torch


class Waves:
    """Plane waves of random directions and wavelengths from 4 to 100 pixels; mean 0.5, standard deviation 0.15."""

    def __init__(self, seed=0, count=100):
        random = np.random.default_rng(seed)
        frequency = np.exp(random.uniform(np.log(0.01), np.log(0.25), count))
        direction = random.uniform(0, 2 * np.pi, count)
        self.x, self.y = frequency * np.cos(direction), frequency * np.sin(direction)
        self.phase = random.uniform(0, 2 * np.pi, count)
        self.amplitude = frequency**-0.7
        self.amplitude *= 0.15 / np.sqrt((self.amplitude**2).sum() / 2)

    def seen(self, height, width, matrix=None):
        """What the frame shows after the texture was moved by `matrix`."""
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        places = np.stack((x, y, np.ones_like(x))).reshape(3, -1)
        u, v, w = np.linalg.inv(np.eye(3) if matrix is None else matrix) @ places
        phases = 2 * np.pi * (np.outer(self.x, u / w) + np.outer(self.y, v / w)) + self.phase[:, None]
        values = 0.5 + self.amplitude @ np.cos(phases.astype(np.float32))
        return torch.from_numpy(values.reshape(height, width).clip(0, 1).astype(np.float32)).expand(3, -1, -1)


def with_square(picture, square, left, top):
    """A picture with another one laid upon it."""
    shown = picture.clone()
    shown[:, top : top + square.shape[1], left : left + square.shape[2]] = square
    return shown
