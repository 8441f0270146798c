"""Prompt text with weights -> the texts it is a blend of.

`A:0.5 B:1.5` is a blend of the texts A and B in the proportion 0.5 to 1.5.
`a (red:1.3) car` turns words up or down: the embedding moves away from that of the same text without the words,
    full + (1.3 - 1) * (full - without) = 1.3 * "a red car" - 0.3 * "a car".
Scaling the embeddings of the words alone, as is usual with CLIP, says little to a language model that has read the
whole sentence; a blend of whole texts means the same to every text encoder, and its weights sum to 1 all the same.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.expression import Expression, Number, Scope
from koshi_flux.schedule.grammar import Parser
from koshi_flux.shared.parameters import PromptBlend

Array: TypeAlias = NDArray[np.float64]
Blend: TypeAlias = dict[str, Array]
"""Texts and their weights over some frames; at each frame the weights sum to 1."""

MAX_PROMPT = 20_000
LARGEST, NOTHING = 1e6, 1e-12
"""Weights above are a mistake; weights below are rounding."""

_ESCAPE = re.compile(r"\\([:()`])")
_MASK = {sign: chr(0xFDD1 + i) for i, sign in enumerate(":()`")}
"""Escaped signs, and the code points (which Unicode keeps out of all text) that stand in for them while we look."""
_BACKSLASH = chr(0xFDD0)
_UNMASK = str.maketrans({_BACKSLASH: "", **{mask: sign for sign, mask in _MASK.items()}})

_WEIGHT = re.compile(
    r"""\( (?P<words>[^()]*?[^()\s:])
           (?: [ ]?:[ ]? (?P<decimal> `[^`]*` | [+-]?\d?\.\d+ ) [ ]? | (?<=[^\s\d:]): (?P<digit> [+-]?\d ) ) \)
      | \( [^()]* \)                                                  # parentheses without a weight are text
      | (?<=[^\s\d:]): (?P<share> [+-]?\d?\.\d+ | [+-]?\d ) (?=[\s,]|$)
      | (?<=[^\s:]):   (?P<moving_share> `[^`]*` ) (?=[\s,]|$)
      | (?<=[^\s\d:]): (?P<astray> `[^`]*` | [+-]?\d?\.\d+ | [+-]?\d ) \)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class SubPrompt:
    """One text of a blend.

    Args:
        share: its weight against the other sub-prompts.
        text: the full text.
        emphases: the text without some words, and the weight of these words.
    """

    share: Expression
    text: str
    emphases: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class WeightedText:
    """A prompt, or its negative part, ready to be blended."""

    parts: tuple[SubPrompt, ...]

    @classmethod
    def parse(cls, text: str, name: str, start: int = 0, stop: int | None = None) -> "WeightedText":
        """Read the weights in `text[start:stop]`; messages quote all of `text` and call it `name`.

        Raises:
            ScheduleError: a weight cannot be read.
        """
        if len(text) > MAX_PROMPT:
            raise ScheduleError(f"{len(text)} characters are too many, at most {MAX_PROMPT} are read", name=name)
        return cls(tuple(_Reader(text, name).parts(start, len(text) if stop is None else stop)))

    def blend(self, t: Array, scope: Scope) -> Blend:
        """The texts and their weights at frames `t`.

        Raises:
            ScheduleError: a weight has no value, is negative where it cannot be, or all of them are 0.
        """
        shares = [_at_frames(part.share, t, scope) for part in self.parts]
        for part, share in zip(self.parts, shares, strict=True):
            _refuse(part.share, share < 0, t, "is negative: write what you do not want after --neg")
        total = np.sum(shares, axis=0)
        _refuse(self.parts[0].share, total == 0, t, "leaves nothing: all weights are 0")
        blend: Blend = {}
        for part, share in zip(self.parts, shares, strict=True):
            strengths = [_at_frames(weight, t, scope) - 1 for _, weight in part.emphases]
            _add(blend, part.text, share / total * (1 + np.sum(strengths, axis=0)))
            for (without, _), strength in zip(part.emphases, strengths, strict=True):
                _add(blend, without, -share / total * strength)
        return blend


class _Reader:
    """Finds the weights in one text."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.masked = _ESCAPE.sub(lambda escape: _BACKSLASH + _MASK[escape[1]], text)

    def parts(self, start: int, stop: int) -> list[SubPrompt]:
        """The sub-prompts between two places; a text without any weights is the only one."""
        parts: list[SubPrompt] = []
        pieces: list[tuple[str, Expression | None]] = []
        for found in _WEIGHT.finditer(self.masked, start, stop):
            kind = found.lastgroup
            if kind is None:
                continue
            if kind == "astray":
                problem = r"this weight has no '(' of its own: weights do not nest, and other parentheses are \( and \)"
                raise ScheduleError(problem, text=self.text, column=found.start() + 1, name=self.name)
            weight = self._weight(*found.span(kind))
            pieces.append((self.masked[start : found.start()], None))
            if found["words"]:
                pieces.append((found["words"], weight))
            else:
                parts.append(_sub_prompt(pieces, weight))
                pieces = []
            start = found.end()
            if not pieces and self.masked[start : start + 1] == ",":
                start += 1
        pieces.append((self.masked[start:stop], None))
        if not parts or "".join(text for text, _ in pieces).strip():
            parts.append(_sub_prompt(pieces, Expression((Number(1.0),), self.text, 1, self.name)))
        return parts

    def _weight(self, start: int, stop: int) -> Expression:
        quoted = self.masked[start] == "`"
        return Parser(self.text, self.name, start=start + quoted, stop=stop - quoted).whole()


def join(one: Blend, other: Blend) -> Blend:
    """The blend of both texts in a row, with a comma between them."""
    joined: Blend = {}
    for first, weight in one.items():
        for second, other_weight in other.items():
            _add(joined, ", ".join(filter(None, (first, second))), weight * other_weight)
    return joined


def mix(one: Blend, other: Blend, amount: Array) -> Blend:
    """From `one` (amount 0) to `other` (amount 1)."""
    mixed = {text: weight * (1 - amount) for text, weight in one.items()}
    for text, weight in other.items():
        _add(mixed, text, weight * amount)
    return mixed


def rows(blend: Blend) -> list[PromptBlend]:
    """The blend frame by frame, without the texts that weigh nothing."""
    weights = np.stack(list(blend.values()))
    if (weights == weights[:, :1]).all():
        return [_row(blend, weights[:, 0].tolist())] * weights.shape[1]
    return [_row(blend, column) for column in weights.T.tolist()]


def _row(texts: Blend, weights: list[float]) -> PromptBlend:
    return tuple((text, weight) for text, weight in zip(texts, weights, strict=True) if abs(weight) > NOTHING)


def _sub_prompt(pieces: list[tuple[str, Expression | None]], share: Expression) -> SubPrompt:
    texts = [text for text, _ in pieces]
    emphases = tuple(
        (_clean("".join(texts[:i] + texts[i + 1 :]), drop_commas=True), weight)
        for i, (_, weight) in enumerate(pieces)
        if weight is not None
    )
    return SubPrompt(share, _clean("".join(texts)), emphases)


def _clean(masked: str, drop_commas: bool = False) -> str:
    """One line of text; with `drop_commas` also without the commas that missing words leave."""
    text = " ".join(masked.translate(_UNMASK).split())
    return re.sub(r"\s*,(?:\s*,)+", ",", text).strip(" ,") if drop_commas else text


def _at_frames(weight: Expression, t: Array, scope: Scope) -> Array:
    values = np.broadcast_to(np.asarray(weight.evaluate(scope.variables(t)), dtype=np.float64), t.shape)
    _refuse(weight, ~np.isfinite(values), t, "is no number (division by zero, or the root of a negative number?)")
    _refuse(weight, np.abs(values) > LARGEST, t, f"is more than {LARGEST:g}")
    return values


def _refuse(weight: Expression, wrong: NDArray[np.bool_], t: Array, why: str) -> None:
    if wrong.any():
        raise weight.error(f"the weight at frame {t[np.argmax(wrong)]:.0f} {why}")


def _add(blend: Blend, text: str, weight: Array) -> None:
    blend[text] = blend[text] + weight if text in blend else weight
