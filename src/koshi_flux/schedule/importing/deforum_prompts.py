"""What the prompts of a Deforum film become.

Files that a run has saved hold prompts that already have the film's words before and behind them, as often as they were
loaded again; all but one are taken off.
"""

import re
from collections.abc import Mapping
from typing import Any

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.importing.deforum_film import OldFilm, Outcome
from koshi_flux.schedule.importing.deforum_keys import Key
from koshi_flux.schedule.importing.report import shown
from koshi_flux.schedule.importing.text import read_json
from koshi_flux.schedule.prompts import PromptSchedule
from koshi_flux.schedule.walk import prompt_keys
from koshi_flux.schedule.weights import MAX_PROMPT

NO_PROMPT = "a landscape"
"""What a film without prompts shows, until its owner says better."""

_NEG = re.compile(r"--[ ]?neg\b:?")
_SHARE = re.compile(r"(?<!\\):(`[^`]*`|-?\d{0,6}\.?\d{1,9})(?=\s|$)")
"""The weight of a sub-prompt of the notebook, which may be less than 0."""
_SYNTAX = re.compile(r":[ ]?[+-]?\d{0,6}\.?\d{1,9}(?=[)\s]|$)|`[^`]*`|[()`]")
_FRAME = re.compile(r"[0-9]{1,15}")
_MAX_F = re.compile(r"\bmax_f\b")


def prompts(old: OldFilm, key: str, row: Key) -> Outcome:
    """The prompts themselves."""
    if key == "uncond_prompts" or (key == "cond_prompts" and old.held.get("prompts")):
        return Outcome(to="prompts", why="after --neg" if key == "uncond_prompts" else "prompts has them too")
    texts, notes = film_prompts(old)
    return Outcome({"prompts": texts}, "; ".join(notes), "translated" if notes else "kept", f"{len(texts)} prompts")


def prefix(old: OldFilm, key: str, row: Key) -> Outcome:
    """What stands before every prompt."""
    if not _words(old.held.get(key), key):
        return Outcome(to="no words before prompts", fate="kept")
    return Outcome(to="prompts", why="stands before each prompt, once")


def negative(old: OldFilm, key: str, row: Key) -> Outcome:
    """What the whole film avoids."""
    if not (given := _negative(old)):
        return Outcome(to="nothing to avoid", fate="kept")
    plain, noted = _readable(_NEG.sub(" ", given), old)
    why = "only models with true CFG can avoid things (Klein base); the others pass over it"
    return Outcome({"negative_prompt": plain}, f"{why}; {noted}" if noted else why)


def film_prompts(old: OldFilm) -> tuple[dict[str, str], list[str]]:
    """Our prompts by key, and what is to be said about them."""
    before, avoided = _first(old, "positive_prompts", "animation_prompts_positive"), _negative(old)
    notes: dict[str, None] = {}
    texts: dict[str, str] = {}
    for number, (key, text) in enumerate(_table(old).items()):
        positive, negative = _sides(text, notes)
        positive = " ".join(filter(None, (before, _stripped(positive, before, at_end=False, notes=notes))))
        negative = _stripped(negative, avoided, at_end=True, notes=notes)
        whole, noted = _readable(f"{positive} --neg {negative}" if negative else positive, old)
        notes |= dict.fromkeys(filter(None, (noted,)))
        texts[str(number * old.pace) if old.pace else _key(key, old)] = whole
    if not texts:
        return {"0": NO_PROMPT}, ["the file has no prompts: write your own"]
    notes |= dict.fromkeys(_beyond(texts, old))
    return texts, list(notes)


def prompt_frames(old: OldFilm) -> tuple[int, ...]:
    """The frames at which a prompt begins."""
    return prompt_keys(PromptSchedule.parse(film_prompts(old)[0]), **old.clock)


def _table(old: OldFilm) -> dict[str, str]:
    """The file's prompts by key, as text; those of deforum-x-flux may stand in two tables."""
    held: Any = next(
        (old.held[key] for key in ("prompts", "animation_prompts", "cond_prompts") if old.held.get(key)), {}
    )
    wanted, avoided = _keyed(held, old), _keyed(old.held.get("uncond_prompts") or {}, old)
    sides = [{int(key): text for key, text in side.items() if _FRAME.fullmatch(key)} for side in (wanted, avoided)]
    if not all(sides) or [len(side) for side in sides] != [len(wanted), len(avoided)]:
        return wanted
    keys = sorted({*sides[0], *sides[1]})
    return {str(key): " --neg ".join(_held(side, key) for side in sides) for key in keys}


def _held(texts: Mapping[int, str], frame: int) -> str:
    """The text that holds at a frame; the first one also before its key."""
    return texts[max((key for key in texts if key <= frame), default=min(texts))]


def _keyed(held: Any, old: OldFilm) -> dict[str, str]:
    if isinstance(held, str) and held.lstrip().startswith(("{", "[")):
        held = read_json(held, "prompts").content
    if isinstance(held, str):
        return {"0": _words(held, "prompts")}
    if isinstance(held, list):  # a batch of single pictures
        return {str(number * old.frames // len(held)): _words(text, "prompts") for number, text in enumerate(held)}
    if not isinstance(held, Mapping):
        raise SettingsError(f"prompts: expected texts by frame such as {{'0': 'a forest'}}, got {shown(held)}")
    return {_bare(key): _words(text, f"prompts[{key!r}]") for key, text in held.items() if text is not None}


def _bare(key: object) -> str:
    """A key without quotes; a number of a frame without zeros before it."""
    text = str(key).strip().strip("\"'")
    return str(int(text)) if _FRAME.fullmatch(text) else text


def _words(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise SettingsError(f"{name}: expected a text, got {shown(value)}")
    text = str(value)
    if len(text) > MAX_PROMPT:
        raise SettingsError(f"{name}: {len(text):,} characters are too many, at most {MAX_PROMPT:,} are read")
    return " ".join(text.split())


def _first(old: OldFilm, *keys: str) -> str:
    return next((given for key in keys if (given := _words(old.held.get(key), key))), "")


def _negative(old: OldFilm) -> str:
    return _first(old, "negative_prompts", "animation_prompts_negative")


def _sides(text: str, notes: dict[str, None]) -> tuple[str, str]:
    """What a prompt shows and what it avoids; the notebook has weights below 0 for that."""
    positive, *avoided = (side.strip() for side in _NEG.split(text))
    if len(avoided) > 1:
        notes["several --neg were joined"] = None
    *shares, rest = _SHARE.split(positive)
    weighted = list(zip(shares[::2], shares[1::2], strict=True))
    unwanted = [f"{part.strip()}:{weight[1:]}" for part, weight in weighted if weight.startswith("-")]
    if unwanted and (len(unwanted) < len(weighted) or rest.strip()):
        notes["weights below 0 stand after --neg"] = None
        wanted = [f"{part.strip()}:{weight}" for part, weight in weighted if not weight.startswith("-")]
        positive = " ".join([*wanted, rest.strip()]).strip()
        avoided += unwanted
    return positive, " ".join(filter(None, avoided))


def _stripped(text: str, repeated: str, at_end: bool, notes: dict[str, None]) -> str:
    """A text without the film's own words at one of its ends, however often they stand there."""
    while repeated and (text.endswith(repeated) if at_end else text.startswith(repeated)):
        text = text.removesuffix(repeated) if at_end else text.removeprefix(repeated)
        text = re.sub(r"[\s,]+$", "", text) if at_end else text.lstrip(" ,")
        notes["the film's own words, which a run had written into each prompt, stand once"] = None
    return text


def _readable(text: str, old: OldFilm) -> tuple[str, str]:
    """A text whose weights we can read; another one loses them."""
    try:
        PromptSchedule.parse({"0": text}).values(**old.clock)
    except ScheduleError:
        bare = " ".join(_SYNTAX.sub(" ", text).split())
        return bare, "weights that cannot be read were taken off"
    return text, ""


def _key(key: str, old: OldFilm) -> str:
    """A key; when Deforum interpolates, its max_f is one more than elsewhere."""
    return _MAX_F.sub("(max_f+1)", key) if old.mode == "interpolation" else key


def _beyond(texts: Mapping[str, str], old: OldFilm) -> list[str]:
    """What to say about keys outside the film."""
    frames = prompt_keys(PromptSchedule.parse(dict.fromkeys(texts, "")), **old.clock)
    late = [str(frame) for frame in frames if frame >= old.frames]
    said = [f"{', '.join(late)} lie after the film's last frame, {old.frames - 1}"] if late else []
    return [*said, *([f"the first prompt, of frame {frames[0]}, also holds before it"] if frames[0] > 0 else [])]
