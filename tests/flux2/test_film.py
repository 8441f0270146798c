"""A film of FLUX.2-dev from end to end."""

from itertools import pairwise

import pytest
from diffusers import Flux2Pipeline
from torch.nn.functional import pixel_unshuffle

from koshi_flux.flux2.model import Flux2Model
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.noise import frame_noise

FILM = Animation(
    prompts={"0": "a misty forest", "3": "a city in the rain"},
    negative_prompt="blurry",
    frames=4,
    size=(64, 64),
    steps=2,
    seed=7,
    zoom="0:(1.0), 3:(1.1)",
)


def test_a_film_of_dev(dev: Flux2Model, dev_pipeline: Flux2Pipeline, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    encode = dev.encode_prompt
    monkeypatch.setattr(dev, "encode_prompt", lambda text: read.append(text) or encode(text))
    frames = list(render(FILM, dev))

    assert read == ["a city in the rain", "a misty forest"]  # once each, and no negative
    assert dev._reader._pipeline is None
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.sigmas[0] for frame in frames] == [1.0, 0.803, 0.803, 0.803]
    for frame in frames:
        assert frame.image.shape == (3, 64, 64)
        assert 0 <= frame.image.min() < frame.image.max() <= 1
        assert frame.parameters.guidance == 4.0
    for before, after in pairwise(frames):
        assert (before.image - after.image).abs().max() > 0.01

    first = dev_pipeline(
        prompt="a misty forest", latents=pixel_unshuffle(frame_noise((32, 8, 8), seed=7, frame=0), 2)[None], height=64,
        width=64, num_inference_steps=2, guidance_scale=4.0, output_type="pt",
    ).images[0]  # fmt: skip
    assert (frames[0].image - first).abs().max() < 1e-5
