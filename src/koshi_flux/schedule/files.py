"""film.toml <-> Animation."""

import tomllib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.lora import changed
from koshi_flux.schedule.places import whole_paths
from koshi_flux.version import VERSION

FORMAT = 1
"""The film file format that this version writes and reads: the value of the key `koshi`."""

_TABLES = ("prompts", "reference", "guides", "mask", "noise_mask")
"""Settings that are texts by frame."""


def load_film(path: Path | str, overrides: Iterable[str] = ()) -> Animation:
    """Read a film file.

    Args:
        overrides: "key=value" texts that take the place of the file's settings, as `--set` gives them.

    Raises:
        SettingsError: the file is missing, is no film file, or holds a wrong setting; the message names the file.
        ScheduleError: a schedule or prompt in it is wrong.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"no film file at {path}") from None
    except (OSError, UnicodeDecodeError) as unreadable:
        raise SettingsError(f"{path} cannot be read as a film file: {unreadable}") from None
    return parse_film(text, str(path), overrides, path.parent)


def parse_film(text: str, origin: str = "film", overrides: Iterable[str] = (), folder: Path | None = None) -> Animation:
    """Read the text of a film file.

    Args:
        origin: what error messages call it.
        overrides: "key=value" texts that take the place of its settings.
        folder: where files are looked for that it names; None leaves them as they are written.
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as broken:
        raise SettingsError(f"{origin} is not valid TOML: {broken}") from None
    _check_format(settings.pop("koshi", None), origin)
    if folder is not None:
        settings |= whole_paths(settings, folder)
    for override in overrides:
        apply_override(settings, override)
    try:
        return Animation(**settings)
    except SettingsError as wrong:
        raise SettingsError(f"{origin}: {wrong}") from None


def apply_override(settings: dict[str, Any], override: str) -> None:
    """Set one "key=value" in `settings`; "prompts.60=a city" and "lora.style=0.5" reach into tables."""
    key, equals, value = override.partition("=")
    key, _, inner = key.strip().partition(".")
    if not equals or not key:
        raise SettingsError(f"--set takes key=value, e.g. --set zoom='0:(1.02)', got {override!r}")
    if not inner:
        settings[key] = _toml_value(value)
        return
    if key in ("lora", "controlnet", "ip_adapter"):
        settings[key] = changed(settings.get(key), inner, _toml_value(value))
        return
    if key not in _TABLES:
        raise SettingsError(
            f"--set {override}: {key} is no table; write --set {key}=..., a schedule as '0:(1), 60:(2)'"
        )
    held = settings.get(key, {})
    settings[key] = {**({"0": held} if isinstance(held, str) else held), inner: value.strip()}


def dump_film(animation: Animation, comment: str = "") -> str:
    """The film as the text of a film file: only what differs from the defaults."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(f"koshi-flux {VERSION}"))
    for line in comment.splitlines():
        document.add(tomlkit.comment(line))
    document.add("koshi", tomlkit.item(FORMAT))
    given = {name: _plain(value) for name, value in animation.given().items() if value is not None}
    for name, value in sorted(given.items(), key=lambda item: isinstance(item[1], dict)):  # TOML has its tables last
        document.add(name, tomlkit.item(value))
    return tomlkit.dumps(document)


def save_film(animation: Animation, path: Path | str, comment: str = "") -> None:
    """Write a film file."""
    Path(path).write_text(dump_film(animation, comment), encoding="utf-8")


def _check_format(stated: object, origin: str) -> None:
    if stated is None:
        raise SettingsError(f"{origin} does not say 'koshi = {FORMAT}' in its first lines: is it a film file?")
    if stated != FORMAT:
        raise SettingsError(
            f"{origin} says koshi = {stated!r}, but this version reads koshi = {FORMAT}: update koshi-flux"
        )


def _toml_value(text: str) -> object:
    """A number, list or quoted string as TOML has it; any other text as it stands."""
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _plain(value: object) -> object:
    """A setting as TOML has it; the parts of a LoRA or the like that are at their defaults are left out."""
    if isinstance(value, Schedule):
        number = _as_number(value)
        return str(value) if number is None else number
    if is_dataclass(value):
        return {
            part.name: _plain(held) for part in fields(value) if (held := getattr(value, part.name)) != part.default
        }
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _as_number(schedule: Schedule) -> float | int | None:
    """A constant schedule's value, so that `denoise = 0.5` stays a number in the file."""
    if not schedule.is_constant:
        return None
    value = float(schedule.values(1)[0])
    number = int(value) if value.is_integer() else value
    return number if Schedule.parse(number) == schedule else None
