"""Every published model films, from a tiny model of its kind, through the one loop."""

import pytest
import torch

from koshi_flux.errors import ModelError
from koshi_flux.pipeline.factory import SPECS, check_model, load_model, make_tiny_model
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation

PUBLISHED = [spec for spec in SPECS.values() if spec.hub_id]


@pytest.mark.parametrize("spec", PUBLISHED, ids=lambda spec: spec.name)
def test_every_row_films(spec, tmp_path):
    folder = str(make_tiny_model(spec.name, tmp_path / "tiny"))
    found, model = check_model(folder), load_model(folder, "cpu")
    assert (found.family, found.guidance, found.channels) == (spec.family, spec.guidance, spec.channels)
    assert (found.default_steps, found.text_tokens) == (spec.default_steps, spec.text_tokens)
    film = Animation(
        prompts={"0": "a lake", "2": "a city"},
        frames=3,
        size=(64, 48),
        steps=2,
        denoise=0.5,
        zoom=1.05,
        negative_prompt="blur",
    )
    frames = list(render(film, model))
    assert [frame.sigmas[0] for frame in frames] == [1.0, 0.5, 0.5]
    assert all(frame.image.shape == (3, 48, 64) and torch.isfinite(frame.image).all() for frame in frames)
    assert (frames[1].image - frames[2].image).abs().max() > 0.01


@pytest.mark.parametrize("spec", PUBLISHED, ids=lambda spec: spec.name)
def test_every_row_states_its_facts(spec):
    assert spec.licence
    assert spec.text_encoder
    assert all(size > 1 for size in spec.memory_gb)
    assert spec.aliases
    assert 0 < spec.default_denoise < 1
    assert (spec.default_guidance > 1) == (spec.guidance != "none")


def test_a_tiny_model_is_like_a_published_one_only(tmp_path):
    with pytest.raises(ModelError, match=r"'toy' is no published FLUX: give a name such as flux\.2-klein-4b"):
        make_tiny_model("toy", tmp_path / "tiny")
