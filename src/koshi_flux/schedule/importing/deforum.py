"""Settings files of Deforum and its relatives: the notebook, sd-webui, Forge, deforum-studio and deforum-x-flux.

Every key has a row in `deforum_keys` (or `notebook_keys`), which names its converter; a converter looks at the whole
`OldFilm` and says what the key comes to. Nothing is taken from Deforum's own defaults but what gives a key its meaning
(its lens): what a file leaves out has our default.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from koshi_flux.errors import KoshiError, ScheduleError, SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.importing import deforum_camera as camera
from koshi_flux.schedule.importing import deforum_drawing as drawing
from koshi_flux.schedule.importing import deforum_pictures as pictures
from koshi_flux.schedule.importing import deforum_prompts as prompts
from koshi_flux.schedule.importing import deforum_values as values
from koshi_flux.schedule.importing.deforum_film import OldFilm, Outcome, without
from koshi_flux.schedule.importing.deforum_keys import KEYS, RENAMED, Key
from koshi_flux.schedule.importing.notebook_keys import NOTEBOOK_KEYS
from koshi_flux.schedule.importing.programs import program_of
from koshi_flux.schedule.importing.report import Entry, Imported, Options, shown

ROWS: dict[str, Key] = KEYS | NOTEBOOK_KEYS
"""What becomes of every key, of whichever program."""

Converter = Callable[[OldFilm, str, Key], Outcome]
_VALUES = (
    *(values.nothing, values.whole, values.flag, values.gate, values.choice, values.size),
    *(values.seed, values.seed_behavior, values.seed_schedule, values.subseed, values.mode, values.frames),
    *(values.fps, values.bpm, values.cadence, values.cadence_flow, values.interpolated, values.managed),
)
_CAMERA = (
    *(camera.camera_2d, camera.across, camera.along, camera.forward, camera.turn, camera.turn_across, camera.lens),
    *(camera.aspect, camera.reach, camera.flip, camera.border, camera.kernel, camera.depth, camera.shake),
)
_DRAWING = (
    *(drawing.strength, drawing.keyframe_strength, drawing.init_strength, drawing.guide_strength, drawing.steps),
    *(drawing.guidance, drawing.checkpoint, drawing.noise, drawing.noise_type, drawing.contrast, drawing.sharpen),
    drawing.color,
)
_PICTURES = (
    *(
        pictures.init_image,
        pictures.video,
        pictures.take,
        pictures.sound,
        pictures.soundtrack,
        pictures.video_init,
        pictures.hybrid,
    ),
    *(pictures.previous, pictures.flow_method, pictures.led, pictures.mixed, pictures.hybrid_mask, pictures.cutoff),
    *(pictures.alpha_mask, pictures.mask_file, pictures.mask_video, pictures.masked_flag, pictures.masked_number),
    *(pictures.fill, pictures.mask, pictures.guides, pictures.guide),
)
_PROMPTS = (prompts.prompts, prompts.prefix, prompts.negative)
CONVERTERS: dict[str, Converter] = {
    converter.__name__: converter for converter in (*_VALUES, *_CAMERA, *_DRAWING, *_PICTURES, *_PROMPTS)
}
"""What reads a key, by the name in its row."""


def is_deforum(content: object) -> bool:
    """Whether a file's content has keys of Deforum's settings."""
    return isinstance(content, Mapping) and any(str(key) in ROWS or str(key) in RENAMED for key in content)


def read_deforum(content: Mapping[str, Any], options: Options) -> Imported:
    """The film of a settings file, whichever of its keys are there.

    Raises:
        SettingsError: a value is of the wrong kind; the message names its key.
        ScheduleError: a schedule cannot be read, as it could not be by the program it was written for.
    """
    given = {str(key): value for key, value in content.items()}
    program = program_of(given)
    try:
        film = OldFilm(_present(given), program, options)
        settings, entries = _converted(film, given)
        animation = Animation(**_needed(settings))
    except ScheduleError:
        raise
    except KoshiError as wrong:
        raise SettingsError(f"{program.name}: {wrong}") from None
    return Imported(animation, tuple(entries), program.name)


def _converted(film: OldFilm, given: Mapping[str, Any]) -> tuple[dict[str, object], list[Entry]]:
    """Our settings, and what became of every key."""
    settings: dict[str, object] = camera.lens_3d(film)
    entries = []
    for key, value in given.items():
        outcome, entry = _outcome(film, key, value)
        settings |= outcome.settings
        entries.append(entry)
    if "prompts" not in settings:
        settings["prompts"] = prompts.film_prompts(film)[0]
        entries.append(
            Entry("prompts", None, "translated", shown(settings["prompts"]), "the file has none: write your own")
        )
    ours = any(isinstance(value, Schedule) and value.dialect == "koshi" for value in settings.values())
    settings["dialect"] = "koshi" if ours else film.program.dialect
    if film.options.model is not None:
        settings["model"] = film.options.model
    return settings, entries


def _outcome(film: OldFilm, key: str, value: object) -> tuple[Outcome, Entry]:
    """What one key comes to."""
    present = RENAMED.get(key, key)
    row = ROWS.get(present)
    if row is None:
        near = get_close_matches(key, [*ROWS, *RENAMED], n=1)
        why = f"no key of Deforum; the nearest is {near[0]!r}" if near else "no key of Deforum"
        return Outcome(), Entry(key, value, "unknown", why=why)
    if present != key and film.held.get(present) is not _current(key, value):
        return Outcome(), Entry(key, value, "meaningless", why=f"an older name of {present}, which the file has too")
    outcome = CONVERTERS[row.how](film, present, row) if present in film.held else without("another key says it")
    why = f"older name of {present}; {outcome.why}".removesuffix("; ") if present != key else outcome.why
    to = outcome.to or ", ".join(f"{name} = {_said(setting)}" for name, setting in outcome.settings.items())
    return outcome, Entry(key, value, outcome.fate or row.fate, to, why)


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    """The file's values under the present names of their keys; a Parseq manifest in it rules over what it manages."""
    held = {RENAMED.get(key, key): _current(key, value) for key, value in given.items()}
    held |= {key: value for key, value in given.items() if key not in RENAMED}
    if isinstance(manifest := values.manifest_of(held), Mapping):
        from koshi_flux.schedule.importing.parseq import deforum_keys

        deltas, overrides = (
            bool(held.get(key, True)) for key in ("parseq_use_deltas", "parseq_non_schedule_overrides")
        )
        held |= deforum_keys(dict(manifest), deltas, overrides)
    return held


def _current(key: str, value: Any) -> Any:
    """A value of an older key as the present key has it."""
    return ("Zoe" if value else None) if key == "use_zoe_depth" else value


def _said(setting: object) -> str:
    if isinstance(setting, float):
        return f"{setting:.6g}"
    return shown(setting.text if isinstance(setting, Schedule) else setting)


def _needed(settings: Mapping[str, object]) -> dict[str, Any]:
    """Those settings that are not at their defaults anyway."""
    defaults = {name: field.default for name, field in Animation.model_fields.items()}
    return {name: value for name, value in settings.items() if _plain(value) != _plain(defaults[name])}


def _plain(value: object) -> object:
    """A setting to compare: schedules that stay at a number are that number."""
    if isinstance(value, Schedule) and value.is_constant:
        return float(value.entries[0].value.evaluate())
    return value
