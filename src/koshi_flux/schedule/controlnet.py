"""The ControlNets of a film: where each is, what of the moved picture it is shown, and how strong it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.lora import FULLY, read_strength

KINDS = ("canny", "depth", "gray", "picture")
"""What can be made of the moved picture: its edges, its depth, its brightness, or nothing: the picture itself."""

_NAME = re.compile(r"\w[\w-]*")
_EXAMPLE = 'controlnet.edges = {file = "InstantX/FLUX.1-dev-Controlnet-Canny", kind = "canny", strength = 0.6}'


@dataclass(frozen=True, slots=True)
class ControlNet:
    """A ControlNet.

    Args:
        file: its folder, or owner/name on the Hugging Face hub.
        kind: what it is shown, one of `KINDS`.
        strength: how much of what it makes of that is added; 0 is nothing.
    """

    file: str
    kind: str
    strength: Schedule = field(default=FULLY)


def read_controlnets(given: object, dialect: str = "koshi") -> dict[str, ControlNet]:
    """The ControlNets of a film by name.

    Args:
        given: a table of tables such as {"edges": {"file": "owner/name", "kind": "canny", "strength": 0.6}}.
        dialect: how strengths are read.

    Raises:
        SettingsError: a file, kind or name is missing, or there is something else; the message names the ControlNet.
        ScheduleError: a strength cannot be read.
    """
    if not isinstance(given, Mapping):
        raise SettingsError(f"controlnet: expected a table of ControlNets by name, such as {_EXAMPLE}, got {given!r}")
    return {str(name): _controlnet(str(name), entry, dialect) for name, entry in given.items()}


def _controlnet(name: str, entry: object, dialect: str) -> ControlNet:
    if not _NAME.fullmatch(name):
        raise SettingsError(f"controlnet.{name}: a name is letters, digits, '_' and '-', such as {_EXAMPLE}")
    if isinstance(entry, ControlNet):
        return entry
    if not isinstance(entry, Mapping):
        raise SettingsError(f"controlnet.{name}: expected a table such as {_EXAMPLE}, got {entry!r}")
    if unknown := set(entry) - {"file", "kind", "strength"}:
        raise SettingsError(f"controlnet.{name}: unknown key {min(unknown)!r}, write e.g. {_EXAMPLE}")
    file, kind, strength = entry.get("file"), entry.get("kind"), entry.get("strength", FULLY)
    if not isinstance(file, str) or not file.strip():
        raise SettingsError(f"controlnet.{name}: its file is missing, write e.g. {_EXAMPLE}")
    if kind not in KINDS:
        raise SettingsError(f"controlnet.{name}: kind should be one of {', '.join(KINDS)}, got {kind!r}")
    return ControlNet(file, str(kind), read_strength(strength, f"controlnet.{name}", dialect))
