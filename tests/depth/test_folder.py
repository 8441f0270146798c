import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.dpt.image_processing_pil_dpt import get_resize_output_image_size

from koshi_flux.depth.folder import Preparation, check_folder, find_depth
from koshi_flux.errors import ModelError
from koshi_flux.weights import hub
from tests.depth.tiny import write_anything, write_midas, write_zoe


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_anything(tmp_path_factory.mktemp("models") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    """A copy to spoil."""
    copy = tmp_path / "anything"
    copy.mkdir()
    for file in whole.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def change(file, **entries):
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


@settings(deadline=None)
@given(
    height=st.integers(16, 3000),
    width=st.integers(16, 3000),
    keep=st.booleans(),
    size=st.sampled_from([(384, 384), (518, 518), (384, 512)]),
    multiple=st.sampled_from([1, 14, 32]),
)
def test_pictures_are_seen_at_the_size_that_transformers_takes(height, width, keep, size, multiple):
    theirs = get_resize_output_image_size(torch.zeros(3, height, width).numpy(), size, keep, multiple)
    how = Preparation(size=size, keep_aspect=keep, multiple=multiple)
    assert how.seen_size(height, width) == (max(theirs.height, multiple), max(theirs.width, multiple))


@pytest.mark.parametrize(
    ("picture", "seen"),
    [((576, 1024), (518, 924)), ((518, 518), (518, 518)), ((256, 256), (518, 518)), ((1024, 576), (924, 518))],
)
def test_depth_anything_sees_pictures_at_518_pixels(picture, seen):
    assert Preparation(size=(518, 518), keep_aspect=True, multiple=14).seen_size(*picture) == seen


def test_what_the_files_say_is_read(whole, tmp_path):
    found = check_folder(whole)
    assert (found.folder, found.metric) == (whole, False)
    assert found.preparation.size == (56, 56)
    assert (found.preparation.keep_aspect, found.preparation.multiple, found.preparation.bicubic) == (True, 14, True)
    assert found.preparation.mean == (0.485, 0.456, 0.406)
    assert found.preparation.scale == pytest.approx(1)
    assert not found.preparation.margin
    assert check_folder(write_anything(tmp_path / "metric", metric=True)).metric
    zoe = check_folder(write_zoe(tmp_path / "zoe"))
    assert (zoe.metric, zoe.preparation.margin, zoe.preparation.bicubic) == (True, True, False)


def test_older_and_barer_files_are_understood(folder):
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({"feature_extractor_type": "DPTFeatureExtractor", "size": 384, "resample": 2}))
    how = check_folder(folder).preparation
    assert (how.size, how.mean, how.deviation, how.scale) == ((384, 384), (0.5,) * 3, (0.5,) * 3, pytest.approx(1))
    file.write_text(json.dumps({"do_rescale": False, "do_normalize": False}))
    how = check_folder(folder).preparation
    assert (how.scale, how.mean, how.deviation) == (255, (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("file", "entries", "message"),
    [
        ("config.json", {"architectures": ["DPTForSemanticSegmentation"]}, r"holds a DPTForSemanticSegmentation, not"),
        ("config.json", {"architectures": None}, r"model of unknown architecture, not a depth model .*DPTForDepthEst"),
        ("preprocessor_config.json", {"do_resize": False, "do_pad": True}, r"DPTs on DINOv2 .* Take depth-anything"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 5}}, r"states no size as height and width"),
        ("preprocessor_config.json", {"size": 0}, r"states no size as height and width"),
        ("preprocessor_config.json", {"image_mean": [0.5]}, r"states no image_mean of red, green and blue"),
        ("preprocessor_config.json", {"image_std": "x"}, r"states no image_std of red, green and blue"),
    ],
)
def test_other_models_are_refused(folder, file, entries, message):
    change(folder / file, **entries)
    with pytest.raises(ModelError, match=message):
        check_folder(folder)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", r"is not the folder of a depth model: it has no config\.json.*hf download"),
        ("preprocessor_config.json", r"is incomplete: anything/preprocessor_config\.json is missing"),
        ("model.safetensors", r"is incomplete: anything/model\.safetensors is missing"),
    ],
)
def test_missing_files_are_named(folder, file, message):
    (folder / file).unlink()
    with pytest.raises(ModelError, match=message):
        check_folder(folder)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
@pytest.mark.parametrize("keep", [0, 0.5])
def test_files_that_were_cut_short_are_named(folder, file, keep):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ModelError, match=rf"{file} (cannot be read|is damaged).*Download it again"):
        check_folder(folder)


def test_a_download_that_stopped_is_found(folder):
    (folder / "model.safetensors").unlink()
    part = folder.parent / ".cache" / "huggingface" / "download" / "anything"
    part.mkdir(parents=True)
    (part / "x.incomplete").touch()
    with pytest.raises(ModelError, match=r"a download stopped halfway"):
        check_folder(folder)


def test_weights_of_the_older_kind_are_looked_at_as_well(tmp_path):
    folder = write_midas(tmp_path / "midas", pickle=True)
    assert check_folder(folder).folder == folder
    file = folder / "pytorch_model.bin"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is damaged, or cut short"):
        check_folder(folder)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a git-lfs pointer.*git lfs pull"):
        check_folder(folder)


def on_the_hub(monkeypatch, folder, missing=()):
    """A hub whose only repository is this folder; what was asked of it."""
    asked = []

    def fetch(name, file, **_):
        asked.append(file)
        if file in missing:
            raise hub.EntryNotFoundError("404")
        return str(folder / file)

    monkeypatch.setattr(hub, "hf_hub_download", fetch)
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(folder))
    return asked


def test_a_model_on_the_hub_is_brought_here(whole, monkeypatch):
    asked = on_the_hub(monkeypatch, whole)
    assert find_depth("owner/anything").folder == whole
    assert asked == ["preprocessor_config.json", "model.safetensors"]


def test_the_older_kind_of_weights_is_brought_where_there_is_no_other(tmp_path, monkeypatch):
    folder = write_midas(tmp_path / "midas", pickle=True)
    asked = on_the_hub(monkeypatch, folder, missing=["model.safetensors"])
    assert find_depth("Intel/dpt-hybrid-midas").folder == folder
    assert asked == ["preprocessor_config.json", "model.safetensors", "pytorch_model.bin"]


def test_a_repository_without_weights_is_told(whole, monkeypatch):
    on_the_hub(monkeypatch, whole, missing=["model.safetensors", "pytorch_model.bin"])
    with pytest.raises(ModelError, match=r"owner/anything has no such file: look at https://huggingface\.co/owner/any"):
        find_depth("owner/anything")


def test_without_a_network_what_is_not_here_is_told():
    with pytest.raises(ModelError, match=r"koshi-flux-tests/no-depth .*run `hf download koshi-flux-tests/no-depth"):
        find_depth("koshi-flux-tests/no-depth")


def test_a_folder_is_itself(whole):
    assert find_depth(str(whole)).folder == whole
