"""Camera shake: what a hand, a walker or a car does to a camera, as values to add to its schedules.

A shake is a position over time, bounded for ever: layers of smooth noise, strides and bumps. A schedule's value moves
frame f-1 into frame f, so what is added there is the way from one position to the next; however long the film, the
camera comes back to where it would have been. Positions depend on the time, the seed and nothing else: neither on the
film's length nor on its frame rate.

Convention: docs/conventions.md, 3D. Translations in 1/200 of a depth unit, rotations in degrees.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.wiggle import Number, Reals, uniform, wiggle

CHANNELS = ("translation_x", "translation_y", "translation_z", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z")
_PACE, _MOMENT, _HARDNESS, _LAYERS = 7000.0, 7001.0, 7002.0, 7010.0
"""Noise streams of strides, of bumps, and the first of the layers'; `wiggle` in schedules begins with stream 0."""
_FLAT_LENS = 70.0
"""Field of view in degrees, from top to bottom, of the camera that a 2D film's shake is seen by: the 3D default."""


class Layer(Protocol):
    """A part of a shake: a position at each time, bounded."""

    def at(self, seconds: Number, seed: Number, stream: float) -> Number:
        """The position; layers of the same seed that differ in `stream` move independently, if they are noise."""
        ...


@dataclass(frozen=True, slots=True)
class Drift:
    """Smooth noise within `size`, a new random value every `period` seconds."""

    size: float
    period: float

    def at(self, seconds: Number, seed: Number, stream: float) -> Number:
        """The position at some times."""
        return self.size * wiggle(seed, seconds, self.period, stream)


@dataclass(frozen=True, slots=True)
class Stride:
    """Back and forth within `size`, `rate` times a second, `phase` cycles ahead.

    The pace varies by a few hundredths of a second, in all strides of a walk alike, so that they stay in step.
    """

    size: float
    rate: float
    phase: float = 0.0

    def at(self, seconds: Number, seed: Number, stream: float) -> Number:
        """The position at some times."""
        paced = seconds + 0.05 * wiggle(seed, seconds, 1.7, _PACE)
        return self.size * np.sin(2 * np.pi * (self.rate * paced + self.phase))


@dataclass(frozen=True, slots=True)
class Bumps:
    """Jolts of up to `size` that ring out within a second: at most one in every `spacing` seconds, at random times.

    All bumps of a spacing happen at the same times and equally hard, in whichever channel.
    """

    size: float
    spacing: float = 2.5

    def at(self, seconds: Number, seed: Number, stream: float) -> Number:
        """The position at some times."""
        slot = np.floor(seconds / self.spacing)
        return self.size * (self._ringing(seconds, slot, seed) + self._ringing(seconds, slot - 1, seed))

    def _ringing(self, seconds: Number, slot: Number, seed: Number) -> Number:
        """What is left of the bump of a slot of time: a spring's damped swing."""
        since = seconds - self.spacing * (slot + (uniform(seed, slot, _MOMENT) + 1) / 2)
        hardness = np.clip(0.4 + uniform(seed, slot, _HARDNESS), 0, 1)
        swing = np.exp(-np.maximum(since, 0) / 0.18) * np.sin(2 * np.pi * 2.5 * since)
        return np.where(since > 0, hardness * swing, 0.0)


Character = Mapping[str, tuple[Layer, ...]]
CHARACTERS: dict[str, Character] = {
    "handheld": {
        "translation_x": (Drift(3.0, 1.3), Drift(0.5, 0.35)),
        "translation_y": (Drift(2.0, 1.6), Drift(0.5, 0.40)),
        "translation_z": (Drift(2.0, 2.1),),
        "rotation_3d_x": (Drift(0.8, 1.1), Drift(0.25, 0.37), Drift(0.05, 0.09)),
        "rotation_3d_y": (Drift(1.1, 1.4), Drift(0.30, 0.43), Drift(0.05, 0.10)),
        "rotation_3d_z": (Drift(0.7, 1.9), Drift(0.15, 0.50), Drift(0.03, 0.11)),
    },
    "walk": {
        "translation_x": (Stride(3.0, 1.0), Drift(2.0, 1.7)),
        "translation_y": (Stride(2.5, 2.0), Drift(0.6, 0.9)),
        "translation_z": (Stride(0.8, 2.0, 0.25), Drift(1.0, 1.5)),
        "rotation_3d_x": (Stride(0.3, 2.0, 0.1), Drift(0.5, 1.1), Drift(0.05, 0.10)),
        "rotation_3d_y": (Stride(0.4, 1.0, 0.2), Drift(0.7, 1.6), Drift(0.05, 0.11)),
        "rotation_3d_z": (Stride(0.5, 1.0, 0.5), Drift(0.3, 1.9)),
    },
    "vehicle": {
        "translation_x": (Drift(0.2, 0.06), Drift(1.2, 1.8)),
        "translation_y": (Drift(0.5, 0.06), Drift(1.5, 0.9), Bumps(5.0)),
        "translation_z": (Drift(0.8, 2.3),),
        "rotation_3d_x": (Drift(0.06, 0.07), Drift(0.3, 1.2), Bumps(0.8)),
        "rotation_3d_y": (Drift(0.04, 0.06), Drift(0.4, 2.0)),
        "rotation_3d_z": (Drift(0.05, 0.07), Drift(0.6, 1.5), Bumps(-0.5)),
    },
}
"""By kind and channel, the layers that add up; a new character is a new row."""


def shake(
    kind: str, frames: int, fps: float, seed: int = 0, strength: Number = 1.0, speed: float = 1.0
) -> dict[str, Reals]:
    """What a shake adds to the camera's schedules, (frames,) by name; nothing for the kind "none".

    Args:
        kind: "none" or one of CHARACTERS.
        frames: length of the film, which no value depends on.
        fps: frames per second.
        seed: decides the noise.
        strength: how far the camera strays, 1 as the character does; one number, or one per frame.
        speed: of time: 2 is twice as fast.

    Raises:
        SettingsError: no such kind.
    """
    if kind == "none":
        return {}
    if kind not in CHARACTERS:
        raise SettingsError(f"unknown shake {kind!r}: known are none, {', '.join(CHARACTERS)}")
    seconds = np.arange(-1.0, frames) * np.float64(speed / fps)
    reach = np.broadcast_to(strength, (frames,))
    reach = np.concatenate((reach[:1], reach))
    return {channel: np.diff(reach * position(kind, channel, seconds, seed)) for channel in CHANNELS}


def position(kind: str, channel: str, seconds: Number, seed: Number) -> Number:
    """How far a shake has carried the camera off its way at some times."""
    first = _LAYERS + 10 * CHANNELS.index(channel)
    layers = enumerate(CHARACTERS[kind][channel])
    return sum((layer.at(seconds, seed, first + i) for i, layer in layers), start=0.0)


def flat(shaken: Mapping[str, Reals], height: int) -> dict[str, Reals]:
    """The same shake for the 2D camera of a film of that height, as `translation_x`, `translation_y` and `angle`.

    It is what a 3D camera with a lens of 70 degrees sees of a wall one depth unit away; coming nearer is left out.
    """
    if not shaken:
        return {}
    focal = height / 2 / math.tan(math.radians(_FLAT_LENS / 2))
    return {
        "translation_x": -focal * (shaken["translation_x"] / 200 + np.radians(shaken["rotation_3d_y"])),
        "translation_y": focal * (shaken["translation_y"] / 200 + np.radians(shaken["rotation_3d_x"])),
        "angle": shaken["rotation_3d_z"],
    }


def _moved(kind: str, seed: Number, t: Number, fps: Number, channel: Number) -> Reals:
    """From the frame before to frame `t`, in the channel of that number; nan where there is no such channel."""
    now, before = (np.divide(np.subtract(t, back), fps) for back in (0, 1))
    moved = np.full(np.broadcast_shapes(np.shape(now), np.shape(channel)), np.nan)
    for number, name in enumerate(CHANNELS):
        if np.any(np.equal(channel, number)):
            way = position(kind, name, now, seed) - position(kind, name, before, seed)
            moved = np.where(np.equal(channel, number), way, moved)
    return moved


handheld, walk, vehicle = (partial(_moved, kind) for kind in CHARACTERS)
"""For schedules: (seed, t, fps, channel) -> what a shake adds to the channel, 0 to 5 in the order of CHANNELS."""
