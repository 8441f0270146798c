"""Maths, read and ready: a flat list of steps that is evaluated for all frames at once.

The steps stand in postfix order (`t*2+1` is t 2 * 1 +), so evaluating is one loop with a stack of values: nothing that
could overflow, and nothing that could run anything but the functions of the tables.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.functions import ATOM, COMPARISON, POWER, UNARY, Function, Value

CONSTANTS: Mapping[str, float] = MappingProxyType({"pi": math.pi, "e": math.e})
FILM_VARIABLES = frozenset({"max_f", "s", "fps", "bpm"})
"""What stays the same for the whole film, so that keys may use it."""
FRAME_VARIABLES = frozenset({"t", "sec", "beat"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What maths knows about the film.

    Args:
        frames: length of the film; `max_f` is the last one, frames - 1.
        seed: `s`, exact up to 2**53.
        fps: frames per second.
        bpm: beats per minute.
    """

    frames: int
    seed: int = 0
    fps: float = 24.0
    bpm: float = 120.0

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise SettingsError(f"frames must be at least 1, got {self.frames}")
        if not self.fps > 0:
            raise SettingsError(f"fps must be more than 0, got {self.fps}")

    def constants(self) -> dict[str, Value]:
        """The variables that keys may use."""
        return {**CONSTANTS, "max_f": self.frames - 1.0, "s": float(self.seed), "fps": self.fps, "bpm": self.bpm}

    def variables(self, t: Value) -> dict[str, Value]:
        """All variables at frame or frames `t`."""
        seconds = np.divide(t, self.fps)
        return {**self.constants(), "t": t, "sec": seconds, "beat": seconds * (self.bpm / 60)}


class Number(NamedTuple):
    """Puts a number on the stack."""

    value: float


class Variable(NamedTuple):
    """Puts a variable's value on the stack."""

    name: str


class Apply(NamedTuple):
    """Takes `arity` values off the stack and puts the function's result there."""

    function: Function
    arity: int


Step: TypeAlias = Number | Variable | Apply


@dataclass(frozen=True, slots=True)
class Expression:
    """Maths with the place it was read from, for messages; equal when the maths is equal.

    Args:
        steps: in postfix order.
        text: the whole text it stands in.
        column: where it starts in `text`, 1-based.
        name: the parameter it belongs to.
    """

    steps: tuple[Step, ...]
    text: str = field(compare=False, repr=False)
    column: int = field(compare=False, repr=False)
    name: str = field(compare=False, repr=False)

    @property
    def names(self) -> frozenset[str]:
        """The variables it depends on; `pi` and `e` are numbers."""
        return frozenset(step.name for step in self.steps if isinstance(step, Variable)).difference(CONSTANTS)

    @property
    def literal(self) -> float | None:
        """The number it is; None for maths, even if it comes to one."""
        first = self.steps[0]
        return first.value if isinstance(first, Number) and len(self.steps) == 1 else None

    def evaluate(self, variables: Mapping[str, Value] = CONSTANTS) -> Value:
        """Its value, broadcast over the variables; nan or inf where there is none."""
        if (literal := self.literal) is not None:
            return literal
        stack: list[Value] = []
        with np.errstate(all="ignore"):
            for step in self.steps:
                match step:
                    case Number(value):
                        stack.append(value)
                    case Variable(name):
                        stack.append(variables[name])
                    case Apply(function, arity):
                        stack[len(stack) - arity :] = [function(*stack[len(stack) - arity :])]
        return stack.pop()

    def at(self, frame: float, scope: Scope) -> float:
        """Its value at one frame, which must be finite."""
        value = float(self.evaluate(scope.variables(float(frame)) if self.names else CONSTANTS))
        if not math.isfinite(value):
            raise self.not_finite(frame, value)
        return value

    def error(self, problem: str) -> ScheduleError:
        """What to raise when this expression is to blame."""
        return ScheduleError(problem, text=self.text, column=self.column, name=self.name)

    def not_finite(self, frame: float, value: float) -> ScheduleError:
        """What to raise when there is no value at `frame`."""
        why = "division by zero?" if math.isinf(value) else "0/0, or the root or logarithm of a negative number?"
        return self.error(f"value at frame {show_number(frame)} is {value:g} ({why})")

    def __str__(self) -> str:
        """Its canonical text, with as few parentheses as Python's precedence allows."""
        stack: list[tuple[str, int]] = []
        for step in self.steps:
            match step:
                case Number(value):
                    stack.append((show_number(value), ATOM))
                case Variable(name):
                    stack.append((name, ATOM))
                case Apply(function, arity):
                    operands = stack[len(stack) - arity :]
                    stack[len(stack) - arity :] = [(_applied(function, operands), function.level)]
        return stack.pop()[0]


def show_number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return repr(float(value)).removesuffix(".0")


def _applied(function: Function, operands: list[tuple[str, int]]) -> str:
    level = function.level
    if level == ATOM:
        return f"{function.name}({', '.join(text for text, _ in operands[len(function.implicit) :])})"
    if level == UNARY:
        return function.name + _bracketed(*operands[0], UNARY)
    left, right = operands
    if level == POWER:
        return _bracketed(*left, ATOM) + function.name + _bracketed(*right, UNARY)
    left_text = _bracketed(*left, level + 1 if level == COMPARISON else level)
    return left_text + function.name + _bracketed(*right, level + 1)


def _bracketed(text: str, level: int, least: int) -> str:
    return text if level >= least else f"({text})"
