"""Where a model is: a folder here, or a repository of the Hugging Face hub, brought here once. Imports no torch."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported when running only

from koshi_flux.errors import ModelError

REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
"""owner/name, as in "black-forest-labs/FLUX.2-klein-4B"."""

FILES = ("model_index.json", "transformer/*", "vae/*", "text_encoder/*", "tokenizer/*")
"""What is downloaded: the repositories hold the same weights once more as a single file, which is not needed."""


def find_folder(source: str | Path, *, download: bool = True) -> Path:
    """The local folder of a model.

    Args:
        source: a folder, or a repository of the hub.
        download: whether a repository that is not here yet, or not all of it, is brought here.
    """
    folder = Path(source).expanduser()
    if folder.exists():
        return folder
    if not REPOSITORY.fullmatch(str(source)):
        raise ModelError(f"there is no folder {folder}: give a folder, or a repository of the hub as owner/name")
    return _repository(str(source), download)


def _repository(name: str, download: bool) -> Path:
    """The folder in the hub's cache that holds a repository."""
    by_hand = f"run `hf download {name} --local-dir FOLDER` and give that FOLDER as the model"
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES), local_files_only=not download))
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
        raise ModelError(f"{name} is not, or not completely, on this computer {why}{by_hand}") from absent
    except (httpx.HTTPError, OSError) as failed:
        raise ModelError(f"{name} could not be downloaded ({failed}): try again, or {by_hand}") from failed
