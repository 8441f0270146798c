"""Which pictures a film is drawn by the sight of, by frame: `first`, `previous`, pictures on disk, or several."""

from collections.abc import Mapping
from pathlib import Path

from koshi_flux.errors import SettingsError

FIRST, PREVIOUS = "first", "previous"
_EXAMPLE = 'reference = "first", or [reference] 0 = "first + face.png"'


def read_references(given: object) -> dict[int, tuple[str, ...]]:
    """What holds from which frame on, in order of frames.

    Args:
        given: "first + face.png" for the whole film, or such texts by the frame they hold from; "" is none.

    Raises:
        SettingsError: a key is no frame, or a value no text.
    """
    table = {"0": given} if isinstance(given, str) else given
    if not isinstance(table, Mapping):
        raise SettingsError(f"reference: expected pictures such as {_EXAMPLE}, got {given!r}")
    found = {_frame(key): _pictures(key, value) for key, value in table.items()}
    return dict(sorted(found.items()))


def reference_at(references: Mapping[int, tuple[str, ...]], frame: int) -> tuple[str, ...]:
    """What holds at a frame."""
    begun = [pictures for key, pictures in references.items() if key <= frame]
    return begun[-1] if begun else ()


def beside(given: object, folder: Path) -> object:
    """References with the whole paths of those pictures that lie in `folder`."""
    whole = {key: tuple(_whole(name, folder) for name in names) for key, names in read_references(given).items()}
    return written(whole)


def written(references: Mapping[int, tuple[str, ...]]) -> dict[str, str]:
    """References as `read_references` takes them."""
    return {str(key): " + ".join(names) for key, names in references.items()}


def _frame(key: object) -> int:
    try:
        frame = int(str(key))
    except ValueError:
        frame = -1
    if frame < 0:
        raise SettingsError(f"reference: {key!r} is no frame; write {_EXAMPLE}")
    return frame


def _pictures(key: object, value: object) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise SettingsError(f"reference: at frame {key} stands {value!r}; write {_EXAMPLE}")
    names = [name.strip() for name in value.split(" + ")]
    return tuple(name for name in names if name)


def _whole(name: str, folder: Path) -> str:
    place = folder / Path(name).expanduser()
    return str(place.resolve()) if name not in (FIRST, PREVIOUS) and place.exists() else name
