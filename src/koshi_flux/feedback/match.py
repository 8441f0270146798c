"""Colour coherence: keep a picture's colours to those of a reference."""

import torch

from koshi_flux.shared.color import lab_from_srgb, mean_and_deviation, scaled, srgb_from_lab
from koshi_flux.shared.types import Image, Reference

_MAX_GAIN = 2.0
"""Largest stretch of a channel: a nearly flat picture must not become noise."""
_NOTICEABLE = 1e-3
"""Lab units below which a correction is left out, so that a picture that already matches stays bit for bit."""


def match_lab(image: Image, reference: Reference, strength: float) -> Image:
    """Give the picture the reference's mean and standard deviation of L, a and b (Reinhard et al. 2001).

    Args:
        strength: 0 leaves the picture, 1 matches fully.
    """
    lab = lab_from_srgb(image)
    mean, deviation = mean_and_deviation(lab)
    wanted_mean, wanted_deviation = reference.lab_statistics
    gain = (wanted_deviation / deviation.clamp(min=1e-6)).clamp(1 / _MAX_GAIN, _MAX_GAIN)
    gain = torch.where(deviation < _NOTICEABLE, 1.0, 1 + strength * (gain - 1))
    offset = mean + strength * (wanted_mean - mean) - gain * mean
    change = (gain - 1).abs() * deviation + (strength * (wanted_mean - mean)).abs()
    if change.max() < _NOTICEABLE:
        return image
    return srgb_from_lab(scaled(lab, gain, offset))
