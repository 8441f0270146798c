"""Presets: looks with a name, as parts of film files. `preset = "dream"` gives settings that the film does not.

A preset is a file in presets/ that an animator can read: comments that say what it looks like and when to use it, the
settings of any model, and a table for each family of models ([flux1], [flux2], [klein], [nano]) with the noise levels
that suit it. Its motion is written per second and without pixels, so that it is the same at every `fps` and size.
"""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from koshi_flux.errors import SettingsError

_FOLDER = Path(__file__).parent / "presets"

FAMILIES: dict[str, str] = {
    "nano": r"nano",
    "klein": r"klein",
    "flux2": r"flux[ ._-]?2(?!\d)",
    "flux1": r"flux|schnell|krea",
}
"""Families of models, and what tells each from its name or file; the first that is found counts."""

_INSTEAD = {"denoise": ("strength_schedule", "denoise_mode")}
"""Settings of a preset that a film has taken into its own hands by giving another one."""


def with_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a film, with those of its `preset` where it has none of its own; `preset` itself is gone.

    Raises:
        SettingsError: there is no such preset, or the film's `dialect` is another than that of presets.
    """
    given = dict(settings)
    name = given.pop("preset", None) or ""
    if not name:
        return given
    if not isinstance(name, str):
        raise SettingsError(f"preset: must be a name such as 'smooth', got {name!r}")
    if given.get("dialect", "koshi") != "koshi":
        raise SettingsError(
            f"preset {name!r} is written in koshi's dialect: leave out dialect = {given['dialect']!r}, and end the "
            f"film's own schedules with '@ {given['dialect']}'"
        )
    usual = preset_settings(name, str(given.get("model") or "nano"))
    for setting, others in _INSTEAD.items():
        if any(given.get(other) is not None for other in others):
            usual.pop(setting, None)
    return usual | given


def preset_settings(name: str, model: str = "") -> dict[str, Any]:
    """What a preset gives a film that is drawn by `model`: a model's name, folder or file.

    A model whose name tells no family keeps its own defaults.
    """
    settings = tomllib.loads(preset_text(name))
    by_family = {family: settings.pop(family, {}) for family in FAMILIES}
    return settings | by_family.get(family_of(model), {})


def preset_names() -> tuple[str, ...]:
    """All presets, in alphabetical order."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def preset_text(name: str) -> str:
    """The file of a preset, as it was written.

    Raises:
        SettingsError: there is no such preset; the message says which there are.
    """
    known = preset_names()
    if name.lower() not in known:
        near = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        meant = f", did you mean {near[0]!r}?" if near else ";"
        raise SettingsError(f"unknown preset {name!r}{meant} known are {', '.join(known)}")
    return (_FOLDER / f"{name.lower()}.toml").read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """What a preset looks like and when to use it, in its first line."""
    return preset_text(name).partition("\n")[0].removeprefix("#").strip()


def family_of(model: str) -> str:
    """The family that a model's name, folder or file tells of; "" if it does not."""
    name = PurePosixPath(model.replace("\\", "/")).name.lower()
    return next((family for family, mark in FAMILIES.items() if re.search(mark, name)), "")
