from pathlib import Path

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import httpx

from koshi_flux.errors import ModelError
from koshi_flux.weights import hub
from koshi_flux.weights.hub import NotHere, find_file, find_folder, find_part

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


def test_of_a_part_only_what_it_is_loaded_from_is_brought_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **options: asked.append(options) or str(tmp_path))
    assert find_part("openai/clip-vit-large-patch14", "model.safetensors") == tmp_path
    assert find_part("InstantX/FLUX.1-dev-Controlnet-Canny") == tmp_path
    assert find_part(tmp_path) == tmp_path
    assert [options["allow_patterns"] for options in asked] == [
        ["config.json", f"{stem}.safetensors", f"{stem}.safetensors.index.json", f"{stem}-*.safetensors"]
        for stem in ("model", "diffusion_pytorch_model")
    ]


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
    assert isinstance(refused.value, NotHere) == isinstance(error, LocalEntryNotFoundError)
    assert "\n" not in str(refused.value)


def test_looking_without_downloading_says_only_that_it_is_not_here(tmp_path: Path):
    with pytest.raises(ModelError, match="is not, or not completely, on this computer yet: run `hf download"):
        find_folder("koshi-flux-tests/no-such-model", download=False)


def on_the_hub(monkeypatch: pytest.MonkeyPatch, *files: str) -> list[tuple[str, str, bool]]:
    """A hub where every repository holds these files; what was asked of it."""
    asked: list[tuple[str, str, bool]] = []

    def fetch(name: str, file: str, local_files_only: bool) -> str:
        asked.append((name, file, local_files_only))
        return f"/cache/{name}/{file}"

    monkeypatch.setattr(hub, "hf_hub_download", fetch)
    monkeypatch.setattr(hub, "list_repo_files", lambda name: list(files))
    return asked


def test_a_file_is_itself_and_a_folders_only_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "loras").mkdir()
    file = tmp_path / "loras" / "ink.safetensors"
    file.touch()
    (tmp_path / "loras" / "notes.txt").touch()
    assert {find_file(file), find_file("~/loras/ink.safetensors"), find_file(tmp_path / "loras")} == {file}
    (tmp_path / "loras" / "oil.safetensors").touch()
    with pytest.raises(ModelError, match=r"holds 2 \.safetensors files, say which: .*ink\.safetensors, .*oil\."):
        find_file(tmp_path / "loras")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"empty holds no \.safetensors file"):
        find_file(tmp_path / "empty")


def test_a_file_on_the_hub_is_named_or_the_only_one(monkeypatch: pytest.MonkeyPatch):
    asked = on_the_hub(monkeypatch, "README.md", "ink.safetensors")
    assert find_file("owner/name") == Path("/cache/owner/name/ink.safetensors")
    assert find_file("owner/name/sub/oil.safetensors", download=False) == Path("/cache/owner/name/sub/oil.safetensors")
    assert asked == [("owner/name", "ink.safetensors", False), ("owner/name", "sub/oil.safetensors", True)]


def test_a_repository_of_several_files_lists_them(monkeypatch: pytest.MonkeyPatch):
    on_the_hub(monkeypatch, *(f"step-{n}.safetensors" for n in range(7)))
    with pytest.raises(ModelError) as refused:
        find_file("owner/name")
    assert "holds 7 .safetensors files, say which: owner/name/step-0.safetensors, " in str(refused.value)
    assert str(refused.value).endswith("step-4.safetensors ...")


@pytest.mark.parametrize("reachable", [True, False])
def test_a_file_that_is_here_is_found_without_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: bool):
    def refuse(name: str) -> list[str]:
        assert not reachable, "asked"
        raise httpx.ConnectError("no network")

    asked = on_the_hub(monkeypatch)
    monkeypatch.setattr(hub, "list_repo_files", refuse)
    monkeypatch.setattr(hub, "snapshot_download", lambda name, local_files_only: str(tmp_path))
    (tmp_path / "ink.safetensors").touch()
    assert find_file("owner/name", download=not reachable).name == "ink.safetensors"
    assert asked == [("owner/name", "ink.safetensors", reachable)]


@pytest.mark.parametrize("source", ["ink.safetensors", "loras/ink.safetensors", "./a/b.safetensors", "ink", "a b/c/d"])
def test_a_file_that_is_nowhere_is_not_looked_up(source: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "hf_hub_download", lambda *args, **options: pytest.fail("looked up"))
    with pytest.raises(ModelError, match=r"there is no file .*: give a file, or one on the hub as owner/name or"):
        find_file(source)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RemoteEntryNotFoundError("404", response=answer(404)), "owner/name has no such file: look at https://hugg"),
        (GatedRepoError("403", response=answer(403)), "accept it at https://huggingface.co/owner/name"),
        (LocalEntryNotFoundError("offline"), "hf download owner/name --local-dir FOLDER` and give the file there"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_file_that_the_hub_refuses_is_said(error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **options: object) -> str:
        raise error

    monkeypatch.setattr(hub, "hf_hub_download", refuse)
    with pytest.raises(ModelError) as refused:
        find_file("owner/name/ink.safetensors")
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
