"""Rectified flow: noise levels, mixing and the Euler steps between them.

Convention: sigma 1 is pure noise, sigma 0 the clean latent. "Shift" bends an even spacing of sigmas towards noise
(Esser et al. 2024, arXiv:2403.03206, section 5.3.2): shift(t, mu) = e^mu / (e^mu + 1/t - 1), with mu = 0 the identity.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from koshi_flux.shared.types import Latent, Mask

Starts: TypeAlias = Float[Tensor, "lh lw"]
"""The noise level that each pixel of a latent is redrawn from, in [0, 1]: a `denoise` for every pixel."""


def shift(t: float, mu: float) -> float:
    """Bend an even time t in [0, 1] to a noise level in [0, 1]."""
    return 0.0 if t <= 0 else math.exp(mu) / (math.exp(mu) + 1 / t - 1)


def unshift(sigma: float, mu: float) -> float:
    """The even time whose noise level is `sigma`: the inverse of `shift`."""
    return 0.0 if sigma <= 0 else 1 / (1 + math.exp(mu) * (1 / sigma - 1))


def sigmas_below(start: float, steps: int, mu: float) -> tuple[float, ...]:
    """`steps` + 1 falling noise levels from `start` (in (0, 1]) to 0, evenly spaced in the model's own shifted time."""
    top = unshift(start, mu)
    return (start, *(shift(top * (1 - i / steps), mu) for i in range(1, steps)), 0.0)


def staircase(curve: Sequence[float], strength: float) -> tuple[float, ...]:
    """The last steps of a whole curve of noise levels: the share `strength` of them, in (0, 1], and at least one.

    Source: get_timesteps of diffusers' FluxImg2ImgPipeline. A start level is so one of a few, which are far apart where
    steps are few: of 4 steps, strength 0.2 and 0.25 both leave one, from 0.77 for a Klein at 1024 x 1024.
    """
    steps = len(curve) - 1
    return tuple(curve[min(int(steps - steps * strength), steps - 1) :])


def mix(latent: Latent, noise: Latent, sigma: float | Starts) -> Latent:
    """The latent at noise level `sigma`, or at a level for each pixel: (1 - sigma) * latent + sigma * noise."""
    return (1 - sigma) * latent + sigma * noise


def euler(velocity: Callable[[Latent, float], Latent], x: Latent, sigmas: Sequence[float]) -> Latent:
    """Follow the flow from sigmas[0] to sigmas[-1] in straight steps; `x` is the latent at sigmas[0]."""
    for sigma, below in pairwise(sigmas):
        x = x + (below - sigma) * velocity(x, sigma)
    return x


def euler_over(
    velocity: Callable[[Latent, float], Latent], latent: Latent, noise: Latent, starts: Starts, sigmas: Sequence[float]
) -> Latent:
    """`euler` with a start level of its own for every pixel, down to 0: the more noise, the more a pixel is redrawn.

    Until the levels have come down to a pixel's start it is held at mix(latent, noise, sigma), so that the model sees
    the whole picture at one noise level. Where a start lies between two levels the pixel joins on the way, along the
    velocity of that step, and what comes out depends continuously on it. Pixels that start at 0 are those of `latent`;
    if all start at sigmas[0] this is `euler`, bit for bit.
    Source: differential diffusion (Levin and Fried 2023, arXiv:2306.00950), there with a mask per step of the sampler.

    Args:
        sigmas: falling to 0, from the highest start or above, as `levels_over` chooses them.
    """
    x = mix(latent, noise, sigmas[0])
    for sigma, below in pairwise(sigmas):
        towards = velocity(x, sigma)
        joins = starts.clamp(below, sigma)
        late = mix(latent, noise, joins) + (below - joins) * towards
        x = torch.where(starts >= sigma, x + (below - sigma) * towards, late)
    return x


def levels_over(starts: Starts, below: Sequence[float], whole: Sequence[float]) -> tuple[float, ...]:
    """The noise levels that `euler_over` goes through for a map of start levels; (0.0,) where nothing is to be drawn.

    Where some pixel starts above below[0], levels from 1 down to it come before those of `below`, which stay as they
    are: the rest of the picture is drawn as if it had no holes. They lie on the curve of the model, as many as makes
    their spacing that of `below` in sigma, but no more than `whole` has steps. Levels that no pixel needs are left out.

    Args:
        below: those of a frame without holes: from its `denoise` to 0; (0.0,) for a frame that is not redrawn.
        whole: those of a frame drawn out of noise, from 1 to 0.
    """
    highest = starts.max()
    levels = tuple(below) if highest <= below[0] else (*_above(below, whole), *below)
    return levels[max(place for place, level in enumerate(levels) if highest <= level) :]


def start_map(denoise: float, mask: Float[Tensor, "h w"] | None, uncovered: Mask | None, downscale: int) -> Starts:
    """Where each pixel of a latent starts from: `denoise` times the mask, and 1 where the picture has no source.

    Args:
        denoise: the noise level that the picture starts from where it may change: the first of its levels.
        mask: 1 where the picture may change, 0 where it stays; a latent pixel takes the mean of what it covers.
            None changes everything; then there is `uncovered`.
        uncovered: True where there is no source, whatever the mask. A latent pixel starts from 1 if it covers such a
            place or has a neighbour that does: what stood in for the source has left a trace in it.
        downscale: picture pixels per latent pixel, along a side.
    """
    starts = torch.tensor(denoise) if mask is None else denoise * functional.avg_pool2d(mask[None], downscale)[0]
    if uncovered is None:
        return starts
    covering = functional.max_pool2d(uncovered.float()[None], downscale)
    near = functional.max_pool2d(covering, 3, stride=1, padding=1)[0]
    return torch.where(near > 0, 1.0, starts)


def _above(below: Sequence[float], whole: Sequence[float]) -> list[float]:
    """The levels from 1 down to below[0], that one left out."""
    start, steps = below[0], len(whole) - 1
    if start == 0:
        return list(whole[:-1])
    count = round((len(below) - 1) * (1 - start) / start)
    count = min(max(count, len(whole) - len(below), 1), steps)  # no fewer steps in all than a frame out of noise has
    place = float(np.interp(start, whole[::-1], range(steps, -1, -1)))
    return [float(level) for level in np.interp(np.arange(count) * (place / count), range(steps + 1), whole)]
