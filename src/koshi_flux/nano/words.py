"""The words that nano was taught: it reads no others, so a user should hear of those that it will ignore."""

import json
import re
from pathlib import Path

from koshi_flux.errors import ModelError
from koshi_flux.nano.config import FOLDER

FILE: Path = FOLDER / "words.json"
"""Written by training: lists of words by what they tell, e.g. {"scenes": ["mountains", ...], "plain": ["a", ...]}."""

_NAMED = 6
"""Words that a message lists before it breaks off."""


def known_words() -> dict[str, tuple[str, ...]]:
    """Every word that nano knows, by what it tells; "plain" are those that only join others.

    Raises:
        ModelError: the list did not come with the installation.
    """
    try:
        groups = json.loads(FILE.read_text(encoding="utf-8"))
        return {group: tuple(words) for group, words in groups.items()}
    except (OSError, ValueError, AttributeError, TypeError) as broken:
        raise ModelError(
            f"nano's list of words is missing or damaged ({FILE}): pip install --force-reinstall koshi-flux"
        ) from broken


def unknown_words(text: str) -> tuple[str, ...]:
    """The words of a prompt that nano does not know: lower case, each once, in order; numbers are no words.

    A compound is known by itself ("8-bit") or by its parts ("snow-covered").
    """
    known = {word for words in known_words().values() for word in words}
    unknown: dict[str, None] = {}
    for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower()):  # noqa: RUF001 - how people type it's
        if word not in known:
            unknown |= dict.fromkeys(part for part in word.split("-") if part not in known and _is_word(part))
    return tuple(unknown)


def ignored_in_words(text: str) -> str:
    """What to tell a user whose prompt is `text` about the words nano will ignore; "" if it knows them all."""
    unknown = unknown_words(text)
    if not unknown:
        return ""
    strange, scenes = _some([repr(word) for word in unknown]), _some(known_words().get("scenes", ()))
    return f"nano does not know {strange}: it knows {scenes} (all: koshi models nano --words)"


def _is_word(part: str) -> bool:
    return not any(sign.isdigit() for sign in part)


def _some(words: list[str] | tuple[str, ...]) -> str:
    return ", ".join(words[:_NAMED]) + (", ..." if len(words) > _NAMED else "")
