"""Where the files of a film lie: whole paths of those that lie beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from koshi_flux.schedule import guides, ip_adapter, masks, references
from koshi_flux.schedule.lora import located, whole
from koshi_flux.schedule.settings.camera import DEPTH_NAMES


def whole_paths(given: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Those of a film's settings that name files, with the whole paths of the files that lie in `folder`.

    What does not lie there stays as it is: it may be on the hub, or missing.
    """
    return {key: find(given[key], folder) for key, find in _FINDERS.items() if given.get(key)}


def _depth(given: object, folder: Path) -> object:
    return given if str(given).lower() in DEPTH_NAMES else _file(given, folder)


def _file(given: object, folder: Path) -> object:
    return whole(given, folder) if isinstance(given, str) else given


_FINDERS: dict[str, Callable[[object, Path], object]] = {
    "lora": located,
    "controlnet": located,
    "ip_adapter": ip_adapter.beside,
    "reference": references.beside,
    "guides": guides.beside,
    "mask": masks.beside,
    "noise_mask": lambda given, folder: masks.beside(given, folder, "noise_mask"),
    **dict.fromkeys(("video", "soundtrack", "init_image", "mask_image", "mask_video"), _file),
    "depth": _depth,
}
"""How the files of a setting are found."""
