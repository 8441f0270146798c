"""Which depth model a film means, and whether it can be had. Imports no torch until one is opened."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.settings.camera import DEPTH_NAMES as NAMES

if TYPE_CHECKING:
    import torch

    from koshi_flux.shared.types import DepthModel, Footage

HUB = {"midas": "Intel/dpt-hybrid-midas", "depth-anything": "depth-anything/Depth-Anything-V2-Small-hf"}
"""Published models with a short name, and where they are on the hub. Both are Apache-2.0."""

FOOTAGE = (
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif"),
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"),
)
"""What files of depths are called, so that a missing one is not looked up on the hub."""


def is_footage(name: str) -> bool:
    """Whether a film's depth is a video or a picture that shows it, white being near."""
    place = Path(name).expanduser()
    return place.is_file() or (place.suffix.lower() in FOOTAGE and not place.is_dir())


def check_depth(name: str) -> None:
    """Refuse what is no depth model, from its name and, where it is a folder or a file, from what lies there.

    A model on the hub is looked up when it is opened, as those that draw are.

    Raises:
        SettingsError: there is no such name, folder or file.
        ModelError: the folder is incomplete or damaged, or holds another kind of model.
    """
    if name.lower() in NAMES:
        return
    if is_footage(name):
        if not Path(name).expanduser().is_file():
            raise SettingsError(f"depth: there is no file {name}")
    elif name and Path(name).expanduser().is_dir():
        from koshi_flux.depth.folder import check_folder

        check_folder(Path(name).expanduser())
    elif not _may_be_on_the_hub(name):
        near = get_close_matches(name.lower(), NAMES, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ":"
        raise SettingsError(
            f"depth: there is no {name!r}{hint} known are {', '.join(NAMES)}; or give a depth model as a folder or as "
            "owner/name on the hub, or a video or picture of depths"
        )


def open_depth(name: str, device: "str | torch.device" = "cpu", footage: "Footage | None" = None) -> "DepthModel":
    """Load a depth model; one on the hub is brought here, once.

    Args:
        name: as `check_depth` takes it.
        device: where it computes.
        footage: the opened file, where `is_footage(name)`.

    Raises:
        SettingsError, ModelError: as `check_depth`; or the model cannot be brought here.
    """
    check_depth(name)
    if is_footage(name):
        from koshi_flux.depth.footage import FootageDepth

        if footage is None:
            raise SettingsError(f"depth: {name} shows depths itself: open it as footage")
        return FootageDepth(footage, device)
    if name.lower() == "plane":
        from koshi_flux.depth.plane import PlaneDepth

        return PlaneDepth(device)
    if name.lower() == "nano":
        from koshi_flux.depth.nano import NanoDepth

        return NanoDepth.load(device)
    from koshi_flux.depth.folder import find_depth
    from koshi_flux.depth.published import PublishedDepth

    return PublishedDepth.load(find_depth(HUB.get(name.lower(), name)), device)


def _may_be_on_the_hub(name: str) -> bool:
    from koshi_flux.weights.hub import REPOSITORY  # the hub's library takes a while to import

    return REPOSITORY.fullmatch(name) is not None
