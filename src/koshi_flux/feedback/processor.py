"""The feedback chain: what happens to a moved picture before it is encoded again.

The order is fixed: colour match, contrast, sharpen, noise. Each member does nothing at its neutral value, and a film
whose corrections are all neutral is a fixed point: the picture comes out as it went in.
"""

from collections.abc import Callable

from koshi_flux.errors import SettingsError
from koshi_flux.feedback.contrast import stretch
from koshi_flux.feedback.match import match_lab
from koshi_flux.feedback.noise import add_grain
from koshi_flux.feedback.sharpen import sharpen
from koshi_flux.shared.image import clamped
from koshi_flux.shared.masks import Plane
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Image, Reference

Match = Callable[[Image, Reference, float], Image]
MATCHES: dict[str, Match] = {"lab": match_lab, "none": lambda image, reference, strength: image}


def correct(
    image: Image, reference: Reference | None, parameters: FrameParameters, grain: Plane | None = None
) -> Image:
    """Keep a picture from drifting; returns it in [0, 1], float. Without a reference there is no colour to match.

    Args:
        grain: where noise is added, in [0, 1]; None is everywhere.
    """
    p = parameters
    if p.color_coherence not in MATCHES:
        raise SettingsError(f"unknown color_coherence {p.color_coherence!r}: known are {', '.join(MATCHES)}")
    if reference is not None and p.color_strength > 0:
        image = MATCHES[p.color_coherence](image, reference, p.color_strength)
    if p.contrast != 1:
        image = stretch(image, p.contrast)
    if p.sharpen > 0:
        image = sharpen(image, p.sharpen)
    if p.noise > 0:
        image = add_grain(image, p.noise, p.seed, p.frame, grain)
    return clamped(image)
