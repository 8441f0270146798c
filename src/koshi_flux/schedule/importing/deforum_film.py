"""A film as a Deforum settings file tells it: its keys under their present names, and what several of them say."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PureWindowsPath
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.importing.deforum_choices import CHOICES, DISTANCES
from koshi_flux.schedule.importing.programs import STUDIO, Program
from koshi_flux.schedule.importing.report import Fate, Options, shown
from koshi_flux.schedule.importing.text import read_json
from koshi_flux.schedule.settings.ranges import nearest_size

Values = npt.NDArray[np.float64]
_NOTHING = ("", "none", "null")
_MOST_FRAMES = 1_000_000
LARGEST_SIDE = 8192
_NO_SETTINGS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an old key comes to.

    Args:
        settings: of ours that it gives.
        why: the reason when a number changes or nothing is left of it.
        fate: when it is not the usual one of the key.
        to: what to say that it became; its settings otherwise.
    """

    settings: Mapping[str, object] = field(default_factory=lambda: _NO_SETTINGS)
    why: str = ""
    fate: Fate | None = None
    to: str = ""


ELSEWHERE = (
    "an address on the web, which is never fetched unasked: --allow-download, or save it and write the file here"
)


def without(why: str) -> Outcome:
    """Of a key that has no meaning in this film."""
    return Outcome(why=why, fate="meaningless")


@dataclass(frozen=True)
class OldFilm:
    """A settings file of some program, read leniently: text for numbers, null or "None" for nothing.

    Args:
        held: the file's values under the present names of their keys.
        program: what wrote it.
        options: what whoever imports it wants.
    """

    held: Mapping[str, Any]
    program: Program
    options: Options

    def word(self, key: str, default: str = "") -> str:
        """A text in small letters; "" for null and "None"."""
        value = self.held.get(key, default)
        if value is not None and not isinstance(value, str | bool | int | float):
            raise SettingsError(f"{key}: expected a text, got {shown(value)}")
        text = "" if value is None else str(value).strip().lower()
        return "" if text in _NOTHING else text

    def flag(self, key: str, default: bool = False) -> bool:
        """Yes or no."""
        return self.word(key, str(default)) not in ("", "false", "0", "0.0", "no", "off")

    def number(self, key: str, default: float) -> float:
        """A number, which may be written as a text."""
        value = self.held.get(key)
        if value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING):
            return float(default)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise SettingsError(f"{key}: expected a number, got {shown(value)}")
        return number

    def whole(self, key: str, default: int) -> int:
        """A number without its fraction."""
        return int(self.number(key, default))

    def choice(self, key: str, default: str = "") -> str | None:
        """What a word of the old program is called here; None when neither knows it."""
        word = self.word(key, default).replace("_", " ").removesuffix(" (2d)").removesuffix(" 2d")
        return CHOICES[key].get(word or "none")

    def schedule(self, key: str) -> Schedule | None:
        """A schedule, evaluated once so that whatever is wrong with it is said now; None where there is none.

        Raises:
            ScheduleError: it cannot be read, or comes to nothing at some frame.
        """
        value = self.held.get(key)
        if value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING):
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise SettingsError(f"{key}: expected a schedule such as '0:(1.0), 60:(1.05)', got {shown(value)}")
        schedule = self._read(key, _as_number(value))
        schedule.values(**self.clock)
        return schedule

    def _read(self, key: str, value: str | float) -> Schedule:
        """A schedule in the old program's dialect; deforum-studio's own words (beat, pi, ...) are read as ours."""
        try:
            return Schedule.parse(value, key, self.program.dialect)
        except ScheduleError as unread:
            if self.program is not STUDIO:
                raise
            try:
                return Schedule.parse(value, key)
            except ScheduleError:
                raise unread from None

    def values(self, key: str, default: float) -> Values:
        """A schedule's value at every frame."""
        schedule = self.schedule(key)
        return np.full(self.frames, float(default)) if schedule is None else schedule.values(**self.clock)

    @cached_property
    def frames(self) -> int:
        """How long the film is."""
        count = self.held.get("prompts")
        prompts = len(count) if isinstance(count, Mapping | list) else 1
        frames = (prompts - 1) * self.pace + 1 if self.pace else self.whole("max_frames", 120)
        if not 1 <= frames <= _MOST_FRAMES:
            raise SettingsError(f"max_frames: {frames} is no length of a film, 1 to {_MOST_FRAMES:,} are")
        return frames

    @cached_property
    def pace(self) -> int:
        """Frames from prompt to prompt where the notebook interpolates regardless of their keys; 0 elsewhere."""
        evenly = self.choice("animation_mode", "2d") == "interpolation" and "interpolate_x_frames" in self.held
        if not evenly or self.flag("interpolate_key_frames"):
            return 0
        return min(max(self.whole("interpolate_x_frames", 4), 0), _MOST_FRAMES) + 1

    @cached_property
    def fps(self) -> float:
        """Frames per second."""
        fps = self.number("fps", 24.0)
        if not 0 < fps <= 1000:
            raise SettingsError(f"fps: {fps:g} is no frame rate, more than 0 to 1000 are")
        return fps

    @cached_property
    def seed(self) -> int:
        """The seed; one is picked where the file asks for a random one."""
        seed = self.whole("seed", 0)
        return int.from_bytes(os.urandom(4)) if seed < 0 else seed % 2**32

    @cached_property
    def clock(self) -> dict[str, Any]:
        """What schedules and prompts are evaluated with."""
        return {"frames": self.frames, "seed": self.seed, "fps": self.fps, "bpm": self.bpm}

    @cached_property
    def bpm(self) -> float:
        """Beats per minute, of films by deforum-studio."""
        bpm = self.number("bpm", 120.0)
        if not 0 < bpm <= 1000:
            raise SettingsError(f"bpm: {bpm:g} is no tempo, more than 0 to 1000 are")
        return bpm

    @cached_property
    def asked_size(self) -> tuple[int, int]:
        """The size that the file gives, in pixels."""
        for key in ("W", "H"):
            if not 1 <= (side := self.whole(key, 512)) <= LARGEST_SIDE:
                raise SettingsError(f"{key}: {side} is no side of a picture, 1 to {LARGEST_SIDE} pixels are")
        return self.whole("W", 512), self.whole("H", 512)

    @cached_property
    def size(self) -> tuple[int, int]:
        """The nearest size that FLUX can draw."""
        return nearest_size(self.asked_size)

    @cached_property
    def mode(self) -> str:
        """Our mode; a film by a video that cannot be had is one of the 2D camera."""
        mode = self.choice("animation_mode", "2d") or "2d"
        return "2d" if mode == "video" and not self.video[0] else mode

    @cached_property
    def is_flux(self) -> bool:
        """Whether the film was made with FLUX.1, so that its numbers mean FLUX."""
        return self.program.strength == "redraw" or "flux" in self.word("sd_model_name")

    @cached_property
    def flips(self) -> bool:
        """Whether the perspective flip is on."""
        return self.flag("enable_perspective_flip")

    @cached_property
    def uses_depth(self) -> bool:
        """Whether a 3D film tells near from far."""
        return self.flag("use_depth_warping", True)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """Distance of the nearest and the farthest, in depth units."""
        if not self.uses_depth:
            return 1.0, 2.0
        return DISTANCES.get(self.choice("depth_algorithm", "") or "", (1.0, 2.0))

    @cached_property
    def distance(self) -> float:
        """Where the old camera's and ours agree: the middle of the picture's distances."""
        return sum(self.reach) / 2 if self.uses_depth else 1.0

    @cached_property
    def gain(self) -> Values:
        """By what the old camera's moves are multiplied, at every frame (motion/deforum.py has the derivation)."""
        lens = np.clip(self.values("fov_schedule", self.program.lens), 1.0, 179.0)
        gain: Values = 1 / np.tan(np.radians(lens) / 2) / self.distance
        return gain

    @cached_property
    def gain_across(self) -> Values:
        """The same for moves and turns sideways, which the lens's aspect divides."""
        width, height = self.asked_size
        if self.flag("aspect_ratio_use_old_formula"):
            return self.gain * (height / max(width, 1))
        return self.gain / np.maximum(self.values("aspect_ratio_schedule", 1.0), 1e-2)

    @cached_property
    def uses_video(self) -> bool:
        """Whether there is a guide video, and something is done with it."""
        return self.asks_video and bool(self.video[0])

    @cached_property
    def asks_video(self) -> bool:
        """Whether something would be done with a guide video."""
        sounds = self.word("add_soundtrack") in ("init video", "true")
        return self.choice("animation_mode", "2d") == "video" or self.hybrid or sounds

    @cached_property
    def hybrid(self) -> bool:
        """Whether a video leads the film or is mixed in."""
        return any((self.choice(key) or "none") != "none" for key in ("hybrid_motion", "hybrid_composite"))

    @cached_property
    def video(self) -> tuple[str, str]:
        """The guide video's path, and why there is none."""
        if self.flag("hybrid_use_init_image") and self.hybrid:
            return self.path("init_image")
        return self.path("video_init_path")

    @cached_property
    def init(self) -> tuple[str, str]:
        """The path of the picture that the film starts from, and why there is none."""
        return self.path("init_image") if self.flag("use_init") else ("", "use_init is off")

    @cached_property
    def begins_with_video(self) -> bool:
        """Whether frame 0 is drawn from the video's first frame, which Deforum prefers to a picture."""
        return self.hybrid and self.uses_video and self.flag("hybrid_use_first_frame_as_init_image", True)

    @cached_property
    def begins_with_picture(self) -> bool:
        """Whether frame 0 is drawn from a picture of either kind."""
        return self.begins_with_video or bool(self.init[0])

    @cached_property
    def guides(self) -> dict[str, str]:
        """The pictures that guide the film, by key, those left out that are not on this machine."""
        if not self.flag("use_looper"):
            return {}
        return {key: path for key, (path, _) in self.asked_guides.items() if path}

    @cached_property
    def asked_guides(self) -> dict[str, tuple[str, str]]:
        """All pictures that were to guide the film: their paths, and why there is none."""
        held = self.held.get("init_images")
        if isinstance(held, str):
            held = read_json(held, "init_images").content if held.strip() else {}
        if held is None:
            return {}
        if not isinstance(held, Mapping) or not all(isinstance(path, str) for path in held.values()):
            raise SettingsError(f"init_images: expected pictures by frame such as {{'0': 'a.png'}}, got {shown(held)}")
        return {str(key).strip().strip("\"'"): usable(path) for key, path in held.items()}

    def path(self, key: str) -> tuple[str, str]:
        """A file's path, and why there is none: whether it exists is not looked up, and nothing is fetched."""
        value = self.held.get(key)
        if value is not None and not isinstance(value, str):
            raise SettingsError(f"{key}: expected a path, got {shown(value)}")
        return usable(value or "")


def usable(path: str) -> tuple[str, str]:
    """A path of an old film as one of this machine, and why it is none."""
    text = path.strip().strip("\"'").translate(_CONTROLS)
    if text.lower() in _NOTHING:
        return "", "no file is given"
    if "://" in text:
        return "", ELSEWHERE
    if PureWindowsPath(text).drive and os.name != "nt":
        return "", f"{text} is a path of a Windows machine: write where the file is on this one"
    return text, ""


_CONTROLS = {ord(sign): f"\\{letter}" for sign, letter in zip("\t\n\r\b\f", "tnrbf", strict=True)}
"""What JSON makes of the backslashes in "C:\\temp" where nobody doubled them; paths have no such characters."""


def _as_number(value: str | float) -> str | float:
    """A text that is a plain number as that number: Deforum wants keyframes, people write 0.65."""
    try:
        return float(value) if math.isfinite(float(value)) else value
    except (ValueError, OverflowError):
        return value
