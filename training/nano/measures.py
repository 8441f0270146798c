"""How good a result is, in one number: rank correlation of depths, likeness of pictures."""

import math

from torch import Tensor


def spearman(a: Tensor, b: Tensor) -> float:
    """Do two tensors of one shape agree about what is more and what is less? 1 fully, 0 not at all, -1 the reverse.

    Spearman's rho: the Pearson correlation of the ranks, equal values sharing the mean of their ranks. A constant
    orders nothing, and agrees with anything by 0.
    """
    if a.shape != b.shape:
        raise ValueError(f"ranks are compared value by value, but the shapes are {tuple(a.shape)} and {tuple(b.shape)}")
    x, y = (ranks - ranks.mean() for ranks in (_ranks(a), _ranks(b)))
    spread = x.norm() * y.norm()
    return float(x @ y / spread) if spread > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    """The place of every value in ascending order, from 1; equal values share the mean of their places."""
    _, kind, counts = values.flatten().unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[kind]


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio of two pictures in [0, 1], in decibels; infinite where they are the same."""
    if a.shape != b.shape:
        raise ValueError(f"pictures are compared pixel by pixel, but the shapes are {tuple(a.shape)}, {tuple(b.shape)}")
    error = float((a.double() - b.double()).square().mean())
    return -10 * math.log10(error) if error > 0 else math.inf
