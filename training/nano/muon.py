"""Muon, an optimiser for weight matrices that learns in fewer steps than Adam.

torch.optim.Muon orthogonalises in bfloat16, which CPUs without bfloat16 units compute a hundred times more slowly; this
one stays in the precision of the weights.

Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the step size that matches AdamW's is from Liu et
al. 2025, arXiv:2502.16982.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that drives all singular values towards 1 in five steps (Jordan et al.)."""


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are orthogonalised before the step, with the root mean square of an AdamW step.

    Kernels of convolutions count as matrices of (outputs, inputs x height x width).
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].lerp_(matrix.grad, 1 - group["momentum"])
                ahead = matrix.grad.lerp(state["momentum"], group["momentum"])
                flat = ahead.flatten(1)
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                stride = 0.2 * max(flat.shape) ** 0.5
                matrix.add_(orthogonal(flat).view_as(matrix), alpha=-group["lr"] * stride)


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """The matrix with all singular values near 1 (0.7 to 1.2), by Newton and Schulz's iteration."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    first, third, fifth = COEFFICIENTS
    for _ in range(rounds):
        square = x @ x.T
        x = first * x + (third * square + fifth * square @ square) @ x
    return x.T if tall else x
