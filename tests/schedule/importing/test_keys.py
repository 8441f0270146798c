"""Every key of Deforum's files has a row, and every row something that reads it."""

import json
import re
from pathlib import Path

import pytest

from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.importing.deforum import CONVERTERS, ROWS
from koshi_flux.schedule.importing.deforum_choices import CHOICES
from koshi_flux.schedule.importing.deforum_keys import KEYS, RENAMED

SHARED = Path(__file__).parents[3] / "../shared"


def shared(path: str) -> str:
    file = SHARED / path
    if not file.exists():
        pytest.skip(f"the files that this is checked against are not here: {file.name}")
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "count"), [("webui_default_settings.txt", 253), ("forge_flux_default_settings.txt", 293)]
)
def test_every_key_of_the_web_uis_has_a_row(file, count):
    keys = set(json.loads(shared(f"corpus/settings/{file}")))
    assert len(keys) == count
    assert not keys - set(KEYS)


@pytest.mark.parametrize("file", ["original_colormatch_1.json", "user_2022.txt", "user_3d_300f.txt"])
def test_every_key_of_real_files_has_a_row(file):
    assert not set(json.loads(shared(f"corpus/settings/{file}"))) - set(ROWS)


def test_every_parameter_that_is_documented_has_a_row():
    text = shared("reference/deforum.md").partition("## 2. Schedule grammar")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    notebook = text.partition("#### ORIG-only parameters")[2].partition("#### FORGE additions")[0]
    constants = set(re.findall(r"`(\w+)`=", notebook)) - {"fps"}
    assert len(documented) > 200
    assert len(constants) > 10
    assert not (documented | constants) - set(ROWS) - set(RENAMED)


def test_there_are_as_many_rows_of_the_web_uis_as_they_have_keys():
    """253 and 40 of Forge's alone, with what neither saves: rows cannot vanish unseen."""
    assert len([key for key in KEYS if key.startswith("cn_")]) == 5 * 17
    assert len(KEYS) >= 293


def test_every_converter_is_there_and_used():
    assert {row.how for row in ROWS.values()} == set(CONVERTERS)


def test_every_setting_that_a_row_names_exists():
    said = {row.to for key, row in ROWS.items() if row.how not in ("gate", "managed", "fill")}
    assert said - {""} <= set(Animation.model_fields)


def test_rows_without_a_meaning_say_why():
    for key, row in ROWS.items():
        assert row.why if row.how == "nothing" else row.to, key
        assert (row.fate == "meaningless") == (row.how == "nothing"), key


def test_older_names_lead_to_rows_and_are_none_themselves():
    assert set(RENAMED.values()) <= set(KEYS)
    assert not set(RENAMED) & set(ROWS)


def test_choices_belong_to_rows_and_are_settings_words():
    assert set(CHOICES) <= set(KEYS)
    for key, names in CHOICES.items():
        setting = Animation.model_fields.get(KEYS[key].to)
        allowed = re.findall(r"'([\w-]+)'", str(setting.annotation)) if "Literal" in str(setting) else []
        assert not allowed or set(names.values()) <= set(allowed), key
        assert all(name == name.lower() for name in names)
