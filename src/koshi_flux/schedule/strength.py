"""Deforum's strength (how much of the previous frame is kept) as a start sigma.

The two are equated by signal-to-noise ratio: Stable Diffusion 1.5, for which those films were tuned, noised a frame to
step t = 1000 * (1 - strength) of its schedule (DDPM, Ho et al. 2020, with betas from 0.00085 to 0.012, linear in their
square roots; Rombach et al. 2022). With signal sqrt(abar) and noise sqrt(1 - abar), a rectified flow has the same
ratio at sigma = sqrt(1 - abar) / (sqrt(abar) + sqrt(1 - abar)).
"""

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
