"""Prompts over time: keys like those of schedules, `--neg`, weights, and blends between neighbours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.expression import Expression, Scope
from koshi_flux.schedule.functions import smoothstep
from koshi_flux.schedule.grammar import Parser, check_keys, places
from koshi_flux.schedule.weights import Array, Blend, WeightedText, join, mix, rows
from koshi_flux.shared.parameters import PromptBlend

BLENDS = ("hold", "linear", "ease")
_NEGATIVE = re.compile(r"(?<!\S)--[ ]?neg(?!\S)")  # "-- neg" is common in files people share


@dataclass(frozen=True, slots=True)
class PromptKeyframe:
    """A prompt at a key.

    Args:
        key: the maths that says which frame.
        text: the prompt as it was typed.
        positive: what stands before `--neg`.
        negative: what stands after it.
    """

    key: Expression
    text: str
    positive: WeightedText
    negative: WeightedText


@dataclass(frozen=True, slots=True)
class PromptSchedule:
    """A prompt and a negative prompt for every frame of a film, of whatever length.

    Args:
        keyframes: in the order they were written.
        blend: from one prompt to the next: "hold" until its key, or cross over, "linear" or with "ease".
        negative: what the whole film avoids; it follows each prompt's own negative.
        name: the parameter it belongs to, for messages.
    """

    keyframes: tuple[PromptKeyframe, ...]
    blend: str
    negative: WeightedText
    name: str = field(default="prompts", compare=False)

    @classmethod
    def parse(
        cls,
        prompts: str | Mapping[str | int, str] | Mapping[str, str],
        blend: str = "hold",
        name: str = "prompts",
        negative: str = "",
    ) -> "PromptSchedule":
        """Read prompts by key, such as {0: "a forest --neg people", "max_f/2": "a (golden:1.2) city"}.

        Args:
            prompts: texts by frame or maths for a frame; a single text is for the whole film.
            blend: one of BLENDS.
            name: what messages call the prompts.
            negative: what the whole film avoids.

        Raises:
            ScheduleError: there is no prompt, or a key or text cannot be read; it names the prompt's key.
        """
        if blend not in BLENDS:
            raise SettingsError(f"unknown prompt blend {blend!r}, known are {', '.join(BLENDS)}")
        if isinstance(prompts, str):
            prompts = {"0": prompts}
        if not prompts:
            raise ScheduleError("expected at least one prompt, such as {0: 'a forest'}", name=name)
        keyframes = tuple(_keyframe(str(key), text, f"{name}[{str(key)!r}]") for key, text in prompts.items())
        check_keys([keyframe.key for keyframe in keyframes])
        if found := _NEGATIVE.search(negative):
            problem = "'--neg' has no place here, all of it is negative"
            raise ScheduleError(problem, text=negative, column=found.start() + 1, name="negative_prompt")
        return cls(keyframes, blend, WeightedText.parse(negative, "negative_prompt"), name)

    def values(
        self, frames: int, seed: int = 0, fps: float = 24.0, bpm: float = 120.0
    ) -> list[tuple[PromptBlend, PromptBlend]]:
        """The prompt and the negative prompt of each frame of a film.

        Raises:
            ScheduleError: a key or a weight comes to nothing in this film.
        """
        scope = Scope(frames, seed, fps, bpm)
        keys = places([keyframe.key for keyframe in self.keyframes], scope)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        filled: list[tuple[PromptBlend, PromptBlend]] = []
        for here, following in zip(order, [*order[1:], None], strict=True):
            stop = frames if following is None else min(keys[following], frames)
            t = np.arange(len(filled), stop, dtype=np.float64)  # the first prompt also holds before its key
            if not t.size:
                break
            positive, negative = self._at(here, t, scope)
            if following is not None and self.blend != "hold":
                amount = np.clip((t - keys[here]) / (keys[following] - keys[here]), 0, 1)
                amount = smoothstep(amount) if self.blend == "ease" else amount
                next_positive, next_negative = self._at(following, t, scope)
                positive, negative = mix(positive, next_positive, amount), mix(negative, next_negative, amount)
            filled += zip(rows(positive), rows(negative), strict=True)
        return filled

    def texts(
        self, frames: int, seed: int = 0, fps: float = 24.0, bpm: float = 120.0
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Every text that a frame of the film uses, as prompt and as negative prompt, in order of first use."""
        values = self.values(frames, seed, fps, bpm)
        prompts = dict.fromkeys(text for prompt, _ in values for text, _ in prompt)
        negatives = dict.fromkeys(text for _, negative in values for text, _ in negative)
        return tuple(prompts), tuple(negatives)

    def _at(self, index: int, t: Array, scope: Scope) -> tuple[Blend, Blend]:
        keyframe = self.keyframes[index]
        negative = join(keyframe.negative.blend(t, scope), self.negative.blend(t, scope))
        return keyframe.positive.blend(t, scope), negative


def _keyframe(key: str, text: str, name: str) -> PromptKeyframe:
    frame = Parser(key, name).whole()
    marks = list(_NEGATIVE.finditer(text))
    if len(marks) > 1:
        raise ScheduleError("a second '--neg', expected one", text=text, column=marks[1].start() + 1, name=name)
    end, start = marks[0].span() if marks else (len(text), len(text))
    positive = WeightedText.parse(text, name, 0, end)
    return PromptKeyframe(frame, text, positive, WeightedText.parse(text, name, start, len(text)))
