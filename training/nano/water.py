"""Water: what is above it, upside down and rippled, under a skin of its own colour and the sun's glitter."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from training.nano.fields import fractal, sample
from training.nano.world import World


def flood(world: World, color: Tensor, choppy: float, shore: float = 0.0) -> None:
    """Lay water over all that is nearer than `shore` (inverse depth).

    Args:
        world: with the sky and all that the water mirrors.
        color: of the water itself, (b, 3, 1, 1).
        choppy: 0 a mirror, 1 open sea.
        shore: inverse depth of the far shore; 0 is the horizon.
    """
    near = world.ground.clamp(min=0.02).expand(-1, -1, -1, world.width)
    edge = world.horizon + shore * (1 - world.horizon)
    swell = fractal(world.dice, world.height, world.width, 6, 4, 0.6)
    waves = sample(swell, world.x / near * 0.30, 1.2 / near) * (near * 5).clamp(0.1, 1)
    mirrored = 2 * edge - world.y + (0.006 + 0.03 * choppy) * waves
    look = torch.cat([(world.x / world.x.max()).expand_as(mirrored) + 0.02 * choppy * waves, mirrored * 2 - 1], 1)
    mirror = grid_sample(world.picture, look.movedim(1, 3), padding_mode="border", align_corners=False)
    depth = (world.y - edge).clamp(min=0)
    own = world.lit(color * (1 + 0.22 * choppy * waves)) + 0.10 * world.light.horizon
    share = (0.30 + 0.25 * choppy + 0.6 * depth).clamp(0, 0.8)
    surface = torch.lerp(mirror * 0.92, own, share)
    surface = surface + 0.10 * choppy * (waves - 0.8).clamp(0, 2) * world.light.horizon
    sparkle = (mirror.mean(1, keepdim=True) - 0.72).clamp(0, 0.28) * (0.4 + 0.6 * (waves > 0.3).float())
    surface = surface + world.light.sun * sparkle * (1 + choppy)
    world.lay(world.below(edge.expand(-1, -1, -1, world.width)), surface, near.clamp(min=shore))
