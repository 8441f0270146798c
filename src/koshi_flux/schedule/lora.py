"""The LoRAs of a film: where each is, and how strongly it is added at every frame."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.curve import Schedule

FULLY = Schedule.parse(1)

_NAME = re.compile(r"\w[\w-]*")
_EXAMPLE = 'lora.style = {file = "style.safetensors", strength = "0:(0), 60:(1)"}'


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA.

    Args:
        file: a file, or owner/name or owner/name/file on the Hugging Face hub.
        strength: how strongly it is added; 0 is not at all, 1 as it was trained, less than 0 the opposite.
    """

    file: str
    strength: Schedule = field(default=FULLY)


def read_loras(given: object, dialect: str = "koshi") -> dict[str, Lora]:
    """The LoRAs of a film by name.

    Args:
        given: a table of tables such as {"style": {"file": "style.safetensors", "strength": "0:(0), 60:(1)"}}; a text
            in place of a table is the file of a LoRA of strength 1.
        dialect: how strengths are read.

    Raises:
        SettingsError: a file or name is missing, or there is something else; the message names the LoRA.
        ScheduleError: a strength cannot be read.
    """
    if not isinstance(given, Mapping):
        raise SettingsError(f"lora: expected a table of LoRAs by name, such as {_EXAMPLE}, got {given!r}")
    return {str(name): _lora(str(name), entry, dialect) for name, entry in given.items()}


def located(given: object, folder: Path) -> object:
    """LoRAs, as `read_loras` takes them, with the whole paths of those files that lie in `folder`.

    What lies elsewhere stays as it is: it may be on the hub.
    """
    if not isinstance(given, Mapping):
        return given
    return {name: _located(entry, folder) for name, entry in given.items()}


def read_strength(given: object, name: str, dialect: str) -> Schedule:
    """How strongly something is added to the model, such as the LoRA of the name "lora.style".

    Raises:
        SettingsError: it is neither a number nor a text.
        ScheduleError: it cannot be read.
    """
    if not isinstance(given, str | int | float | Schedule) or isinstance(given, bool):
        raise SettingsError(f"{name}: strength must be a number or a schedule such as '0:(0), 60:(1)'")
    return Schedule.parse(given, name=name, dialect=dialect)


def changed(given: object, place: str, value: object) -> dict[str, Any]:
    """LoRAs after `--set lora.PLACE=value`.

    Args:
        given: what `read_loras` takes.
        place: NAME.file or NAME.strength; NAME alone is the strength of a LoRA that is there, the file of a new one.
    """
    loras = dict(given) if isinstance(given, Mapping) else {}
    name, _, what = place.partition(".")
    entry = loras.get(name)
    held = {"file": entry} if isinstance(entry, str) else dict(entry) if isinstance(entry, Mapping) else {}
    if not what and "file" in held and isinstance(value, str) and value.endswith(".safetensors"):
        raise SettingsError(
            f"lora.{name}={value} would be its strength: for another file, --set lora.{name}.file={value}"
        )
    what = what or ("strength" if "file" in held else "file")
    return {**loras, name: {**held, what: value}}


def _located(entry: object, folder: Path) -> object:
    match entry:
        case str(file):
            return whole(file, folder)
        case {"file": str(file), **rest}:
            return {"file": whole(file, folder), **rest}
    if is_dataclass(entry) and not isinstance(entry, type) and hasattr(entry, "file"):
        return replace(entry, file=whole(entry.file, folder))
    return entry


def whole(file: str, folder: Path) -> str:
    """The whole path of what lies in `folder`; what does not stays as it is: it may be on the hub."""
    place = folder / Path(file).expanduser()
    return str(place.resolve()) if place.exists() else file


def _lora(name: str, entry: object, dialect: str) -> Lora:
    if not _NAME.fullmatch(name):
        raise SettingsError(f"lora.{name}: a LoRA's name is letters, digits, '_' and '-', such as {_EXAMPLE}")
    if isinstance(entry, Lora):
        return entry
    table = {"file": entry} if isinstance(entry, str) else entry
    if not isinstance(table, Mapping):
        raise SettingsError(f"lora.{name}: expected a file, or a table such as {_EXAMPLE}, got {entry!r}")
    if unknown := set(table) - {"file", "strength"}:
        raise SettingsError(f"lora.{name}: unknown key {min(unknown)!r}, a LoRA has a file and a strength: {_EXAMPLE}")
    file, strength = table.get("file"), table.get("strength", FULLY)
    if not isinstance(file, str) or not file.strip():
        raise SettingsError(f"lora.{name}: its file is missing, write e.g. {_EXAMPLE}")
    if re.search(r":\s*\(", file):
        raise SettingsError(f"lora.{name}: {file!r} is a strength, of which file? Write e.g. {_EXAMPLE}")
    return Lora(file, read_strength(strength, f"lora.{name}", dialect))
