"""The ten lands: what stands and lies below each sky."""

from collections.abc import Callable

import torch
from torch import Tensor

from training.nano.captions import Attributes
from training.nano.fields import fractal, ridge, sample
from training.nano.sky import Color, stars
from training.nano.water import flood
from training.nano.world import World, lut

Land = Callable[[World, list[Attributes]], None]

ROCK: tuple[Color, ...] = ((0.42, 0.45, 0.52), (0.50, 0.41, 0.37), (0.38, 0.46, 0.42))
FLOWERS: dict[str, Color] = {
    "red": (0.90, 0.12, 0.10),
    "yellow": (0.98, 0.85, 0.12),
    "purple": (0.55, 0.22, 0.80),
    "white": (0.97, 0.97, 0.95),
    "pink": (0.97, 0.48, 0.70),
    "blue": (0.22, 0.36, 0.95),
}
LEAVES: dict[str, Color] = {
    "green": (0.13, 0.36, 0.17),
    "red": (0.62, 0.13, 0.09),
    "orange": (0.80, 0.40, 0.07),
    "yellow": (0.80, 0.66, 0.12),
}
SAND: dict[str, Color] = {"yellow": (0.93, 0.70, 0.40), "red": (0.82, 0.36, 0.20), "white": (0.95, 0.93, 0.88)}
STRATA: dict[str, Color] = {"red": (0.70, 0.26, 0.17), "orange": (0.87, 0.48, 0.22), "yellow": (0.87, 0.68, 0.38)}
NEBULA: dict[str, Color] = {
    "purple": (0.60, 0.18, 0.85),
    "blue": (0.12, 0.35, 0.98),
    "red": (0.95, 0.20, 0.18),
    "green": (0.12, 0.75, 0.42),
    "orange": (0.98, 0.55, 0.15),
    "pink": (0.98, 0.38, 0.68),
    "turquoise": (0.10, 0.75, 0.78),
}


def _one_of(world: World, colors: tuple[Color, ...]) -> Tensor:
    """A colour of a few for each picture."""
    table = torch.tensor(colors, device=world.dice.device)
    pick = (world.dice.uniform(0, len(colors) - 1e-4)).long().flatten()
    return world.tint(table[pick])


def _relief(world: World, cells: int, strength: float = 0.16) -> Tensor:
    """Light on rough ground, about 1: a fractal lit from the left."""
    field = fractal(world.dice, world.height, world.width, cells, 3, 0.5)
    slope = field.diff(dim=3, append=field[..., -1:])
    return (1 + strength * (slope * world.height / cells / 2).clamp(-2, 2) + 0.3 * strength * field).clamp(0.4, 1.6)


def _snowed(world: World, color: Tensor, amount: float = 0.85) -> Tensor:
    """The same ground under snow, where it snows."""
    white = color.new_tensor([0.93, 0.95, 1.0]).view(1, 3, 1, 1)
    return torch.lerp(color.expand(world.dice.count, -1, -1, -1), white.expand_as(color), amount * world.light.snowy)


def _ridges(world: World, disparities: tuple[float, ...], high: float, color: Tensor, capped: int = 0) -> None:
    """Mountain ridges one before the other, the first `capped` of them with snow on top."""
    for place, disparity in enumerate(disparities):
        foot = world.horizon + disparity * (1 - world.horizon)
        rise = high * (1 - 0.7 * place / len(disparities)) * world.dice.uniform(0.8, 1.2)
        line = foot - rise * (0.15 + 0.85 * ridge(world.dice, world.width, 3 + place, 7, 0.48))
        relief = _relief(world, 7 + place)
        surface = _snowed(world, color, 0.6) * relief
        if place < capped:
            cap = ((line + rise * 0.30 * (1 + 0.5 * (relief - 1) * 6) - world.y) * 30).clamp(0, 1)
            white = torch.ones_like(surface) * (0.55 + 0.45 * relief) * 0.97
            surface = torch.lerp(surface, white, 0.9 * cap)
        world.lay(world.below(line), world.lit(surface), world.ground.clamp(min=disparity))


def _hill(world: World, disparity: float, color: Tensor, rise: float = 0.05, cells: int = 2) -> None:
    """A soft rise of the ground, on which the eye stands."""
    line = world.horizon + disparity * (1 - world.horizon) - rise * ridge(world.dice, world.width, cells, 3, 0.3)
    surface = _snowed(world, color) * _relief(world, 9, 0.06)
    world.lay(world.below(line), world.lit(surface), world.ground.clamp(min=disparity))


def mountains(world: World, attributes: list[Attributes]) -> None:
    """Three ridges, the far ones capped with snow, behind a dark hill."""
    _ridges(world, (0.05, 0.10, 0.20), 0.34, _one_of(world, ROCK), capped=2)
    _hill(world, 0.42, world.tint((0.22, 0.30, 0.16)), 0.08)


def ocean(world: World, attributes: list[Attributes]) -> None:
    """Open water to the horizon."""
    flood(world, world.tint((0.03, 0.22, 0.33)), choppy=1.0)


def lake(world: World, attributes: list[Attributes]) -> None:
    """Still water that mirrors the mountains behind it, and a shore to stand on."""
    _ridges(world, (0.06, 0.10), 0.26, _one_of(world, ROCK), capped=1)
    _trees(world, 0.12, 34, world.tint((0.12, 0.28, 0.16)), tall=0.05)
    flood(world, world.tint((0.08, 0.26, 0.32)), choppy=0.2, shore=0.13)
    _hill(world, 0.74, world.tint((0.26, 0.32, 0.16)), 0.14)


def desert(world: World, attributes: list[Attributes]) -> None:
    """Dunes with a bright and a dark side, and ripples that the wind left."""
    sand = world.tint(lut([each.color for each in attributes], SAND, world.dice.device), 0.03)
    for place, disparity in enumerate((0.05, 0.12, 0.26, 0.5)):
        foot = world.horizon + disparity * (1 - world.horizon)
        crest = ridge(world.dice, world.width, 2, 3 + (place < 2), 0.35)
        line = foot - (0.04 + 0.05 * place) * crest * world.dice.uniform(0.7, 1.3)
        slope = crest.diff(dim=3, append=crest[..., -1:]) * world.width / 2
        depth = (world.y - line).clamp(min=0)
        bend = fractal(world.dice, world.height, world.width, 3, 3)
        ripples = torch.sin(depth * (260 / (1 + 3 * place)) + 3 * bend) * torch.exp(-depth * 6) * 0.05
        shade = 1 - 0.28 * torch.sigmoid(slope * 6) * torch.exp(-depth * (10 - 2 * place)) + ripples + 0.03 * bend
        world.lay(world.below(line), world.lit(_snowed(world, sand, 0.7) * shade), world.ground.clamp(min=disparity))


def _trees(world: World, disparity: float, count: int, color: Tensor, tall: float) -> None:
    """A row of firs."""
    foot = world.horizon + disparity * (1 - world.horizon)
    reach = float(world.x.max()) * 1.05
    count = max(3, round(count * reach * 2))
    tips = reach * (2 * world.dice.grid(count, 1, 1) - 1)
    size = tall * (0.6 + 0.6 * world.dice.grid(count, 1, 1))
    away = (world.x - tips).abs() / (0.24 * size)
    needles = 0.06 * world.dice.grid(1, 1, world.width)
    line = foot - (size * (1 - away + needles).clamp(min=0)).amax(1, keepdim=True) - 0.1 * tall
    shade = 0.85 + 0.10 * fractal(world.dice, world.height, world.width, 12, 4)
    surface = color * shade * (0.75 + 0.9 * (world.y - line).clamp(0, 0.3))
    snow = ((line + 0.25 * tall - world.y) / (0.25 * tall)).clamp(0, 1) * world.light.snowy
    surface = torch.lerp(surface, torch.full_like(surface, 0.92), 0.8 * snow)
    world.lay(world.below(line), world.lit(surface), world.ground.clamp(min=disparity))


def forest(world: World, attributes: list[Attributes]) -> None:
    """Rows of firs, or of an autumn's colours, up to the eye."""
    leaves = world.tint(lut([each.color for each in attributes], LEAVES, world.dice.device))
    for place, disparity in enumerate((0.08, 0.16, 0.30, 0.52)):
        _trees(world, disparity, 26 - 5 * place, leaves * (1.15 - 0.13 * place), tall=0.16 + 0.09 * place)
    _hill(world, 0.75, leaves * 0.55, 0.05)


def meadow(world: World, attributes: list[Attributes]) -> None:
    """Grass to the hills, full of flowers that grow smaller with distance."""
    color = lut([each.color for each in attributes], FLOWERS, world.dice.device)
    grass = world.tint((0.34, 0.58, 0.20))
    for disparity in (0.04, 0.07):
        _hill(world, disparity, grass * 0.75, 0.10, 3)
    near = world.ground.clamp(min=0.03)
    tuft = fractal(world.dice, world.height, world.width, 24, 3)
    surface = grass * (0.80 + 0.12 * tuft * near + 0.25 * near)
    seeds = fractal(world.dice, world.height, world.width, 10, 5, 0.95)
    bloom = sample(seeds, world.x * 0.9 / near, 0.35 / near.expand(-1, -1, -1, world.width))
    full = ((bloom - 0.45) * 3).clamp(0, 1) * (near * 7).clamp(0, 1)
    far = 0.35 * (1 - (near * 7).clamp(0, 1))
    surface = torch.lerp(surface, (color * (0.85 + 0.1 * tuft)).expand_as(surface), 0.9 * (full + far))
    world.lay(world.below(world.horizon.expand(-1, -1, -1, world.width)), world.lit(_snowed(world, surface, 0.7)), near)


def canyon(world: World, attributes: list[Attributes]) -> None:
    """Two walls of layered rock that meet far away."""
    rock = world.tint(lut([each.color for each in attributes], STRATA, world.dice.device))
    world.horizon = world.horizon + 0.08
    _ridges(world, (0.05,), 0.12, rock * 0.9)
    floor = _snowed(world, rock * 0.8) * _relief(world, 9, 0.08)
    world.lay(
        world.below(world.horizon.expand(-1, -1, -1, world.width)), world.lit(floor), world.ground.clamp(min=0.03)
    )
    middle = world.dice.uniform(-0.12, 0.12) + 0.02 * fractal(world.dice, world.height, 1, 4, 4)
    reach = float(world.x.max())
    bumps = fractal(world.dice, world.height, world.width, 6, 5, 0.6)
    wall = ((world.x - middle).abs() / reach * (1 + 0.10 * bumps) - 0.06).clamp(min=0.02) * 1.05
    top = world.dice.uniform(0.55, 0.85) * (0.8 + 0.35 * ridge(world.dice, world.width, 8, 6, 0.6))
    above = (world.horizon - world.y) / wall
    cover = ((top - above) * wall * world.height).clamp(0, 1) * ((wall - world.ground) * 40).clamp(0, 1)
    strata = torch.sin(above * 26 + 1.2 * bumps) * 0.10 + torch.sin(above * 9 + 2) * 0.10
    side = 0.82 + 0.26 * (world.x > middle).float()
    surface = _snowed(world, rock, 0.35) * (side + strata + 0.06 * bumps)
    world.lay(cover, world.lit(surface), wall.clamp(max=1))


def city(world: World, attributes: list[Attributes]) -> None:
    """Three rows of towers with lit windows behind a dark waterfront."""
    for place, disparity in enumerate((0.08, 0.16, 0.32)):
        _towers(world, disparity, 0.44 - 0.08 * place, wide=0.055 + 0.02 * place)
    _hill(world, 0.55, world.tint((0.16, 0.17, 0.20)), 0.01)


def _towers(world: World, disparity: float, high: float, wide: float) -> None:
    """A row of towers side by side."""
    count = int(4 * float(world.x.max()) / wide)
    edges = (wide * (0.5 + world.dice.grid(count, 1, 1))).cumsum(1) - float(world.x.max()) - wide
    number = (world.x > edges).sum(1, keepdim=True).clamp(max=count - 1)
    tops = (high * (0.25 + 0.75 * world.dice.grid(count, 1, 1) ** 1.5)).expand(-1, -1, 1, world.width)
    shades = (0.75 + 0.5 * world.dice.grid(count, 1, 1)).expand(-1, -1, 1, world.width)
    foot = world.horizon + disparity * (1 - world.horizon)
    line = foot - torch.gather(tops, 1, number)
    color = world.tint((0.40, 0.43, 0.50)) * torch.gather(shades, 1, number)
    wall = world.lit(_snowed(world, color, 0.25)) + 0.02
    left = torch.gather(edges.expand(-1, -1, 1, world.width), 1, (number - 1).clamp(min=0))
    column, row = ((world.x - left) / (wide * 0.24)), ((world.y - line) / (wide * 0.34))
    pane = ((column % 1) > 0.4) & ((row % 1) > 0.45) & (row > 0.6)
    lamps = world.dice.grid(1, 64, 97)
    which = (row.long() * 7 + column.long() * 3 + number * 11).clamp(min=0) % (64 * 97)
    lamp = torch.gather(lamps.flatten(2), 2, which.flatten(2)).view_as(pane)
    share = 0.25 + 0.35 * world.light.night + 0.15 * world.light.low
    glow = pane.float() * (lamp < share).float() * (0.25 + 0.65 * world.light.night + 0.35 * world.light.low)
    warm = wall.new_tensor([1.0, 0.85, 0.50]).view(1, 3, 1, 1)
    dark = pane.float() * 0.25 * world.light.day
    surface = torch.lerp(wall * (1 - dark), warm.expand(*wall.shape[:2], world.height, world.width), glow)
    world.lay(world.below(line), surface, world.ground.clamp(min=disparity))


def islands(world: World, attributes: list[Attributes]) -> None:
    """Green humps with palms in a bright sea."""
    flood(world, world.tint((0.05, 0.42, 0.48)), choppy=0.5)
    for disparity, half in ((0.07, 0.16), (0.13, 0.20), (0.30, 0.30)):
        middle = world.dice.uniform(-1, 1) * float(world.x.max())
        foot = world.horizon + disparity * (1 - world.horizon)
        hump = (1 - ((world.x - middle) / half) ** 2).clamp(min=0)
        rough = 0.7 + 0.3 * ridge(world.dice, world.width, 10, 5, 0.6)
        beach, wood = foot + 0.02 * (hump > 0).float() * disparity * 3, foot - half * 0.55 * hump.sqrt() * rough * hump
        inside = (hump > 0).float() * (world.y < beach).float()
        sand = world.lit(_snowed(world, world.tint((0.93, 0.85, 0.62))))
        world.lay(world.below(foot - 0.06 * half * (hump > 0).float()) * inside, sand, disparity)
        green = _snowed(world, world.tint((0.16, 0.42, 0.18)), 0.6) * _relief(world, 10, 0.2)
        world.lay(
            world.below(wood) * (world.y < foot - 0.02 * half).float() * (hump > 0.02).float(),
            world.lit(green),
            disparity,
        )
        _palms(world, middle, foot, half, disparity)


def _palms(world: World, middle: Tensor, foot: Tensor, half: float, disparity: float) -> None:
    """A few palms leaning on an island."""
    trunk = world.lit(world.tint((0.30, 0.22, 0.13)))
    crown = world.lit(world.tint((0.12, 0.34, 0.12)))
    for _ in range(3):
        root, lean = middle + world.dice.uniform(-0.6, 0.6) * half, world.dice.uniform(-0.35, 0.35)
        tall = half * world.dice.uniform(0.7, 1.1)
        up = (foot - world.y) / tall
        stem = ((0.045 * half - (world.x - root - lean * tall * up.clamp(0, 1) ** 2).abs()) * world.height + 0.5).clamp(
            0, 1
        )
        world.lay(stem * (up > 0).float() * (up < 1).float(), trunk, disparity)
        dx, dy = (world.x - root - lean * tall) / (0.42 * tall), (world.y - foot + tall) / (0.42 * tall)
        far, turn = (dx**2 + dy**2).sqrt(), torch.atan2(dy + 0.25, dx)
        leaf = ((0.55 + 0.45 * torch.cos(7 * turn)).clamp(0.25, 1) - far) * 0.42 * tall * world.height
        world.lay(leaf.clamp(0, 1), crown, disparity)


def space(world: World, attributes: list[Attributes]) -> None:
    """A nebula of one colour, stars, and a planet, half of them with a ring."""
    dice = world.dice
    hue = world.tint(lut([each.color for each in attributes], NEBULA, dice.device), 0.05)
    cloud = fractal(dice, world.height, world.width, 2, 7, 0.58)
    heart = fractal(dice, world.height, world.width, 3, 6, 0.55)
    gas = ((cloud + 0.6) / 2.2).clamp(0, 1.2) ** 1.6
    bright = (cloud + heart - 0.7).clamp(0, 2.5) * 0.22
    world.picture = 0.015 + hue * 0.95 * gas + (0.4 * hue + 0.6) * bright * gas
    world.picture = world.picture + stars(dice, world.height, world.width, 0.0022)
    radius = dice.uniform(0.10, 0.22)
    px, py = dice.uniform(-0.6, 0.6) * float(world.x.max()), dice.uniform(0.28, 0.72)
    nx, ny = (world.x - px) / radius, (world.y - py) / radius
    across = nx**2 + ny**2
    nz = (1 - across).clamp(min=0).sqrt()
    lit = (-0.6 * nx - 0.45 * ny + 0.66 * nz).clamp(0.02, 1)
    bands = fractal(dice, world.height, world.width, 4, 5) * 0.08 + 0.12 * torch.sin(9 * ny + 2 * heart) * dice.chance(
        0.5
    )
    ground = _one_of(world, ((0.85, 0.62, 0.42), (0.42, 0.60, 0.85), (0.76, 0.75, 0.72), (0.80, 0.42, 0.32)))
    disc = ((1 - across.sqrt()) * radius * world.height + 0.5).clamp(0, 1)
    world.lay(disc, ground * (0.85 + bands) * lit, 0.5 + 0.4 * nz)
    tilt = 0.25 * dice.uniform(-1, 1)
    flat = ((ny - tilt * nx) / 0.28) ** 2 + nx**2
    band = torch.exp(-(((flat.sqrt() - 1.75) / 0.22) ** 2)) * dice.chance(0.5)
    front = ((across > 1) | (ny > tilt * nx)).float()
    world.lay((0.75 * band * front).clamp(0, 1), ground * 1.05, 0.55)


LANDS: dict[str, Land] = {
    "mountains": mountains,
    "ocean": ocean,
    "lake": lake,
    "desert": desert,
    "forest": forest,
    "meadow": meadow,
    "canyon": canyon,
    "city": city,
    "islands": islands,
    "space": space,
}
