"""Which pictures are looked at when, how often, and what of that counts at a frame."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image as PillowImage

from koshi_flux.errors import SettingsError
from koshi_flux.pipeline.ip_adapters import Impressions
from koshi_flux.schedule.ip_adapter import IpAdapter
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import AdaptedModel, Frame, History, Image, Impression
from koshi_flux.toy.model import ToyModel


class AdaptedToy(ToyModel):
    """Makes one token of a picture: its mean brightness. Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[list[str]] = []
        self.releases = 0
        self.places: Mapping[str, tuple[str, str]] = {}

    def check_ip_adapters(self, places: Mapping[str, tuple[str, str]]) -> None:
        pass

    def use_ip_adapters(self, places: Mapping[str, tuple[str, str]]) -> None:
        self.places = places

    def look(self, image: Image, names: Collection[str]) -> Mapping[str, Impression]:
        self.looks.append(sorted(names))
        return dict.fromkeys(names, Impression((image.mean()[None, None],), (image.mean()[None, None],)))

    def release_ip_adapters(self) -> None:
        self.releases += 1


def drawn(brightness: float, frame: int) -> Frame:
    return Frame(torch.full((3, 16, 16), brightness), FrameParameters(frame=frame))


def seen(impressions: tuple[Impression, ...]) -> list[tuple[float, float]]:
    """Brightness and strength of each."""
    return [(round(each.keys[0].item(), 3), each.strength) for each in impressions]


@pytest.fixture
def face(tmp_path: Path) -> str:
    PillowImage.new("RGB", (20, 30), (51, 51, 51)).save(tmp_path / "face.png")
    return str(tmp_path / "face.png")


def test_a_picture_on_disk_is_looked_at_once_by_all_that_want_it(face: str):
    model = AdaptedToy()
    assert isinstance(model, AdaptedModel)
    found = Impressions({"a": IpAdapter("x", face), "b": IpAdapter("y", face, "clip")}, model)
    assert model.places == {"a": ("x", ""), "b": ("y", "clip")}
    assert (model.looks, model.releases) == ([["a", "b"]], 1)
    strengths = (("a", 0.5), ("b", 0.0))
    assert seen(found.at(strengths, History())) == [(0.2, 0.5)]
    assert seen(found.at((("a", 0.5), ("b", 1.5)), History().after(drawn(0.9, 0)))) == [(0.2, 0.5), (0.2, 1.5)]
    assert len(model.looks) == 1


def test_the_first_frame_is_looked_at_once_it_is_drawn():
    model = AdaptedToy()
    found = Impressions({"own": IpAdapter("x", "first")}, model)
    history = History()
    assert found.at((("own", 1.0),), history) == ()
    for frame, brightness in enumerate((0.4, 0.6, 0.8)):
        history = history.after(drawn(brightness, frame))
        assert seen(found.at((("own", 1.0),), history)) == [(0.4, 1.0)]
    assert (model.looks, model.releases) == ([["own"]], 1)


def test_the_previous_frame_is_looked_at_whenever_it_counts_and_nothing_is_released():
    model = AdaptedToy()
    found = Impressions({"own": IpAdapter("x", "previous"), "kept": IpAdapter("y", "first")}, model)
    history = History().after(drawn(0.4, 0))
    assert seen(found.at((("own", 1.0), ("kept", 0.5)), history)) == [(0.4, 1.0), (0.4, 0.5)]
    history = history.after(drawn(0.6, 1))
    assert seen(found.at((("own", 0.0), ("kept", 0.5)), history)) == [(0.4, 0.5)]
    assert seen(found.at((("own", 0.7), ("kept", 0.5)), history)) == [(0.6, 0.7), (0.4, 0.5)]
    assert (model.looks, model.releases) == ([["own"], ["kept"], ["own"]], 0)


def test_models_without_ip_adapters_are_asked_nothing(face: str):
    found = Impressions({"a": IpAdapter("x", face)}, ToyModel())
    assert found.at((("a", 1.0),), History().after(drawn(0.4, 0))) == ()


def test_a_film_without_any_leaves_none_of_the_film_before():
    model = AdaptedToy()
    Impressions({"own": IpAdapter("x", "first")}, model)
    assert Impressions({}, model).at((), History()) == ()
    assert (model.places, model.looks) == ({}, [])


def test_a_picture_that_is_no_picture_is_named(tmp_path: Path):
    (tmp_path / "face.png").write_text("no picture")
    with pytest.raises(SettingsError, match=r"ip_adapter: .*face\.png cannot be read as a picture"):
        Impressions({"a": IpAdapter("x", str(tmp_path / "face.png"))}, AdaptedToy())
