"""Where the parts of a model are found, whether they fit each other, and what is said when they do not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from koshi_flux.errors import ModelError
from koshi_flux.flux1 import folder as flux1
from koshi_flux.flux1 import model as flux1_model
from koshi_flux.flux1.config import FLUX_1_DEV, FLUX_1_SCHNELL
from koshi_flux.flux1.config import SPECS as FLUX1
from koshi_flux.flux2 import folder as flux2
from koshi_flux.flux2.config import FLUX_2_DEV, KLEIN_4B, KLEIN_BASE_4B
from koshi_flux.flux2.config import SPECS as FLUX2
from koshi_flux.weights import hub
from koshi_flux.weights.hub import PARTS
from koshi_flux.weights.model_files import ModelFiles, find_model
from tests.weights.single_files import (
    bfl_autoencoder,
    bfl_transformer,
    edit,
    prefixed,
    save,
    save_header,
    weights_of,
)
from tests.weights.test_single_file import published

KNOWN = (*FLUX2.values(), *FLUX1.values())

Asked = list[tuple[str, list[str], bool]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """What is asked of the hub: (repository, files, is it to be brought here?). All lies in `hub` below `tmp_path`."""
    calls: Asked = []

    def fetch(name: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        calls.append((name, allow_patterns, not local_files_only))
        return str(tmp_path / "hub")

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    return calls


def refusal(call: Callable[[], object]) -> str:
    """The message, which is one paragraph."""
    with pytest.raises(ModelError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def klein(klein_folder: Path, tmp_path: Path) -> Path:
    """A Klein's transformer in a file."""
    return save(bfl_transformer(weights_of(klein_folder / "transformer")), tmp_path / "files" / "klein.safetensors")


@pytest.fixture
def flux1_ae(flux1_folder: Path, tmp_path: Path) -> Path:
    return save(bfl_autoencoder(weights_of(flux1_folder / "vae")), tmp_path / "files" / "ae.safetensors")


def test_a_folder_is_itself(klein_folder: Path):
    files = find_model(klein_folder, known=KNOWN)
    assert files / "vae" == klein_folder / "vae"
    assert (str(files), files.name, files.pipeline) == (str(klein_folder), "klein", "Flux2KleinPipeline")
    assert flux2.check_folder(files) == flux2.check_folder(klein_folder)
    assert ModelFiles.of(files) is files
    assert ModelFiles.of(klein_folder) == files


def test_a_folder_that_says_nothing_of_itself(tmp_path: Path):
    assert ModelFiles(tmp_path).pipeline == ""


@pytest.mark.parametrize("download", [True, False])
def test_of_a_repository_only_what_is_not_given_is_brought_here(
    klein_folder: Path, dev_folder: Path, asked: Asked, download: bool
):
    files = find_model("black-forest-labs/FLUX.2-klein-4B", vae=klein_folder, download=download)
    [(name, patterns, brought)] = asked
    assert (name, brought) == ("black-forest-labs/FLUX.2-klein-4B", download)
    assert set(patterns) == {"model_index.json", *(f"{part}/*" for part in PARTS)} - {"vae/*"}
    assert files / "vae" == klein_folder / "vae"


@pytest.mark.parametrize(
    ("shape", "name", "spec", "parts"),
    [
        ("klein-4b", "klein.safetensors", KLEIN_4B, ["vae", "text_encoder", "tokenizer"]),
        ("klein-4b", "klein-base.safetensors", KLEIN_BASE_4B, ["vae", "text_encoder", "tokenizer"]),
        ("flux2-dev", "flux2-dev.safetensors", FLUX_2_DEV, ["vae", "text_encoder", "tokenizer"]),
        (
            "flux1-schnell",
            "schnell.safetensors",
            FLUX_1_SCHNELL,
            ["vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"],
        ),
    ],
)
def test_the_rest_of_a_published_model_comes_from_its_repository(
    shape: str, name: str, spec: object, parts: list[str], asked: Asked, tmp_path: Path
):
    file = save_header(published(shape)[0], tmp_path / name)
    files = find_model(file, known=KNOWN)
    assert asked == [(files.spec.hub_id, ["model_index.json", *(f"{part}/*" for part in parts)], True)]  # type: ignore[union-attr]
    assert files.spec is spec
    assert files / "transformer" == file
    assert {part: files / part for part in parts} == {part: tmp_path / "hub" / part for part in parts}
    assert files.index is not None
    assert files.index.get("is_distilled") == {KLEIN_BASE_4B: False, FLUX_1_SCHNELL: None}.get(files.spec, True)


def test_only_tokenizers_are_brought_when_the_rest_is_given(
    asked: Asked, flux1_folder: Path, flux1_ae: Path, tmp_path: Path
):
    clip = save(prefixed(weights_of(flux1_folder / "text_encoder"), "text_model."), tmp_path / "clip_l.safetensors")
    t5 = save(weights_of(flux1_folder / "text_encoder_2"), tmp_path / "t5xxl.safetensors")
    file = save_header(published("flux1-dev")[0], tmp_path / "flux1-dev.safetensors")
    files = find_model(str(file), str(flux1_ae), [t5, str(clip)], KNOWN, download=False)
    assert asked == [(FLUX_1_DEV.hub_id, ["model_index.json", "tokenizer/*", "tokenizer_2/*"], False)]
    assert [files / part for part in ("vae", "text_encoder", "text_encoder_2")] == [flux1_ae, clip, t5]
    assert str(files).startswith(f"{file} with vae {flux1_ae}, text_encoder ")


def test_the_row_of_a_published_file_is_that_of_the_model(asked: Asked, klein_folder: Path, tmp_path: Path):
    """All in all: a Klein 4B of zeros as a file, its text encoder narrower than it should be, is refused for that."""
    shutil.copytree(klein_folder, tmp_path / "hub")
    file = save_header(published("klein-4b")[0], tmp_path / "flux-2-klein-4b.safetensors")
    message = refusal(lambda: flux2.check_folder(find_model(file, known=KNOWN)))
    assert f"the parts of {file} with vae {tmp_path / 'hub' / 'vae'}, text_encoder {tmp_path / 'hub'}" in message
    assert "do not fit: text_encoder/ gives 3 x 16 = 48 values a token, transformer/ reads 7680" in message
    edit(tmp_path / "hub" / "text_encoder" / "config.json", hidden_size=2560)
    assert flux2.check_folder(find_model(file, known=KNOWN)) is KLEIN_4B


def test_a_model_that_nobody_published_is_named_after_its_file_and_said_to_be_base_by_it(
    klein: Path, klein_folder: Path
):
    for name, guidance in (("klein", "none"), ("my-Base_v2", "true")):
        file = klein.rename(klein.with_name(f"{name}.safetensors"))
        spec = flux2.check_folder(find_model(file, vae=klein_folder, text_encoder=klein_folder, known=KNOWN))
        assert (spec.name, spec.guidance) == (name, guidance)
        klein = file


def test_a_model_that_nobody_published_calls_for_all_parts(klein: Path, klein_folder: Path):
    message = refusal(lambda: find_model(klein, vae=klein_folder / "vae", known=KNOWN))
    assert message == (
        f"{klein} has the shape of no published model, so it is not known which text_encoder, tokenizer it draws with: "
        "say text_encoder = ... (the folder of a whole model will do)"
    )
    assert "vae, text_encoder, tokenizer it draws with: say vae = ... and text_encoder = ..." in refusal(
        lambda: find_model(klein, known=KNOWN)
    )


def test_what_the_hub_refuses_is_said_with_the_settings_that_do_without(tmp_path: Path):
    file = save_header(published("klein-4b")[0], tmp_path / "klein.safetensors")
    message = refusal(lambda: find_model(file, known=KNOWN, download=False))
    assert (
        "black-forest-labs/FLUX.2-klein-4B is not, or not completely, on this computer yet: run `hf download" in message
    )
    assert message.endswith(
        "(for the vae, text_encoder, tokenizer of klein.safetensors; or say vae = ... and text_encoder = ...)"
    )


@pytest.mark.parametrize("place", ["text_encoder", "own"])
def test_a_text_encoders_folder_comes_with_its_tokenizer(klein: Path, klein_folder: Path, tmp_path: Path, place: str):
    folder, tokenizer = klein_folder / "text_encoder", klein_folder / "tokenizer"
    if place == "own":  # as language models are published on their own
        folder = tokenizer = tmp_path / "Qwen3"
        shutil.copytree(klein_folder / "text_encoder", folder)
        shutil.copytree(klein_folder / "tokenizer", folder, dirs_exist_ok=True)
    files = find_model(klein, vae=klein_folder / "vae", text_encoder=folder)
    assert (files / "text_encoder", files / "tokenizer") == (folder, tokenizer)
    assert flux2.check_folder(files).guidance == "none"


def test_both_text_encoders_of_a_flux1_as_folders(flux1_folder: Path):
    clip, t5 = flux1_folder / "text_encoder", flux1_folder / "text_encoder_2"
    files = find_model(flux1_folder, text_encoder=f"{t5},{clip}")
    assert files.elsewhere == {
        "text_encoder": clip,
        "text_encoder_2": t5,
        "tokenizer": flux1_folder / "tokenizer",
        "tokenizer_2": flux1_folder / "tokenizer_2",
    }


def test_a_comma_may_be_part_of_a_path(klein_folder: Path, tmp_path: Path):
    folder = shutil.copytree(klein_folder, tmp_path / "small, but good")
    assert find_model(klein_folder, text_encoder=str(folder)) / "text_encoder" == folder / "text_encoder"


def test_files_on_the_hub(klein: Path, klein_folder: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []

    def fetch(name: str, file: str, *, local_files_only: bool) -> str:
        calls.append((name, file, local_files_only))
        return str(klein)

    monkeypatch.setattr(hub, "hf_hub_download", fetch)
    files = find_model("someone/klein-GGUF/a/klein-Q4_K_S.gguf", klein_folder, klein_folder, download=False)
    assert calls == [("someone/klein-GGUF", "a/klein-Q4_K_S.gguf", True)]
    assert files / "transformer" == klein


def test_the_autoencoder_of_the_other_family(klein: Path, klein_folder: Path, flux1_folder: Path, flux1_ae: Path):
    for model in (klein, klein_folder):
        message = refusal(lambda: flux2.check_folder(find_model(model, flux1_ae, klein_folder)))  # noqa: B023
        assert f"the parts of {model} with vae {flux1_ae}" in message
        assert "do not fit: vae/ is an AutoencoderKL, expected an AutoencoderKLFlux2" in message
    flux2_ae = save(bfl_autoencoder(weights_of(klein_folder / "vae")), flux1_ae.with_name("flux2_ae.safetensors"))
    message = refusal(lambda: flux1_model.load(find_model(flux1_folder, vae=flux2_ae)))
    assert "do not fit: vae/ is an AutoencoderKLFlux2, expected an AutoencoderKL" in message


def test_an_autoencoder_of_stable_diffusion(klein_folder: Path, flux1_folder: Path, flux1_ae: Path):
    weights = load_file(flux1_ae)
    weights["decoder.conv_in.weight"] = weights["decoder.conv_in.weight"][:, :4].contiguous()
    save_file(weights, flux1_ae)
    message = refusal(lambda: flux1.check_folder(find_model(flux1_folder, vae=flux1_ae)))
    assert "vae/ gives 4 x 4 = 16 values a token, transformer/ reads 64" in message


def test_a_text_encoder_of_the_wrong_width(klein: Path, klein_folder: Path, tmp_path: Path):
    weights = weights_of(klein_folder / "text_encoder")
    wide = {name: torch.cat([weight, weight], -1) for name, weight in weights.items() if weight.dim() == 2}
    qwen = save({**weights, **wide}, tmp_path / "qwen_3_8b.safetensors")
    message = refusal(lambda: flux2.check_folder(find_model(klein_folder, text_encoder=qwen)))
    assert "text_encoder/ gives 3 x 32 = 96 values a token, transformer/ reads 48" in message


def test_a_text_encoder_of_the_other_family(klein_folder: Path, flux1_folder: Path, klein: Path):
    t5 = flux1_folder / "text_encoder_2"
    for model in (klein, klein_folder):
        texts = [klein_folder / "text_encoder", t5]
        message = refusal(lambda: find_model(model, vae=klein_folder, text_encoder=texts))  # noqa: B023
        assert message == f"{model} is a FLUX.2, which has no text_encoder_2: leave out {t5}"
    message = refusal(lambda: flux1.check_folder(find_model(flux1_folder, text_encoder=klein_folder / "text_encoder")))
    assert "text_encoder/ is a qwen3, expected a clip_text_model" in message


def test_a_part_given_twice(flux1_folder: Path):
    clip = flux1_folder / "text_encoder"
    message = refusal(lambda: find_model(flux1_folder, text_encoder=[clip, clip]))
    assert message == f"text_encoder: both {clip} and {clip} are a text_encoder; leave one out"


def test_a_setting_that_names_another_part(klein: Path, klein_folder: Path, flux1_ae: Path):
    assert refusal(lambda: find_model(klein_folder, vae=klein)) == (
        f"{klein} is a FLUX.2 transformer (BF16), expected a vae"
    )
    message = refusal(lambda: find_model(klein_folder, text_encoder=flux1_ae))
    assert message == f"{flux1_ae} is a FLUX.1 autoencoder (BF16), expected a text_encoder or text_encoder_2"
    message = refusal(lambda: find_model(flux1_ae, known=KNOWN))
    assert f"is a FLUX.1 autoencoder (BF16), not a model to draw with: give it as vae = '{flux1_ae}', and as" in message


def test_a_setting_that_leads_nowhere(klein_folder: Path, tmp_path: Path):
    assert refusal(lambda: find_model(klein_folder, vae=tmp_path)) == f"vae: there is no vae in {tmp_path}"
    assert "there is no folder nowhere: give a folder, or a repository" in refusal(
        lambda: find_model(klein_folder, text_encoder="nowhere")
    )
    absent = tmp_path / "klein.gguf"
    assert refusal(lambda: find_model(absent)) == f"there is no file {absent}"
    (tmp_path / "klein.gguf.crdownload").touch()
    assert refusal(lambda: find_model(str(absent))).endswith(f"(a download stopped halfway: {absent}.crdownload)")


def test_missing_shards_of_a_part_that_is_given(klein: Path, klein_folder: Path, tmp_path: Path):
    folder = shutil.copytree(klein_folder, tmp_path / "klein")
    whole = folder / "text_encoder" / "model.safetensors"
    weights = load_file(whole)
    names = sorted(weights)
    first, second = (whole.with_name(f"model-0000{i}-of-00002.safetensors") for i in (1, 2))
    save_file({name: weights[name] for name in names[::2]}, first, metadata={"format": "pt"})
    places = {name: (first, second)[i % 2].name for i, name in enumerate(names)}
    whole.with_name("model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    whole.unlink()
    files = find_model(klein, vae=klein_folder, text_encoder=folder / "text_encoder")
    message = refusal(lambda: flux2.check_folder(files))
    assert f"{folder} is incomplete: text_encoder/{second.name} is missing. Download it again" in message
    assert f"{first} is one of several pieces of a part: give the folder" in refusal(
        lambda: find_model(klein, text_encoder=first)
    )


def test_a_repository_that_came_halfway_is_named_with_its_traces(klein_folder: Path, tmp_path: Path):
    cached = tmp_path / "models--someone--klein"
    folder = shutil.copytree(klein_folder, cached / "snapshots" / "a1b2")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (cached / "blobs").mkdir()
    half = cached / "blobs" / "c3d4.incomplete"
    half.touch()
    message = refusal(lambda: flux2.check_folder(find_model(folder)))
    assert f"vae/diffusion_pytorch_model.safetensors is missing (a download stopped halfway: {half})" in message
