"""The IP-Adapters of a film: where each is, which picture it looks at, and how strongly that counts at every frame."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.lora import FULLY, read_strength, whole
from koshi_flux.schedule.references import FIRST, PREVIOUS

_NAME = re.compile(r"\w[\w-]*")
_EXAMPLE = 'ip_adapter.face = {file = "XLabs-AI/flux-ip-adapter-v2", image = "face.png", strength = 0.7}'


@dataclass(frozen=True, slots=True)
class IpAdapter:
    """An IP-Adapter.

    Args:
        file: a file, or owner/name or owner/name/file on the Hugging Face hub.
        image: the picture it looks at: a file, or "first" or "previous", the film's own.
        encoder: the CLIP that it looks through, a folder or owner/name on the hub; "" is the usual one.
        strength: how much of what it makes of the picture is added; 0 is nothing.
    """

    file: str
    image: str
    encoder: str = ""
    strength: Schedule = field(default=FULLY)

    @property
    def looks_at_film(self) -> bool:
        """Whether its picture is one of the film's own."""
        return self.image in (FIRST, PREVIOUS)


_KEYS = tuple(part.name for part in fields(IpAdapter))
_PLACES = ("file", "image", "encoder")


def read_ip_adapters(given: object, dialect: str = "koshi") -> dict[str, IpAdapter]:
    """The IP-Adapters of a film by name.

    Args:
        given: a table of tables such as {"face": {"file": "owner/name", "image": "face.png", "strength": 0.7}}.
        dialect: how strengths are read.

    Raises:
        SettingsError: a file, picture or name is missing, or there is something else; the message names the IP-Adapter.
        ScheduleError: a strength cannot be read.
    """
    if not isinstance(given, Mapping):
        raise SettingsError(f"ip_adapter: expected a table of IP-Adapters by name, such as {_EXAMPLE}, got {given!r}")
    return {str(name): _ip_adapter(str(name), entry, dialect) for name, entry in given.items()}


def beside(given: object, folder: Path) -> object:
    """IP-Adapters, as `read_ip_adapters` takes them, with the whole paths of what lies in `folder`.

    What lies elsewhere stays as it is: it may be on the hub.
    """
    if not isinstance(given, Mapping):
        return given
    return {name: _beside(entry, folder) for name, entry in given.items()}


def _beside(entry: object, folder: Path) -> object:
    if isinstance(entry, IpAdapter):
        return replace(entry, **_whole({place: getattr(entry, place) for place in _PLACES}, folder))
    return _whole(entry, folder) if isinstance(entry, Mapping) else entry


def _whole(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {key: whole(value, folder) if key in _PLACES and _is_place(value) else value for key, value in table.items()}


def _is_place(value: object) -> bool:
    """`first` and `previous` are none, whatever lies in the folder."""
    return isinstance(value, str) and value not in ("", FIRST, PREVIOUS)


def _ip_adapter(name: str, entry: object, dialect: str) -> IpAdapter:
    if not _NAME.fullmatch(name):
        raise SettingsError(f"ip_adapter.{name}: a name is letters, digits, '_' and '-', such as {_EXAMPLE}")
    if isinstance(entry, IpAdapter):
        return entry
    if not isinstance(entry, Mapping):
        raise SettingsError(f"ip_adapter.{name}: expected a table such as {_EXAMPLE}, got {entry!r}")
    if unknown := set(entry) - set(_KEYS):
        raise SettingsError(f"ip_adapter.{name}: unknown key {min(unknown)!r}, write e.g. {_EXAMPLE}")
    table = {"encoder": "", "strength": FULLY, **entry}
    for key in ("file", "image"):
        if not isinstance(table.get(key), str) or not table[key].strip():
            raise SettingsError(f"ip_adapter.{name}: its {key} is missing, write e.g. {_EXAMPLE}")
    if not isinstance(table["encoder"], str):
        raise SettingsError(f"ip_adapter.{name}: its encoder should be a folder or owner/name on the hub")
    strength = read_strength(table.pop("strength"), f"ip_adapter.{name}", dialect)
    return IpAdapter(**table, strength=strength)
