"""Real settings files, and short ways to import parts of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from koshi_flux.schedule.importing import import_film
from koshi_flux.schedule.importing.deforum import read_deforum
from koshi_flux.schedule.importing.report import Entry, Imported, Options

CORPUS = Path(__file__).parents[3] / "../shared/corpus"
FILES = (
    "forge_flux_default_settings.txt",
    "original_colormatch_1.json",
    "user_2022.txt",
    "user_3d_300f.txt",
    "webui_default_settings.txt",
    "webui_simple_settings.txt",
)


def corpus(path: str) -> Path:
    """A file of the corpus."""
    file = CORPUS / path
    if not file.exists():
        pytest.skip(f"the corpus of original files is not here: {file.name}")
    return file


def settings_of(file: str) -> dict[str, Any]:
    """A settings file as Python reads it."""
    held: dict[str, Any] = json.loads(corpus(f"settings/{file}").read_text(encoding="utf-8"))
    return held


def film(strength: Any = "snr", model: str | None = None, /, **keys: Any) -> Imported:
    """The film of a few keys, as the web UI would have them."""
    return read_deforum({"prompts": {"0": "a"}, "seed": 1, **keys}, Options(model, strength))


def said(imported: Imported, key: str) -> Entry:
    """What became of a key."""
    (entry,) = (entry for entry in imported.entries if entry.key == key)
    return entry


def imported_file(file: str, **options: Any) -> Imported:
    """A settings file of the corpus, imported."""
    return import_film(corpus(f"settings/{file}"), **options)
