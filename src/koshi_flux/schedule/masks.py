r"""Which part of a frame may change, by frame: expressions such as `{video_mask} & ![sky.png]`. White changes.

- `{video_mask}`, `{mask}`, `{alpha}`, `{everywhere}` and `[file.png]` are masks; parentheses group;
- `!a` is what a is not, `a & b` what is in both, `a | b` in either, `a ^ b` in one of them, `a \ b` in a without b;
- `!` comes before `&`, then `|`, `^` and `\`, as in Deforum; equals go from left to right.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NoReturn

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.expression import Expression, Scope
from koshi_flux.schedule.grammar import Parser, check_keys
from koshi_flux.schedule.lora import whole
from koshi_flux.schedule.strings import StringSchedule

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "video_mask": "the mask video's frame",
        "mask": "the mask image",
        "alpha": "how opaque the init image is",
        "everywhere": "all of the frame",
    }
)
"""The masks that are named in braces, and what each is."""

MAX_NESTING = 50
MAX_TEXT = 10_000

_BINARY = {"&": 4, "|": 3, "^": 2, "\\": 1}
"""How tightly each sign between two masks binds."""
_NOT = 5
_ATOM = 6

_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(
    r"""\{(?P<name>[^{}]*)\}
      | \[\s*(?: "(?P<double>[^"]+)" | '(?P<single>[^']+)' | (?P<bare>[^\]"'\s][^\]]*) )\s*\]
      | (?P<words><[^<>]*>)
      | (?P<sign>[!&|^\\()])
      | (?P<other>[\[\]{}<>] | [^\s!&|^\\()\[\]{}<>]+)""",
    re.VERBOSE,
)
_SCHEDULE = re.compile(r"""[\s"'(]*(?:[0-9]|max_f)[^{}\[\]<>]*?:""")
"""How `0: ("{video_mask}"), 60: ("[sky.png]")` begins."""
_MEANT = {"and": "&", "or": "|", "not": "!", "xor": "^", "~": "!", "+": "|", "*": "&", "-": "\\", "/": "\\"}
_EXAMPLE = 'mask = "{video_mask} & ![sky.png]", or [mask] 0 = "{video_mask}"'


@dataclass(frozen=True, slots=True)
class MaskExpression:
    r"""A mask made of masks.

    Args:
        steps: in postfix order: `a & !b` is a b ! &. Masks are "{name}" or "[file]", the rest are ! & | ^ and \.
    """

    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, name: str = "mask") -> "MaskExpression":
        """Read an expression; a path alone is that file.

        Raises:
            ScheduleError: the text cannot be read; it has the column and what was expected there.
        """
        if not _is_path(text):
            return cls(_Reader(text, name).whole())
        if {"'", '"'} <= set(text):
            raise ScheduleError("a file's name cannot hold both kinds of quotes", text=text, name=name)
        return cls((f"[{text.strip()}]",))

    @property
    def leaves(self) -> tuple[str, ...]:
        """The masks that it is made of, as "{name}" or "[file]", each once."""
        return tuple(dict.fromkeys(step for step in self.steps if step[0] in "{["))

    def renamed(self, rename: Callable[[str], str]) -> "MaskExpression":
        """The same of other files."""
        return MaskExpression(tuple(f"[{rename(step[1:-1])}]" if step[0] == "[" else step for step in self.steps))

    def __str__(self) -> str:
        """Its canonical text, with as few parentheses as can be."""
        stack: list[tuple[str, int]] = []
        for step in self.steps:
            if step == "!":
                stack.append((f"!{_bracketed(*stack.pop(), _NOT)}", _NOT))
            elif (level := _BINARY.get(step)) is not None:
                right, left = stack.pop(), stack.pop()
                stack.append((f"{_bracketed(*left, level)} {step} {_bracketed(*right, level + 1)}", level))
            else:
                stack.append((_shown(step), _ATOM))
        return stack.pop()[0]


def read_masks(given: object, name: str = "mask", dialect: str = "koshi") -> dict[str, str]:
    """Mask expressions by the key they hold from.

    Args:
        given: an expression or path for the whole film, "" for none, a table of such by key, or Deforum's
            `0: ("{video_mask}"), 60: ("[sky.png]")`. Keys are frames, or maths such as "max_f/2".
        name: the setting, for messages.
        dialect: how Deforum's form is read; Deforum's own dialects drop parentheses and split at every comma.

    Raises:
        ScheduleError: a key or expression cannot be read.
        SettingsError: there is something else than text.
    """
    masks = {key: _canonical(text, _named(name, key)) for key, text in _table(given, name, dialect).items()}
    check_keys([key for key, _ in _entries(masks, name)])
    return masks


def mask_values(masks: Mapping[str, str], scope: Scope, name: str = "mask") -> list[str]:
    """The expression of every frame of a film, "" where there is none; the first one also holds before its key."""
    if not masks:
        return [""] * scope.frames
    schedule = StringSchedule(_entries(masks, name), name=name)
    return schedule.values(scope.frames, scope.seed, scope.fps, scope.bpm)


def leaves(masks: Mapping[str, str]) -> tuple[str, ...]:
    """Every mask that some expression of a film is made of, as "{name}" or "[file]"."""
    expressions = (MaskExpression.parse(text) for text in masks.values() if text)
    return tuple(dict.fromkeys(leaf for expression in expressions for leaf in expression.leaves))


def files(masks: Mapping[str, str]) -> tuple[str, ...]:
    """Every file that some expression of a film names."""
    return tuple(leaf[1:-1] for leaf in leaves(masks) if leaf[0] == "[")


def beside(given: object, folder: Path, name: str = "mask", dialect: str = "koshi") -> dict[str, str]:
    """Masks, as `read_masks` takes them, with the whole paths of those files that lie in `folder`."""

    def placed(text: str) -> str:
        return str(MaskExpression.parse(text).renamed(lambda file: whole(file, folder)))

    return {key: text and placed(text) for key, text in read_masks(given, name, dialect).items()}


class _Token(NamedTuple):
    """A word of the text: a "leaf", a "sign", "words" (for CLIPSeg), "other" or the "end"; places count from 0."""

    kind: str
    text: str
    start: int
    stop: int


class _Reader:
    """Reads an expression from left to right into postfix order."""

    def __init__(self, text: str, name: str) -> None:
        if len(text) > MAX_TEXT:
            raise ScheduleError(f"{len(text)} characters are too many, at most {MAX_TEXT} are read", name=name)
        self._text, self._name = text, name
        self._steps: list[str] = []
        self._nesting = 0
        self._token = self._read(0)

    def whole(self) -> tuple[str, ...]:
        """Everything up to the end."""
        self._operation(0)
        if self._token.kind != "end":
            self._fail(r"expected & | ^ \ or the end")
        return tuple(self._steps)

    def _operation(self, level: int) -> None:
        """A mask and all that is done with it by signs that bind at least as tightly as `level`."""
        self._operand()
        while (binds := _BINARY.get(self._token.text, -1)) >= level:
            sign = self._next()
            self._operation(binds + 1)
            self._steps.append(sign)

    def _operand(self) -> None:
        kind, text, *_ = self._token
        if kind == "leaf":
            self._check_name()
            self._steps.append(self._next())
        elif text == "!":
            self._nested(self._operand)
            self._steps.append("!")
        elif text == "(":
            self._nested(lambda: self._operation(0))
            if self._token.text != ")":
                self._fail(r"expected & | ^ \ or ')'")
            self._next()
        elif kind == "words":
            self._fail(f"{text} needs CLIPSeg, which is not part of koshi-flux: paint that mask and write [file.png]")
        else:
            self._fail("expected a mask such as {video_mask} or [file.png]")

    def _nested(self, read: Callable[[], None]) -> None:
        if self._nesting == MAX_NESTING:
            self._fail(f"nested more than {MAX_NESTING} deep")
        self._nesting += 1
        self._next()
        read()
        self._nesting -= 1

    def _check_name(self) -> None:
        text = self._token.text
        name = text[1:-1]
        if text[0] == "{" and name not in NAMES:
            near = get_close_matches(name, NAMES, n=1)
            known = f"did you mean {{{near[0]}}}?" if near else f"known are {' '.join(f'{{{name}}}' for name in NAMES)}"
            self._fail(f"unknown mask {text}, {known}")

    def _next(self) -> str:
        text, self._token = self._token.text, self._read(self._token.stop)
        return text

    def _read(self, position: int) -> _Token:
        space = _SPACE.match(self._text, position)
        assert space is not None  # the pattern matches the empty text
        found = _TOKEN.match(self._text, space.end())
        if found is None:
            return _Token("end", "", space.end(), space.end())
        kind, text = str(found.lastgroup), found[str(found.lastgroup)]
        if kind == "name":
            kind, text = "leaf", f"{{{text.strip().lower()}}}"
        elif kind in ("double", "single", "bare"):
            kind, text = "leaf", f"[{text.strip()}]"
        return _Token(kind, text, *found.span())

    def _fail(self, problem: str) -> NoReturn:
        kind, text, start, _ = self._token
        if kind == "other":
            problem = _instead(text) or problem
        raise ScheduleError(problem, text=self._text, column=start + 1, name=self._name)


def _instead(word: str) -> str | None:
    """What to write in place of a word that is not of the language."""
    if (plain := word.lower()) in NAMES:
        return f"the names of masks stand in braces: write {{{plain}}}"
    if plain in _MEANT:
        return f"{word!r} is not understood, write {_MEANT[plain]}"
    if word in "[{<":
        return f"{word!r} begins no mask, write {{video_mask}} or [file.png]"
    return f"expected no {word!r}; if it is a file, write [{word}]" if "." in word else None


def _is_path(text: str) -> bool:
    """Whether a text is no expression: those have masks in brackets."""
    bare = text.strip()
    return bool(bare) and bare.lower() not in NAMES and bare[0] not in "!()&|^" and not set(bare) & set("{[<")


def _table(given: object, name: str, dialect: str) -> dict[str, str]:
    if isinstance(given, str) and _SCHEDULE.match(given):
        return {str(key): text for key, text in StringSchedule.parse(given, name, dialect).entries}
    if isinstance(given, str):
        return {"0": given} if given.strip() else {}
    if not isinstance(given, Mapping):
        raise SettingsError(f"{name}: expected masks such as {_EXAMPLE}, got {given!r}")
    for key, text in given.items():
        if not isinstance(text, str):
            raise SettingsError(f"{name}: at frame {key} stands {text!r}; write {_EXAMPLE}")
    return {str(key): text for key, text in given.items()}


def _canonical(text: str, name: str) -> str:
    return str(MaskExpression.parse(text, name)) if text.strip() else ""


def _entries(masks: Mapping[str, str], name: str) -> tuple[tuple[Expression, str], ...]:
    return tuple((Parser(key, _named(name, key)).whole(), text) for key, text in masks.items())


def _named(name: str, key: str) -> str:
    return name if key == "0" else f"{name}[{key!r}]"


def _shown(leaf: str) -> str:
    file = leaf[1:-1]
    if leaf[0] == "{" or not ("]" in file or file[0] in "\"'"):
        return leaf
    quote = "'" if '"' in file else '"'
    return f"[{quote}{file}{quote}]"


def _bracketed(text: str, level: int, least: int) -> str:
    return text if level >= least else f"({text})"
