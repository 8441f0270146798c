"""What a file of weights says of itself: the name, type and shape of every tensor. Imports no torch.

Both kinds of file that people have on disk say it at their beginning: .safetensors, and .gguf as written by llama.cpp's
tools. Other kinds (.ckpt, .pt, .bin) are Python pickles, which run whatever program was put into them: refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from koshi_flux.errors import ModelError
from koshi_flux.weights.files import check_weights

SUFFIXES = (".safetensors", ".sft", ".gguf")
"""What files of weights are called."""

Shape: TypeAlias = tuple[int, ...]

_GGUF = b"GGUF"
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")
_PARTIAL = (".part", ".partial", ".incomplete", ".crdownload", ".aria2", ".download", ".!ut")
"""What programs add to the name of a download that is not whole yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a file.

    Args:
        dtype: how its numbers are written, as the file puts it: "BF16", "F8_E4M3", "Q4_K".
        shape: as torch has it, whatever it takes on disk.
    """

    dtype: str
    shape: Shape


Header: TypeAlias = Mapping[str, Entry]


def read_header(file: Path) -> Header:
    """The tensors of a file by name; no number is read.

    Raises:
        ModelError: the file is absent, cut short or of another kind.
    """
    if not file.is_file():
        raise ModelError(f"there is no file {file}{download_left(file)}")
    with file.open("rb") as stream:
        first = stream.read(4)
    if first.startswith(_PICKLES):
        raise ModelError(
            f"{file} is a pickle, which may run programs when read: give the model as .safetensors or .gguf"
        )
    if download_left(file):
        raise ModelError(f"{file} is not whole{download_left(file)}: let it finish, or download it again")
    return _gguf(file) if first == _GGUF else _safetensors(file)


def is_gguf(file: Path) -> bool:
    """Whether a file is in llama.cpp's format, whatever its name."""
    with file.open("rb") as stream:
        return stream.read(4) == _GGUF


def open_gguf(file: Path) -> Any:
    """A gguf.GGUFReader, whose arrays show the file itself.

    Raises:
        ModelError: the library is not installed, or the file is damaged.
    """
    try:
        from gguf import GGUFReader
    except ModuleNotFoundError as missing:
        raise ModelError(f"reading {file} needs gguf: pip install 'koshi-flux[gguf]'") from missing
    try:
        return GGUFReader(file, "c")  # "c": torch asks for arrays that it could write to; the file stays as it is
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as unreadable:
        raise ModelError(f"{file} is damaged, or cut short ({unreadable}). Download it again") from unreadable


def download_left(file: Path) -> str:
    """The traces that a stopped download of a file left beside it, in words; "" if there are none."""
    folder, name = file.parent, file.name
    left = [file.with_name(name + suffix) for suffix in _PARTIAL if file.with_name(name + suffix).is_file()]
    left += sorted(folder.glob(f".cache/huggingface/download/**/{name}.*.incomplete")) if folder.is_dir() else []
    return f" (a download stopped halfway: {left[0]})" if left else ""


def _gguf(file: Path) -> Header:
    """Sizes are written the other way round there: the one that changes fastest comes first."""
    return {
        tensor.name: Entry(tensor.tensor_type.name, tuple(int(side) for side in reversed(tensor.shape)))
        for tensor in open_gguf(file).tensors
    }


def _safetensors(file: Path) -> Header:
    check_weights(file)
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    try:
        return {
            name: Entry(str(entry["dtype"]), tuple(map(int, entry["shape"])))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (KeyError, TypeError, ValueError) as broken:
        raise ModelError(f"{file} is damaged: its header states no shapes. Download it again") from broken
