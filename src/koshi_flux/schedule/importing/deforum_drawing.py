"""What strengths, steps, guidance and corrections of a Deforum film become."""

import numpy as np

from koshi_flux.schedule.importing import deforum_values as values
from koshi_flux.schedule.importing.deforum_film import OldFilm, Outcome, Values, without
from koshi_flux.schedule.importing.deforum_keys import Key
from koshi_flux.schedule.importing.deforum_prompts import prompt_frames
from koshi_flux.schedule.importing.reshaped import baked, mapped, scaled, simplest
from koshi_flux.schedule.strength import denoise_from_strength, flux1_start, steps_left

_USUAL_STEPS = 20


def starts(old: OldFilm, strengths: Values, steps: Values) -> Values:
    """Our `denoise` of a program's strengths, in the way that whoever imports it wants."""
    if old.options.strength != "snr":
        return strengths if old.program.strength == "redraw" else 1 - strengths
    if old.is_flux:
        return flux1_start(_left(old, strengths, steps), steps, old.size)
    return denoise_from_strength(strengths)


def strength(old: OldFilm, key: str, row: Key) -> Outcome:
    """How much of the picture is kept, or in programs for FLUX redrawn, from frame to frame."""
    if old.mode == "interpolation":
        return without("films by interpolation draw every frame out of noise")
    if old.guides:
        return without("while pictures guide the film image_strength_schedule counts")
    given = old.schedule(key)
    if given is None:
        return without("no schedule is given")
    kept = _strengths(old)
    mixed = not np.array_equal(kept, given.values(**old.clock))
    if old.options.strength == "snr" and not old.is_flux:
        held = baked(kept, key, old.program.dialect) if mixed else given
        to = f"{_span(kept)} (keep) → denoise {_span(denoise_from_strength(kept))}"
        why = "kept by signal-to-noise ratio: FLUX starts from as much noise as Stable Diffusion 1.5 did"
        return Outcome({"strength_schedule": simplest(held)}, why, to=f"strength_schedule {to}")
    sigmas = starts(old, kept, _steps(old))
    settings: dict[str, object] = {"denoise": simplest(baked(sigmas, key, old.program.dialect))}
    if old.options.strength != "snr" and old.program.strength == "keep" and not mixed:
        settings["denoise"] = simplest(mapped(given, lambda keep: 1 - keep, "1-{0}"))
    if old.options.strength == "steps":
        settings["denoise_mode"] = "steps"
    return Outcome(settings, _WHY[old.options.strength], to=f"denoise {_span(sigmas)}")


_WHY = {
    "snr": "the noise level of that step on FLUX.1's own curve, at the film's size and number of steps",
    "steps": "counted in steps of the model that draws",
    "direct": "taken for the start sigma itself",
}


def keyframe_strength(old: OldFilm, key: str, row: Key) -> Outcome:
    """Forge's second strength, which by a mistake in it counts for drawn frames that have no prompt of their own."""
    if not _mixes(old):
        return without("counts only where frames beside those with prompts are drawn (Additive, Redistributed)")
    return Outcome(to="in denoise" if old.is_flux else "in strength_schedule", why="for drawn frames without a prompt")


def init_strength(old: OldFilm, key: str, row: Key) -> Outcome:
    """How much of the picture is kept that the film starts from."""
    if not old.begins_with_picture:
        return without("frame 0 is drawn from noise: there is no picture to keep")
    share = np.clip(np.array([old.number(key, 0.8)]), 0, 1)
    sigma = round(float(starts(old, share, _steps(old)[:1])[0]), 6)
    return Outcome({"init_denoise": sigma}, "converted as strength_schedule is")


def guide_strength(old: OldFilm, key: str, row: Key) -> Outcome:
    """How much is kept while pictures guide the film."""
    if not old.guides:
        return without("no pictures guide this film")
    if key != "image_strength_schedule":
        return without("Forge's strength of frames with prompts; image_strength_schedule counts for all")
    sigmas = starts(old, np.clip(old.values(key, 0.75), 0, 1), _steps(old))
    return Outcome({"guide_denoise": simplest(baked(sigmas, key, old.program.dialect))}, "converted as strength is")


def steps(old: OldFilm, key: str, row: Key) -> Outcome:
    """How many steps a frame takes."""
    if not old.is_flux:
        return without("steps of Stable Diffusion's samplers: FLUX models have numbers of their own, all of them run")
    if (key == "steps_schedule") != _schedules_steps(old):
        return without("enable_steps_scheduling says which of steps and steps_schedule counts")
    every = _steps(old)
    if old.options.strength == "steps" or old.mode == "interpolation":
        return Outcome({"steps": simplest(baked(every, key, old.program.dialect))})
    ran = np.clip(_left(old, _strengths(old), every), 1, every)
    ran[0] = every[0]
    why = f"so many of the {_span(every)} ran from that strength; frame 0 took them all"
    return Outcome({"steps": simplest(baked(ran, key, old.program.dialect))}, why)


def guidance(old: OldFilm, key: str, row: Key) -> Outcome:
    """How closely prompts are followed."""
    if key == "distilled_cfg_scale_schedule" and old.is_flux:
        return values.schedule(old, key, row)
    if old.program.strength == "redraw":
        return without("a second guidance on top of FLUX's own, which burns films; the model's own is used")
    if old.is_flux:
        return without("FLUX.1 was guided by distilled_cfg_scale_schedule, not by this")
    return without("Stable Diffusion's scale; FLUX has learned to be guided: the model's own number is used")


def checkpoint(old: OldFilm, key: str, row: Key) -> Outcome:
    """What the film was drawn with."""
    hint = "it was FLUX.1: --model flux.1-dev draws nearest to it" if old.is_flux else "choose a model with --model"
    return without(f"a checkpoint of another program; {hint}")


def noise(old: OldFilm, key: str, row: Key) -> Outcome:
    """Noise added before a frame is redrawn."""
    if old.mode == "interpolation":
        return without("films by interpolation draw every frame out of noise")
    given = old.schedule(key)
    if given is None:
        return without("no schedule is given")
    kind = old.word("noise_type") or next(iter(old.program.grain))
    grain = old.program.grain.get(kind, max(old.program.grain.values()))
    amount = np.clip(given.values(**old.clock), 0, None) * grain
    if amount.max() > 1 or given.values(**old.clock).min() < 0:
        settings = simplest(baked(np.clip(amount, 0, 1), key, old.program.dialect))
    else:
        settings = simplest(scaled(given, grain))
    why = f"times {grain:g}: the deviation of the {kind} noise itself"
    if old.program.dialect == "deforum":
        why += "; Deforum also pulled pictures to grey with it"
    return Outcome({"noise": settings}, why)


def noise_type(old: OldFilm, key: str, row: Key) -> Outcome:
    """What kind of noise it was."""
    return Outcome(to="noise", why=f"grain is Gaussian here, as much of it as {old.word(key) or 'the old noise'} was")


def contrast(old: OldFilm, key: str, row: Key) -> Outcome:
    """Contrast per frame."""
    outcome = values.schedule(old, key, row)
    if outcome.settings.get("contrast") == 1:
        return outcome
    return Outcome(outcome.settings, "about the picture's mean; Deforum's went from black, and wrapped round at white")


def sharpen(old: OldFilm, key: str, row: Key) -> Outcome:
    """Anti-blur per frame."""
    outcome = values.schedule(old, key, row)
    if outcome.settings.get("sharpen") == 0:
        return outcome
    why = "frames are resampled once here and blur less: less of it, or none, may do"
    return Outcome(outcome.settings, why, outcome.fate)


def color(old: OldFilm, key: str, row: Key) -> Outcome:
    """What colours are kept to."""
    outcome = values.choice(old, key, row)
    word = old.word(key)
    if outcome.fate == "unknown" or word in ("", "lab"):
        return Outcome(outcome.settings, outcome.why, outcome.fate or "kept")
    why = "by mean and spread in Lab"
    if word in ("image", "video input"):
        why += f"; to the film's first frame, since no {word} can be the measure yet"
    return Outcome(outcome.settings, why)


def _strengths(old: OldFilm) -> Values:
    """The strength of every frame, within 0 and 1 as Deforum holds it."""
    kept = np.clip(old.values("strength_schedule", 0.65), 0, 1)
    if not _mixes(old):
        return kept
    others = np.clip(old.values("keyframe_strength_schedule", 0.5), 0, 1)
    return np.where(np.isin(np.arange(old.frames), prompt_frames(old)), kept, others)


def _mixes(old: OldFilm) -> bool:
    """Whether Forge's two strengths both count."""
    distributed = old.choice("keyframe_distribution") in ("additive", "redistributed")
    return distributed and old.schedule("keyframe_strength_schedule") is not None


def _schedules_steps(old: OldFilm) -> bool:
    return old.flag("enable_steps_scheduling") and old.schedule("steps_schedule") is not None


def _steps(old: OldFilm) -> Values:
    """All steps of a frame drawn out of noise, at every frame."""
    if _schedules_steps(old):
        every = old.values("steps_schedule", _USUAL_STEPS)
    else:
        every = np.full(old.frames, old.number("steps", _USUAL_STEPS))
    return np.clip(np.floor(every), 1, 1000)


def _left(old: OldFilm, strengths: Values, steps: Values) -> Values:
    """How many steps ran from a strength."""
    if old.program.strength == "redraw":
        return steps - np.floor((1 - strengths) * steps)
    return steps_left(strengths, steps)


def _span(numbers: Values) -> str:
    low, high = (f"{number:.2f}".rstrip("0").rstrip(".") for number in (numbers.min(), numbers.max()))
    return low if low == high else f"{low} to {high}"
