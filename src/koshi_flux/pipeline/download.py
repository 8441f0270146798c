"""Files that an old film names by their address on the web, brought beside it: only when a user allows it."""

import time
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from koshi_flux.errors import SettingsError
from koshi_flux.output.disk import make_folder, replacing

LARGEST = 500_000_000
"""Bytes of a file; a guide video of some minutes has a tenth of that."""
PATIENCE = 120.0
"""Seconds that a file may take, and that a silent server is waited for at the most."""
_PIECE = 1 << 16


def download(address: str, folder: Path, largest: int = LARGEST, patience: float = PATIENCE) -> Path:
    """A file from the web, whole or not at all; one of its name that is in the folder already is used as it is.

    Raises:
        SettingsError: it is no http address, cannot be had, is too large or takes too long.
    """
    parts = urlsplit(address)
    name = PurePosixPath(unquote(parts.path)).name
    if parts.scheme not in ("http", "https") or not name:
        raise SettingsError(f"{address} is no address of a file on the web: http://... or https://... is")
    path = folder / name
    if path.is_file():
        return path
    make_folder(folder)
    try:
        with urlopen(address, timeout=patience) as source, replacing(path) as partial, partial.open("wb") as file:
            _copy(source, file, address, largest, time.monotonic() + patience)
    except (URLError, OSError, ValueError) as failed:
        raise SettingsError(f"{address} cannot be fetched: {failed}. Save it yourself and name the file") from failed
    return path


def _copy(source: Any, file: Any, address: str, largest: int, deadline: float) -> None:
    """All of it, as long as it is neither too large nor too slow."""
    size = 0
    while piece := source.read(_PIECE):
        size += len(piece)
        if size > largest:
            raise SettingsError(
                f"{address} has more than {largest // 1_000_000} MB: save it yourself and name the file"
            )
        if time.monotonic() > deadline:
            raise SettingsError(f"{address} takes too long: save it yourself and name the file")
        file.write(piece)
