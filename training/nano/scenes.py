"""Landscapes painted from attributes, with their true depth: all that nano ever sees.

A picture is painted from far to near. Its world is simple and consistent: a flat ground seen from a little above, and
things that stand upright on it. A point of the ground `v` picture heights below the horizon is at inverse depth
v / (1 - horizon), 1 at the lower edge of the picture; what stands on it has the inverse depth of its foot.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import typer
from torch import Tensor

from training.nano.captions import Attributes, caption, draw
from training.nano.fields import Dice
from training.nano.lands import LANDS
from training.nano.sheet import write_sheet
from training.nano.sky import Light, paint_sky, paint_weather
from training.nano.stage import WORK
from training.nano.styles import apply_mood, apply_style
from training.nano.world import World


@dataclass(frozen=True, slots=True)
class Scenes:
    """A batch of scenes.

    Args:
        pictures: (b, 3, h, w), sRGB in [0, 1].
        disparity: (b, 1, h, w), inverse depth in [0, 1]: 1 nearest, 0 infinitely far.
        attributes: what each shows.
        captions: what each could be called.
    """

    pictures: Tensor
    disparity: Tensor
    attributes: tuple[Attributes, ...]
    captions: tuple[str, ...]


def render(seed: int, count: int, height: int, width: int, device: torch.device | str = "cpu") -> Scenes:
    """Paint random scenes; the same seed gives the same."""
    rng = random.Random(seed)
    return paint([draw(rng) for _ in range(count)], seed, height, width, device)


def paint(
    attributes: Sequence[Attributes], seed: int, height: int, width: int, device: torch.device | str = "cpu"
) -> Scenes:
    """Paint scenes of given attributes."""
    rng = random.Random(seed + 1_000_003)
    captions = tuple(caption(each, rng) for each in attributes)
    pictures = torch.empty(len(attributes), 3, height, width, device=device)
    disparity = torch.empty(len(attributes), 1, height, width, device=device)
    generator = torch.Generator().manual_seed(seed)
    for scene in sorted({each.scene for each in attributes}):
        places = [place for place, each in enumerate(attributes) if each.scene == scene]
        chosen = [attributes[place] for place in places]
        dice = Dice(generator, len(places), torch.device(device))
        pictures[places], disparity[places] = _paint_land(scene, chosen, dice, height, width)
    return Scenes(pictures, disparity, tuple(attributes), captions)


def _paint_land(scene: str, attributes: list[Attributes], dice: Dice, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Sky, land, weather, mood and style, in the order in which light passes them."""
    light = Light.of(attributes, dice)
    world = World.empty(dice, light, height, width)
    if scene != "space":
        paint_sky(world)
    LANDS[scene](world, attributes)
    if scene != "space":
        paint_weather(world)
    picture = apply_mood(world.picture, [each.mood for each in attributes])
    picture = apply_style(picture, [each.style for each in attributes], dice)
    return picture.clamp(0, 1), world.disparity.clamp(0, 1)


def main(seed: int = 0, count: int = 40, height: int = 256, width: int = 256) -> None:
    """Paint a sheet of scenes to look at."""
    typer.echo(write_sheet(render(seed, count, height, width).pictures, WORK / "scenes" / f"{seed}.png"))


if __name__ == "__main__":
    typer.run(main)
