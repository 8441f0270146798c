"""The canvas of a batch of scenes: a picture, its inverse depth, and the brushes that keep both true."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.nano.fields import Dice
from training.nano.sky import Color, Light


@dataclass
class World:
    """A batch being painted.

    Args:
        dice: where chance comes from.
        light: the light of each picture.
        x: (1, 1, 1, w), picture heights to the right of the middle.
        y: (1, 1, h, 1), picture heights below the upper edge.
        horizon: (b, 1, 1, 1), picture heights below the upper edge.
        picture: (b, 3, h, w).
        disparity: (b, 1, h, w).
    """

    dice: Dice
    light: Light
    x: Tensor
    y: Tensor
    horizon: Tensor
    picture: Tensor
    disparity: Tensor

    @classmethod
    def empty(cls, dice: Dice, light: Light, height: int, width: int) -> "World":
        """Nothing but black, with the horizon about the middle."""
        down = (torch.arange(height, device=dice.device) + 0.5) / height
        across = (torch.arange(width, device=dice.device) + 0.5 - width / 2) / height
        return cls(
            dice,
            light,
            x=across.view(1, 1, 1, -1),
            y=down.view(1, 1, -1, 1),
            horizon=dice.uniform(0.45, 0.62),
            picture=torch.zeros(dice.count, 3, height, width, device=dice.device),
            disparity=torch.zeros(dice.count, 1, height, width, device=dice.device),
        )

    @property
    def height(self) -> int:
        """In pixels."""
        return self.y.shape[2]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.x.shape[3]

    @property
    def ground(self) -> Tensor:
        """Inverse depth of the ground, (b, 1, h, 1); negative above the horizon."""
        return (self.y - self.horizon) / (1 - self.horizon)

    def below(self, line: Tensor) -> Tensor:
        """Coverage of what lies below a line of heights (b, 1, 1, w): 1 inside, a pixel of soft edge."""
        return ((self.y - line) * self.height + 0.5).clamp(0, 1)

    def lay(self, cover: Tensor, color: Tensor, disparity: Tensor | float) -> None:
        """Paint over what is there; the ground shows through nothing that stands on it."""
        self.picture = torch.lerp(self.picture, color.expand_as(self.picture), cover.expand_as(self.picture))
        nearer = torch.as_tensor(disparity, device=cover.device).expand_as(self.disparity)
        self.disparity = torch.where(cover > 0.5, nearer, self.disparity)

    def tint(self, color: Tensor | Color, spread: float = 0.04) -> Tensor:
        """A colour, a little different in each picture, (b, 3, 1, 1)."""
        base = torch.as_tensor(color, device=self.dice.device).view(-1, 3, 1, 1)
        return (base + spread * (2 * self.dice.grid(3, 1, 1) - 1)).clamp(0, 1)

    def lit(self, color: Tensor) -> Tensor:
        """A surface colour in the light of the hour."""
        return color * self.light.ambient


def lut(names: list[str], table: dict[str, Color], device: torch.device) -> Tensor:
    """The colours of some names, (b, 3, 1, 1)."""
    return torch.tensor([table[name] for name in names], device=device).view(-1, 3, 1, 1)
