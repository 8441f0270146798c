"""Pictures as footage: one that stands still, or a folder of numbered ones."""

import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from koshi_flux.errors import SettingsError
from koshi_flux.input.picture import SUFFIXES, Levels, read_levels

_MOVING = ("GIF", "PNG", "WEBP")
"""Formats whose further pictures are frames, not pages."""


@dataclass(frozen=True, slots=True)
class Stills:
    """Pictures in order.

    Args:
        files: at least one.
        setting: which one named them, for messages.
        still: a single picture, which is never too short for a film.
    """

    files: tuple[Path, ...]
    setting: str = "video"
    still: bool = False
    promised: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.files)

    def at(self, index: int) -> tuple[Levels, float]:
        """A picture, and the width of its pixels over their height."""
        return read_levels(self.files[index], self.setting), 1.0

    def seconds(self, index: int) -> float | None:
        """Pictures have no times."""
        return None


def stills_at(path: Path, setting: str = "video") -> Stills | None:
    """The pictures at `path`, a folder or a picture; None for what is neither.

    Raises:
        SettingsError: the folder has no pictures.
    """
    if path.is_dir():
        files = sorted((file for file in path.iterdir() if file.suffix.lower() in SUFFIXES), key=natural)
        if not files:
            known = ", ".join(sorted(SUFFIXES))
            raise SettingsError(f"{setting}: {path} is a folder without pictures ({known}); name a video file in it")
        return Stills(tuple(files), setting)
    return Stills((path,), setting, still=True) if path.suffix.lower() in SUFFIXES and not _moves(path) else None


def natural(file: Path) -> list[tuple[int, int, str]]:
    """Sorts 2.png before 10.png."""
    parts = re.findall(r"\d+|\D+", file.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts] + [(2, 0, file.name)]


def _moves(path: Path) -> bool:
    try:
        with PillowImage.open(path) as opened:
            return opened.format in _MOVING and getattr(opened, "n_frames", 1) > 1
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return False
