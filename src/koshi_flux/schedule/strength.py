"""Deforum's strength (how much of the previous frame is kept) as a start sigma.

The two are equated by signal-to-noise ratio: Stable Diffusion 1.5, for which those films were tuned, noised a frame to
step t = 1000 * (1 - strength) of its schedule (DDPM, Ho et al. 2020, with betas from 0.00085 to 0.012, linear in their
square roots; Rombach et al. 2022). With signal sqrt(abar) and noise sqrt(1 - abar), a rectified flow has the same
ratio at sigma = sqrt(1 - abar) / (sqrt(abar) + sqrt(1 - abar)).

Films that were made with FLUX.1 counted strength in steps of its own schedule instead: `flux1_start`.
"""

import math

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
_STEPS = 1000


def denoise_from_strength(strength: Values) -> Values:
    """Start sigmas of KEEP strengths in [0, 1]: 1 keeps everything (sigma 0), 0 nothing (sigma 1).

    Between them 0.85, 0.65 and 0.5 become about 0.31, 0.50 and 0.62.
    """
    betas = np.linspace(0.00085**0.5, 0.012**0.5, _STEPS) ** 2
    kept_signal = np.concatenate(([1.0], np.cumprod(1 - betas)))
    abar = np.interp(_STEPS * (1 - strength), np.arange(_STEPS + 1), kept_signal)
    signal, noise = np.sqrt(abar), np.sqrt(1 - abar)
    return np.where(strength <= 0, 1.0, noise / (signal + noise))


def steps_left(strength: Values, steps: Values) -> Values:
    """How many of `steps` A1111 and Forge run at a KEEP strength, at least 1 and at most all.

    One more than (1 - strength) * steps: they begin a step before the place that they count.
    """
    return np.floor(np.minimum(1 - strength, 0.999) * steps) + 1


def flux1_start(left: Values, steps: Values, size: tuple[int, int]) -> Values:
    """The noise level from which the last `left` of `steps` steps go, on FLUX.1-dev's own curve for a size in pixels.

    An even time t = left / steps is bent to e^mu / (e^mu + 1/t - 1), more so for larger pictures: mu goes from 0.5 for
    256 tokens (16 x 16 pixels each) to 1.15 for 4096, in a straight line.
    Source: get_schedule in black-forest-labs/flux src/flux/sampling.py.
    """
    tokens = (size[0] // 16) * (size[1] // 16)
    bend = math.exp(0.5 + (1.15 - 0.5) * (tokens - 256) / (4096 - 256))
    return bend / (bend + steps / np.maximum(left, 1e-9) - 1)
