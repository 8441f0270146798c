"""Prompts by frame in one text, in the ways people write them."""

import re

_KEY = r"""(?:"\s*(?P<double>[^"\n]*?)\s*"|'\s*(?P<single>[^'\n]*?)\s*'|(?P<bare>\d+))\s*:(?!\d)\s*"""
_LINE = re.compile(rf"\s*{_KEY}(?P<text>.*)", re.DOTALL)
_QUOTED = re.compile(rf"""[\s,]*{_KEY}(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\([^()]*\))\s*(?=,|$)""", re.DOTALL)
_MARKS = {'"': '"', "'": "'", "(": ")"}


def keyed_prompts(text: str) -> dict[str, str]:
    """Prompts by key. A text that names no frame is one prompt for the whole film, and its key is "0".

    Understood are `0: a | 50: b` (Replicate), one prompt to a line (ComfyUI; a line without a key goes on with the one
    before), and `0:(a), 50:("b")` or `"0": "a", "50": "b"` in any number of lines. Prompts may be in quotes.
    """
    text = text.strip().removeprefix("{").removesuffix("}").strip()
    parts = text.split("|") if "|" in text else _lines(text)
    return _quoted(text) or _parted(parts) or _parted(_lines(text)) or {"0": _bare(text)}


def _quoted(text: str) -> dict[str, str]:
    """Entries whose texts stand in quotes or parentheses, commas between them; {} if there is anything else."""
    entries, end = {}, 0
    while found := _QUOTED.match(text, end):
        entries[_key(found)] = _bare(found["text"])
        end = found.end()
    return {} if text[end:].strip(" ,\n\r\t") else entries


def _parted(parts: list[str]) -> dict[str, str]:
    """One entry to each part; {} if a part has no key."""
    found = [_LINE.fullmatch(part) for part in parts if part.strip(" ,\n\r\t")]
    return {_key(entry): _bare(entry["text"]) for entry in found if entry} if all(found) else {}


def _lines(text: str) -> list[str]:
    """The lines that begin with a key, each with those after it that do not."""
    lines: list[str] = []
    for line in text.splitlines():
        if lines and not _LINE.fullmatch(line):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return lines


def _key(found: re.Match[str]) -> str:
    return found["double"] or found["single"] or found["bare"] or "0"


def _bare(text: str) -> str:
    """A prompt without what stands around it: commas that end a line, quotes, parentheses."""
    text = text.strip().rstrip(",").rstrip()
    while text and text[-1] == _MARKS.get(text[0]) and len(text) > 1 and _whole(text):
        text = text[1:-1].strip()
    return text.strip("\"'").rstrip(", ")


def _whole(text: str) -> bool:
    """Whether the first and the last sign belong together: `(a) and (b)` stands in no parentheses."""
    return text[0] != "(" or not re.search(r"[()]", text[1:-1])
