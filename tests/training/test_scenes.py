"""Rendered scenes look as they are called, and their depth is true."""

import pytest
import torch

from training.nano.captions import MOODS, SCENES, STYLES, TIMES, WEATHERS, Attributes
from training.nano.fields import Dice, fractal, ridge
from training.nano.scenes import paint, render
from training.nano.styles import luma

SIZE = 64


def scene(name: str, count: int = 4, **attributes: str) -> torch.Tensor:
    color = {"space": "purple", "meadow": "red", "forest": "green", "desert": "yellow", "canyon": "red"}.get(name, "")
    given = {"time": "day", "weather": "clear", "color": color} | attributes
    return paint([Attributes(name, **given)] * count, 3, SIZE, SIZE).pictures


def test_the_same_seed_gives_the_same_scenes_and_another_gives_others():
    once, again, other = render(5, 6, SIZE, SIZE), render(5, 6, SIZE, SIZE), render(6, 6, SIZE, SIZE)
    assert torch.equal(once.pictures, again.pictures)
    assert once.captions == again.captions
    assert not torch.equal(once.pictures, other.pictures)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (96, 48)])
def test_pictures_and_depth_are_in_range_at_every_shape(height, width):
    scenes = render(1, 20, height, width)
    assert scenes.pictures.shape == (20, 3, height, width)
    assert scenes.disparity.shape == (20, 1, height, width)
    for values in (scenes.pictures, scenes.disparity):
        assert torch.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1


def test_every_attribute_can_be_painted():
    for scene_name in SCENES:
        scene(scene_name, count=1, time="" if scene_name == "space" else "day")
    for time in TIMES:
        scene("lake", count=1, time=time)
    for weather in WEATHERS:
        scene("lake", count=1, weather=weather)
    for mood in MOODS:
        scene("lake", count=1, mood=mood)
    for style in STYLES:
        scene("lake", count=1, style=style)


@pytest.mark.parametrize("name", [name for name in SCENES if name != "space"])
def test_the_sky_is_infinitely_far_and_the_lower_edge_is_near(name):
    attributes = [Attributes(name, "day", "clear", color={"desert": "red", "canyon": "red"}.get(name, "red"))]
    if name == "forest":
        attributes = [Attributes(name, "day", "clear", color="green")]
    disparity = paint(attributes * 4, 2, SIZE, SIZE).disparity
    assert disparity[:, :, -1].min() > 0.9
    middle = disparity[:, :, 0, SIZE // 2]
    assert middle.max() < 0.2


def test_the_ground_of_an_ocean_rises_in_a_straight_line_to_the_horizon():
    disparity = paint([Attributes("ocean", "day", "clear")], 4, 128, SIZE).disparity[0, 0, :, 5]
    water = disparity[disparity > 0.05]
    steps = water.diff()
    assert torch.allclose(steps, steps.mean().expand_as(steps), atol=1e-4)


def test_mountains_stand_far_to_near_from_top_to_bottom():
    disparity = paint([Attributes("mountains", "day", "clear")] * 4, 5, SIZE, SIZE).disparity
    assert (disparity.diff(dim=2) >= -0.02).float().mean() > 0.99


def test_nights_are_darker_than_days_and_sunsets_warmer():
    for name in ("ocean", "mountains", "desert"):
        night, day, sunset = (scene(name, time=time) for time in ("night", "day", "sunset"))
        assert luma(night).mean() < 0.6 * luma(day).mean()
        assert (sunset[:, 0] - sunset[:, 2]).mean() > (day[:, 0] - day[:, 2]).mean() + 0.2


def test_mist_takes_contrast_from_what_is_far():
    def contrast(weather: str) -> float:
        return float(luma(scene("mountains", count=8, weather=weather))[:, :, 20:40].std(dim=(2, 3)).mean())

    assert contrast("misty") < 0.8 * contrast("clear")


def test_snow_whitens_the_ground():
    clear, snowy = (scene("mountains", weather=weather)[:, :, -8:].mean() for weather in ("clear", "snowy"))
    assert snowy > clear + 0.3


def test_monochrome_has_no_colour_and_pastel_no_darkness():
    grey = scene("meadow", mood="monochrome")
    assert (grey.amax(1) - grey.amin(1)).max() < 1e-5
    assert scene("forest", mood="pastel", time="night").min() > 0.4


def test_neon_is_not_green():
    neon = scene("forest", mood="neon", time="sunset")
    assert neon[:, 1].mean() < neon[:, 2].mean()


def test_colours_are_those_that_were_asked_for():
    red, blue = (scene("space", color=color, count=8).mean((0, 2, 3)) for color in ("red", "blue"))
    assert red[0] > 1.5 * red[2]
    assert blue[2] > 1.5 * blue[0]


def test_pixel_art_is_made_of_squares():
    art = paint([Attributes("islands", "day", "clear", style="pixel")], 1, 256, 256).pictures
    blocks = art.unfold(2, 4, 4).unfold(3, 4, 4)
    assert (blocks.amax((4, 5)) - blocks.amin((4, 5))).max() == 0


def test_oil_is_calmer_inside_its_dabs_and_keeps_the_colours():
    plain = paint([Attributes("city", "day", "clear")] * 2, 1, 128, 128).pictures
    oil = paint([Attributes("city", "day", "clear", style="oil")] * 2, 1, 128, 128).pictures
    assert oil.diff(dim=3).abs().mean() < 0.8 * plain.diff(dim=3).abs().mean()
    assert (oil.mean((2, 3)) - plain.mean((2, 3))).abs().max() < 0.06


def test_ink_has_little_colour():
    ink = scene("islands", style="ink")
    assert (ink.amax(1) - ink.amin(1)).mean() < 0.15


def test_a_fractal_is_standardised_and_smooth():
    dice = Dice(torch.Generator().manual_seed(0), 3, torch.device("cpu"))
    field = fractal(dice, 64, 96, cells=2, octaves=2)
    assert field.shape == (3, 1, 64, 96)
    assert field.mean((2, 3)).abs().max() < 1e-5
    assert (field.std((2, 3)) - 1).abs().max() < 1e-5
    assert field.diff(dim=3).abs().max() < 0.3


def test_a_ridge_runs_from_nought_to_one():
    dice = Dice(torch.Generator().manual_seed(0), 3, torch.device("cpu"))
    line = ridge(dice, 80)
    assert line.shape == (3, 1, 1, 80)
    assert line.amin(3).abs().max() == 0
    assert (line.amax(3) - 1).abs().max() == 0
