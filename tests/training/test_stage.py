"""A stage keeps time, falls to rest, and goes on where it stopped."""

import json

import pytest
import torch
from pydantic import ValidationError

from training.nano.muon import Muon, orthogonal
from training.nano.stage import Average, Training, TrainingConfig, learn, read_config

CONFIG = TrainingConfig(steps=200, minutes=60, batch=1, rate=0.1, save_every=60)


def test_the_rate_rises_stays_and_falls_to_zero(tmp_path):
    training = Training(tmp_path, CONFIG, {})
    rates = [training.rate for _ in training.run()]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == pytest.approx(0.1)
    assert rates[99] == pytest.approx(0.1)
    assert training.rate == pytest.approx(0)
    assert len(rates) == 200


def test_a_stage_stops_when_its_minutes_are_over(tmp_path):
    training = Training(tmp_path, CONFIG.model_copy(update={"minutes": 1.0}), {})
    training.seconds = 61
    assert training.progress == 1
    assert list(training.run()) == []


def test_a_stage_goes_on_where_it_was_saved(tmp_path):
    def begin() -> tuple[Training, torch.nn.Linear]:
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 1)
        optimiser = torch.optim.SGD(model.parameters(), momentum=0.9, lr=0.1)
        average = Average(model)
        training = Training(tmp_path, CONFIG, {"model": model, "optimiser": optimiser, "average": average})

        def step() -> None:
            learn(model, model(torch.ones(1, 2)).square().sum(), [optimiser], training.rate)
            average.follow(model)

        training.take = step
        return training, model

    whole, model = begin()
    for _ in whole.run():
        whole.take()
    (tmp_path / "checkpoint.pt").unlink()
    first, _ = begin()
    for step in first.run():
        first.take()
        if step == 49:
            break
    first.step = 50
    first.save()
    second, resumed = begin()
    assert second.step == 50
    for _ in second.run():
        second.take()
    assert torch.equal(resumed.weight, model.weight)


def test_the_curve_is_written_as_it_goes(tmp_path):
    training = Training(tmp_path, CONFIG, {})
    training.log(loss=0.5)
    training.log(loss=0.25)
    points = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [point["loss"] for point in points] == [0.5, 0.25]


def test_an_unknown_setting_is_refused(tmp_path):
    (tmp_path / "nano.toml").write_text("[x]\nsteps = 1\nminutes = 1\nbatch = 1\nrate = 1\nspeed = 3\n")
    with pytest.raises(ValidationError, match="speed"):
        read_config(TrainingConfig, "x", tmp_path / "nano.toml")


def test_the_average_follows_and_forgets_its_beginning():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = Average(model, decay=0.9)
    torch.nn.init.ones_(model.weight)
    for _ in range(100):
        average.follow(model)
    assert average.weights["weight"].item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("shape", [(8, 8), (4, 40), (40, 4)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_agrees_with_torch_on_the_direction():
    torch.manual_seed(0)
    gradient = torch.randn(16, 32)
    theirs, ours = torch.zeros(16, 32, requires_grad=True), torch.zeros(16, 32, requires_grad=True)
    theirs.grad, ours.grad = gradient.clone(), gradient.clone()
    torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw").step()
    Muon([ours], lr=0.1).step()
    assert torch.allclose(ours, theirs, atol=0.02)


def test_muon_learns_a_linear_map():
    torch.manual_seed(0)
    true, model = torch.randn(8, 8), torch.nn.Linear(8, 8, bias=False)
    optimiser = Muon(model.parameters())
    for step in range(300):
        inputs = torch.randn(32, 8)
        learn(model, (model(inputs) - inputs @ true.T).square().mean(), [optimiser], 0.1 * (1 - step / 300))
    assert torch.allclose(model.weight, true, atol=0.1)
