"""What is made of the moved picture for a ControlNet to look at."""

import cv2
import numpy as np
import torch

from koshi_flux.depth.nano import NanoDepth
from koshi_flux.pipeline.controls import Controls, edges
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.toy.model import ToyModel


def test_edges_are_white_lines_where_brightness_jumps():
    picture = torch.zeros(3, 32, 32)
    picture[:, :, 16:] = 1
    found = edges(picture)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    columns = found[0].sum(dim=0).nonzero().flatten().tolist()
    assert len(columns) == 1
    assert columns[0] in (15, 16)
    assert torch.equal(found[0], found[2])
    assert edges(torch.full((3, 32, 32), 0.5)).sum() == 0


def test_edges_are_those_of_opencv_on_the_picture_as_it_would_be_saved():
    picture = torch.rand(3, 24, 40, generator=torch.Generator().manual_seed(0))
    bytes_ = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    expected = cv2.Canny(cv2.cvtColor(np.ascontiguousarray(bytes_), cv2.COLOR_RGB2GRAY), 100, 200)
    assert ((edges(picture)[0].numpy() * 255) == expected).mean() > 0.97  # luma is rounded once here, twice there


def test_every_kind_is_shown_what_it_says():
    kinds = ("canny", "depth", "gray", "picture")
    nets = {kind: {"file": "a/b", "kind": kind} for kind in kinds}
    model = ToyModel()
    controls = Controls(Animation(prompts="a sea", controlnet=nets), model)
    picture = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1))
    strengths = tuple((kind, 0.5) for kind in kinds)
    shown = {each.kind: each for each in controls.at(FrameParameters(controlnet=strengths), picture)}
    grey = 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]
    expected = {
        "canny": edges(picture),
        "depth": NanoDepth.load().estimate(picture).expand(3, -1, -1),
        "gray": grey.expand(3, -1, -1),
        "picture": picture,
    }
    for kind in kinds:
        assert (model.decode(shown[kind].latent) - expected[kind]).abs().max() < 1e-6
        assert (shown[kind].name, shown[kind].strength) == (kind, 0.5)


def test_nothing_is_shown_where_nothing_is_redrawn():
    controls = Controls(Animation(prompts="a sea", controlnet={"x": {"file": "a/b", "kind": "gray"}}), ToyModel())
    picture = torch.rand(3, 16, 16)
    assert controls.at(FrameParameters(controlnet=(("x", 1.0),)), None) == ()
    assert controls.at(FrameParameters(controlnet=(("x", 1.0),), denoise=0.0), picture) == ()
    assert controls.at(FrameParameters(controlnet=(("x", 0.0),)), picture) == ()
    assert len(controls.at(FrameParameters(controlnet=(("x", 1.0),)), picture)) == 1
