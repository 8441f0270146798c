"""What the tiny random models of all families have in common: a folder of their own, and an alphabet for any text."""

from pathlib import Path

from tokenizers import pre_tokenizers

from koshi_flux.errors import OutputError


def empty_folder(folder: Path) -> Path:
    """Make a folder to write to; never write among other files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as refused:
        raise OutputError(f"cannot make a model folder at {folder}: {refused.strerror}") from refused
    if occupied:
        raise OutputError(f"{folder} is not empty: give a new or an empty folder for the tiny model")
    return folder


def byte_symbols() -> list[str]:
    """One printable symbol for each of the 256 bytes: with them any text can be cut without a vocabulary."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())
