"""What the text encoders of all families have in common: words they do not read, and memory they give back."""

import gc
import logging
import re
import textwrap
import weakref

import torch

_QUOTED = 200
"""Characters up to which a message quotes the words that were cut."""


def words_from(text: str, cut: int) -> str:
    """The end of a prompt from `cut` on, or from the start of the word that the cut falls into."""
    between_words = not text[cut : cut + 1].strip()
    kept = text[:cut] if between_words else re.sub(r"\S+\Z", "", text[:cut])
    return text[len(kept) :].strip()


def say_what_was_cut(log: logging.Logger, lost: str, length: int) -> None:
    """Warn of the end of a prompt that a model which reads `length` tokens does not read."""
    log.warning(
        "a prompt is longer than the %d tokens that this model reads; cut off: %s",
        length,
        textwrap.shorten(lost, _QUOTED, placeholder=" ..."),
    )


def give_memory_back(dropped: list[weakref.ref[torch.nn.Module]], device: torch.device) -> None:
    """Make sure that parts to which nobody holds on any more are gone."""
    if any(part() is not None for part in dropped):
        gc.collect()  # something points in a circle; to find it takes a third of a second
    if device.type == "cuda":
        torch.cuda.empty_cache()
