"""Is a file of weights whole? Read off its name, its header and the index beside it, without loading a number."""

import json
import os
from pathlib import Path
from typing import Any

from koshi_flux.errors import ModelError


def caches() -> Path:
    """Where things are kept that can be made again: $KOSHI_CACHE, or koshi-flux among the user's caches."""
    if chosen := os.environ.get("KOSHI_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "koshi-flux"


def weight_files(single: Path) -> list[Path]:
    """The files that hold the weights of a part: the shards that its index lists, or the single one."""
    index = single.with_name(f"{single.name}.index.json")
    if not index.is_file():
        return [single]
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ModelError(f"{index} lists no weights. Download it again")
    return [single.with_name(shard) for shard in sorted(set(shards.values()))]


def check_weights(file: Path) -> None:
    """Is a file of weights as long as it says? It holds: length of the header (8 bytes), header (JSON), the numbers."""
    must_exist(file)
    size = file.stat().st_size
    with file.open("rb") as stream:
        first = stream.read(8)
        header_size = int.from_bytes(first, "little")
        header = stream.read(min(header_size, size))
    if first == b"version ":
        raise ModelError(f"{file} is a git-lfs pointer, not the weights: run `git lfs pull` in {file.parent.parent}")
    needed = 8 + header_size + (_end_of_numbers(header, file) if 8 + header_size <= size else 0)
    if size != needed:
        raise ModelError(
            f"{file} is damaged: it has {size:,} bytes, its header calls for {needed:,}. Download it again"
        )


def _end_of_numbers(header: bytes, file: Path) -> int:
    """Where the last number ends, in bytes after the header."""
    try:
        return max(
            int(entry["data_offsets"][1]) for name, entry in json.loads(header).items() if name != "__metadata__"
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as unreadable:
        raise ModelError(f"{file} is damaged: its header is no list of weights. Download it again") from unreadable


def must_exist(file: Path) -> None:
    """Name a missing file, and the download that stopped before it was whole, if one left its traces."""
    if file.is_file():
        return
    part = file.parent
    cache = part.parent.parent.parent / "blobs"  # where the hub's library keeps what it downloads
    halves = sorted([*part.parent.glob(f"**/{part.name}/*.incomplete"), *cache.glob("*.incomplete")])
    stopped = f" (a download stopped halfway: {halves[0]})" if halves else ""
    raise ModelError(f"{part.parent} is incomplete: {part.name}/{file.name} is missing{stopped}. Download it again")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as unreadable:
        raise ModelError(f"{file} cannot be read ({unreadable}). Download it again") from unreadable
    if not isinstance(content, dict):
        raise ModelError(f"{file} holds no settings. Download it again")
    return content
