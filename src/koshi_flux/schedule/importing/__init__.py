"""Films of other programs, read into ours: `import_film` recognises a file by what is in it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.importing.deforum_film import ELSEWHERE
from koshi_flux.schedule.importing.report import STRENGTHS, Entry, Imported, Options
from koshi_flux.schedule.importing.text import Repeat, read_file, read_json

_JSON = re.compile(r"\ufeff?(?:\s++|//[^\n]*+|#[^\n]*+|/\*.*?\*/)*+[{\[]", re.DOTALL)
_FILM = re.compile(r"^koshi\s*=", re.MULTILINE)


class Source(NamedTuple):
    """A kind of file.

    Args:
        name: what messages call it.
        recognises: whether a file's content (of JSON, or else its text) is of this kind.
        read: the reader.
    """

    name: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any, Options], Imported]


def import_film(
    path_or_dict: Path | str | Mapping[str, Any],
    *,
    model: str | None = None,
    strength: str = "snr",
    fetch: Callable[[str], Path] | None = None,
) -> Imported:
    """Read a film of another program, and say what became of every key of its file.

    Args:
        path_or_dict: the file, or its content.
        model: the model that the film is to be drawn with.
        strength: what its strengths become: "snr", the start sigma with as much noise as they meant where the film was
            made; "steps", the same share of the steps of the model that draws; "direct", 1 less the number itself.
        fetch: brings a file from the web, for those that the film uses; None leaves them, and says so.

    Raises:
        SettingsError: it cannot be read, is none that is known, or `strength` is none of these; messages about a file's
            text have line and column.
        ScheduleError: a schedule cannot be read.
    """
    if strength not in STRENGTHS:
        raise SettingsError(f"unknown strength {strength!r}: known are {', '.join(STRENGTHS)}")
    options = Options(model, STRENGTHS[strength])
    if isinstance(path_or_dict, Mapping):
        return _read_with(fetch, path_or_dict, options, "the dict")
    path = Path(path_or_dict)
    text = read_file(path)
    if not _JSON.match(text):
        return _read(text, options, str(path))
    read = read_json(text, str(path))
    imported = _read_with(fetch, read.content, options, str(path))
    repeats = tuple(_repeated(repeat) for repeat in read.repeats)
    return Imported(imported.animation, imported.entries + repeats, imported.source)


def sources() -> tuple[Source, ...]:
    """The kinds of files that are read, the most telling first: a dict of Deforum's may be any of its keys."""
    from koshi_flux.schedule.importing import cog, comfy, deforum, koshi, parseq

    return (
        Source("Parseq manifest", parseq.is_parseq, parseq.read_parseq),
        Source("ComfyUI graph with Deforum nodes", comfy.is_comfy, comfy.read_comfy),
        Source("Koshi-Flux settings", koshi.is_koshi, koshi.read_koshi),
        Source("Deforum on Replicate, or prompts by frame", cog.is_cog, cog.read_cog),
        Source("Deforum settings", deforum.is_deforum, deforum.read_deforum),
    )


def _read_with(fetch: Callable[[str], Path] | None, content: Any, options: Options, origin: str) -> Imported:
    """The film, once more with the files that it uses and that lay on the web."""
    imported = _read(content, options, origin)
    elsewhere = {entry.key: str(entry.value) for entry in imported.entries if entry.why == ELSEWHERE}
    if fetch is None or not elsewhere or not isinstance(content, Mapping):
        return imported
    here = {key: str(fetch(address.strip())) for key, address in elsewhere.items() if key in content}
    return _read({**content, **here}, options, origin)


def _read(content: Any, options: Options, origin: str) -> Imported:
    known = sources()
    for source in known:
        if source.recognises(content):
            return source.read(content, options)
    if isinstance(content, str) and _FILM.search(content):
        raise SettingsError(f"{origin} is a film file already: koshi render {origin}")
    raise SettingsError(f"{origin} is none of the files that can be imported: {', '.join(kind.name for kind in known)}")


def _repeated(repeat: Repeat) -> Entry:
    return Entry(repeat.key, repeat.value, "meaningless", why="given twice: the later one counts, as in Deforum")
