"""From text to keyframes, with the column of whatever is wrong.

- a schedule is keyframes with commas between them, or one expression; then perhaps "@" and an easing;
- a keyframe is an expression, ":" and another expression;
- an expression is Python's arithmetic over numbers, names and calls, in which quotes group like parentheses.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from koshi_flux.errors import ScheduleError
from koshi_flux.schedule.expression import (
    CONSTANTS,
    FILM_VARIABLES,
    FRAME_VARIABLES,
    Apply,
    Expression,
    Number,
    Scope,
    Step,
    Variable,
    show_number,
)
from koshi_flux.schedule.functions import BINARY, COMPARISON, KOSHI, POWER, PREFIX, UNARY, Function, Value

MAX_TEXT = 1_000_000
MAX_STEPS = 1_000
MAX_NESTING = 50
LARGEST_FRAME = 2.0**53

_DECIMAL = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<number>{_DECIMAL})
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>\*\*|//|<<|>>|<=|>=|==|!=|[-+*/%<>&|^~(),:@"'])
      | (?P<other>.)
    )?""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_KEYFRAME = re.compile(rf"([0-9]+):\s*(\()?(-)?({_DECIMAL})(?(2)\))(?=,|$)")
_LOOKALIKES = str.maketrans("−–—×÷·“”„‘’，：；（）;", '---*/*"""\'\',:,(),')  # noqa: RUF001 - what text editors make of them
_PYTHON = {
    "and": "write (a) & (b)",
    "or": "write (a) | (b)",
    "not": "write ~(a)",
    "if": "write where(condition, a, b)",
}
_PARENTHESES = {"(": ")"}
_QUOTES = {'"': '"', "'": "'"}


class Token(NamedTuple):
    """A word of the text: "number", "name", "sign", "other" (no word of ours) or "end"; `start` counts from 0."""

    kind: str
    text: str
    start: int


class Language(NamedTuple):
    """The names and signs that maths may use; with `quotes`, quotes group like parentheses."""

    variables: frozenset[str]
    functions: Mapping[str, Function]
    operators: Mapping[str, Function]
    quotes: bool


KOSHI_LANGUAGE = Language(FILM_VARIABLES.union(FRAME_VARIABLES, CONSTANTS), KOSHI, BINARY, quotes=True)


class Keyframe(NamedTuple):
    """A value at a key. A number is interpolated to the next key, anything else is evaluated until the next key."""

    key: Expression
    value: Expression
    is_number: bool


class Parser:
    """Reads a text from left to right; each method leaves the cursor behind what it read.

    Args:
        text: the whole text that messages quote.
        name: the parameter that messages name.
        language: what maths may use.
        start: where in `text` to begin, counted from 0.
        stop: where in `text` to end; its end by default.
    """

    def __init__(
        self, text: str, name: str, language: Language = KOSHI_LANGUAGE, start: int = 0, stop: int | None = None
    ) -> None:
        if len(text) > MAX_TEXT:
            raise ScheduleError(f"{len(text)} characters are too many, at most {MAX_TEXT} are read", name=name)
        self.text, self.name, self.language = text, name, language
        self._stop = len(text) if stop is None else stop
        self._brackets = _PARENTHESES | _QUOTES if language.quotes else _PARENTHESES
        self._steps: list[Step] = []
        self._nesting = 0
        self.token = self._read(start)

    def fail(self, problem: str, start: int | None = None) -> NoReturn:
        """Raise a ScheduleError about the place `start`, or about the next word."""
        if start is None:
            start = self.token.start
            plain = self.token.text.translate(_LOOKALIKES)
            if self.token.kind == "other" and plain != self.token.text:
                problem = f"{self.token.text!r} is not understood, write {plain!r}"
        raise ScheduleError(problem, text=self.text, column=start + 1, name=self.name)

    def accept(self, sign: str) -> bool:
        """Read `sign` if it comes next."""
        if self.token.text != sign:
            return False
        self.token = self._read(self.token.start + len(sign))
        return True

    def expect(self, sign: str) -> None:
        """Read `sign`, which must come next."""
        if not self.accept(sign):
            self.fail(f"expected {sign!r}")

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read what `pattern` matches if it comes next."""
        found = pattern.match(self.text, self.token.start, self._stop)
        if found is not None:
            self.token = self._read(found.end())
        return found

    @property
    def at_end(self) -> bool:
        """Whether nothing is left to read."""
        return self.token.kind == "end"

    def whole(self) -> Expression:
        """Read maths up to the end."""
        expression = self.expression()
        if not self.at_end:
            self.fail("expected an operator or the end")
        return expression

    def expression(self) -> Expression:
        """Read maths as far as it goes."""
        start = self.token.start
        self._steps = []
        self._operation(0)
        return Expression(tuple(self._steps), self.text, start + 1, self.name)

    def _read(self, position: int) -> Token:
        found = _TOKEN.match(self.text, position, self._stop)
        assert found is not None  # the pattern matches the empty text
        kind = found.lastgroup
        return Token("end", "", found.end()) if kind is None else Token(kind, found[kind], found.start(kind))

    def _next(self) -> Token:
        token = self.token
        self.token = self._read(token.start + len(token.text))
        return token

    def _push(self, step: Step) -> None:
        if len(self._steps) == MAX_STEPS:
            self.fail(f"more than {MAX_STEPS} steps of maths in one value, split it into more keyframes")
        self._steps.append(step)

    def _operation(self, level: int) -> None:
        """An operand and all operators after it that bind at least as tightly as `level`."""
        if self._nesting == MAX_NESTING:
            self.fail(f"nested more than {MAX_NESTING} deep")
        self._nesting += 1
        self._operand()
        while (operator := self._operator()) is not None and operator.level >= level:
            self._next()
            self._operation(operator.level if operator.level == POWER else operator.level + 1)
            self._push(Apply(operator, 2))
            if operator.level == COMPARISON and (chained := self._operator()) and chained.level == COMPARISON:
                self.fail("comparisons do not chain, write (a<b) & (b<c)")
        self._nesting -= 1

    def _operator(self) -> Function | None:
        operator = self.language.operators.get(self.token.text)
        if operator is None and self.token.text == "^":
            self.fail("'^' is xor in Deforum and a power elsewhere: write ** for a power")
        if operator is None and self.token.text in _PYTHON:
            self.fail(f"{self.token.text!r} is not maths, {_PYTHON[self.token.text]}")
        return operator

    def _operand(self) -> None:
        kind, text, _ = self.token
        if kind == "number":
            self._number()
        elif kind == "name":
            self._name()
        elif text in PREFIX:
            self._next()
            self._operation(UNARY)
            self._push(Apply(PREFIX[text], 1))
        elif text in self._brackets:
            self._next()
            self._operation(0)
            self.expect(self._brackets[text])
        else:
            self.fail("expected a number or maths")

    def _number(self) -> None:
        value = float(self.token.text)
        if value == float("inf"):
            self.fail("too large for a number")
        self._next()
        self._push(Number(value))

    def _name(self) -> None:
        _, name, start = self._next()
        if self.accept("("):
            self._call(name, start)
        elif name in self.language.variables:
            self._push(Variable(name))
        elif name in self.language.functions:
            self.fail(f"{name!r} is a function, write {name}(...)", start)
        elif name in _PYTHON:
            self.fail(f"{name!r} is not maths, {_PYTHON[name]}", start)
        else:
            self.fail(_unknown("variable", name, self.language.variables), start)

    def _call(self, name: str, start: int) -> None:
        function = self.language.functions.get(name)
        if function is None:
            if name in self.language.variables:
                self.fail(f"{name!r} is a variable and not a function, write {name}*(...)", start)
            self.fail(_unknown("function", name, self.language.functions), start)
        for variable in function.implicit:
            self._push(Variable(variable))
        count = 0
        while not (count == 0 and self.token.text == ")"):
            self._operation(0)
            count += 1
            if not self.accept(","):
                break
        if not self.accept(")"):
            self.fail("expected ',' or ')'")
        if count < function.least or (function.most is not None and count > function.most):
            self.fail(f"{name!r} takes {_arity(function)}, not {count}", start)
        self._push(Apply(function, len(function.implicit) + count))


def read_keyframes(parser: Parser) -> tuple[Keyframe, ...]:
    """Read the keyframes of a schedule, up to its "@" or its end."""
    if parser.at_end:
        parser.fail("expected a keyframe such as 0:(1.0)")
    if (keyframe := _plain_keyframe(parser)) is None:
        first = parser.expression()
        if parser.at_end or parser.token.text == "@":
            return (Keyframe(Expression((Number(0.0),), parser.text, 1, parser.name), first, not first.names),)
        keyframe = _keyframe(first, parser)
    keyframes = [keyframe]
    while parser.accept(",") and not (parser.at_end or parser.token.text == "@"):
        keyframes.append(_plain_keyframe(parser) or _keyframe(parser.expression(), parser))
    if not (parser.at_end or parser.token.text == "@"):
        parser.fail("expected ','")
    check_keys([keyframe.key for keyframe in keyframes])
    return tuple(keyframes)


def _keyframe(key: Expression, parser: Parser) -> Keyframe:
    parser.expect(":")
    value = parser.expression()
    if parser.token.text == ":":
        raise value.error(f"double key '{key}: {value}:', expected one key and then a value")
    return Keyframe(key, value, not value.names)


def _plain_keyframe(parser: Parser) -> Keyframe | None:
    """What `_keyframe` makes of `30:(1.05)`, several times faster: imported films may have a key for each frame."""
    start = parser.token.start
    found = parser.take(_PLAIN_KEYFRAME)
    if found is None:
        return None
    value = float(found[4])
    if value == float("inf"):
        parser.fail("too large for a number", found.start(4))
    steps = (Number(value), Apply(PREFIX["-"], 1)) if found[3] else (Number(value),)
    column = 1 + min(found.start(group) for group in (2, 3, 4) if found[group])
    key = Expression((Number(float(found[1])),), parser.text, start + 1, parser.name)
    return Keyframe(key, Expression(steps, parser.text, column, parser.name), is_number=True)


def check_keys(keys: list[Expression]) -> None:
    """Refuse keys that are wrong in films of every length."""
    for key in keys:
        if moving := key.names & FRAME_VARIABLES:
            raise key.error(f"a key stands still, it cannot use {min(moving)!r}")
    frames_of([key for key in keys if not key.names], CONSTANTS)


def places(keys: list[Expression], scope: Scope) -> list[int]:
    """The frames that keys stand for, in a film.

    Raises:
        ScheduleError: a key is before frame 0, is no number, or stands for the frame of another.
    """
    return frames_of(keys, scope.constants())


def check_finite(series: NDArray[np.float64], keys: Sequence[int], keyframes: Sequence[Keyframe]) -> None:
    """Refuse a series in which a frame has no value, and blame the keyframe that decides there; `keys` rise."""
    lost = np.flatnonzero(~np.isfinite(series))
    if lost.size:
        decides = max(0, bisect_right(keys, lost[0]) - 1)
        raise keyframes[decides].value.not_finite(int(lost[0]), float(series[lost[0]]))


def frames_of(keys: list[Expression], variables: Mapping[str, Value]) -> list[int]:
    """The frames that keys stand for, given the variables that they use; it raises what `places` does."""
    taken: dict[int, Expression] = {}
    for key in keys:
        frame = _frame(key, variables)
        if frame in taken:
            raise key.error(f"two keys for frame {frame}, '{taken[frame]}' and '{key}'")
        taken[frame] = key
    return list(taken)


def _frame(key: Expression, variables: Mapping[str, Value]) -> int:
    value = float(key.evaluate(variables))
    if not abs(value) < LARGEST_FRAME:
        raise key.error(f"the key is {value:g}, which is no frame")
    if key.literal is not None and value % 1:
        raise key.error(f"frame {show_number(value)} is not whole, write {value // 1:.0f} or {value // 1 + 1:.0f}")
    if value <= -1:
        raise key.error(f"the key is frame {int(value)}, but frames count from 0")
    return int(value)


def _unknown(what: str, name: str, known: frozenset[str] | Mapping[str, Function]) -> str:
    near = get_close_matches(name.lower(), known, n=1)
    return f"unknown {what} {name!r}, " + (
        f"did you mean {near[0]!r}?" if near else f"known are {' '.join(sorted(known))}"
    )


def _arity(function: Function) -> str:
    least, most = function.least, function.most
    if most is not None and most > least:
        return f"{least} to {most} arguments"
    return f"{'at least ' if most is None else ''}{least} argument{'s' if least > 1 else ''}"
