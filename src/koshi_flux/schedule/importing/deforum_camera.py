"""What the keys of Deforum's cameras become.

Its 3D camera is no pinhole: to first order it multiplies every move by cot(fov / 2) / z for a point z away, and
stretches with the frame. Our pinhole meets it at one distance, the middle of the picture's, once the numbers are
multiplied so; `motion.deforum.pinhole_of_deforum` derives and measures it.
"""

import math
from collections.abc import Callable

from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.importing import deforum_values as values
from koshi_flux.schedule.importing.deforum_choices import NETWORKS
from koshi_flux.schedule.importing.deforum_film import OldFilm, Outcome, Values, without
from koshi_flux.schedule.importing.deforum_keys import Key
from koshi_flux.schedule.importing.reshaped import baked, mapped, scaled, simplest, steady
from koshi_flux.schedule.keyframed import plain

UNIT = 200.0
"""Units of length in one depth unit, Deforum's and ours."""
_BUNDLED = (None, "nano", "toy")
_STEEP = 0.5
"""Share of the distance in one frame from which on travelling forward is only multiplied."""
_FARTHEST = 10.0


def lens_3d(old: OldFilm) -> dict[str, object]:
    """What a 3D film's camera sees through, whether the file speaks of it or not."""
    if old.mode != "3d":
        return {}
    width, height = old.size
    near, far = old.reach
    lens = 2 * math.degrees(math.atan(1 / old.distance))
    return {
        "fov": round(lens, 6),
        "aspect": round(width / height, 9),
        "near": round(UNIT * near, 6),
        "far": round(UNIT * far, 6),
    }


def camera_2d(old: OldFilm, key: str, row: Key) -> Outcome:
    """A move of the 2D camera."""
    if old.mode != "2d":
        return without(f"a move of the 2D camera, which a film in mode {old.mode} does not make")
    return values.schedule(old, key, row)


def across(old: OldFilm, key: str, row: Key) -> Outcome:
    """`translation_x`."""
    return _sideways(old, key, row, lambda: old.gain_across)


def along(old: OldFilm, key: str, row: Key) -> Outcome:
    """`translation_y`."""
    return _sideways(old, key, row, lambda: old.gain)


def turn(old: OldFilm, key: str, row: Key) -> Outcome:
    """A tilt or a turn in the plane."""
    return _moved(old, key, row, lambda: old.gain)


def turn_across(old: OldFilm, key: str, row: Key) -> Outcome:
    """A pan."""
    return _moved(old, key, row, lambda: old.gain_across)


def forward(old: OldFilm, key: str, row: Key) -> Outcome:
    """Travelling forward, which magnifies by the distance where the move ends."""
    given, still = _given(old, key)
    if given is None:
        return still
    travelled, reach = given.values(**old.clock), UNIT * old.distance
    if not steady(old.gain) or abs(travelled).max() > _STEEP * reach:
        return _moved(old, key, row, lambda: old.gain)
    gain = float(old.gain[0])
    moved = mapped(given, lambda z: gain * z / (1 - z / reach), f"{{0}}*{plain(gain)}/(1-{{0}}/{plain(reach)})")
    return Outcome({row.to: simplest(moved)}, _why(gain) + ", and a little more the farther it goes in a frame")


def lens(old: OldFilm, key: str, row: Key) -> Outcome:
    """The field of view."""
    if old.mode != "3d":
        return without("counts only in 3D films")
    given = old.values(key, old.program.lens)
    to = f"fov = {lens_3d(old)['fov']}"
    shown = f"{given[0]:g}" if steady(given) else f"{given.min():g} to {given.max():g}"
    return Outcome(
        to=to,
        why=f"Deforum's lens of {shown} degrees stretches with distance, its moves by cot(fov/2): that is in the moves "
        f"now, and the lens is one that shows what is {old.distance:g} away as wide as Deforum does",
    )


def aspect(old: OldFilm, key: str, row: Key) -> Outcome:
    """How much wider than high the lens sees."""
    if old.mode != "3d":
        return without("counts only in 3D films")
    why = "Deforum's lens is as wide as the frame, whatever its shape; its own aspect is in the sideways moves now"
    return Outcome(to=f"aspect = {lens_3d(old)['aspect']}", why=why)


def reach(old: OldFilm, key: str, row: Key) -> Outcome:
    """Near and far planes, which moved nothing in Deforum."""
    if old.mode != "3d":
        return without("counts only in 3D films")
    near, far = (f"{UNIT * distance:g}" for distance in old.reach)
    return Outcome(to=f"near = {near}, far = {far}", why="changed nothing in Deforum, whose pictures lie between these")


def flip(old: OldFilm, key: str, row: Key) -> Outcome:
    """The perspective flip."""
    if not old.flips:
        return without("enable_perspective_flip is off")
    return values.schedule(old, key, row)


def border(old: OldFilm, key: str, row: Key) -> Outcome:
    """What stands in beyond the edge: the 2D and the 3D camera have a key each."""
    if (key == "padding_mode") != (old.mode == "3d"):
        return without("counts only in 3D films" if key == "padding_mode" else "3D films have padding_mode")
    outcome = values.choice(old, key, row)
    if old.word(key) == "zeros":
        return Outcome(outcome.settings, "there is no black border: uncovered pixels are drawn anew")
    return outcome


def kernel(old: OldFilm, key: str, row: Key) -> Outcome:
    """How pictures are resampled."""
    if old.mode != "3d":
        return without("counts only in 3D films")
    return values.choice(old, key, row)


def depth(old: OldFilm, key: str, row: Key) -> Outcome:
    """What tells near from far."""
    if old.mode != "3d":
        return without("counts only in 3D films")
    if not old.uses_depth:
        return Outcome({"depth": "plane"}, "without depth warping everything is equally far")
    name = old.choice("depth_algorithm")
    if key == "use_depth_warping":
        return Outcome(to="on", fate="kept")
    if name is None:
        return values.unknown_word(old, key)
    network = NETWORKS[name]
    if old.options.model in _BUNDLED:
        return Outcome(to="depth = nano", why=f"the bundled depth network; depth = '{network}' is nearer, a download")
    same = "" if network in old.word(key) else "the nearest that there is"
    return Outcome({"depth": network}, same)


def shake(old: OldFilm, key: str, row: Key) -> Outcome:
    """Forge's recorded camera shakes, in 3D films."""
    name = old.choice("shake_name")
    if name is None:
        return values.unknown_word(old, "shake_name")
    strength, speed = (abs(old.number(part, 1.0)) for part in ("shake_intensity", "shake_speed"))
    if old.mode != "3d" or name == "none" or strength == 0 or speed == 0:
        return without("the camera does not shake: " + ("only 3D films do" if old.mode != "3d" else "it is off"))
    if key == "shake_name":
        return Outcome({"shake": name}, "the nearest of ours, which are made by noise and not by recordings")
    if key == "shake_intensity":
        return Outcome({"shake_strength": min(strength, _FARTHEST)}, "ours is another shake: look at it")
    return Outcome({"shake_speed": round(min(max(1 / speed, 0.01), 100.0), 6)}, "more of Forge's speed is slower")


def _sideways(old: OldFilm, key: str, row: Key, gain: Callable[[], Values]) -> Outcome:
    """A translation: pixels in 2D, units of length in 3D."""
    if old.mode == "3d":
        return _moved(old, key, row, gain)
    if old.mode == "2d" and old.flips:
        return without("Deforum's perspective flip loses the translation of a 2D film")
    return camera_2d(old, key, row)


def _moved(old: OldFilm, key: str, row: Key, gain: Callable[[], Values]) -> Outcome:
    """A move of the 3D camera, multiplied."""
    given, still = _given(old, key)
    if given is None:
        return still
    if simplest(given) == 0:
        return Outcome({row.to: 0.0}, fate="kept")
    factors = gain()
    if steady(factors):
        factor = float(factors[0])
        return Outcome({row.to: simplest(scaled(given, factor))}, _why(factor), "translated")
    moved = baked(given.values(**old.clock) * factors, key, old.program.dialect)
    return Outcome(
        {row.to: simplest(moved)}, "multiplied frame by frame by cot(fov/2) of a lens that changes", "translated"
    )


def _given(old: OldFilm, key: str) -> tuple[Schedule | None, Outcome]:
    """The schedule of a 3D film, or what to say when there is none."""
    if old.mode != "3d":
        return None, without(f"a move of the 3D camera, which a film in mode {old.mode} does not make")
    return old.schedule(key), without("no schedule is given")


def _why(factor: float) -> str:
    return f"times {factor:.4g}: Deforum multiplies moves by cot(fov/2), our camera is a true pinhole"
