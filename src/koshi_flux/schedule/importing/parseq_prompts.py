"""Prompts as A1111 reads them, one per frame -> ours, by the frames where they change.

`a cat: 0.7 AND a dog: 0.3 --neg blur: 0.7 AND grain: 0.3` becomes ``a cat:`0.7` a dog:`0.3` --neg blur:`0.7` ...``.
There the differences that each prompt makes are added up, with their weights as they are; here the prompts' embeddings
are mixed, with weights that sum to 1. A prompt of weight 0 or without words makes no difference and is left out; one of
negative weight is one to keep away from.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby

import numpy as np

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.curve import Array
from koshi_flux.schedule.keyframed import EXACT, plain
from koshi_flux.schedule.weights import WeightedText

_NEGATIVE = re.compile(r"(?<!\S)--[ ]?neg(?!\S)")
_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*:\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*$")
_LIKE_A_WEIGHT = re.compile(r"(?<=[^\s\d:\\]):(?=[+-]?\d?\.?\d+(?:[\s,]|$))")
_WORTH_A_LINE = 4
"""Frames from which on weights are written as maths and not as numbers for each frame."""
_SIGNS = re.compile(r"(?<!\\)([():])")

Weighted = tuple[tuple[str, float], ...]
Sides = tuple[Weighted, Weighted]


def prompts_by_frame(texts: Sequence[str]) -> dict[str, str]:
    """The prompts of a film, by the frames at which they change.

    Args:
        texts: A1111's prompt at every frame.
    """
    prompts: dict[str, str] = {}
    frame = 0
    for words, same in groupby(map(_sides, texts), key=_words):
        weights = np.array([[weight for side in sides for _, weight in side] for sides in same])
        for start, stop in _straight(weights):
            prompts[str(frame + start)] = _written(words, weights[start:stop], frame + start)
        frame += len(weights)
    return prompts


def our_words(text: str) -> str:
    """A text without weights of its own as we write it: `(word:1.2)` is emphasis to both, other colons are text."""
    text = _LIKE_A_WEIGHT.sub(r"\\:", " ".join(text.replace("`", "'").split())).rstrip(":")
    try:
        WeightedText.parse(text, "prompt")
    except ScheduleError:
        return _SIGNS.sub(r"\\\1", text)
    return text


@lru_cache(maxsize=4096)
def _sides(text: str) -> Sides:
    """The prompts of a frame that make a difference, and those to keep away from."""
    first, *others = _NEGATIVE.split(text)
    wanted, unwanted = _parts(first), _parts(", ".join(part.strip() for part in others))
    away = tuple((words, -weight) for words, weight in wanted if weight < 0)
    positive = _sums((words, weight) for words, weight in wanted if weight > 0)
    return positive or (("", 1.0),), _sums((*((words, weight) for words, weight in unwanted if weight > 0), *away))


def _sums(parts: Iterable[tuple[str, float]]) -> Weighted:
    """Each prompt once."""
    sums: dict[str, float] = {}
    for words, weight in parts:
        sums[words] = sums.get(words, 0.0) + weight
    return tuple(sums.items())


def _parts(text: str) -> Weighted:
    """The prompts between A1111's ANDs, with their weights; one alone has weight 1."""
    pieces = _AND.split(text)
    if len(pieces) == 1:
        return ((our_words(text), 1.0),) if text.strip() else ()
    split = ((piece, _WEIGHT.search(piece)) for piece in pieces)
    parts = ((our_words(p[: w.start()] if w else p), float(w[1]) if w else 1.0) for p, w in split)
    return tuple((words, weight) for words, weight in parts if words)


def _words(sides: Sides) -> tuple[tuple[str, ...], tuple[str, ...]]:
    wanted, unwanted = (tuple(words for words, _ in side) for side in sides)
    return wanted, unwanted


def _straight(weights: Array) -> Iterator[tuple[int, int]]:
    """Stretches of frames over which all weights go in straight lines, as (first, one after the last)."""
    start, frames = 0, len(weights)
    while start < frames:
        stop = start + 1
        slope = weights[min(stop, frames - 1)] - weights[start]
        while stop < frames and np.abs(weights[start] + slope * (stop - start) - weights[stop]).max() <= EXACT:
            stop += 1
        if slope.any() and stop - start < _WORTH_A_LINE:
            stop = start + 1
        yield start, stop
        start = stop


def _written(words: tuple[tuple[str, ...], tuple[str, ...]], weights: Array, frame: int) -> str:
    """The prompt of a stretch of frames from `frame` on."""
    slopes = weights[1] - weights[0] if len(weights) > 1 else np.zeros(weights.shape[1])
    shares = [_share(weight, slope, frame) for weight, slope in zip(weights[0], slopes, strict=True)]
    wanted, unwanted = words
    positive, negative = _side(wanted, shares[: len(wanted)]), _side(unwanted, shares[len(wanted) :])
    return f"{positive} --neg {negative}".strip() if negative else positive


def _side(words: tuple[str, ...], shares: list[str]) -> str:
    return words[0] if len(words) == 1 else " ".join(f"{w}:`{share}`" for w, share in zip(words, shares, strict=True))


def _share(weight: float, slope: float, frame: int) -> str:
    if slope == 0:
        return plain(weight)
    return f"{plain(weight)}{'+' if slope > 0 else '-'}{plain(abs(slope))}*(t-{frame})"
