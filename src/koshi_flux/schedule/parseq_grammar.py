"""Parseq's maths -> expressions, with the column of whatever is wrong.

Its quirks are kept, because films were tuned on them: all signs are right-associative, so that `10-5-2` is 10-(5-2) and
`1-2+3` is 1-(2+3); `^` binds like `*`; and the last branch of an `if` ends as early as it can, so that
`if f 1 else 2 + 3` is (if f 1 else 2) + 3.
"""

import re
from difflib import get_close_matches
from typing import NamedTuple

from koshi_flux.schedule.expression import Apply, Expression, Number, Step, Variable
from koshi_flux.schedule.functions import BINARY, PREFIX
from koshi_flux.schedule.grammar import MAX_NESTING, MAX_STEPS, Language, Parser, Token
from koshi_flux.schedule.parseq_functions import FUNCTIONS, IF, LEVELS, OPERATORS, REFUSED, Callee, Parameter
from koshi_flux.schedule.parseq_variables import BEAT, CONSTANTS, PREVIOUS, SECOND, VARIABLES

DECIMAL = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<number>{DECIMAL}[fsb]?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<words>"[^"]*"|'[^']*')
      | (?P<sign>&&|\|\||<=|>=|==|!=|[-+*/%^<>=(),:;])
      | (?P<other>.)
    )?""",
    re.VERBOSE | re.DOTALL,
)
_UNITS = {"s": SECOND, "b": BEAT}
_KEYWORDS = ("if", "else", "and", "or")
_OURS = {
    "t": "the frame is f in Parseq",
    "max_f": "the last frame is final_frame in Parseq",
    "pi": "it is PI in Parseq",
    "e": "it is E in Parseq",
    "cadence": "write the number",
    "where": "write if condition a else b",
    **dict.fromkeys(["cos", "tan", "log", "exp", "sqrt"], "Parseq writes a _ before the functions of mathematics"),
}
_LANGUAGE = Language(frozenset(VARIABLES), {}, OPERATORS, quotes=False)


class _Mark(NamedTuple):
    """A place to come back to."""

    token: Token
    steps: int


class ParseqParser(Parser):
    """Reads Parseq's maths from left to right."""

    def __init__(self, text: str, name: str) -> None:
        self._written = 0
        self._last_else: Token | None = None
        super().__init__(text, name, _LANGUAGE)

    def _read(self, position: int) -> Token:
        found = _TOKEN.match(self.text, position, self._stop)
        assert found is not None  # the pattern matches the empty text
        kind = found.lastgroup
        return Token("end", "", found.end()) if kind is None else Token(kind, found[kind], found.start(kind))

    def expression(self) -> Expression:
        """Read maths as far as it goes."""
        self._written = 0
        return super().expression()

    def _push(self, step: Step) -> None:
        self._written += 1  # those that are read twice count twice, so that nested ifs cannot take for ever
        if self._written > MAX_STEPS:
            self.fail(f"more than {MAX_STEPS} steps of maths in one value, split it into more keyframes")
        super()._push(step)

    def _operation(self, level: int) -> None:
        """Operands with signs between them; of equal signs each takes all that follows it."""
        self._operand()
        waiting: list[str] = []
        while (sign := self.token.text) in LEVELS:
            while waiting and LEVELS[waiting[-1]] > LEVELS[sign]:
                self._push(Apply(OPERATORS[waiting.pop()], 2))
            waiting.append(self._next().text)
            self._operand()
        for sign in reversed(waiting):
            self._push(Apply(OPERATORS[sign], 2))

    def _operand(self) -> None:
        """A number, name, call, group or `if`, perhaps with a minus before it, which binds most tightly."""
        if self._nesting == MAX_NESTING:
            self.fail(f"nested more than {MAX_NESTING} deep")
        self._nesting += 1
        negative = self.accept("-")
        kind, text, _ = self.token
        if text == "if":
            self._if()
        elif kind == "number":
            self._number()
        elif kind == "name":
            self._name()
        elif text == "(":
            self._group()
        elif kind == "words":
            self.fail("words have no place in a schedule of numbers")
        else:
            self.fail("expected a number or maths")
        if negative:
            self._push(Apply(PREFIX["-"], 1))
        self._nesting -= 1

    def _number(self) -> None:
        text = self._next().text
        unit = text[-1] if text[-1] in "fsb" else ""
        self._push(Number(float(text.removesuffix(unit))))
        if unit in _UNITS:
            self._push(Variable(_UNITS[unit]))
            self._push(Apply(BINARY["*"], 2))

    def _group(self) -> None:
        outer_else = self._last_else
        self.expect("(")
        self._operation(0)
        self.expect(")")
        self._last_else = outer_else

    def _name(self) -> None:
        _, name, start = self._next()
        if name in _KEYWORDS:
            self.fail(f"{name!r} stands where a number or maths was expected", start)
        elif name in CONSTANTS:
            self._push(Number(CONSTANTS[name]))
        elif self.token.text == "(":
            self._call(name, start)
        elif name in VARIABLES or name == PREVIOUS:
            self._push(Variable(name))
        else:
            self.fail(self._unknown("variable", name), start)

    def _unknown(self, what: str, name: str) -> str:
        if name in REFUSED:
            return f"{name!r} {REFUSED[name]}"
        if name in FUNCTIONS:
            return f"{name!r} is a function, write {name}(...)"
        if name in _OURS:
            return f"Parseq has no {name!r}: {_OURS[name]}"
        known = [*FUNCTIONS] if what == "function" else [*(name for name in VARIABLES if name.isidentifier()), PREVIOUS]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {' '.join(sorted(known))}"
        return f"unknown {what} {name!r}, {hint}"

    def _mark(self) -> _Mark:
        return _Mark(self.token, len(self._steps))

    def _back_to(self, mark: _Mark) -> None:
        self.token = mark.token
        del self._steps[mark.steps :]

    def _if(self) -> None:
        """`if condition a` or `if condition a else b`; without a branch that holds it is 0."""
        self._next()
        self._condition()
        self._last_else = None
        self._consequence()
        if self.token.text == "else":
            taken = self._next()
            self._operand()
            self._last_else = taken
        elif self._last_else is not None:
            self.fail("either 'if' could have this 'else', put the inner one in parentheses", self._last_else.start)
        else:
            self._push(Number(0.0))
        self._push(Apply(IF, 3))

    def _condition(self) -> None:
        """As long as it can be, while something is left to follow it: `if (a) -b c` is about (a)-b, `if (a) -b` not."""
        start = self._mark()
        self._operation(0)
        if start.token.text == "(" and (self.at_end or self.token.text in ("else", ")", ",", ";")):
            self._back_to(start)
            self._group()

    def _consequence(self) -> None:
        """All up to an `else`, or else as little as it can be."""
        start = self._mark()
        self._operand()
        if self.token.text not in LEVELS:
            return
        shortest, steps = self._mark(), self._steps[start.steps :]
        self._back_to(start)
        self._operation(0)
        if self.token.text != "else":
            self._back_to(start)
            self.token = shortest.token
            self._steps += steps

    def _call(self, name: str, start: int) -> None:
        callee = FUNCTIONS.get(name)
        if callee is None:
            self.fail(self._unknown("function", name), start)
        before, outer_else = len(self._steps), self._last_else
        given = self._arguments(name, callee)
        del self._steps[before:]
        for variable in callee.function.implicit:
            self._push(Variable(variable))
        for parameter in callee.parameters:
            for step in given.get(parameter) or self._default(name, parameter, start):
                self._push(step)
        self._push(Apply(callee.function, len(callee.function.implicit) + sum(map(_width, callee.parameters))))
        self._last_else = outer_else

    def _arguments(self, name: str, callee: Callee) -> dict[Parameter, list[Step]]:
        """What is given for each parameter: all of it by place, or all of it by name."""
        self.expect("(")
        given: dict[Parameter, list[Step]] = {}
        by_name = self._names_argument()
        for place in range(len(callee.parameters) + 1):
            if place == 0 and self.token.text == ")":
                break
            if place == len(callee.parameters):
                self.fail(f"{name!r} takes at most {place} arguments: {_usage(callee)}")
            if self._names_argument() != by_name:
                self.fail("name all arguments or none")
            start = self.token.start
            meant = self._named(name, callee) if by_name else [callee.parameters[place]]
            if given.keys() & set(meant):
                self.fail(f"{name!r} is given {meant[0].names[0]!r} twice", start)
            given |= dict.fromkeys(meant, self._argument(meant[0]))
            if not self.accept(","):
                break
        if not self.accept(")"):
            self.fail("expected ',' or ')'")
        return given

    def _names_argument(self) -> bool:
        return self.token.kind == "name" and self._read(self.token.start + len(self.token.text)).text == "="

    def _named(self, name: str, callee: Callee) -> list[Parameter]:
        argument = self.token.text
        meant = [parameter for parameter in callee.parameters if argument in parameter.names]
        if not meant:
            self.fail(f"{name!r} has no argument {argument!r}: {_usage(callee)}")
        self._next()
        self.expect("=")
        return meant

    def _argument(self, parameter: Parameter) -> list[Step]:
        if parameter.words is not None:
            return self._word(parameter.words)
        before, start = len(self._steps), self.token.start
        self._operation(0)
        steps = self._steps[before:]
        low, high = parameter.within
        if len(steps) == 1 and isinstance(steps[0], Number) and not low <= steps[0].value <= high:
            self.fail(f"{parameter.names[0]} must lie in [{low:g}, {high:g}]", start)
        return steps

    def _word(self, words: dict[str, tuple[float, ...]]) -> list[Step]:
        if self.token.kind != "words":
            self.fail(f'expected a word in quotes, such as "{next(iter(words))}"')
        word = self.token.text[1:-1]
        if word not in words:
            near = get_close_matches(word, words, n=1)
            self.fail(
                f"unknown {word!r}, " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(words)}")
            )
        self._next()
        return [Number(value) for value in words[word]]

    def _default(self, name: str, parameter: Parameter, start: int) -> list[Step]:
        match parameter.default:
            case None:
                self.fail(f"{name!r} needs {parameter.names[0]!r}", start)
            case str(variable):
                return [Variable(variable)]
            case tuple(numbers):
                return [Number(value) for value in numbers]
            case number:
                return [Number(float(number))]


def _width(parameter: Parameter) -> int:
    """How many values an argument is."""
    return len(parameter.default) if isinstance(parameter.default, tuple) else 1


def _usage(callee: Callee) -> str:
    return f"{callee.function.name}({', '.join(parameter.names[0] for parameter in callee.parameters)})"
