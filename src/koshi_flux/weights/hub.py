"""Where a model is: a folder here, or a repository of the Hugging Face hub, brought here once. Imports no torch."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import hf_hub_download, list_repo_files, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported when running only

from koshi_flux.errors import ModelError

REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
"""owner/name, as in "black-forest-labs/FLUX.2-klein-4B"."""

PARTS = (
    "scheduler",
    "transformer",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
)
"""What is downloaded: the repositories hold the same weights once more as a single file, which is not needed."""


class NotHere(ModelError):
    """Something of the hub that is not on this computer, or not completely."""


def find_folder(source: str | Path, *, parts: Iterable[str] = PARTS, download: bool = True) -> Path:
    """The local folder of a model.

    Args:
        source: a folder, or a repository of the hub.
        parts: what is needed of a repository.
        download: whether a repository that is not here yet, or not all of it, is brought here.
    """
    folder = Path(source).expanduser()
    if folder.exists():
        return folder
    if not REPOSITORY.fullmatch(str(source)):
        raise ModelError(f"there is no folder {folder}: give a folder, or a repository of the hub as owner/name")
    return _repository(str(source), ["model_index.json", *(f"{part}/*" for part in parts)], download)


def find_part(
    source: str | Path, weights: str = "diffusion_pytorch_model.safetensors", *, download: bool = True
) -> Path:
    """The local folder of a part that is published alone, such as a ControlNet: it holds config.json and weights.

    Args:
        weights: the file that they are in, unless an index beside it lists several.
    """
    folder = Path(source).expanduser()
    if folder.exists():
        return folder
    if not REPOSITORY.fullmatch(str(source)):
        raise ModelError(f"there is no folder {folder}: give a folder, or a repository of the hub as owner/name")
    stem = Path(weights).stem
    return _repository(
        str(source), ["config.json", weights, f"{weights}.index.json", f"{stem}-*.safetensors"], download
    )


def find_file(source: str | Path, suffix: str = ".safetensors", *, download: bool = True) -> Path:
    """The local place of one file of weights.

    Args:
        source: the file, the folder or hub repository (owner/name) that holds no other with that suffix, or a file of
            a repository, as owner/name/file.
        suffix: of the files that are meant.
        download: whether a file that is not here yet is brought here.
    """
    place = Path(source).expanduser()
    if place.is_file():
        return place
    if place.is_dir():
        return place / _only(str(source), suffix, [str(path.relative_to(place)) for path in place.rglob(f"*{suffix}")])
    owner, _, rest = str(source).partition("/")
    name, _, file = rest.partition("/")
    repository = f"{owner}/{name}"
    if not REPOSITORY.fullmatch(repository) or name.endswith(suffix):
        raise ModelError(f"there is no file {place}: give a file, or one on the hub as owner/name or owner/name/file")
    with _in_words(repository, download, f"run `hf download {repository} --local-dir FOLDER` and give the file there"):
        file = file or _only(repository, suffix, _files_of(repository, suffix, download))
        return Path(hf_hub_download(repository, file, local_files_only=not download))


def _files_of(repository: str, suffix: str, download: bool) -> list[str]:
    """The files with that suffix on the hub, or those that are here where the hub is not to be or cannot be asked."""
    try:
        if download:
            return [file for file in list_repo_files(repository) if file.endswith(suffix)]
    except (httpx.ConnectError, OfflineModeIsEnabled):
        pass
    folder = Path(snapshot_download(repository, local_files_only=True))
    return [str(path.relative_to(folder)) for path in folder.rglob(f"*{suffix}")]


def _only(source: str, suffix: str, files: list[str]) -> str:
    """The one file there is to choose."""
    if len(files) == 1:
        return files[0]
    if not files:
        raise ModelError(f"{source} holds no {suffix} file")
    listed = ", ".join(f"{source}/{file}" for file in sorted(files)[:5])
    raise ModelError(
        f"{source} holds {len(files)} {suffix} files, say which: {listed}{' ...' if len(files) > 5 else ''}"
    )


def _repository(name: str, files: list[str], download: bool) -> Path:
    """The folder in the hub's cache that holds these files of a repository."""
    with _in_words(name, download, f"run `hf download {name} --local-dir FOLDER` and give that FOLDER as the model"):
        return Path(snapshot_download(name, allow_patterns=files, local_files_only=not download))


@contextmanager
def _in_words(name: str, download: bool, by_hand: str) -> Iterator[None]:
    """Say what the hub refuses, and how to get it `by_hand`."""
    try:
        yield
    except GatedRepoError as gated:
        raise ModelError(
            f"{name} is handed out only to those who accepted its licence: accept it at "
            f"https://huggingface.co/{name}, then run `hf auth login` or set HF_TOKEN"
        ) from gated
    except RepositoryNotFoundError as unknown:
        raise ModelError(
            f"{name} is neither a folder here nor a repository of the hub that you may see: check the spelling, and "
            f"if it is private, run `hf auth login` or set HF_TOKEN"
        ) from unknown
    except LocalEntryNotFoundError as absent:
        why = "and the hub cannot be reached: where there is a network, " if download else "yet: "
        raise NotHere(f"{name} is not, or not completely, on this computer {why}{by_hand}") from absent
    except EntryNotFoundError as absent:
        raise ModelError(f"{name} has no such file: look at https://huggingface.co/{name}/tree/main") from absent
    except (httpx.HTTPError, OSError) as failed:
        raise ModelError(f"{name} could not be downloaded ({failed}): try again, or {by_hand}") from failed
