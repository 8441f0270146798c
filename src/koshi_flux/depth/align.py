"""Keeping depth steady from frame to frame, so that a camera does not lurch when an estimate changes its mind.

A network tells depth up to a factor and a shift, and finds other ones for every picture. Deforum stretches each
frame's depth to its own range: when something near enters, everything else recedes. Here each frame's depth is fitted
to that of the frame before.
"""

from math import ceil, sqrt

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from koshi_flux.errors import ModelError
from koshi_flux.shared.types import Depth

_SAMPLES = 16384
"""Pixels that are compared, evenly spread: enough for a factor and a shift to four digits."""
_FEW = 16
"""With fewer pixels in common there is nothing to compare."""
_ROUNDS = 20
_TOLERANCE = 0.02
"""Misfit, in deviations, below which pixels count alike. Without it, a sky that fits to the last digit, being all 0,
would be all that counts."""
_FLAT = 1e-3
"""Deviation below which a depth is a plane: a factor found on it would be noise."""

Samples = Float64[Tensor, " n"]


def aligned(depth: Depth, previous: Depth | None, smoothing: float = 1.0) -> Depth:
    """A frame's depth on the scale of the frame before; in [0, 1], without NaN.

    One factor and one shift hold for the whole frame, so its shapes stay its own.

    Args:
        depth: as estimated; NaN and infinity take the value of the nearest pixel that has one.
        previous: the depth of the frame before as its camera has moved it to this frame, so that the same things lie at
            the same pixels; NaN where nothing is known, such as what was uncovered. None starts anew.
        smoothing: 0 keeps the estimate, 1 aligns it fully; a little less than 1 lets the range slowly follow the film.

    Raises:
        ModelError: no pixel of `depth` has a value.
    """
    depth = repaired(depth)
    if previous is None or smoothing == 0:
        return depth.clamp(0, 1)
    factor, shift = fit(depth, previous)
    return torch.lerp(depth, depth * factor + shift, smoothing).clamp(0, 1)


def repaired(depth: Depth) -> Depth:
    """The depth with a number everywhere: NaN and infinity take the value of the nearest pixel that has one.

    Raises:
        ModelError: none has one.
    """
    lost = ~depth.isfinite()
    if not lost.any():
        return depth
    if lost.all():
        raise ModelError(
            "the depth of a frame holds no number, NaN or infinity only: take another depth model, or depth = 'plane'"
        )
    # every pixel is labelled with the number of the nearest zero, zeros being counted as they lie
    holes = np.ascontiguousarray(lost.cpu().numpy(), dtype=np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(holes, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    number = np.zeros(nearest.max() + 1, dtype=np.int64)
    number[nearest[holes == 0]] = np.flatnonzero(holes == 0)
    return depth.flatten()[torch.from_numpy(number[nearest]).to(depth.device)]


def fit(depth: Depth, previous: Depth) -> tuple[float, float]:
    """Factor and shift that bring a depth onto another, whatever part of the frame shows something else.

    Least squares with weights that fall with the misfit (Geman and McClure 1985), found by repeating (Holland and
    Welsch 1977). The factor is the ratio of the deviations, not the slope of a regression: the slope is too small by
    the noise of the estimates, every frame anew, and a film would go flat in a hundred frames.
    """
    x, y = (sampled(plane).cpu().double() for plane in (depth, previous))
    both = x.isfinite() & y.isfinite()
    x, y = x[both], y[both]
    if len(x) < _FEW or y.std() < _FLAT:
        return 1.0, 0.0
    if x.std() < _FLAT:
        return 1.0, float(y.median() - x.median())
    factor, shift = _start(x, y)
    tolerance = _TOLERANCE * y.std()
    for _ in range(_ROUNDS):
        misfit = (y - factor * x - shift).abs()
        doubt = misfit / torch.maximum(1.5 * misfit.median(), tolerance)
        factor, shift = _match(x, y, 1 / (1 + doubt**2) ** 2)
    return factor, shift


def sampled(plane: Depth) -> Float[Tensor, " n"]:
    """Some values of a plane, evenly spread over it."""
    step = ceil(sqrt(plane.numel() / _SAMPLES))
    return plane[::step, ::step].flatten()


def _start(x: Samples, y: Samples) -> tuple[float, float]:
    """A first guess that stray values cannot spoil: median and median deviation, unless most values are alike."""
    deviations = [float((values - values.median()).abs().median()) for values in (x, y)]
    if min(deviations) < _FLAT:
        return _match(x, y, torch.ones_like(x))
    factor = deviations[1] / deviations[0]
    return factor, float(y.median() - factor * x.median())


def _match(x: Samples, y: Samples, weights: Samples) -> tuple[float, float]:
    """Factor and shift that give `x` the weighted mean and deviation of `y`."""
    weights = weights / weights.sum()
    means = (weights @ x, weights @ y)
    variances = (weights @ (x - means[0]) ** 2, weights @ (y - means[1]) ** 2)
    factor = torch.sqrt(variances[1] / variances[0])
    return float(factor), float(means[1] - factor * means[0])
