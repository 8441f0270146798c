"""Prompts that were read before: their embeddings on disk, so that a large text encoder is loaded once per prompt.

A file is found by what it depends on: the encoder and tokenizer, the device and precision they ran with, the length
that prompts are padded to, and the text. Reading the same film again then needs no text encoder at all.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from koshi_flux.shared.types import Conditioning
from koshi_flux.weights.files import caches

WORTHWHILE = 500_000_000
"""Bytes of an encoder's weights from which looking a prompt up is quicker than reading it."""
ROOM = 4_000_000_000
"""Bytes that the cache may take; what was used longest ago goes first."""

_SAMPLES = 64
"""Pieces of a large file that are looked at to tell it from others."""
_PIECE = 4096


def cache_folder() -> Path:
    """Where embeddings are kept."""
    return caches() / "prompts"


class PromptCache:
    """The prompts that one text encoder has read.

    Args:
        parts: folders of the encoder and its tokenizer, or the file that holds it.
        setting: whatever else the embeddings depend on: device, precision, length.
        folder: where the files lie.
    """

    def __init__(self, parts: Sequence[Path], setting: str, folder: Path):
        self._parts, self._setting, self._folder = tuple(parts), setting, folder
        self._identity = ""

    def get(self, text: str) -> Conditioning | None:
        """The embeddings of a prompt, or None if it was not read before, or its file is broken."""
        file = self._file(text)
        try:
            found = load_file(file)
            os.utime(file)
        except (OSError, SafetensorError):
            return None
        return Conditioning(found["tokens"], found.get("pooled")) if "tokens" in found else None

    def put(self, text: str, conditioning: Conditioning) -> None:
        """Keep a prompt's embeddings; a full or read-only disk is no reason to stop a film."""
        file = self._file(text)
        tensors = {"tokens": conditioning.tokens, "pooled": conditioning.pooled}
        fresh = file.with_suffix(f".{os.getpid()}.partial")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: each.contiguous().cpu() for name, each in tensors.items() if each is not None}, fresh)
            os.replace(fresh, file)
            _make_room(file.parent)
        except (OSError, SafetensorError):
            if fresh.exists():
                fresh.unlink()

    def _file(self, text: str) -> Path:
        self._identity = self._identity or identity(self._parts)
        key = hashlib.sha256("\0".join((self._identity, self._setting, text)).encode()).hexdigest()
        return self._folder / f"{key[:40]}.safetensors"


def remembered(
    cache: PromptCache | None, text: str, read: Callable[[str], Conditioning], device: torch.device
) -> Conditioning:
    """A prompt's embeddings from the cache or, the first time, by reading it."""
    found = cache.get(text) if cache else None
    if found is None:
        found = read(text)
        if cache:
            cache.put(text, found)
    pooled = None if found.pooled is None else found.pooled.to(device)
    return Conditioning(found.tokens.to(device), pooled)


def cache_for(parts: Sequence[Path], setting: str) -> PromptCache | None:
    """The cache of an encoder that is large enough to be worth it."""
    size = sum(file.stat().st_size for part in parts for file in _files(part))
    return PromptCache(parts, setting, cache_folder()) if size >= WORTHWHILE else None


def identity(parts: Sequence[Path]) -> str:
    """A hash that tells a model from others: of names, sizes, and contents; of large files some pieces."""
    digest = hashlib.sha256()
    for part in parts:
        for file in _files(part):
            size = file.stat().st_size
            digest.update(f"{file.relative_to(part)}\0{size}\0".encode())
            with file.open("rb") as stream:
                if size <= _SAMPLES * _PIECE:
                    digest.update(stream.read())
                    continue
                for sample in range(_SAMPLES):
                    stream.seek((size - _PIECE) * sample // (_SAMPLES - 1))
                    digest.update(stream.read(_PIECE))
    return digest.hexdigest()


def _files(part: Path) -> list[Path]:
    """The files of a part, or the one that holds it."""
    return [part] if part.is_file() else sorted(each for each in part.rglob("*") if each.is_file())


def _make_room(folder: Path, room: int = ROOM) -> None:
    """Remove what was used longest ago until the rest fits, and what a killed process left half-written."""
    for left in folder.glob("*.partial"):
        if time.time() - left.stat().st_mtime > 3600:
            left.unlink(missing_ok=True)
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    taken = sum(file.stat().st_size for file in files)
    for file in files:
        if taken <= room:
            return
        taken -= file.stat().st_size
        file.unlink(missing_ok=True)
