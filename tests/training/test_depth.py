import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.depth.nano import NanoDepth
from training.nano import depth
from training.nano.captions import Attributes
from training.nano.measures import psnr, spearman
from training.nano.scenes import Scenes, render
from training.nano.stage import best_device

CONFIG = depth.DepthConfig(
    steps=20, minutes=5, batch=8, rate=2e-2, scenes=8, size=32, held_out=2, measure_every=1, save_every=1
)


def grounds(seed, count, height, width, device="cpu"):
    """Grounds that fade from a dark, far horizon to a bright lower edge: nearness is brightness."""
    generator = torch.Generator().manual_seed(seed)
    horizon = 0.3 + 0.3 * torch.rand(count, 1, 1, 1, generator=generator)
    y = ((torch.arange(height) + 0.5) / height).view(1, 1, -1, 1)
    disparity = ((y - horizon) / (1 - horizon)).clamp(0, 1).expand(count, 1, height, width).contiguous()
    nothing = (Attributes("space"),) * count
    return Scenes(disparity.expand(count, 3, height, width).contiguous(), disparity, nothing, ("",) * count)


@pytest.fixture
def easy(monkeypatch):
    monkeypatch.setattr(depth, "render", grounds)


@pytest.mark.parametrize(
    ("a", "b", "rho"),
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [9, 4, 1], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 - 6 * 4 / (5 * 24)
        ([1, 2, 2, 3], [1, 3, 2, 4], 4.5 / math.sqrt(4.5 * 5)),  # ranks 1 2.5 2.5 4 and 1 3 2 4
        ([0, 0, 0, 1], [0, 1, 2, 3], 3 / math.sqrt(3 * 5)),  # ranks 2 2 2 4 and 1 2 3 4
        ([7, 7, 7], [1, 2, 3], 0.0),
        ([7, 7, 7], [7, 7, 7], 0.0),
    ],
)
def test_rank_correlation_by_hand(a, b, rho):
    a, b = torch.tensor(a).float(), torch.tensor(b).float()
    assert spearman(a, b) == pytest.approx(rho, abs=1e-12)
    assert spearman(b, a) == pytest.approx(rho, abs=1e-12)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=30))
def test_rank_correlation_asks_only_for_the_order(pairs):
    a, b = torch.tensor(pairs).double().T
    assert spearman(a, b) == pytest.approx(spearman(a**3, b.exp()), abs=1e-12)
    assert spearman(a, -b) == pytest.approx(-spearman(a, b), abs=1e-12)
    assert abs(spearman(a, b)) <= 1 + 1e-12


def test_rank_correlation_is_of_any_shape_but_the_same_for_both():
    assert spearman(torch.arange(6.0).view(2, 3), torch.arange(6.0).view(2, 3)) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(6,\)"):
        spearman(torch.zeros(2, 3), torch.zeros(6))


def test_psnr_by_hand():
    black = torch.zeros(3, 4, 4)
    assert psnr(black, black + 0.1) == pytest.approx(20, abs=1e-4)
    assert psnr(black, black + 1) == pytest.approx(0, abs=1e-9)
    assert psnr(black, black) == math.inf
    dot = black.clone()
    dot[0, 0, 0] = 1  # one value of 48
    assert psnr(black, dot) == pytest.approx(10 * math.log10(48))
    with pytest.raises(ValueError, match=r"\(3, 4, 4\), \(3, 4, 5\)"):
        psnr(black, torch.zeros(3, 4, 5))


def test_the_loss_of_a_constant_error_is_the_error():
    true = torch.rand(2, 1, 32, 32)
    assert depth.depth_loss(true + 0.1, true).item() == pytest.approx(0.1, abs=1e-6)


def test_the_loss_of_an_error_that_grows_across_counts_its_slope_at_four_scales():
    slope = 0.01
    ramp = slope * torch.arange(16.0).expand(1, 1, 16, 16)
    gradients = slope * (1 + 2 + 4 + 8)
    assert depth.depth_loss(ramp, torch.zeros(1, 1, 16, 16)).item() == pytest.approx(
        slope * 7.5 + 0.5 / 4 * gradients, rel=1e-5
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_window_shows_picture_and_depth_alike_down_to_the_lower_edge(seed):
    scenes = grounds(0, 2, 96, 96)
    sideways = torch.linspace(0, 0.2, 96) * scenes.disparity
    pictures, disparity = depth._windowed(sideways.repeat(1, 3, 1, 1), sideways, torch.Generator().manual_seed(seed))
    assert torch.allclose(pictures, disparity.expand_as(pictures), atol=1e-6)
    assert {side % 16 for side in disparity.shape[2:]} == {0}
    _, upright = depth._windowed(scenes.pictures, scenes.disparity, torch.Generator().manual_seed(seed))
    assert upright[:, :, -1].min() > 0.97
    assert upright[:, :, 0].max() == 0


def test_an_augmentation_keeps_its_range_and_comes_from_its_seed():
    scenes = grounds(0, 3, 64, 64)

    def augmented(seed):
        return depth.augment(scenes.pictures, scenes.disparity, torch.Generator().manual_seed(seed))

    for seed in range(4):
        pictures, disparity = augmented(seed)
        assert pictures.shape[2:] == disparity.shape[2:]
        assert pictures.min() >= 0
        assert pictures.max() <= 1
        assert disparity.min() >= -1e-6
        assert disparity.max() <= 1 + 1e-6
    assert torch.equal(augmented(1)[0], augmented(1)[0])
    assert augmented(1)[0].shape != augmented(2)[0].shape or not torch.equal(augmented(1)[0], augmented(2)[0])


def test_scenes_are_painted_once(easy, monkeypatch, tmp_path):
    pictures, disparity = depth.cached_scenes(tmp_path, 30, 16)
    assert pictures.shape == (30, 3, 16, 16)
    assert pictures.dtype == disparity.dtype == torch.uint8
    first, later = grounds(0, 25, 16, 16), grounds(25, 5, 16, 16)
    expected = torch.cat((first.disparity, later.disparity))
    assert (disparity / 255 - expected).abs().max() <= 0.5 / 255 + 1e-6
    monkeypatch.setattr(depth, "render", lambda *_: pytest.fail("painted again"))
    again = depth.cached_scenes(tmp_path, 30, 16)
    assert torch.equal(again[0], pictures)
    assert torch.equal(again[1], disparity)


def test_twenty_steps_on_an_easy_set_lower_the_loss_and_a_finished_training_stays_finished(easy, tmp_path):
    average = depth.train(CONFIG, tmp_path, torch.device("cpu"))
    curve = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    losses = [point["loss"] for point in curve if "loss" in point]
    assert len(losses) == 20
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    assert curve[-1]["spearman"] > 0.8
    again = depth.train(CONFIG, tmp_path, torch.device("cpu"))
    assert all(torch.equal(again.weights[name], weight) for name, weight in average.weights.items())


def test_the_stage_leaves_weights_that_load_and_a_sheet(easy, tmp_path):
    settings = CONFIG.model_dump() | {"steps": 2}
    table = "\n".join(f"{name} = {value}" for name, value in settings.items())
    (tmp_path / "nano.toml").write_text(f"[depth]\n{table}\n")
    target = tmp_path / "package/nano.safetensors"
    depth.main(tmp_path / "work", tmp_path / "nano.toml", "cpu", target)
    assert target.stat().st_size <= 2_000_000
    assert NanoDepth.load(file=target).estimate(torch.rand(3, 20, 30)).shape == (20, 30)
    assert (tmp_path / "work/depth/sheet.png").stat().st_size > 0
    assert not list(Path(tmp_path).rglob("*.partial"))


def test_a_perfect_model_measures_perfect_and_small_differences_in_the_sky_do_not_count(monkeypatch):
    held_out = grounds(3, 2, 64, 64)
    answers = iter(held_out.disparity[:, 0] + 0.004 * torch.rand(2, 64, 64))
    monkeypatch.setattr(NanoDepth, "estimate", lambda *_: next(answers))
    found = depth.measure(depth.DepthNetwork(), held_out)
    assert found["spearman"] > 0.995
    assert found["worst"] > 0.995
    assert found["error"] == pytest.approx(0.002, rel=0.1)


def test_the_bundled_model_orders_the_pixels_of_unseen_scenes():
    found = depth.measure(NanoDepth.load(best_device()).network, render(1_999_999_999, 16, 256, 256))
    assert found["spearman"] > 0.9
