import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from koshi_flux.depth.nano import WEIGHTS, NanoDepth
from koshi_flux.depth.network import DepthNetwork
from koshi_flux.errors import ModelError
from koshi_flux.shared.types import DepthModel
from training.nano.captions import Attributes
from training.nano.scenes import paint


def constant_network(value):
    """A network that says the same of every pixel."""
    network = DepthNetwork()
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.constant_(network.head.bias, value)
    return network


def random_picture(height, width):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(height * width))


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return {name: weight.half() for name, weight in DepthNetwork().state_dict().items()}


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 600), width=st.integers(1, 600))
def test_a_depth_is_as_large_as_its_picture_and_lies_between_0_and_1(height, width):
    torch.manual_seed(0)
    depth = NanoDepth(DepthNetwork()).estimate(random_picture(height, width))
    assert depth.shape == (height, width)
    assert depth.dtype == torch.float32
    assert depth.min() >= 0
    assert depth.max() <= 1


@pytest.mark.parametrize(("said", "meant"), [(0.25, 0.25), (1.5, 1.0), (-0.5, 0.0)])
@pytest.mark.parametrize("size", [(256, 256), (33, 517)])
def test_what_the_network_says_arrives_unchanged_within_0_and_1(said, meant, size):
    depth = NanoDepth(constant_network(said)).estimate(random_picture(*size))
    assert torch.allclose(depth, torch.full(size, meant), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((256, 256), (256, 256)),
        ((1024, 1024), (256, 256)),
        ((288, 512), (144, 256)),
        ((1080, 1920), (144, 256)),
        ((768, 512), (256, 176)),  # 170.7 lies nearer to 11 * 16 than to 10 * 16
        ((10, 1000), (16, 256)),
        ((64, 64), (256, 256)),
    ],
)
def test_the_network_looks_at_256_pixels_whatever_the_size(size, seen):
    looks = []
    network = constant_network(0.5)
    network.register_forward_hook(lambda _, pictures, __: looks.append(tuple(pictures[0].shape[2:])))
    NanoDepth(network).estimate(random_picture(*size))
    assert looks == [seen]


def test_every_pixel_sees_the_whole_picture():
    torch.manual_seed(0)
    network = DepthNetwork()
    torch.nn.init.zeros_(network.whole.weight)  # the mean over the picture would make it easy
    for name, parameter in network.named_parameters():
        if "second.weight" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    pictures = torch.rand(1, 3, 256, 256, requires_grad=True)
    network(pictures)[0, 0, 0, 0].backward()
    assert pictures.grad[0, :, -16:, -16:].abs().max() > 0


def test_the_network_knows_up_from_down():
    torch.manual_seed(0)
    network = DepthNetwork()
    grey = torch.full((1, 3, 64, 64), 0.5)
    top, bottom = network(grey)[0, 0, 24:26].mean(), network(grey)[0, 0, 38:40].mean()
    assert abs(top - bottom) > 1e-4


def test_a_network_is_small_and_quick():
    network = DepthNetwork()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 256, 256))
    assert sum(parameter.numel() for parameter in network.parameters()) <= 1_000_000
    assert counter.get_total_flops() <= 2e9


def test_it_is_a_depth_model():
    assert isinstance(NanoDepth(DepthNetwork()), DepthModel)


def test_weights_are_stored_in_half_and_computed_with_in_full_precision(weights, tmp_path):
    save_file(weights, tmp_path / "depth.safetensors")
    model = NanoDepth.load("cpu", tmp_path / "depth.safetensors")
    assert model.device == torch.device("cpu")
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
    assert torch.equal(model.network.stem.weight, weights["stem.weight"].float())


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"missing: there is no .*nowhere\.safetensors.*Install koshi-flux anew"):
        NanoDepth.load(file=tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 1000, -1])
def test_damaged_weights_are_named(weights, tmp_path, keep):
    file = tmp_path / "depth.safetensors"
    save_file(weights, file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"damaged: .*depth\.safetensors"):
        NanoDepth.load(file=file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("head.bias"), r"head\.bias should be \(4,\) but is absent"),
        (lambda weights: weights.update({"foot.bias": torch.zeros(2)}), r"foot\.bias should be absent but is \(2,\)"),
        (lambda weights: weights.update({"head.bias": torch.zeros(3)}), r"head\.bias should be \(4,\) but is \(3,\)"),
    ],
)
def test_weights_of_another_model_are_refused(weights, tmp_path, change, message):
    change(weights)
    save_file(weights, tmp_path / "depth.safetensors")
    with pytest.raises(ModelError, match=message):
        NanoDepth.load(file=tmp_path / "depth.safetensors")


def test_the_bundled_weights_are_small():
    assert WEIGHTS.stat().st_size <= 2_000_000


@pytest.mark.parametrize("size", [(256, 256), (180, 320)], ids=str)
@pytest.mark.parametrize("scene", ["mountains", "ocean", "forest", "city"])
def test_the_bundled_model_puts_the_layers_of_a_landscape_in_order(scene, size):
    color = "green" if scene == "forest" else ""
    scenes = paint([Attributes(scene, time="day", weather="clear", color=color)], 1_234_567, *size)
    true = scenes.disparity[0, 0]
    predicted = NanoDepth.load().estimate(scenes.pictures[0])
    bounds = (-math.inf, 0.001, 0.2, 0.45, 0.7, math.inf)  # sky, far away, ..., at our feet
    layers = [(true > low) & (true <= high) for low, high in itertools.pairwise(bounds)]
    seen = [float(predicted[layer].median()) for layer in layers if layer.float().mean() > 0.01]
    assert len(seen) >= 3
    assert seen == sorted(seen)
    assert seen[0] < 0.05
