"""Moods and styles as operators on finished pictures."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from training.nano.fields import Dice, fractal

Color = tuple[float, float, float]

LUMA: Color = (0.299, 0.587, 0.114)


def apply_mood(pictures: Tensor, moods: list[str]) -> Tensor:
    """Grade each picture by its mood."""
    graded = pictures.clamp(0, 1).clone()
    for mood, grade in MOODS.items():
        places = [place for place, each in enumerate(moods) if each == mood]
        if places:
            graded[places] = grade(graded[places]).clamp(0, 1)
    return graded


def apply_style(pictures: Tensor, styles: list[str], dice: Dice) -> Tensor:
    """Redraw each picture in its style."""
    drawn = pictures.clone()
    for style, redraw in STYLES.items():
        places = [place for place, each in enumerate(styles) if each == style]
        if places:
            drawn[places] = redraw(drawn[places], Dice(dice.generator, len(places), dice.device)).clamp(0, 1)
    return drawn


def luma(pictures: Tensor) -> Tensor:
    """Brightness, (b, 1, h, w)."""
    return (pictures * pictures.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _toned(pictures: Tensor, dark: Color, bright: Color, added: Color) -> Tensor:
    """The shadows multiplied by one colour, the lights by another, and a third added to both."""
    low, high, more = (pictures.new_tensor(color).view(1, 3, 1, 1) for color in (dark, bright, added))
    return pictures * torch.lerp(low, high, luma(pictures).expand_as(pictures)) + more


def warm(pictures: Tensor) -> Tensor:
    """Towards amber."""
    return _toned(pictures, (1.30, 0.95, 0.70), (1.18, 1.0, 0.72), (0.03, 0.01, 0.0))


def cold(pictures: Tensor) -> Tensor:
    """Towards blue."""
    return _toned(pictures, (0.68, 0.98, 1.35), (0.74, 0.96, 1.15), (0.0, 0.01, 0.04))


def pastel(pictures: Tensor) -> Tensor:
    """Pale and soft, yet of many colours."""
    return 0.46 + 0.52 * torch.lerp(luma(pictures).expand_as(pictures), pictures, 0.9)


def neon(pictures: Tensor) -> Tensor:
    """From black through magenta to cyan, with the old colours in it."""
    light = luma(pictures)
    stops = pictures.new_tensor([[0.03, 0.0, 0.10], [0.45, 0.02, 0.60], [1.0, 0.15, 0.70], [0.25, 0.95, 1.0]])
    at = (light * 3).clamp(0, 2.999)
    floor = at.long()
    low, high = (stops[index.squeeze(1)].movedim(3, 1) for index in (floor, floor + 1))
    return torch.lerp(torch.lerp(low, high, (at - floor).expand_as(low)), pictures, 0.15)


def monochrome(pictures: Tensor) -> Tensor:
    """Black and white, with a little more contrast."""
    return (0.5 + 1.1 * (luma(pictures) - 0.48)).expand_as(pictures)


def oil(pictures: Tensor, dice: Dice) -> Tensor:
    """Dabs with clear edges: in each pixel the calmest of the four quarters around it.

    Source: Kuwahara et al. 1976, the edge-preserving filter named after the first author.
    """
    size = max(3, round(pictures.shape[2] / 48))
    bright = luma(pictures)
    padded = torch.nn.functional.pad(torch.cat([pictures, bright**2, bright], 1), [size - 1] * 4, mode="replicate")
    means = avg_pool2d(padded, size, 1)
    height, width = pictures.shape[2:]
    quarters = torch.stack(
        [means[..., top : top + height, left : left + width] for top in (0, size - 1) for left in (0, size - 1)]
    )
    spread = quarters[:, :, 3:4] - quarters[:, :, 4:5] ** 2
    calm = spread.argmin(0, keepdim=True).expand(-1, -1, 3, -1, -1)
    dabs = torch.gather(quarters[:, :, :3], 0, calm)[0]
    canvas = 1 + 0.012 * fractal(dice, height, width, 40, 2)
    return (luma(dabs) + 1.25 * (dabs - luma(dabs))) * canvas


def watercolor(pictures: Tensor, dice: Dice) -> Tensor:
    """Washes on white paper that pool at their edges."""
    height, width = pictures.shape[2:]
    wash = oil(pictures, dice)
    light = luma(wash)
    pool = (max_pool2d(light, 3, 1, 1) + max_pool2d(-light, 3, 1, 1)).clamp(0, 0.4)
    bleed = 0.05 * fractal(dice, height, width, 3, 3)
    paper = 1 - (1 - wash) * (0.72 + bleed)
    return paper - 0.5 * pool


def ink(pictures: Tensor, dice: Dice) -> Tensor:
    """Dark outlines over a thin grey wash on cream paper."""
    light = luma(pictures)
    near, far = (avg_pool2d((light + 0.04).log(), size, 1, size // 2, count_include_pad=False) for size in (3, 7))
    lines = ((far - near - 0.05) * 5).clamp(0, 1)
    wash = torch.lerp((0.12 + 0.88 * light**0.7).expand_as(pictures), pictures, 0.12)
    paper = pictures.new_tensor([1.0, 0.97, 0.90]).view(1, 3, 1, 1)
    return (0.12 + 0.86 * wash) * paper * (1 - 0.85 * lines)


def pixel(pictures: Tensor, dice: Dice) -> Tensor:
    """Squares of a quarter of a token, eight levels a channel."""
    height, width = pictures.shape[2:]
    side = 4 if height >= 192 else 2
    small = avg_pool2d(pictures, side)
    steps = (small * 8).round() / 8
    return interpolate(steps, (height, width), mode="nearest")


MOODS = {"warm": warm, "cold": cold, "pastel": pastel, "neon": neon, "monochrome": monochrome}
STYLES = {"oil": oil, "watercolor": watercolor, "ink": ink, "pixel": pixel}
