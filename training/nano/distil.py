"""Teaches nano to do in one pass what takes a guided model two: to follow the prompt without a negative one.

The student learns the teacher's guided velocity, away from the empty prompt, on noisy latents. After it, guidance is
spent: nano draws with one pass a step, as FLUX.2 Klein does.

Source: Meng et al. 2022, arXiv:2210.03142 (first stage); Ho and Salimans 2022, arXiv:2207.12598 (guidance).
"""

from pathlib import Path

import torch
import typer
from torch import Tensor

from training.nano.latents import read_latents
from training.nano.sheet import write_sheet
from training.nano.stage import (
    CONFIG,
    WORK,
    Average,
    ConfigFile,
    Device,
    Training,
    TrainingConfig,
    Work,
    best_device,
    learn,
    read_config,
)
from training.nano.text import make_tokenizer
from training.nano.transformer import (
    SHOWN,
    Batch,
    Feed,
    Painter,
    TransformerConfig,
    averaged,
    make_optimisers,
    sample,
    shifted,
)


class DistilConfig(TrainingConfig):
    """How to distil.

    Args:
        guidance: how far the student goes beyond the unguided velocity; 1 is not at all.
        flow: weight of the true flow beside the teacher's, which keeps the student's pictures real.
    """

    guidance: float
    flow: float


def main(work: Work = WORK, config: ConfigFile = CONFIG, device: Device = "") -> None:
    """Distil the transformer's averaged weights; the student's are in the checkpoint of <work>/distil."""
    settings, place = read_config(DistilConfig, "distil", config), best_device(device)
    shape = read_config(TransformerConfig, "transformer", config).model_copy(
        update={"batch": settings.batch, "unasked": 0.0}
    )
    torch.manual_seed(2)
    tokenizer = make_tokenizer()
    teacher = averaged(shape, trained(work, shape, "transformer"), tokenizer, place).requires_grad_(False)
    student = averaged(shape, trained(work, shape, "transformer"), tokenizer, place).train()
    feed = Feed(read_latents(work), tokenizer, shape)
    average, optimisers = Average(student, decay=0.98), make_optimisers(student)
    parts = {"student": student, "average": average, **{f"optimiser{n}": each for n, each in enumerate(optimisers)}}
    training = Training(work / "distil", settings, parts)
    for step in training.run():
        loss = guided_loss(student, teacher, feed.batch(False, place), feed.nothing.to(place), shape.shift, settings)
        learn(student, loss, optimisers, training.rate)
        average.follow(student)
        if step % 10 == 9:
            training.log(loss=loss.item())
    pictures = sample(averaged(shape, average, tokenizer, place), tokenizer, SHOWN, work, 8)
    write_sheet(pictures, training.folder / "sheet.png")


def trained(work: Path, shape: TransformerConfig, stage: str) -> Average:
    """The averaged weights of a stage's checkpoint."""
    tokenizer = make_tokenizer()
    average = Average(Painter(shape, len(tokenizer), tokenizer.pad_token_id))
    average.load_state_dict(torch.load(work / stage / "checkpoint.pt", weights_only=True)["parts"]["average"])
    return average


def guided_loss(
    student: Painter, teacher: Painter, batch: Batch, nothing: Tensor, shift: float, settings: DistilConfig
) -> Tensor:
    """How far the student is from the guided teacher, and a little from the true flow."""
    count = len(batch.tokens)
    sigma = shifted(torch.sigmoid(torch.randn(count, 1, 1)), shift).to(batch.tokens.device)
    noise = torch.randn_like(batch.tokens)
    noisy = (1 - sigma) * batch.tokens + sigma * noise
    with torch.no_grad():
        empty = nothing[: batch.text.shape[1]].expand(count, -1)
        towards = teacher(noisy, sigma[:, 0, 0], batch.text, batch.ids)
        away = teacher(noisy, sigma[:, 0, 0], empty, batch.ids)
        wanted = away + settings.guidance * (towards - away)
    drawn = student(noisy, sigma[:, 0, 0], batch.text, batch.ids)
    return (drawn - wanted).square().mean() + settings.flow * (drawn - (noise - batch.tokens)).square().mean()


if __name__ == "__main__":
    typer.run(main)
