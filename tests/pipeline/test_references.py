"""What a frame looks at while it is drawn."""

import pytest
import torch
from PIL import Image as PillowImage

from koshi_flux.errors import SettingsError
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.factory import load_model, make_tiny_model
from koshi_flux.pipeline.references import References
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Frame, History
from koshi_flux.toy.model import ToyModel


class Counting(ToyModel):
    def __init__(self):
        self.encoded = []

    def encode(self, image):
        self.encoded.append(image)
        return super().encode(image)


def frame(number: int) -> Frame:
    return Frame(torch.full((3, 16, 16), number / 10), FrameParameters(frame=number))


def test_the_first_frame_is_encoded_once_and_the_previous_one_anew():
    model, history = Counting(), History()
    references = References(model, (16, 16))
    for number in range(4):
        seen = references.at(FrameParameters(frame=number, reference=("first", "previous")), history)
        assert len(seen) == (0 if number == 0 else 2)
        history = history.after(frame(number))
    assert [round(float(image.mean() * 10)) for image in model.encoded] == [0, 0, 1, 2]


def test_a_picture_is_encoded_once_no_larger_than_the_film(tmp_path):
    PillowImage.new("RGB", (200, 100)).save(tmp_path / "a.png")
    model = Counting()
    references = References(model, (64, 64))
    parameters = FrameParameters(reference=(str(tmp_path / "a.png"),))
    assert references.at(parameters, History())[0] is references.at(parameters, History())[0]
    assert [tuple(image.shape) for image in model.encoded] == [(3, 32, 80)]  # 64 * 64 pixels, multiples of 16


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(SettingsError, match=r"reference: .*a\.png cannot be read as a picture"):
        References(ToyModel(), (64, 64)).at(FrameParameters(reference=(str(tmp_path / "a.png"),)), History())


def test_a_film_drawn_by_the_sight_of_its_first_frame_is_another(tmp_path):
    folder = make_tiny_model("klein", tmp_path / "tiny")
    settings = {"prompts": "a lake", "frames": 3, "size": (32, 32), "steps": 1}
    model = load_model(folder, "cpu")
    without = [each.image for each in render(Animation(**settings), model)]
    seen = [each.image for each in render(Animation(**settings, reference={1: "first"}), model)]
    assert torch.equal(without[0], seen[0])
    assert (without[1] - seen[1]).abs().max() > 1e-3


def test_a_model_that_cannot_look_and_a_picture_that_is_not_there_are_refused_at_once(tmp_path):
    settings = {"prompts": "a lake", "frames": 1, "size": (32, 32)}
    with pytest.raises(SettingsError, match=r"toy cannot look at pictures while it draws; FLUX\.2"):
        next(film(Animation(**settings, reference="first"), ToyModel(), tmp_path / "a" / "film.mp4"))
    assert not (tmp_path / "a").exists()
    model = load_model(make_tiny_model("klein", tmp_path / "tiny"), "cpu")
    with pytest.raises(SettingsError, match=r"there is no picture face\.png; it may also be"):
        next(film(Animation(**settings, reference="face.png"), model, tmp_path / "b" / "film.mp4"))
    assert not (tmp_path / "b").exists()
