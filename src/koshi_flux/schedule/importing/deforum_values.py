"""What most old keys become: the same number, flag or word in a setting of ours. And the film as a whole."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from koshi_flux.schedule.importing.deforum_film import OldFilm, Outcome, without
from koshi_flux.schedule.importing.deforum_keys import Key
from koshi_flux.schedule.importing.reshaped import baked, simplest
from koshi_flux.schedule.importing.text import read_json
from koshi_flux.schedule.settings.ranges import RANGES

_MOST_CADENCE = 1000


def nothing(old: OldFilm, key: str, row: Key) -> Outcome:
    """A key without a meaning here."""
    return without(row.why)


def schedule(old: OldFilm, key: str, row: Key) -> Outcome:
    """A schedule that stays as it is, within what our setting may be."""
    given = old.schedule(key)
    if given is None:
        return without("no schedule is given")
    values = given.values(**old.clock)
    low, high = RANGES.get(row.to, (-np.inf, np.inf))
    outside = int(np.count_nonzero((values < low) | (values > high)))
    if outside:
        held = baked(np.clip(values, low, high), key, old.program.dialect)
        return Outcome({row.to: simplest(held)}, f"held within {low:g} to {high:g} at {outside} frames", "translated")
    return Outcome({row.to: simplest(given)}, row.why)


def whole(old: OldFilm, key: str, row: Key) -> Outcome:
    """A whole number."""
    return Outcome({row.to: old.whole(key, 1)}, row.why)


def flag(old: OldFilm, key: str, row: Key) -> Outcome:
    """Yes or no."""
    return Outcome({row.to: old.flag(key)}, row.why)


def gate(old: OldFilm, key: str, row: Key) -> Outcome:
    """A switch that lets other keys count; where it is off they are not imported."""
    return Outcome(to="on" if old.flag(key) else f"off: no {row.to}", fate="kept")


def choice(old: OldFilm, key: str, row: Key) -> Outcome:
    """A word for which there is one here."""
    name = old.choice(key)
    return unknown_word(old, key) if name is None else Outcome({row.to: name}, row.why)


def unknown_word(old: OldFilm, key: str) -> Outcome:
    """Of a word that the old program did not know either."""
    return Outcome(why=f"{old.word(key)!r} is none of Deforum's words for it: left at our default", fate="unknown")


def size(old: OldFilm, key: str, row: Key) -> Outcome:
    """Width and height, which FLUX wants in multiples of 16."""
    if old.size == old.asked_size:
        return Outcome({"size": old.size}, fate="kept")
    wide, high = old.asked_size
    return Outcome({"size": old.size}, f"{wide}x{high} is not in multiples of 16: the nearest size")


def seed(old: OldFilm, key: str, row: Key) -> Outcome:
    """The film's seed; -1 asked for a random one."""
    asked = old.whole(key, 0)
    if asked < 0:
        why = f"{asked} asks for a random seed: this one was picked, so that the film can be made again"
        return Outcome({"seed": old.seed}, why, "translated")
    why = "" if asked == old.seed else "seeds lie below 2^32: the rest of a division by that"
    return Outcome({"seed": old.seed}, why, "translated" if why else None)


def seed_behavior(old: OldFilm, key: str, row: Key) -> Outcome:
    """How seeds go on; guided images want a schedule."""
    if old.guides and old.held.get("seed_schedule") is not None:
        return Outcome({"seed_behavior": "schedule"}, "guided images draw by seed_schedule", "translated")
    name = old.choice(key, "iter")
    if name == "schedule" and old.schedule("seed_schedule") is None:
        return without("schedule needs seed_schedule, which the file has not")
    return unknown_word(old, key) if name is None else Outcome({"seed_behavior": name})


def seed_schedule(old: OldFilm, key: str, row: Key) -> Outcome:
    """The seeds themselves."""
    if old.choice("seed_behavior", "iter") != "schedule" and not old.guides:
        return without("counts only with seed_behavior = schedule")
    return schedule(old, key, row)


def subseed(old: OldFilm, key: str, row: Key) -> Outcome:
    """A second noise."""
    if not old.flag("enable_subseed_scheduling"):
        return without("enable_subseed_scheduling is off")
    return schedule(old, key, row)


def mode(old: OldFilm, key: str, row: Key) -> Outcome:
    """Where each frame starts."""
    asked = old.choice(key, "2d")
    if asked is None:
        return unknown_word(old, key)
    if asked != old.mode:
        return Outcome({"mode": old.mode}, f"the video is missing ({old.video[1]}); then write mode = 'video'")
    why = {
        "none": "Deforum made single pictures; here they are a film",
        "wan video": "Wan's video model is not here: the 3D camera goes the same way",
    }
    return Outcome({"mode": asked}, why.get(old.word(key) or "none", ""))


def frames(old: OldFilm, key: str, row: Key) -> Outcome:
    """How long the film is."""
    why = "Deforum would have taken the video's length instead" if old.mode == "video" or old.hybrid else ""
    return Outcome({"frames": old.frames}, why)


def fps(old: OldFilm, key: str, row: Key) -> Outcome:
    """Frames per second."""
    return Outcome({"fps": old.fps})


def bpm(old: OldFilm, key: str, row: Key) -> Outcome:
    """Beats per minute."""
    return Outcome({"bpm": old.bpm})


def cadence(old: OldFilm, key: str, row: Key) -> Outcome:
    """Every how manieth frame is drawn."""
    if old.mode in ("video", "interpolation"):
        return without("draws every frame, as Deforum does in this mode")
    every = min(max(old.whole(key, 1), 1), _MOST_CADENCE)
    kept = every == old.held[key] and isinstance(old.held[key], int)
    return Outcome({"cadence": every}, fate="kept" if kept else None)


def cadence_flow(old: OldFilm, key: str, row: Key) -> Outcome:
    """Aligning in-betweens by optical flow."""
    name = old.choice("optical_flow_cadence")
    if name is None:
        return unknown_word(old, "optical_flow_cadence")
    if name == "none":
        return without("optical_flow_cadence is off")
    if key != "optical_flow_cadence":
        return schedule(old, key, row)
    needs = "; raft needs torchvision, dis-fine nothing" if name == "raft" else ""
    return Outcome(
        {"cadence_flow": name}, f"Deforum's flow of in-betweens never moved them by more than 1 pixel{needs}"
    )


def interpolated(old: OldFilm, key: str, row: Key) -> Outcome:
    """The notebook's pace of films by interpolation: frames from prompt to prompt, whatever their keys."""
    if old.mode != "interpolation":
        return without("counts only in films by interpolation")
    if key == "interpolate_key_frames":
        return Outcome(to="prompts at their own keys" if old.flag(key) else "prompts evenly apart")
    if not old.pace:
        return without("interpolate_key_frames is on: prompts keep their keys")
    return Outcome({"frames": old.frames}, f"a prompt every {old.pace} frames")


def manifest_of(held: Mapping[str, Any]) -> Any:
    """The Parseq manifest that a file holds: a mapping, a text that is none, or None."""
    manifest = held.get("parseq_manifest")
    if isinstance(manifest, str) and manifest.lstrip().startswith("{"):
        return read_json(manifest, "parseq_manifest").content
    return manifest or None


def managed(old: OldFilm, key: str, row: Key) -> Outcome:
    """A Parseq manifest, which rules over the keys that it manages."""
    manifest = manifest_of(old.held)
    if manifest is None or str(manifest).strip().lower() in ("", "none", "null"):
        return Outcome(to="none", fate="kept")
    if isinstance(manifest, Mapping):
        return Outcome(to="the schedules that it manages", why="its rendered frames took the place of those keys")
    return without("a manifest elsewhere, which is never fetched: save it, and koshi import the manifest itself")
