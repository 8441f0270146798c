from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from koshi_flux.output.gif import indexed
from koshi_flux.output.sinks import open_sink

Noise = Callable[..., np.ndarray]


def write(path: Path, frames: list[np.ndarray], fps: float = 25, comment: str = "") -> Image.Image:
    height, width, _ = frames[0].shape
    with open_sink(path, size=(width, height), fps=fps, metadata={"comment": comment}) as film:
        for index, frame in enumerate(frames):
            film.write(index, frame)
    return Image.open(path)


def durations(gif: Image.Image) -> list[int]:
    """Milliseconds of each frame."""
    return [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]


def test_each_frame_has_colours_of_its_own(tmp_path: Path):
    frames = [np.full((17, 33, 3), (index * 40, 255 - index * 40, 99), np.uint8) for index in range(6)]
    frames[3][:8] = (1, 2, 3)
    gif = write(tmp_path / "film.gif", frames)
    assert gif.size == (33, 17)
    for frame, sent in zip(ImageSequence.Iterator(gif), frames, strict=True):
        shown = np.asarray(frame.convert("RGB")).astype(int)
        assert np.abs(shown - sent).max() <= 3  # Pillow looks colours up in cells of 4 levels


def test_it_loops_for_ever(tmp_path: Path, noise: Noise):
    assert write(tmp_path / "film.gif", [noise(0), noise(1)]).info["loop"] == 0


def test_single_frames_give_way_so_that_the_film_keeps_time(tmp_path: Path, noise: Noise):
    # 24 frames per second are 4.1667 hundredths each: every sixth frame is one longer
    lengths = durations(write(tmp_path / "film.gif", [noise(i) for i in range(24)], 24))
    assert set(lengths) == {40, 50}
    assert sum(lengths) == 1000


def test_above_fifty_frames_per_second_frames_are_left_out(tmp_path: Path, noise: Noise):
    assert durations(write(tmp_path / "film.gif", [noise(i) for i in range(60)], 60)) == [20] * 50


@pytest.mark.parametrize("text", ["short", "x" * 255, "x" * 256, "ü" * 1000])
def test_comments_of_any_length_are_read_by_other_programs(tmp_path: Path, noise: Noise, text: str):
    gif = write(tmp_path / "film.gif", [noise(0), noise(1)], comment=text)
    assert gif.info["comment"] == text.encode()
    assert gif.n_frames == 2


def test_dithering_keeps_the_mean_colours_of_a_photograph(photo: np.ndarray):
    shown = np.asarray(indexed(photo).convert("RGB"))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= 256
    blurred = [cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 2) for picture in (shown, photo)]
    # FFmpeg's palettegen and paletteuse reach 45 dB on a similar picture
    assert 10 * np.log10(255**2 / np.square(blurred[0] - blurred[1]).mean()) > 46
