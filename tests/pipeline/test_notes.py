"""What is said before a film begins."""

from pathlib import Path

import pytest

from koshi_flux.errors import SettingsError
from koshi_flux.pipeline.factory import SPECS
from koshi_flux.pipeline.notes import check_ip_adapters, notes
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.ip_adapter import IpAdapter


@pytest.mark.parametrize("name", ["flux.2-klein-4b", "flux.1-dev", "flux.2-dev"])
def test_negative_prompts_that_do_nothing_are_named(name):
    spec = SPECS[name]
    film = Animation(prompts={"0": "a lake --neg people", "5": "a city"}, negative_prompt="blur", frames=6).resolved(
        spec
    )
    (note,) = notes(film, spec)
    assert note.startswith(f"{name} cannot be told what to avoid, so negative prompts do nothing: ")
    assert "blur" in note
    assert "people" in note


def test_negative_prompts_that_work_and_none_at_all_need_no_word():
    base, klein = SPECS["flux.2-klein-base-4b"], SPECS["flux.2-klein-4b"]
    assert list(notes(Animation(prompts={"0": "a lake"}, negative_prompt="blur").resolved(base), base)) == []
    assert list(notes(Animation(prompts={"0": "a lake"}).resolved(klein), klein)) == []


@pytest.mark.parametrize(("name", "instead"), [("flux.2-klein-4b", "reference = 'first'"), ("toy", "'flux.1-dev'")])
def test_ip_adapters_are_refused_where_there_are_none(name: str, instead: str):
    with pytest.raises(SettingsError, match=rf"ip_adapter: there are none for {name}; take a FLUX\.1.*{instead}"):
        check_ip_adapters({"face": IpAdapter("a/b", "first")}, SPECS[name])
    check_ip_adapters({}, SPECS[name])


def test_the_picture_of_an_ip_adapter_must_be_there(tmp_path: Path):
    dev = SPECS["flux.1-dev"]
    check_ip_adapters({"a": IpAdapter("a/b", "first"), "b": IpAdapter("a/b", "previous")}, dev)
    face = tmp_path / "face.png"
    with pytest.raises(SettingsError, match=r"ip_adapter\.face: there is no picture .*face\.png; it may also be"):
        check_ip_adapters({"face": IpAdapter("a/b", str(face))}, dev)
    face.write_bytes(b"")
    check_ip_adapters({"face": IpAdapter("a/b", str(face))}, dev)
