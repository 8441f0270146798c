"""Rectified flow: noise levels, mixing and the Euler steps between them.

Convention: sigma 1 is pure noise, sigma 0 the clean latent. "Shift" bends an even spacing of sigmas towards noise
(Esser et al. 2024, arXiv:2403.03206, section 5.3.2): shift(t, mu) = e^mu / (e^mu + 1/t - 1), with mu = 0 the identity.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from koshi_flux.shared.types import Latent


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


def mix(latent: Latent, noise: Latent, sigma: float) -> Latent:
    """The latent at noise level `sigma`: (1 - sigma) * latent + sigma * noise."""
    return (1 - sigma) * latent + sigma * noise


def euler(velocity: Callable[[Latent, float], Latent], x: Latent, sigmas: Sequence[float]) -> Latent:
    """Follow the flow from sigmas[0] to sigmas[-1] in straight steps; `x` is the latent at sigmas[0]."""
    for sigma, below in pairwise(sigmas):
        x = x + (below - sigma) * velocity(x, sigma)
    return x
