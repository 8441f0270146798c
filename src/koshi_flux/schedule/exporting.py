"""Films -> files of other programs, and what those have no words for."""

from collections.abc import Callable
from dataclasses import dataclass

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.export_deforum import deforum_settings
from koshi_flux.schedule.export_parseq import parseq_manifest

_WRITERS: dict[str, Callable[[Animation], tuple[str, list[str]]]] = {
    "deforum": deforum_settings,
    "parseq": parseq_manifest,
}
FORMATS = tuple(_WRITERS)
"""The names of the formats that films can be written in."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A film as a file of another program.

    Args:
        text: the content of the file.
        unsaid: the settings of the film that the file cannot hold or says otherwise, each with the reason.
    """

    text: str
    unsaid: tuple[str, ...]


def export_film(animation: Animation, to: str) -> Exported:
    """Write a film for another program: "deforum", a settings file of its web UIs, or "parseq", a rendered manifest.

    Read back, the file gives the same numbers at every frame for all that it can say.

    Raises:
        SettingsError: there is no such format.
    """
    if to not in _WRITERS:
        raise SettingsError(f"cannot export to {to!r}: known formats are {', '.join(FORMATS)}")
    text, unsaid = _WRITERS[to](animation)
    return Exported(text, tuple(unsaid))
