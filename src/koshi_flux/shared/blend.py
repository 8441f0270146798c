"""Mixing embeddings, and noise with noise: along the straight line, or along the arc of a sphere (slerp).

A straight line between two vectors that point elsewhere passes nearer to the origin than both; in many dimensions,
where everything is at a right angle, half way to 0.71 of their length. The arc keeps the length (Shoemake 1985). Ours
takes the direction from the arc and the length from the straight line between both lengths.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from koshi_flux.errors import SettingsError

Part = tuple[Tensor, float]
"""Something to mix, and its weight."""

_NARROW = 1e-4
"""Sine of an angle below which single precision cannot tell an arc from a straight line."""
_TINY = 1e-30
"""Length of what has no direction."""


def slerp(one: Tensor, other: Tensor, share: float) -> Tensor:
    """From `one` (share 0) along the arc to `other` (share 1), for each vector along the last axis.

    A share outside [0, 1] goes on along the same circle. Where there is no arc, between vectors that point the same
    way or exactly opposite ones, or of which one is zero, it goes straight.
    """
    if share in (0, 1):
        return other if share else one
    first, second = one.float(), other.float()
    first_length, second_length = _length(first), _length(second)
    first_way, second_way = first / first_length.clamp(min=_TINY), second / second_length.clamp(min=_TINY)
    angle = 2 * torch.atan2(_length(first_way - second_way), _length(first_way + second_way))  # after Kahan
    sine = torch.sin(angle)
    on_arc = (torch.sin((1 - share) * angle) * first_way + torch.sin(share * angle) * second_way) / sine
    length = torch.lerp(first_length, second_length, share).clamp(min=0)
    is_arc = (sine > _NARROW) & (first_length > _TINY) & (second_length > _TINY)
    return torch.where(is_arc, length * on_arc, torch.lerp(first, second, share)).to(one.dtype)


def mixed(parts: Sequence[Part], how: str = "linear") -> Tensor:
    """Mix embeddings or the like by their weights, which sum to 1 and may be negative (away from that part).

    "linear" is the weighted sum. "slerp" is that along arcs, for each vector along the last axis: of more than two
    parts it takes the heaviest first and goes from what is mixed so far towards the next heaviest, by the share of
    weight that it has in both; the order of the parts does not matter.

    Args:
        parts: tensors of one shape with their weights.
        how: one of MIXTURES.

    Raises:
        SettingsError: no such way to mix.
    """
    if how not in MIXTURES:
        raise SettingsError(f"unknown embedding_blend {how!r}: known are {', '.join(MIXTURES)}")
    return parts[0][0] if len(parts) == 1 else MIXTURES[how](parts)


def _length(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)


def _weighted_sum(parts: Sequence[Part]) -> Tensor:
    stacked = torch.stack([part for part, _ in parts])
    return torch.tensordot(torch.tensor([weight for _, weight in parts]).to(stacked), stacked, dims=1)


def _along_arcs(parts: Sequence[Part]) -> Tensor:
    (done, weight), *rest = sorted(parts, key=lambda part: -part[1])  # so that no sum on the way is 0
    for part, more in rest:
        weight += more
        done = slerp(done, part, more / weight)
    return done


MIXTURES: dict[str, Callable[[Sequence[Part]], Tensor]] = {"linear": _weighted_sum, "slerp": _along_arcs}
