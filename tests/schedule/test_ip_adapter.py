"""What a film file says of IP-Adapters."""

from pathlib import Path

import pytest

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.ip_adapter import IpAdapter, beside, read_ip_adapters

FACE = {"file": "owner/name", "image": "face.png"}


def test_a_table_is_read_with_its_defaults():
    (face,) = read_ip_adapters({"face": FACE}).values()
    assert (face.file, face.image, face.encoder) == ("owner/name", "face.png", "")
    assert list(face.strength.values(2)) == [1, 1]
    assert not face.looks_at_film


def test_strengths_are_schedules_and_what_is_read_stays():
    whole = {**FACE, "image": "first", "encoder": "a/clip", "strength": "0:(0), 10:(1)"}
    adapters = read_ip_adapters({"face": whole})
    assert adapters["face"].strength.values(11)[5] == 0.5
    assert adapters["face"].encoder == "a/clip"
    assert adapters["face"].looks_at_film
    assert read_ip_adapters(adapters) == adapters


def test_files_are_seen_from_the_film_and_the_hub_is_left_alone(tmp_path: Path):
    for name in ("face.png", "first", "style.safetensors"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "clip").mkdir()
    given = {
        "a": {**FACE, "encoder": "clip", "strength": 0.5},
        "b": IpAdapter("style.safetensors", "first", strength=Schedule.parse(2)),
        "c": "nonsense",
    }
    found = beside(given, tmp_path)
    assert found == {
        "a": {"file": "owner/name", "image": f"{tmp_path}/face.png", "encoder": f"{tmp_path}/clip", "strength": 0.5},
        "b": IpAdapter(f"{tmp_path}/style.safetensors", "first", strength=Schedule.parse(2)),
        "c": "nonsense",
    }
    assert beside("nonsense", tmp_path) == "nonsense"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("face", r"ip_adapter: expected a table of IP-Adapters by name"),
        ({"face": "owner/name"}, r"ip_adapter\.face: expected a table"),
        ({"face": {"file": "a/b"}}, r"ip_adapter\.face: its image is missing, write e\.g\. .*image = "),
        ({"face": {"image": "first"}}, r"ip_adapter\.face: its file is missing"),
        ({"face": {**FACE, "file": 3}}, r"ip_adapter\.face: its file is missing"),
        ({"face": {**FACE, "image": " "}}, r"ip_adapter\.face: its image is missing"),
        ({"face": {**FACE, "scale": 1}}, r"ip_adapter\.face: unknown key 'scale'"),
        ({"face": {**FACE, "encoder": 1}}, r"ip_adapter\.face: its encoder should be a folder"),
        ({"a b": FACE}, r"ip_adapter\.a b: a name is letters"),
        ({"face": {**FACE, "strength": [1]}}, r"ip_adapter\.face: strength must be a number or a schedule"),
        ({"face": {**FACE, "strength": True}}, r"ip_adapter\.face: strength must be a number or a schedule"),
    ],
)
def test_what_is_wrong_is_named(given: object, complaint: str):
    with pytest.raises(SettingsError, match=complaint):
        read_ip_adapters(given)


def test_a_schedule_that_cannot_be_read_is_named():
    with pytest.raises(ScheduleError, match=r"ip_adapter\.face: "):
        read_ip_adapters({"face": {**FACE, "strength": "0:("}})
