r"""Reading what people call JSON: settings files that were edited by hand, copied out of Python, or cut short.

Beyond JSON it reads a byte order mark, comments (`//`, `#`, `/* */`), commas before a closing bracket, and Python's
literals: single quotes, True, False, None, tuples and numbers as keys. A backslash that begins no escape stands for
itself, so that `"C:\Users"` is a path. Whatever else is wrong is said with its line and column.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from koshi_flux.errors import SettingsError

MAX_BYTES = 64_000_000
MAX_DEPTH = 50
"""Brackets within brackets; real files have no more than ten."""

_BLANK = re.compile(r"(?:[\s\ufeff]++|//[^\n]*+|#[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*+\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?+(?![\w.])")
_WORD = re.compile(r"[A-Za-z_]\w*|[+-](?:Infinity|inf|nan|NaN)\b")
_BODY = {
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"""', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*+'''", re.DOTALL),
    '"': re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL),
    "'": re.compile(r"[^'\\]*+(?:\\.[^'\\]*+)*+'", re.DOTALL),
}
"""What follows an opening quote, up to its end; the longest quotes come first."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|(.))", re.DOTALL)
_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "/": "/", "\n": ""}
_WORDS: dict[str, Any] = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_NO_NUMBERS = ("NaN", "Infinity", "nan", "inf")
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Halves of characters: Python's own reader lets some stand alone, which no file can be written with."""
_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Repeat:
    """A key that an object has more than once; the last one counts, as in every reader of JSON.

    Args:
        key: its name.
        value: the value that does not count.
    """

    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Read:
    """The content of a file, and what in it does not count."""

    content: Any
    repeats: tuple[Repeat, ...] = ()


def read_file(path: Path) -> str:
    """The text of a file, in UTF-8 or, when it begins with their mark, UTF-16.

    Raises:
        SettingsError: there is no such file, it is too large, or it holds no text.
    """
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{path} has more than {MAX_BYTES // 1_000_000} MB: is it a settings file?")
        data = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError(f"no file at {path}") from None
    except (OSError, ValueError) as unreadable:  # a path with a null character is a ValueError
        raise SettingsError(f"{path} cannot be read: {unreadable}") from None
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as broken:
        line = data.count(b"\n", 0, broken.start) + 1
        column = broken.start - data.rfind(b"\n", 0, broken.start)
        raise SettingsError(
            f"{path} is no text in UTF-8: byte {data[broken.start]:#04x} at line {line}, column {column}"
        ) from None


def read_json(text: str, origin: str = "the file") -> Read:
    """Read a text that is JSON, or nearly.

    Args:
        origin: what messages call it.

    Raises:
        SettingsError: it cannot be read; the message has the line and column, and what was expected there.
    """
    if len(text) > MAX_BYTES:
        raise SettingsError(f"{origin} has more than {MAX_BYTES // 1_000_000} million characters")
    repeats: list[Repeat] = []
    try:
        content = None if _SURROGATE.search(text) else _strict(repeats)(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        content = None
    return _Reader(text, origin).whole() if content is None else Read(content, tuple(repeats))


def _strict(repeats: list[Repeat]) -> Callable[[str], Any]:
    """Python's own reader, which is fast and says nothing about places."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        held: dict[str, Any] = {}
        for key, value in found:
            if key in held:
                repeats.append(Repeat(key, held[key]))
            held[key] = value
        return held

    def no_number(word: str) -> NoReturn:
        raise ValueError(word)

    def number(digits: str) -> float:
        return value if math.isfinite(value := float(digits)) else no_number(digits)

    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=no_number, parse_float=number, strict=False).decode


@dataclass(slots=True)
class _Reader:
    """Reads a text from left to right; slower, but it forgives and knows where it is."""

    text: str
    origin: str
    place: int = 0
    depth: int = 0
    repeats: list[Repeat] = field(default_factory=list)

    def whole(self) -> Read:
        content = self._value()
        if self._next():
            self._fail("expected nothing after the last bracket")
        return Read(content, tuple(self.repeats))

    def _value(self) -> Any:
        sign = self._next()
        if sign in _CLOSING and sign:
            return self._nested(sign)
        if sign in ('"', "'"):
            return self._string()
        if found := _NUMBER.match(self.text, self.place):
            return self._number(found)
        return self._word()

    def _nested(self, opening: str) -> Any:
        start = self.place
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"brackets are nested more than {MAX_DEPTH} deep")
        self.place += 1
        items = self._items(opening, start)
        self.depth -= 1
        return items

    def _items(self, opening: str, start: int) -> dict[str, Any] | list[Any]:
        closing, held, listed = _CLOSING[opening], dict[str, Any](), list[Any]()
        while (sign := self._next()) != closing:
            if not sign:
                self._fail(f"the text ends here, but the {opening!r} of {self._where(start)} is still open")
            if opening == "{":
                self._pair(held)
            else:
                listed.append(self._value())
            if self._next() not in (",", closing, ""):
                self._fail(f"expected ',' or {closing!r}")
            self.place += self._next() == ","
        self.place += 1
        return held if opening == "{" else listed

    def _pair(self, held: dict[str, Any]) -> None:
        key = self._key()
        if self._next() != ":":
            self._fail(f"expected ':' after the key {key!r}" if self._next() else "the text ends here, expected ':'")
        self.place += 1
        value = self._value()
        if key in held:
            self.repeats.append(Repeat(key, held[key]))
        held[key] = value

    def _key(self) -> str:
        if self._next() in ('"', "'"):
            return self._string()
        found = _NUMBER.match(self.text, self.place) or _WORD.match(self.text, self.place)
        if not found:
            self._fail("expected a key in quotes")
        self.place = found.end()
        return found[0]

    def _string(self) -> str:
        start = self.place
        for quote, body in _BODY.items():
            if self.text.startswith(quote, start) and (found := body.match(self.text, start + len(quote))):
                self.place = found.end()
                return _paired(_ESCAPE.sub(_unescaped, found[0].removesuffix(quote)))
        quote, self.place = self.text[start], len(self.text)
        self._fail(f"the text ends here, but the {quote} of {self._where(start)} is still open")

    def _number(self, found: re.Match[str]) -> int | float:
        digits = found[0].replace("_", "")
        try:
            number = int(digits) if re.fullmatch(r"[+-]?\d+", digits) else float(digits)
        except ValueError:  # Python reads no whole number of more than 4300 digits
            number = math.inf
        if isinstance(number, float) and not math.isfinite(number):
            self._fail("this number is too large")
        self.place = found.end()
        return number

    def _word(self) -> Any:
        found = _WORD.match(self.text, self.place)
        word = found[0] if found else ""
        if word in _WORDS:
            self.place += len(word)
            return _WORDS[word]
        if word.lstrip("+-") in _NO_NUMBERS:
            self._fail(f"{word} is no number that a film can have: write the number that is meant")
        if not self._next():
            self._fail("the text ends here, expected a value")
        self._fail(f"expected a value, not {word!r}: texts stand in quotes" if word else "expected a value")

    def _next(self) -> str:
        """The sign that follows, comments and blanks passed over; "" at the end."""
        blank = _BLANK.match(self.text, self.place)
        assert blank is not None  # the pattern matches the empty text
        self.place = blank.end()
        return self.text[self.place : self.place + 1]

    def _where(self, place: int) -> str:
        line = self.text.count("\n", 0, place) + 1
        return f"line {line}, column {place - self.text.rfind(chr(10), 0, place)}"

    def _fail(self, problem: str) -> NoReturn:
        start = self.text.rfind("\n", 0, self.place) + 1
        line = self.text[start:].split("\n", 1)[0]
        shown = max(0, self.place - start - 40)
        near = "".join(c if c.isprintable() else " " for c in line[shown : shown + 80])
        caret = " " * (self.place - start - shown) + "^"
        raise SettingsError(f"{self.origin}: {problem} at {self._where(self.place)}\n    {near}\n    {caret}")


def _unescaped(escape: re.Match[str]) -> str:
    """What a backslash and what follows it stand for."""
    if digits := escape[1] or escape[2] or escape[3]:
        return chr(int(digits, 16))
    return _SIGNS.get(escape[4], escape[0])


def _paired(text: str) -> str:
    """Characters beyond the 65,536th, which JSON writes as two halves; a half alone is none."""
    whole = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", whole)
