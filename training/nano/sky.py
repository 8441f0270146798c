"""Light and weather: the hour's colours, sun and moon, clouds, mist, rain and snow."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from training.nano.captions import Attributes
from training.nano.fields import Dice, fractal

if TYPE_CHECKING:
    from training.nano.world import World

Color = tuple[float, float, float]

ZENITH: dict[str, Color] = {
    "dawn": (0.42, 0.46, 0.70),
    "day": (0.16, 0.42, 0.85),
    "sunset": (0.24, 0.12, 0.38),
    "night": (0.02, 0.03, 0.13),
}
HORIZON: dict[str, Color] = {
    "dawn": (0.99, 0.80, 0.74),
    "day": (0.74, 0.88, 0.98),
    "sunset": (1.0, 0.48, 0.14),
    "night": (0.10, 0.16, 0.36),
}
SUN: dict[str, Color] = {
    "dawn": (1.0, 0.90, 0.80),
    "day": (1.0, 1.0, 0.92),
    "sunset": (1.0, 0.72, 0.28),
    "night": (0.90, 0.93, 1.0),
}
AMBIENT: dict[str, Color] = {
    "dawn": (0.70, 0.62, 0.66),
    "day": (1.0, 1.0, 0.98),
    "sunset": (0.52, 0.37, 0.33),
    "night": (0.17, 0.22, 0.38),
}
"""sRGB by the hour: overhead, at the horizon, of sun or moon, and the light that falls on things."""


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a batch: colours (b, 3, 1, 1), switches and amounts (b, 1, 1, 1)."""

    zenith: Tensor
    horizon: Tensor
    sun: Tensor
    ambient: Tensor
    low: Tensor
    night: Tensor
    day: Tensor
    cloudy: Tensor
    misty: Tensor
    stormy: Tensor
    snowy: Tensor

    @classmethod
    def of(cls, attributes: list[Attributes], dice: Dice) -> "Light":
        """The light of some hours under some weather; storms and snow clouds grey the sky and dim the land."""
        times = [each.time or "night" for each in attributes]

        def color(table: dict[str, Color], spread: float) -> Tensor:
            base = torch.tensor([table[time] for time in times], device=dice.device).view(-1, 3, 1, 1)
            return (base + spread * base * (2 * dice.grid(3, 1, 1) - 1)).clamp(0, 1)

        def switch(*names: str) -> Tensor:
            on = [each.weather in names or each.time in names for each in attributes]
            return torch.tensor(on, device=dice.device).float().view(-1, 1, 1, 1)

        stormy, snowy, misty = switch("stormy"), switch("snowy"), switch("misty")
        grey = (0.75 * stormy + 0.55 * snowy + 0.25 * misty).clamp(max=0.8)
        zenith, horizon, ambient = color(ZENITH, 0.08), color(HORIZON, 0.06), color(AMBIENT, 0.06)
        cover = torch.lerp(horizon, horizon.mean(1, keepdim=True), 0.6) * (1 - 0.45 * stormy)
        return cls(
            zenith=torch.lerp(zenith, torch.lerp(cover, zenith, 0.25), grey),
            horizon=torch.lerp(horizon, torch.lerp(cover, horizon, 0.45), grey),
            sun=color(SUN, 0.03),
            ambient=ambient * (1 - 0.35 * stormy),
            low=switch("dawn", "sunset"),
            night=switch("night"),
            day=switch("day"),
            cloudy=switch("cloudy"),
            misty=misty,
            stormy=stormy,
            snowy=snowy,
        )


def paint_sky(world: "World") -> None:
    """A gradient, stars, sun or moon with its glow, clouds."""
    light, dice = world.light, world.dice
    fall = (world.y / world.horizon).clamp(0, 1) ** 1.3
    picture = torch.lerp(light.zenith, light.horizon, fall).expand_as(world.picture)
    picture = picture + stars(dice, world.height, world.width, 0.0016) * light.night * (1 - fall) * (1 - light.stormy)
    picture = _sun(world, picture)
    world.picture = _clouds(world, picture)


def _sun(world: "World", picture: Tensor) -> Tensor:
    """A disc and its glow: low at dawn and sunset, high at noon, a moon at night; storms hide it."""
    light, dice = world.light, world.dice
    reach = float(world.x.max())
    across = dice.uniform(-0.8, 0.8) * reach
    high = dice.uniform(0.10, 0.24)
    near = world.horizon - dice.uniform(0.03, 0.13)
    up = torch.lerp(high, near, light.low)
    distance = ((world.x - across) ** 2 + (world.y - up) ** 2).sqrt()
    hidden = 1 - torch.clamp(light.stormy + 0.7 * light.snowy + 0.5 * light.misty, max=1.0)
    radius = dice.uniform(0.035, 0.055)
    disc = ((radius - distance) * world.height * 0.6).clamp(0, 1) * hidden
    glow = (
        torch.exp(-distance * (7 + 9 * light.day + 5 * light.night))
        * (0.55 - 0.25 * light.night)
        * (0.3 + 0.7 * hidden)
    )
    return torch.lerp(picture, light.sun.expand_as(picture), disc.expand_as(picture)) + light.sun * glow


def _clouds(world: "World", picture: Tensor) -> Tensor:
    """Heaps under a cloudy sky, a heavy ceiling in a storm, veils otherwise."""
    light, dice = world.light, world.dice
    shape = fractal(dice, world.height, world.width, cells=3, octaves=6, rough=0.55)
    flat = 1 - (world.y / world.horizon).clamp(0, 1) ** 3
    heaps = (shape + 0.1).clamp(0, 1.4) / 1.4 * light.cloudy
    ceiling = ((shape + 1.6) / 3).clamp(0, 1) * light.stormy
    cover = (0.85 * heaps + 0.8 * ceiling) * flat
    bright = torch.lerp(light.sun, light.horizon, 0.4) * (1 - 0.72 * light.night) * (1 - 0.25 * light.low)
    heavy = light.horizon * (0.30 + 0.25 * (shape * 0.5).clamp(-1, 1))
    color = torch.lerp(bright.expand_as(picture), heavy, light.stormy.expand_as(picture))
    shade = 1 - 0.25 * heaps * (shape * 0.4).clamp(0, 1)
    return torch.lerp(picture, color * shade, cover.expand_as(picture))


def stars(dice: Dice, height: int, width: int, share: float) -> Tensor:
    """Points of light, a pixel and a half wide at 256 pixels, (b, 1, h, w)."""
    size = max(1, round(height / 160))
    points = (dice.grid(1, height // size, width // size) < share * size**2).float()
    points = points * (0.4 + 0.6 * dice.grid(1, height // size, width // size))
    return interpolate(points, (height, width), mode="bilinear") * 1.2


def paint_weather(world: "World") -> None:
    """What hangs between the eye and the land: haze by true depth, mist, rain and lightning, snowflakes."""
    light, dice = world.light, world.dice
    haze = torch.lerp(light.horizon, light.sun * (1 - 0.75 * light.night), 0.15)
    density = 0.012 + 0.10 * light.misty + 0.02 * light.stormy + 0.03 * light.snowy
    clear = torch.exp(-density * (1 / world.disparity.clamp(min=0.02) - 1))
    wisps = 1 + 0.12 * light.misty * fractal(dice, world.height, world.width, cells=2, octaves=3)
    land = (world.disparity > 0).float()
    band = torch.exp(-(((world.y - world.horizon) / 0.16) ** 2)) * 0.6 * light.misty * (1 - land)
    veil = (torch.maximum((1 - clear) * land, band) * wisps).clamp(0, 1)
    picture = torch.lerp(world.picture, haze.expand_as(world.picture), veil.expand_as(world.picture))
    picture = _rain(world, picture)
    flakes = _flakes(world) * light.snowy
    world.picture = picture + (1 - picture) * flakes * (0.85 - 0.3 * light.night)


def _rain(world: "World", picture: Tensor) -> Tensor:
    """Slanting streaks, and in half of the storms a flash of lightning."""
    light, dice = world.light, world.dice
    drops = (dice.grid(1, world.height, world.width) < 0.02).float()
    length = max(3, world.height // 20) | 1
    streaks = avg_pool2d(drops, (length, 1), 1, (length // 2, 0))
    picture = picture + streaks * light.stormy * (0.5 * light.horizon + 0.1)
    way = (0.5 * dice.grid(1, 12, 1) - 0.25).cumsum(2) * 0.35
    way = interpolate(way, (world.height, 1), mode="bilinear", align_corners=True) + dice.uniform(-0.35, 0.35)
    distance = (world.x - way).abs()
    sky = (world.disparity == 0).float() * light.stormy * dice.chance(0.5)
    flash = (torch.exp(-((distance * 180) ** 2)) + 0.3 * torch.exp(-distance * 14)) * sky
    return picture + flash * light.horizon.new_tensor([0.85, 0.85, 1.0]).view(1, 3, 1, 1)


def _flakes(world: "World") -> Tensor:
    """Falling snow, small and large."""
    small = stars(world.dice, world.height, world.width, 0.006)
    large = stars(world.dice, world.height // 2, world.width // 2, 0.004)
    return (0.6 * small + 0.8 * interpolate(large, (world.height, world.width), mode="bilinear")).clamp(0, 1)
