from pathlib import Path

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import httpx

from koshi_flux.errors import ModelError
from koshi_flux.weights import hub
from koshi_flux.weights.hub import find_folder

NAME = "black-forest-labs/FLUX.2-klein-9B"


def answer(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co"))


def test_a_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models" / "klein").mkdir(parents=True)
    assert find_folder(tmp_path / "models/klein") == tmp_path / "models/klein"
    assert find_folder("~/models/klein") == tmp_path / "models/klein"
    monkeypatch.chdir(tmp_path)
    assert find_folder("models/klein") == Path("models/klein")


@pytest.mark.parametrize("download", [True, False])
def test_a_repository_is_brought_here_without_its_single_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool
):
    calls: list[tuple[str, dict[str, object]]] = []

    def fetch(name: str, **options: object) -> str:
        calls.append((name, options))
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert find_folder(NAME, download=download) == tmp_path
    [(name, options)] = calls
    assert (name, options["local_files_only"]) == (NAME, not download)
    patterns = options["allow_patterns"]
    assert isinstance(patterns, list)
    assert {"model_index.json", "transformer/*", "text_encoder/*"} < set(patterns)
    assert not any(Path("flux-2-klein-9b.safetensors").match(pattern) for pattern in patterns)


@pytest.mark.parametrize("source", ["no/such/folder", "./klein", "/no/such", "klein", "a b/c", "../x/y"])
def test_what_is_neither_a_folder_nor_a_name_is_not_looked_up(source: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **options: pytest.fail("looked up"))
    with pytest.raises(ModelError, match=r"there is no folder .*: give a folder, or a repository of the hub"):
        find_folder(source)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            GatedRepoError("403", response=answer(403)),
            rf"accept it at https://huggingface\.co/{NAME}, then .* HF_TOKEN",
        ),
        (RepositoryNotFoundError("404", response=answer(404)), "neither a folder here nor a repository of the hub"),
        (LocalEntryNotFoundError("offline"), f"the hub cannot be reached: .*hf download {NAME} --local-dir FOLDER"),
        (HfHubHTTPError("503 Service Unavailable", response=answer(503)), r"not be downloaded \(503 .*\): try again"),
        (httpx.ConnectError("connection reset"), r"could not be downloaded \(connection reset\): try again, or run"),
        (OSError(28, "No space left on device"), r"could not be downloaded \(.*No space left on device\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_hub_refuses_is_said_with_what_to_do(error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **options: object) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match=expected) as refused:
        find_folder(NAME)
    assert refused.value.__cause__ is error
    assert "\n" not in str(refused.value)


def test_looking_without_downloading_says_only_that_it_is_not_here(tmp_path: Path):
    with pytest.raises(ModelError, match="is not, or not completely, on this computer yet: run `hf download"):
        find_folder("koshi-flux-tests/no-such-model", download=False)
