"""Guided images: pictures that a film is drawn towards, one after the other (Deforum's "looper")."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.expression import Expression, Scope
from koshi_flux.schedule.grammar import Parser, check_keys, places
from koshi_flux.schedule.lora import whole

HOLD = 0.07
"""How much of a guide is blended in outside the tween after its key."""

_EXAMPLE = '[guides] 0 = "forest.png", 60 = "city.png"'


@dataclass(frozen=True, slots=True)
class Guide:
    """What guides a frame.

    Args:
        picture: its file.
        since: frames since its key; less than 0 before the first key of a film.
        until: frames to the next key; None when there is none.
    """

    picture: str
    since: int
    until: int | None

    def blend(self, most: float = 0.35, slope: float = 0.25, tween: float = 20.0) -> float:
        """How much of the picture is blended into what the frame starts from, in [0, 1].

        most - slope * cos(2 since / tween) in the `tween` frames after the key, HOLD elsewhere. With the defaults that
        rises from 0.10 to 0.45: the angle is in radians and ends at 2, before a half wave is over. Deforum counts
        frames otherwise, see `deforum_blend`.
        """
        if not 0 <= self.since <= tween:
            return HOLD
        return _clamped(most - slope * math.cos(2 * self.since / tween if tween else 0.0))


@dataclass(frozen=True, slots=True)
class Guides:
    """The guides of a film of a certain length.

    Args:
        frames: at which each begins, rising.
        pictures: the file of each.
    """

    frames: tuple[int, ...]
    pictures: tuple[str, ...]

    @classmethod
    def of(cls, guides: Mapping[str, str], scope: Scope) -> "Guides":
        """Settle the keys of guides, as `read_guides` gives them.

        Raises:
            ScheduleError: a key comes to no frame in this film, or two to the same one.
        """
        begin = places([_key(key) for key in guides], scope)
        order = sorted(zip(begin, guides.values(), strict=True))
        return cls(tuple(frame for frame, _ in order), tuple(picture for _, picture in order))

    def at(self, frame: int) -> Guide | None:
        """What guides a frame; the first guide also does before its key. None in a film without guides."""
        if not self.frames:
            return None
        here = max(0, bisect_right(self.frames, frame) - 1)
        following = self.frames[here + 1] if here + 1 < len(self.frames) else None
        return Guide(self.pictures[here], frame - self.frames[here], None if following is None else following - frame)


def read_guides(given: object) -> dict[str, str]:
    """Files of pictures by the key they guide from.

    Args:
        given: a table such as {"0": "forest.png", "max_f/2": "city.png"}, or one file for the whole film. Keys are
            frames, or maths; their order is free.

    Raises:
        ScheduleError: a key cannot be read.
        SettingsError: there is something else than files.
    """
    table = ({"0": given} if given.strip() else {}) if isinstance(given, str) else given
    if not isinstance(table, Mapping):
        raise SettingsError(f"guides: expected pictures such as {_EXAMPLE}, got {given!r}")
    for key, picture in table.items():
        if not isinstance(picture, str) or not picture.strip():
            raise SettingsError(f"guides: at frame {key} stands {picture!r}, expected a picture; write {_EXAMPLE}")
    check_keys([_key(str(key)) for key in table])
    return {str(key): picture.strip() for key, picture in table.items()}


def files(guides: Mapping[str, str]) -> tuple[str, ...]:
    """Every picture that guides a film, each once."""
    return tuple(dict.fromkeys(guides.values()))


def beside(given: object, folder: Path) -> dict[str, str]:
    """Guides, as `read_guides` takes them, with the whole paths of those pictures that lie in `folder`."""
    return {key: whole(picture, folder) for key, picture in read_guides(given).items()}


def deforum_blend(frame: int, distance: int, most: float = 0.35, slope: float = 0.25, tween: float = 20.0) -> float:
    """`Guide.blend` as Deforum has it, which counts from frame 0 instead of the key.

    Its tweens begin at keys only where every key is a multiple of the `distance` between its neighbours, and of
    `tween`.

    Args:
        distance: frames between the keys on either side; Deforum takes 25 after the last one.
    """
    if tween <= 0 or distance <= 0 or frame % distance > tween:
        return HOLD
    return _clamped(most - slope * math.cos(2 * (frame % tween) / tween))


def _key(key: str) -> Expression:
    return Parser(key, f"guides[{key!r}]").whole()


def _clamped(blend: float) -> float:
    return min(1.0, max(0.0, blend))
