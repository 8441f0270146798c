"""Two short films, kept as pictures: what they look like may only change on purpose.

`python -m tests.golden.test_golden_films` draws them anew; look at them before committing, and say so in the changelog.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from koshi_flux.pipeline.factory import load_model
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.image import interleaved

FOLDER = Path(__file__).parent
TOLERANCE = {"toy": (1, 0.05), "nano": (40, 1.5)}
"""(largest, mean) difference in 1/255. Other processors sum in another order: the toy model hardly shows it, nano does,
through eight frames of feedback, at edges."""


def film(model: str) -> Animation:
    return Animation(
        model=model,
        frames=8,
        size=(128, 96),
        seed=11,
        prompts={"0": "mountains at sunset", "5": "the ocean at night"},
        zoom="0:(1.04)",
        angle="0:(2*sin(2*pi*t/8))",
        translation_x="0:(1.5)",
        denoise="0:(0.45), 4:(0.45), 5:(0.95), 6:(0.45)",
        color_strength=0,
    )


def drawn(model: str) -> list[np.ndarray]:
    """The frames as 8-bit pictures, BGR."""
    frames = render(film(model), load_model(model, device="cpu", dtype=torch.float32))
    return [np.round(interleaved(frame.image) * 255).astype(np.uint8)[..., ::-1] for frame in frames]


@pytest.mark.parametrize("model", TOLERANCE)
def test_the_film_looks_as_it_did(model):
    largest, mean = TOLERANCE[model]
    frames = drawn(model)
    assert len(frames) == len(list((FOLDER / model).glob("*.png"))) == 8
    for number, frame in enumerate(frames):
        kept = cv2.imread(str(FOLDER / model / f"{number}.png"))
        difference = np.abs(frame.astype(int) - kept.astype(int))
        assert difference.max() <= largest, f"frame {number}"
        assert difference.mean() <= mean, f"frame {number}"


def test_the_kept_films_move_and_follow_their_prompts():
    """A tolerance would also pass a film that stands still: this one does not."""
    for model in TOLERANCE:
        first, fourth, last = (cv2.imread(str(FOLDER / model / f"{number}.png")).astype(int) for number in (0, 4, 7))
        assert np.abs(fourth - first).mean() > 3
        assert last.mean() < 0.9 * first.mean(), "night is darker than a sunset"


def main() -> None:
    for model in TOLERANCE:
        (FOLDER / model).mkdir(exist_ok=True)
        for number, frame in enumerate(drawn(model)):
            cv2.imwrite(str(FOLDER / model / f"{number}.png"), frame)


if __name__ == "__main__":
    main()
