"""Muon, an optimiser for weight matrices that learns in fewer steps than Adam.

torch.optim.Muon orthogonalises in bfloat16, which CPUs without bfloat16 units compute a hundred times more slowly; this
one stays in the precision of the weights.

Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the step size that matches AdamW's is from Liu et
al. 2025, arXiv:2502.16982.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that drives all singular values towards 1 in five steps (Jordan et al.)."""

SMALLEST = 4
"""Matrices with no more rows or columns than this join pictures to the network: they are left to AdamW."""


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are orthogonalised before the step, with the root mean square of an AdamW step.

    Kernels of convolutions count as matrices of (outputs, inputs x height x width).
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient; processes that train together share the work."""
        for group in self.param_groups:
            matrices = [matrix for matrix in group["params"] if matrix.grad is not None]
            strides = [torch.zeros_like(matrix) for matrix in matrices]
            for number, (matrix, stride) in enumerate(zip(matrices, strides, strict=True)):
                ahead = self._ahead(matrix, group["momentum"])
                if not dist.is_initialized() or number % dist.get_world_size() == dist.get_rank():
                    stride.copy_(orthogonal(ahead.flatten(1)).view_as(matrix))
            _gather(strides)
            for matrix, stride in zip(matrices, strides, strict=True):
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(stride, alpha=-group["lr"] * 0.2 * max(matrix.flatten(1).shape) ** 0.5)

    def _ahead(self, matrix: Tensor, momentum: float) -> Tensor:
        """Nesterov's look ahead along the momentum."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        state["momentum"].lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(state["momentum"], momentum)


def _gather(strides: list[Tensor]) -> None:
    """Fill in what other processes have computed: all others hold zeros there."""
    if not dist.is_initialized():
        return
    flat = torch.cat([stride.flatten() for stride in strides])
    dist.all_reduce(flat)
    for stride, part in zip(strides, flat.split([stride.numel() for stride in strides]), strict=True):
        stride.copy_(part.view_as(stride))


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


def optimisers_for(model: nn.Module, inner: Callable[[str], bool]) -> list[torch.optim.Optimizer]:
    """Muon for the matrices and kernels between hidden channels whose names are `inner`, AdamW for all else."""
    matrices = [
        weight
        for name, weight in model.named_parameters()
        if inner(name) and weight.ndim >= 2 and min(weight.shape[:2]) > SMALLEST
    ]
    known = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in known]
    return [Muon(matrices), torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0, fused=True)]
