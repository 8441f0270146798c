"""The network of nano's depth: an encoder and a decoder with bridges between them (a small U-Net).

Near and far is a question for the whole picture: is this blue sky, or the sea below the horizon? So the deepest level
sees all of it (dilated convolutions, a mean over the picture), every pixel knows its height in the frame, and the
bridges bring back the outlines. Nothing is normalised: what a normalisation measures changes with the size of a
picture and with its neighbours in a batch.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE = 16
"""Both sides of a picture must be multiples of this: the deepest level has one value for 16 x 16 pixels."""

_WIDTHS = (16, 32, 64, 96)
"""Channels where a value stands for 2, 4, 8 and 16 pixels across."""
_DILATIONS = (1, 2, 4)
"""Of the deepest blocks: together they reach 14 values of 16 pixels to either side, the whole of a picture."""

Pictures = Float[Tensor, "b 3 h w"]
Disparities = Float[Tensor, "b 1 h w"]


class DepthNetwork(nn.Module):
    """Pictures to disparities: 0.8 million weights, 1.2 GFLOP for 256 x 256 pixels."""

    def __init__(self) -> None:
        super().__init__()
        finest, fine, coarse, coarsest = _WIDTHS
        self.stem = nn.Conv2d(4, finest, 3, stride=2, padding=1)
        self.to_fine = nn.Sequential(nn.Conv2d(finest, fine, 3, stride=2, padding=1), Block(fine))
        self.to_coarse = nn.Sequential(nn.Conv2d(fine, coarse, 3, stride=2, padding=1), Block(coarse), Block(coarse))
        self.to_coarsest = nn.Sequential(
            nn.Conv2d(coarse, coarsest, 3, stride=2, padding=1), *(Block(coarsest, reach) for reach in _DILATIONS)
        )
        self.whole = nn.Conv2d(coarsest, coarsest, 1)
        self.from_coarsest = Rise(coarsest, coarse)
        self.from_coarse = Rise(coarse, fine)
        self.from_fine = Rise(fine, finest)
        self.head = nn.Conv2d(finest, 4, 3, padding=1)

    def forward(self, pictures: Pictures) -> Disparities:
        """Disparity of every pixel; it may lie a little outside of [0, 1].

        Args:
            pictures: in [0, 1]; both sides multiples of 16.
        """
        finest = functional.silu(self.stem(_with_height(pictures)))
        fine = self.to_fine(finest)
        coarse = self.to_coarse(fine)
        coarsest = self.to_coarsest(coarse)
        coarsest = coarsest + self.whole(coarsest.mean((2, 3), keepdim=True))
        coarse = self.from_coarsest(coarsest, coarse)
        fine = self.from_coarse(coarse, fine)
        finest = self.from_fine(fine, finest)
        return functional.pixel_shuffle(self.head(finest), 2)


class Block(nn.Module):
    """Two convolutions added to what came in.

    The second one starts at zero, so that a deep network begins as a shallow one and learns without normalisation
    (Fixup: Zhang, Dauphin and Ma 2019, arXiv:1901.09321).
    """

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same, a little wiser."""
        return x + self.second(functional.silu(self.first(functional.silu(x))))


class Rise(nn.Module):
    """One level up: twice the size, joined with what the encoder saw at that size."""

    def __init__(self, below: int, here: int):
        super().__init__()
        self.narrow = nn.Conv2d(below, here, 1)
        self.block = Block(here)

    def forward(self, low: Float[Tensor, "b below _ _"], seen: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """What is known below, drawn along the outlines seen here."""
        low = functional.interpolate(self.narrow(low), scale_factor=2, mode="bilinear", align_corners=False)
        return self.block(low + seen)


def _with_height(pictures: Pictures) -> Float[Tensor, "b 4 h w"]:
    """Colours from -1 to 1, and as a fourth channel the place in the frame, from -1 (top) to 1 (bottom)."""
    count, _, height, width = pictures.shape
    rows = torch.linspace(-1, 1, height, device=pictures.device, dtype=pictures.dtype)
    return torch.cat((pictures * 2 - 1, rows.view(1, 1, -1, 1).expand(count, 1, height, width)), dim=1)
