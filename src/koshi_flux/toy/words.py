"""What the toy model reads in a prompt: a landscape's features, as numbers that can be blended."""

import re
import zlib
from dataclasses import dataclass, fields, replace
from typing import Any

Color = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """What the painter needs. Colours are sRGB in [0, 1]; everything else is in [0, 1] or in frame heights."""

    sky: Color = (0.36, 0.56, 0.80)
    horizon: Color = (0.86, 0.86, 0.80)
    far: Color = (0.45, 0.55, 0.62)
    near: Color = (0.16, 0.26, 0.24)
    light: Color = (1.0, 0.93, 0.75)
    glow: float = 0.5
    relief: float = 0.10
    softness: float = 0.015
    light_x: float = 0.6
    light_y: float = 0.35
    phase: float = 0.0

    def numbers(self) -> list[float]:
        """All features in one row, in the order of the fields."""
        return [n for f in fields(self) for n in _flat(getattr(self, f.name))]


Features = dict[str, Any]
"""Some of a Landscape's fields by name."""

MOODS: dict[str, Features] = {
    "sunset": {"sky": (0.23, 0.20, 0.45), "horizon": (0.98, 0.55, 0.28), "light": (1.0, 0.70, 0.35), "glow": 0.9},
    "dawn": {"sky": (0.47, 0.55, 0.78), "horizon": (0.98, 0.76, 0.70), "light": (1.0, 0.85, 0.75), "glow": 0.7},
    "night": {"sky": (0.02, 0.03, 0.10), "horizon": (0.10, 0.14, 0.30), "light": (0.85, 0.90, 1.0), "glow": 0.35},
    "storm": {"sky": (0.20, 0.22, 0.27), "horizon": (0.50, 0.52, 0.54), "glow": 0.1},
    "mist": {"far": (0.76, 0.79, 0.82), "softness": 0.06, "glow": 0.35},
    "space": {"sky": (0.01, 0.01, 0.05), "horizon": (0.20, 0.08, 0.32), "light": (0.75, 0.60, 1.0), "glow": 0.8},
}
PLACES: dict[str, Features] = {
    "sea": {"far": (0.20, 0.45, 0.58), "near": (0.04, 0.20, 0.32), "relief": 0.02},
    "desert": {"far": (0.90, 0.72, 0.48), "near": (0.72, 0.45, 0.24), "relief": 0.07},
    "forest": {"far": (0.30, 0.48, 0.36), "near": (0.05, 0.18, 0.10), "relief": 0.12},
    "mountain": {"far": (0.52, 0.58, 0.70), "near": (0.20, 0.23, 0.30), "relief": 0.22},
    "city": {"far": (0.48, 0.46, 0.55), "near": (0.14, 0.13, 0.19), "relief": 0.09, "softness": 0.006},
    "snow": {"far": (0.82, 0.87, 0.93), "near": (0.93, 0.95, 0.98), "relief": 0.10},
    "meadow": {"far": (0.56, 0.70, 0.40), "near": (0.26, 0.44, 0.16), "relief": 0.05},
}
SYNONYMS = {
    "sunrise": "dawn", "morning": "dawn", "dusk": "sunset", "evening": "sunset", "midnight": "night", "moon": "night",
    "stars": "space", "nebula": "space", "galaxy": "space", "stormy": "storm", "rain": "storm", "fog": "mist",
    "misty": "mist", "foggy": "mist", "ocean": "sea", "lake": "sea", "water": "sea", "dunes": "desert",
    "sand": "desert", "woods": "forest", "trees": "forest", "jungle": "forest", "mountains": "mountain",
    "hills": "mountain", "canyon": "mountain", "town": "city", "street": "city", "skyline": "city", "ice": "snow",
    "winter": "snow", "snowy": "snow", "field": "meadow", "grass": "meadow", "garden": "meadow",
}  # fmt: skip
TINTS: dict[str, Color] = {
    "red": (0.85, 0.16, 0.14), "orange": (0.95, 0.52, 0.12), "yellow": (0.96, 0.84, 0.22), "gold": (0.90, 0.70, 0.25),
    "green": (0.20, 0.62, 0.28), "teal": (0.10, 0.55, 0.55), "blue": (0.14, 0.32, 0.80), "purple": (0.48, 0.20, 0.66),
    "violet": (0.54, 0.30, 0.80), "pink": (0.95, 0.55, 0.70), "brown": (0.42, 0.28, 0.18), "black": (0.04, 0.04, 0.05),
    "white": (0.95, 0.95, 0.94), "grey": (0.5, 0.5, 0.5), "gray": (0.5, 0.5, 0.5),
}  # fmt: skip
_TINT_SHARE = 0.55


def read(prompt: str) -> Landscape:
    """The landscape that a prompt's words describe; words it does not know only move the hills and the light."""
    words = re.findall(r"[^\W_]+", prompt.lower())
    landscape = _composed(" ".join(words))
    for word in words:
        known = SYNONYMS.get(word, word)
        landscape = replace(landscape, **{**MOODS.get(known, {}), **PLACES.get(known, {})})
    for word in words:
        if word in TINTS:
            landscape = _tinted(landscape, TINTS[word])
    return landscape


def _composed(text: str) -> Landscape:
    """Place light and hills by a hash of the text: stable between runs and machines."""
    hashed = zlib.crc32(text.encode())
    a, b, c = ((hashed >> shift & 0xFF) / 255 for shift in (0, 8, 16))
    return Landscape(light_x=0.2 + 0.6 * a, light_y=0.2 + 0.25 * b, phase=c)


def _tinted(landscape: Landscape, tint: Color) -> Landscape:
    def towards(color: Color) -> Color:
        r, g, b = ((1 - _TINT_SHARE) * own + _TINT_SHARE * new for own, new in zip(color, tint, strict=True))
        return r, g, b

    return replace(
        landscape,
        sky=towards(landscape.sky),
        horizon=towards(landscape.horizon),
        far=towards(landscape.far),
        near=towards(landscape.near),
    )


def _flat(value: Color | float) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
