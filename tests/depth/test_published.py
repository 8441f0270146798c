import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import DepthAnythingForDepthEstimation, DPTForDepthEstimation
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from koshi_flux.depth.folder import DepthFiles, Preparation, check_folder
from koshi_flux.depth.published import PublishedDepth, from_metres, stretched
from koshi_flux.errors import ModelError
from koshi_flux.shared.types import DepthModel
from tests.depth import tiny

WRITERS = {
    "midas": tiny.write_midas,
    "hybrid": tiny.write_hybrid,
    "anything": tiny.write_anything,
    "metric": lambda folder: tiny.write_anything(folder, metric=True),
    "zoe": tiny.write_zoe,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: write(root / name) for name, write in WRITERS.items()}


def picture(height, width, seed=0):
    """Soft colours: what two ways of resizing agree about."""
    small = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(small, (height, width), mode="bilinear")[0]


class Says(torch.nn.Module):
    """A network that says what it is told to, and remembers what it was shown."""

    def __init__(self, *said):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.said, self.shown = list(said), []

    def forward(self, pixel_values):
        self.shown.append(pixel_values)
        return SimpleNamespace(predicted_depth=self.said[min(len(self.shown), len(self.said)) - 1][None])


def model_that_says(*said, metric=False, **how):
    return PublishedDepth(Says(*said), DepthFiles(Path(), Preparation(**how), metric))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("size", [(64, 96), (96, 64), (33, 50), (16, 16)], ids=str)
def test_every_kind_of_model_tells_depth(folders, name, size):
    model = PublishedDepth.load(folders[name])
    assert isinstance(model, DepthModel)
    depth = model.estimate(picture(*size))
    assert depth.shape == size
    assert depth.dtype == torch.float32
    assert depth.min() >= 0
    assert float(depth.max()) == pytest.approx(1, abs=1e-6)
    assert depth.std() > 0.01
    assert torch.equal(depth, model.estimate(picture(*size), 7))


@pytest.mark.parametrize("name", ["midas", "anything"])
@pytest.mark.parametrize("size", [(64, 96), (200, 120), (40, 40)], ids=str)
def test_pictures_are_prepared_as_transformers_does(folders, name, size):
    theirs = DPTImageProcessorPil.from_pretrained(folders[name])
    levels = (picture(*size) * 255).round()
    expected = theirs(images=levels.byte().numpy(), return_tensors="pt", input_data_format="channels_first")
    prepared = PublishedDepth.load(folders[name])._prepared(levels / 255)
    assert prepared.shape == expected["pixel_values"].shape
    a_level = 1 / 255 / min(check_folder(folders[name]).preparation.deviation)  # theirs is rounded on the way
    assert (prepared - expected["pixel_values"]).abs().max() < 1.25 * a_level
    assert (prepared - expected["pixel_values"]).abs().mean() < 0.3 * a_level


KINDS = [("midas", DPTForDepthEstimation, 32), ("anything", DepthAnythingForDepthEstimation, 56)]


def told_by_transformers(folder, kind, levels):
    processor = DPTImageProcessorPil.from_pretrained(folder)
    with torch.no_grad():
        inputs = processor(images=levels.numpy(), return_tensors="pt", input_data_format="channels_first")
        told = kind.from_pretrained(folder)(**inputs)
        return processor.post_process_depth_estimation(told, [tuple(levels.shape[1:])])[0]["predicted_depth"]


@pytest.mark.parametrize(("name", "kind", "side"), KINDS)
def test_depths_are_those_of_transformers(folders, name, kind, side):
    levels = (picture(side, side) * 255).round().byte()  # as large as the model sees it: nothing is resized
    theirs = told_by_transformers(folders[name], kind, levels)
    assert torch.allclose(PublishedDepth.load(folders[name]).estimate(levels / 255), stretched(theirs), atol=1e-4)


@pytest.mark.parametrize(("name", "kind", "side"), KINDS)
def test_depths_of_other_sizes_are_nearly_those_of_transformers(folders, name, kind, side):
    levels = (picture(2 * side, 3 * side) * 255).round().byte()
    theirs = told_by_transformers(folders[name], kind, levels)
    ours = PublishedDepth.load(folders[name]).estimate(levels / 255)
    # random networks make much of the 8 bits to which theirs is rounded once more
    assert np.corrcoef(theirs.flatten(), ours.flatten())[0, 1] > 0.98


def test_a_picture_is_shown_in_the_colours_that_the_model_wants():
    model = model_that_says(torch.rand(4, 6), size=(4, 6), mean=(0.5, 0.25, 0.0), deviation=(0.5, 0.25, 2.0))
    model.estimate(torch.tensor([1.0, 0.25, 0.5]).view(3, 1, 1).expand(3, 8, 12))
    expected = torch.tensor([1.0, 0.0, 0.25]).view(1, 3, 1, 1).expand(1, 3, 4, 6)
    assert torch.allclose(model.network.shown[0], expected, atol=1e-5)


def test_resizing_does_not_leave_the_range_of_colours():
    edge = (torch.arange(40) >= 20).float().expand(3, 40, 40)
    model = model_that_says(torch.rand(24, 24), size=(24, 24))
    model.estimate(edge)
    assert model.network.shown[0].min() == 0
    assert model.network.shown[0].max() == 1


def test_a_margin_is_mirrored_and_taken_off_again():
    rows, columns = 8, 12  # int(3 * sqrt(16 / 2)), int(3 * sqrt(32 / 2))
    ramp = torch.linspace(0, 1, 32 + 2 * columns).expand(16 + 2 * rows, -1)
    model = model_that_says(ramp, size=(16 + 2 * rows, 32 + 2 * columns), margin=True, bicubic=False)
    shown = picture(16, 32)
    depth = model.estimate(shown)
    assert torch.allclose(model.network.shown[0][0, :, rows:-rows, columns:-columns], shown, atol=1e-6)
    assert torch.allclose(model.network.shown[0][0, :, rows - 1], model.network.shown[0][0, :, rows + 1], atol=1e-6)
    assert torch.allclose(depth, stretched(ramp[rows:-rows, columns:-columns]), atol=1e-5)


def test_depth_is_resized_without_overshooting():
    step = (torch.arange(8) >= 4).float().expand(8, 8)
    depth = model_that_says(step, size=(8, 8)).estimate(picture(64, 64))
    assert torch.equal(depth[:, :28], torch.zeros(64, 28))
    assert torch.equal(depth[:, 36:], torch.ones(64, 28))


def test_disparities_of_any_scale_are_the_same_depth():
    told = torch.linspace(0, 1, 101 * 101).view(101, 101)
    expected = ((told - 0.01) / 0.98).clamp(0, 1)
    for factor, shift in ((1, 0), (300, 40), (0.01, -5)):
        assert torch.allclose(stretched(told * factor + shift), expected, atol=1e-3)


def test_stray_pixels_do_not_stretch_the_rest():
    told = torch.linspace(0, 1, 10_000).view(100, 100)
    stray = told.clone()
    stray[50, 50] = 1e6
    change = (stretched(stray) - stretched(told)).abs()
    assert stretched(stray)[50, 50] == 1
    change[50, 50] = 0
    assert change.max() < 1e-3


def test_what_is_all_alike_is_a_plane():
    assert torch.equal(stretched(torch.full((20, 30), 7.0)), torch.ones(20, 30))
    assert torch.equal(stretched(torch.zeros(20, 30)), torch.ones(20, 30))


def test_metres_become_disparities():
    """Twice as far is half the depth, and nothing is infinitely far because it is the farthest."""
    metres = torch.tensor([2.0, 4.0, 8.0, 80.0]).repeat_interleave(100).view(4, 100)
    assert torch.allclose(from_metres(metres)[:, 0], torch.tensor([1, 0.5, 0.25, 0.025]))
    model = model_that_says(metres, metric=True, size=(4, 100))
    assert torch.allclose(model.estimate(picture(4, 100))[:, 50], torch.tensor([1, 0.5, 0.25, 0.025]), atol=1e-6)


def test_a_distance_of_nothing_is_near_and_finite():
    metres = torch.ones(10, 10)
    metres[0, 0] = 0
    assert from_metres(metres).isfinite().all()
    assert from_metres(metres)[0, 0] == 1


def test_pixels_that_are_no_number_take_their_neighbours_value():
    told = torch.linspace(0, 1, 64).view(8, 8).clone()
    told[3, 3] = math.nan
    depth = model_that_says(told, size=(8, 8)).estimate(picture(8, 8))
    assert depth.isfinite().all()


def test_a_network_that_says_nothing_but_nan_is_named():
    with pytest.raises(ModelError, match=r"holds no number.*take another depth model"):
        model_that_says(torch.full((8, 8), math.nan), size=(8, 8)).estimate(picture(8, 8))


def test_a_picture_does_not_depend_on_those_before(folders):
    """A film that is resumed sees what it would have seen."""
    model = PublishedDepth.load(folders["anything"])
    alone = model.estimate(picture(32, 48, seed=1))
    model.estimate(picture(32, 48, seed=2))
    assert torch.equal(model.estimate(picture(32, 48, seed=1)), alone)


def test_the_older_kind_of_weights_tells_the_same(tmp_path, folders):
    folder = tiny.write_midas(tmp_path / "midas", pickle=True)
    assert not list(folder.glob("*.safetensors"))
    expected = PublishedDepth.load(folders["midas"]).estimate(picture(32, 48))
    assert torch.allclose(PublishedDepth.load(folder).estimate(picture(32, 48)), expected, atol=1e-4)


def test_the_weights_that_midas_is_published_without_are_not_needed(tmp_path, folders):
    folder = tiny.write_midas(tmp_path / "midas", drop="neck.fusion_stage.layers.0.residual_layer1.")
    expected = PublishedDepth.load(folders["midas"]).estimate(picture(32, 48))
    assert torch.allclose(PublishedDepth.load(folder).estimate(picture(32, 48)), expected, atol=1e-4)


def test_other_weights_are_needed(tmp_path):
    folder = tiny.write_midas(tmp_path / "midas", drop="neck.fusion_stage.layers.1.residual_layer1.")
    with pytest.raises(ModelError, match=r"lacks 4 of its weights, e\.g\. neck\.fusion_stage\.layers\.1\."):
        PublishedDepth.load(folder)


def test_weights_of_another_size_are_named(tmp_path):
    folder = tiny.write_midas(tmp_path / "midas")
    weights = load_file(folder / "model.safetensors")
    name = "head.head.0.weight"
    save_file(weights | {name: weights[name][:2].clone()}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"holds other weights than its config\.json states"):
        PublishedDepth.load(folder)


@pytest.mark.parametrize(
    "entries", [{"hidden_size": "wide"}, {"hidden_size": 7}, {"readout_type": "none"}, {"model_type": "bert"}], ids=str
)
def test_a_config_that_makes_no_network_is_named(tmp_path, entries):
    folder = tiny.write_midas(tmp_path / "midas")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | entries))
    with pytest.raises(ModelError, match=r"holds other weights than its config\.json states \(.+\)\. Download"):
        PublishedDepth.load(folder)


class Program:
    """What a pickle can do to those who load it without care."""

    def __reduce__(self):
        return (pytest.fail, ("a program ran",))


def test_programs_among_the_weights_are_not_run(tmp_path):
    folder = tiny.write_midas(tmp_path / "midas", pickle=True)
    torch.save({"weight": Program()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin holds more than weights.*gives model\.safetensors"):
        PublishedDepth.load(folder)
