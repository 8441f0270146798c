from dataclasses import FrozenInstanceError

import pytest
import torch

from koshi_flux.shared.color import lab_from_srgb, mean_and_deviation
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import Frame, History, Reference


def frame(index, level=0.5):
    return Frame(torch.full((3, 2, 2), level), FrameParameters(frame=index))


def test_a_frame_knows_its_place_by_its_parameters():
    assert frame(7).index == 7


def test_history_keeps_the_first_picture_and_the_last_frame():
    first, second, third = frame(0), frame(1), frame(2)
    history = History().after(first).after(second).after(third)
    assert history.reference.image is first.image
    assert history.previous is third


def test_history_is_never_changed():
    before = History().after(frame(0))
    before.after(frame(1))
    assert before.previous.index == 0
    with pytest.raises(FrozenInstanceError):
        before.previous = None


def test_the_statistics_of_a_reference_are_those_of_its_lab_picture_and_measured_once():
    reference = Reference(torch.rand(3, 5, 6))
    mean, deviation = reference.lab_statistics
    expected = mean_and_deviation(lab_from_srgb(reference.image))
    assert torch.equal(mean, expected[0])
    assert torch.equal(deviation, expected[1])
    assert reference.lab_statistics is reference.lab_statistics
