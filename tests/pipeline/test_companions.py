"""What is said of a film's ControlNets and IP-Adapters before it begins, and what they add to the memory plan."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from koshi_flux.errors import ModelError
from koshi_flux.flux1.config import TRANSFORMER
from koshi_flux.pipeline.companions import in_words, transformer_of, weights_beside
from koshi_flux.pipeline.factory import SPECS, check_model, load_model, make_tiny_model
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.controlnet import ControlNet
from koshi_flux.schedule.ip_adapter import IpAdapter
from koshi_flux.weights import hub
from tests.flux1.adapters import made_adapter, made_clip
from tests.flux1.test_controlnet import made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model("flux.1-dev", tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> ControlNet:
    return ControlNet(str(made(tmp_path_factory.mktemp("nets") / "edges", 1)), "canny")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> IpAdapter:
    folder = tmp_path_factory.mktemp("adapters")
    clip = made_clip(folder / "clip")
    return IpAdapter(str(made_adapter(folder / "style.safetensors")), "first", str(clip))


def test_a_published_model_need_not_be_here_to_be_known():
    film = Animation(prompts="a forest", model="flux.1-dev")
    assert transformer_of(film, SPECS["flux.1-dev"]) == TRANSFORMER
    assert transformer_of(film, SPECS["flux.2-klein-4b"]) == {}


def test_what_is_here_is_looked_at(model: Path, net: ControlNet, adapter: IpAdapter):
    film = Animation(prompts="a forest", model=str(model))
    shape = transformer_of(film, check_model(str(model)))
    assert shape["joint_attention_dim"] == 32
    lines = list(in_words({"edges": net}, {"face": adapter}, shape))
    assert lines == [
        f"controlnet.edges: {net.file} is shown canny; 0.0 GB",
        f"ip_adapter.face: {adapter.file} makes 4 tokens of first; 0.0 GB",
    ]
    with pytest.raises(ModelError, match="is a ControlNet for another model: its joint_attention_dim is 32"):
        list(in_words({"edges": net}, {}, TRANSFORMER))
    with pytest.raises(ModelError, match="is an IP-Adapter for another model"):
        list(in_words({}, {"face": adapter}, TRANSFORMER))


def test_what_is_on_the_hub_is_left_there(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str, **how: object) -> str:
        assert how["local_files_only"]
        raise hub.LocalEntryNotFoundError("not here")

    monkeypatch.setattr(hub, "snapshot_download", absent)
    nets, adapters = {"edges": ControlNet("owner/net", "canny")}, {"face": IpAdapter("owner/ip", "first")}
    assert list(in_words(nets, adapters, TRANSFORMER)) == [
        "controlnet.edges: owner/net is downloaded when the film begins",
        "ip_adapter.face: owner/ip is downloaded when the film begins",
    ]
    with pytest.raises(ModelError, match="there is no folder not/a/repository"):
        list(in_words({"edges": ControlNet("not/a/repository", "canny")}, {}, TRANSFORMER))


def test_only_what_computes_with_the_transformer_is_beside_it(model: Path, net: ControlNet, adapter: IpAdapter):
    film = Animation(prompts="a forest", model=str(model))
    shape = transformer_of(film, check_model(str(model)))
    shown = IpAdapter(adapter.file, "face.png", adapter.encoder)
    assert list(weights_beside({"edges": net}, {"face": shown}, shape)) == [Path(net.file)]
    assert list(weights_beside({}, {"face": adapter}, shape)) == [Path(adapter.file), Path(adapter.encoder)]


def test_the_plan_of_a_film_counts_its_controlnets(model: Path, net: ControlNet):
    alone, beside = (load_model(model, "cpu", memory="full", beside=places) for places in ([], [Path(net.file)]))
    values = sum(each.numel() for each in load_file(Path(net.file) / "diffusion_pytorch_model.safetensors").values())
    added = beside._holding.plan.peak_gb - alone._holding.plan.peak_gb
    assert added == pytest.approx(4 * values / 2**30)
