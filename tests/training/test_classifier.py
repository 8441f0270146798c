"""The judge: how far features lie apart, what is counted, what it learns from."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from koshi_flux.errors import ModelError
from training.nano import classifier
from training.nano.captions import SCENES, TIMES, Attributes
from training.nano.classifier import UNKNOWN, Classifier, ClassifierConfig, Examples, Reading


def noise(count: int, channels: int, seed: int = 0) -> Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whitened(x: Tensor) -> Tensor:
    """The same points moved so that their mean is 0 and their covariance exactly 1."""
    x = x - x.mean(0)
    return torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(x.T, correction=0)), x.T, upper=False
    ).T.contiguous()


# Fréchet distance


def test_two_equal_sets_are_at_distance_0():
    x = noise(200, 8)
    assert classifier.frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-9)


def test_a_shifted_set_is_as_far_as_the_square_of_the_shift():
    x = noise(200, 3)
    assert classifier.frechet_distance(x, x + torch.tensor([1.0, 2.0, 0.0])) == pytest.approx(5)


def test_clouds_of_deviation_1_and_3_are_4_apart_in_every_dimension():
    x = whitened(noise(300, 5))
    assert classifier.frechet_distance(x, 3 * x) == pytest.approx(5 * (3 - 1) ** 2)


def test_covariances_that_do_not_commute():
    """For 2 x 2 matrices tr((A B)^(1/2)) = sqrt(tr(A B) + 2 sqrt(det(A B))): here A B = [[8, 4], [2, 2]]."""
    x = whitened(noise(300, 2))
    a, b = torch.tensor([[4.0, 0.0], [0.0, 2.0]]).double(), torch.tensor([[2.0, 1.0], [1.0, 1.0]]).double()
    clouds = (x @ torch.linalg.cholesky(each).T for each in (a, b))
    root = math.sqrt(10 + 2 * math.sqrt(8))
    assert classifier.frechet_distance(*clouds) == pytest.approx(6 + 3 - 2 * root)


def test_features_that_are_always_0_do_no_harm():
    x = torch.cat((noise(50, 2), torch.zeros(50, 2)), dim=1)
    assert classifier.frechet_distance(x, x + 1) == pytest.approx(4)


# reading


def test_the_confusion_matrix_by_hand():
    wanted, answered = torch.tensor([0, 0, 1, 2, UNKNOWN]), torch.tensor([0, 2, 1, 1, 0])
    assert classifier.confusion(wanted, answered, kinds=3) == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_accuracies_count_ink_and_monochrome_apart_and_leave_out_what_has_no_time():
    attributes = [
        Attributes("ocean", "day"),
        Attributes("ocean", "night", style="ink"),
        Attributes("space", mood="monochrome"),
        Attributes("city", "dawn", mood="monochrome"),
    ]
    scenes = torch.tensor([SCENES.index(scene) for scene in ("ocean", "lake", "space", "city")])
    times = torch.tensor([TIMES.index(time) for time in ("day", "night", "day", "night")])
    shares = classifier.accuracies(Reading(scenes, times, torch.zeros(4, 64)), attributes)
    assert shares == {
        **{"scene": 0.75, "time": pytest.approx(2 / 3), "count": 4},
        **{"scene_ink": 0.0, "time_ink": 1.0, "count_ink": 1},
        **{"scene_monochrome": 1.0, "time_monochrome": 0.0, "count_monochrome": 2},
    }


def test_where_there_is_no_picture_there_is_no_share():
    shares = classifier.accuracies(
        Reading(torch.tensor([9]), torch.tensor([0]), torch.zeros(1, 64)), [Attributes("space")]
    )
    assert (shares["scene"], shares["time"], shares["scene_ink"]) == (1.0, None, None)


def test_pictures_are_read_by_area():
    picture = torch.zeros(1, 3, 256, 256)
    picture[:, :, 0, 0] = 1
    assert classifier.small(picture)[0, :, 0, 0].tolist() == [0.25] * 3


def test_the_classifier_learns_bright_oceans_from_dark_cities(tmp_path: Path):
    bright = torch.arange(24) % 2
    pictures = (40 + 160 * bright).byte().view(-1, 1, 1, 1).expand(-1, 3, 128, 128).contiguous()
    ocean, city = SCENES.index("ocean"), SCENES.index("city")
    examples = Examples(pictures, torch.where(bright == 1, ocean, city), torch.where(bright == 1, UNKNOWN, 3))
    config = ClassifierConfig(
        steps=40, minutes=5, batch=8, rate=0.01, renders=20, watched=4, size=256, seed=0, save_every=5
    )
    torch.manual_seed(0)
    taught = classifier.train(Classifier(), examples, config, tmp_path, torch.device("cpu"))
    reading = classifier.read(taught, pictures[-4:].float() / 255)
    assert reading.scene.tolist() == [city, ocean, city, ocean]
    assert reading.time[::2].tolist() == [3, 3]
    assert reading.features.shape == (4, 64)


def test_a_missing_classifier_says_how_to_train_it(tmp_path: Path):
    with pytest.raises(ModelError, match=r"training\.nano\.classifier"):
        classifier.load_classifier(tmp_path)


def test_renders_are_painted_once_and_again_when_others_are_wanted(tmp_path: Path):
    config = ClassifierConfig(steps=1, minutes=1, batch=1, rate=0.1, renders=2, watched=1, size=32, seed=5)
    file, device = tmp_path / "renders.pt", torch.device("cpu")
    painted = classifier.paint_examples(config, file, device)
    written = file.stat().st_mtime_ns
    again = classifier.paint_examples(config, file, device)
    assert file.stat().st_mtime_ns == written
    assert torch.equal(again.pictures, painted.pictures)
    assert painted.pictures.shape == (3, 3, 128, 128)
    more = classifier.paint_examples(config.model_copy(update={"renders": 3}), file, device)
    assert len(more.scenes) == 4


# roughening


def test_fine_blocks_are_the_picture_itself():
    picture = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    assert (classifier.blocky(picture, torch.full((2, 1, 1, 1), 1e-6)) - picture).abs().max() < 1e-5


def test_coarse_blocks_are_flat():
    picture = 0.5 + 0.01 * torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    blocks = classifier.blocky(picture, torch.full((1, 1, 1, 1), 0.5))
    assert blocks.unique().numel() == 1
    assert blocks.unique().item() == pytest.approx(0.5)  # the first coefficient is 8 times the mean, 4 = 8 * 0.5


def test_roughened_pictures_stay_near_in_colour():
    picture = torch.full((16, 3, 32, 32), 0.5)
    picture[:, 0] = 0.6
    rough = classifier.roughened(picture, np.random.default_rng(0))
    assert (rough.mean((2, 3)) - picture.mean((2, 3))).abs().max() < 0.08
    assert rough.min() >= 0
    assert rough.max() <= 1
