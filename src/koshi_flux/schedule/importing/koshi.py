"""Koshi-Flux: the arguments of its `generate_animation`, requests to its server, and the JSON beside its films.

A `strength` there is the share of the steps that is redrawn: of N steps the last N - int(N * (1 - strength)) were run,
on the model's own curve of noise levels. It becomes the level at which that began.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.importing.koshi_keys import FAMILY_DEFAULTS, KEYS, NAMES, TABLES, Key
from koshi_flux.schedule.importing.prompt_text import keyed_prompts
from koshi_flux.schedule.importing.report import Entry, Fate, Imported, Options, shown
from koshi_flux.schedule.importing.reshaped import baked, simplest
from koshi_flux.schedule.presets import family_of
from koshi_flux.schedule.settings.ranges import nearest_size
from koshi_flux.schedule.strength import flux1_start

Values = npt.NDArray[np.float64]

SOURCE = "Koshi-Flux settings"
_SIGNS = {"motion_params", "motion_schedules", "feedback_config", "feedback_mode", "feedback_denoise"}
_DEFAULT = "not given: what Koshi-Flux took"
_BESIDE_A_FILM = {"timestamp", "status", "video"}


def is_koshi(content: object) -> bool:
    """Whether a file's content is Koshi-Flux's."""
    if not isinstance(content, Mapping):
        return False
    keys = set(content)
    called = "num_frames" in keys and bool(keys & {"prompts", "prompt"})
    request = content.get("parameters")
    asked = isinstance(request, Mapping) and bool(set(request) & {"prompts", "prompt"})
    return bool(keys & _SIGNS) or called or asked or keys >= _BESIDE_A_FILM


def read_koshi(content: Mapping[str, Any], options: Options) -> Imported:
    """The film of a dict of Koshi-Flux.

    Raises:
        SettingsError: a value is of the wrong kind or out of range; the message names its key.
        ScheduleError: a schedule cannot be read.
    """
    film = _Film(dict(_flat(content)), options)
    settings = film.usual()
    entries = []
    for path, value in film.values.items():
        fate, given, why = film.outcome(path, value)
        settings |= given
        entries.append(Entry(path, value, fate, _said(given), why))
    entries += [Entry(name, None, "translated", _said(given), _DEFAULT) for name, given in film.unsaid()]
    settings |= {"model": options.model} if options.model else {}
    return Imported(Animation(**settings), tuple(entries), SOURCE)


def start_levels(strength: Values, steps: int, size: tuple[int, int], model: str) -> Values:
    """The noise levels at which Koshi-Flux began to redraw a frame, for strengths from 0 to 1.

    Args:
        steps: of the whole curve.
        size: of the picture, (width, height) in pixels.
        model: its name; FLUX.1-schnell's curve is not bent, and FLUX.2's depends on size and steps.
    """
    left = steps - np.floor(steps * (1 - strength))
    if family_of(model) == "flux1" and "schnell" not in model.lower():
        levels = np.minimum(flux1_start(left, np.full_like(left, steps), size), 1.0)  # which rounding may exceed
        return np.where(left > 0, levels, 0.0)
    bend = 1.0 if family_of(model) == "flux1" else math.exp(_flux2_bend((size[0] // 16) * (size[1] // 16), steps))
    return bend * left / (bend * left + steps - left)


def _flux2_bend(tokens: int, steps: int) -> float:
    """How far FLUX.2 bends noise levels: compute_empirical_mu of black-forest-labs/flux2 src/flux2/sampling.py."""
    at_200_steps = 0.00016927 * tokens + 0.45666666
    at_10_steps = at_200_steps if tokens > 4300 else 8.73809524e-05 * tokens + 1.89833333
    return at_200_steps + (at_200_steps - at_10_steps) / 190 * (steps - 200)


def _flat(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables by their paths, such as "motion_params.zoom"."""
    for key, value in content.items():
        if key in TABLES and isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _said(given: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} = {shown(str(value) if isinstance(value, Schedule) else value)}" for name, value in given.items()
    )


@dataclass(frozen=True)
class _Film:
    """A film as the dict tells it.

    Args:
        values: by path.
        options: what whoever imports it wants.
    """

    values: Mapping[str, Any]
    options: Options

    @cached_property
    def paths(self) -> dict[str, str]:
        """Which path counts for each name of a setting: the last one that is not None."""
        return {_name(path): path for path, value in self.values.items() if value is not None}

    def get(self, name: str, default: Any = None) -> Any:
        """What the dict says for a setting, under whichever of its names."""
        return self.values[self.paths[name]] if name in self.paths else default

    def number(self, name: str, default: float) -> float:
        """A number, which may be written as text."""
        value = self.get(name, default)
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise SettingsError(f"{self.paths.get(name, name)}: expected a number, got {value!r}")
        return number

    def whole(self, name: str, default: float, most: int) -> int:
        """A whole number from 1 to `most`."""
        number = int(self.number(name, default))
        if not 1 <= number <= most:
            raise SettingsError(f"{self.paths[name]}: {number:g} is out of range, 1 to {most:,} are possible")
        return number

    @cached_property
    def model(self) -> str:
        """The model it was made with; FLUX.1-dev where nothing tells."""
        told = [str(self.get(name)) for name in ("version", "model") if name in self.paths]
        named = next((name for name in told if family_of(name)), "")
        return _model_named(named) if named else "flux.1-dev"

    @cached_property
    def defaults(self) -> Mapping[str, float]:
        """What Koshi-Flux took where the dict says nothing."""
        return FAMILY_DEFAULTS["flux1" if family_of(self.model) == "flux1" else "flux2"]

    @cached_property
    def steps(self) -> int:
        """Steps of the whole curve."""
        quick = "schnell" in self.model or "klein" in self.model
        return self.whole("steps", 4 if quick else 28, 1000)

    @cached_property
    def frames(self) -> int:
        """How long the film is."""
        return self.whole("frames", 60, 1_000_000)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height that were asked for."""
        side = self.defaults["side"]
        return self.whole("width", side, 8192), self.whole("height", side, 8192)

    @cached_property
    def seed(self) -> int:
        """The seed; one is picked where none is given."""
        seed = int(self.number("seed", -1))
        return int.from_bytes(os.urandom(4)) if seed < 0 else seed % 2**32

    def usual(self) -> dict[str, Any]:
        """The settings that every film gets, from the dict or from Koshi-Flux's defaults."""
        return {
            "frames": self.frames,
            "size": nearest_size(self.size),
            "seed": self.seed,
            "prompts": self.prompts,
            **self.denoise,
            "steps": self.steps,
        }

    def unsaid(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What every film gets that this dict does not say, by its key."""
        strength = "strength_schedule" if "strength_schedule" in self.paths else "strength"
        for name in ("prompts", "frames", "width", "height", strength, "steps", "seed"):
            if name not in self.paths:
                yield name, _READERS[KEYS[name].how](self, KEYS[name])

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The prompts by key, with the texture that was added to each of them."""
        given = self.get("prompts", "a beautiful scene")
        if isinstance(given, Mapping):
            prompts = {str(key): text for key, text in given.items()}
        else:
            prompts = keyed_prompts(given) if isinstance(given, str) else {}
        if not prompts or not all(isinstance(text, str) for text in prompts.values()):
            raise SettingsError(f"prompts: expected a text, or texts by frame such as {{0: 'a forest'}}, got {given!r}")
        texture = str(self.get("texture_prompt", "")).strip()
        return {key: f"{text}, {texture}" if texture else text for key, text in prompts.items()}

    @cached_property
    def denoise(self) -> dict[str, Any]:
        """The strength as ours, in the sense that was asked for."""
        name = "strength" if "strength" in self.paths else "strength_schedule"
        schedule = self.schedule(name, self.defaults["strength"])
        strength = schedule.values(self.frames, self.seed, self.number("fps", 24.0))
        outside = np.flatnonzero((strength < 0) | (strength > 1))
        if outside.size:
            at = int(outside[0])
            raise SettingsError(f"{self.paths[name]}: {strength[at]:g} at frame {at}; a strength lies in [0, 1]")
        if self.options.strength != "snr":
            mode = {"denoise_mode": "steps"} if self.options.strength == "steps" else {}
            return {"denoise": simplest(schedule), **mode}
        levels = start_levels(strength, self.steps, self.size, self.model)
        return {"denoise": simplest(baked(levels, "denoise", "koshi"))}

    def schedule(self, name: str, default: float = 0.0) -> Schedule:
        """A schedule; its name in messages is its key."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise SettingsError(f"{self.paths[name]}: expected a number or '0:(1.0), 60:(1.05)', got {value!r}")
        return Schedule.parse(value, self.paths.get(name, name))

    def outcome(self, path: str, value: object) -> tuple[Fate, dict[str, Any], str]:
        """What becomes of a key: its fate, the settings it gives, and why."""
        name = _name(path)
        key = KEYS.get(name)
        if key is None:
            near = get_close_matches(path.rpartition(".")[2], (*KEYS, *NAMES), n=1, cutoff=0.6)
            return "unknown", {}, f"did you mean {near[0]!r}?" if near else "no key of Koshi-Flux is called so"
        if value is None:
            return "meaningless", {}, "null: Koshi-Flux took its default"
        if self.paths[name] != path:
            return "meaningless", {}, f"{self.paths[name]} says the same and counts"
        if key.how == "model" and not family_of(str(value)):
            return "meaningless", {}, "names no model of FLUX"
        if name == "strength_schedule" and "strength" in self.paths:
            return "meaningless", {}, "Koshi-Flux did not use it where `strength` is given; leave that out to have it"
        given = _READERS[key.how](self, key)
        return key.fate, given, self._because(name, key)

    def _because(self, name: str, key: Key) -> str:
        """Why a number changes, with the numbers of this film where they matter."""
        if name in ("strength", "strength_schedule"):
            sense = "of the steps" if self.options.strength == "steps" else "taken as it is"
            told = f"redrawn share of {self.steps} steps on the curve of {self.model} at {self.size[0]}x{self.size[1]}"
            return told if self.options.strength == "snr" else sense
        if name in ("width", "height") and nearest_size(self.size) != self.size:
            return "the nearest multiple of 16"
        return key.why


def _name(path: str) -> str:
    """The setting that a path means, under the name that the table has for it."""
    last = path.rpartition(".")[2]
    return NAMES.get(last, last)


def _model_named(text: str) -> str:
    """The published model that a name of Koshi-Flux means."""
    text, family = text.lower(), family_of(text)
    if family == "klein":
        return f"flux.2-klein-{'9b' if '9b' in text else '4b'}"
    if family == "flux1":
        return "flux.1-schnell" if "schnell" in text else "flux.1-dev"
    return {"flux2": "flux.2-dev"}.get(family, family)


def _schedule(film: _Film, key: Key) -> dict[str, Any]:
    return {key.to: simplest(film.schedule(key.name))}


def _scaled(film: _Film, key: Key) -> dict[str, Any]:
    return {key.to: round(film.number(key.name, 0.0) * key.factor + key.offset, 9)}


def _colors(film: _Film, key: Key) -> dict[str, Any]:
    return {key.to: "none" if str(film.get(key.name)).strip().lower() in ("none", "false", "") else "lab"}


def _seeds(film: _Film, key: Key) -> dict[str, Any]:
    mode = str(film.get(key.name)).strip().lower()
    if mode in ("slerp", "subseed"):
        share = film.number("noise_delta", 0.05)
        return {"seed_behavior": "fixed", "subseed": "s+t", "subseed_strength": share}
    known = {"fixed": "fixed", "true": "fixed", "incremental": "iter", "increment": "iter", "random": "random"}
    return {"seed_behavior": known.get(mode, "iter")}


def _grain(film: _Film, key: Key) -> dict[str, Any]:
    perlin = str(film.get("noise_type", "perlin")).lower() == "perlin"
    return {key.to: round(film.number(key.name, 0.0) * (0.25 * 30 if perlin else 15) / 255, 9)}


_READERS: dict[str, Callable[[_Film, Key], dict[str, Any]]] = {
    "nothing": lambda film, key: {},
    "frames": lambda film, key: {"frames": film.frames},
    "size": lambda film, key: {"size": nearest_size(film.size)},
    "seed": lambda film, key: {"seed": film.seed},
    "steps": lambda film, key: {"steps": film.steps},
    "prompts": lambda film, key: {"prompts": film.prompts},
    "strength": lambda film, key: film.denoise,
    "model": lambda film, key: {"model": film.options.model or film.model},
    "text": lambda film, key: {key.to: str(film.get(key.name))} if film.get(key.name) else {},
    "schedule": _schedule,
    "scaled": _scaled,
    "colors": _colors,
    "seeds": _seeds,
    "grain": _grain,
}
"""What reads a key, by the name that the table has for it."""
