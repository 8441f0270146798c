import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from koshi_flux.errors import OutputError
from koshi_flux.output.disk import partial_path
from koshi_flux.output.png import frame_path, read_png
from koshi_flux.output.sinks import open_sink


def test_frames_come_back_as_they_were(tmp_path: Path, noise: Callable[..., np.ndarray], photo: np.ndarray):
    with open_sink(tmp_path / "frames", size=(128, 128)) as sink:
        sink.write(0, photo)
        sink.write(1, noise(1, 128, 128))
    assert (read_png(tmp_path / "frames" / "000000.png") == photo).all()
    assert (read_png(tmp_path / "frames" / "000001.png") == noise(1, 128, 128)).all()
    assert sorted(os.listdir(tmp_path / "frames")) == ["000000.png", "000001.png"]


def test_other_programs_see_the_right_colours(tmp_path: Path):
    with open_sink(tmp_path, size=(3, 1)) as sink:
        sink.write(0, np.array([[[255, 0, 0], [0, 254, 0], [0, 0, 253]]], np.uint8))
    picture = Image.open(tmp_path / "000000.png")
    assert picture.mode == "RGB"
    assert [picture.getpixel((x, 0)) for x in range(3)] == [(255, 0, 0), (0, 254, 0), (0, 0, 253)]


def test_frames_sort_by_name():
    assert frame_path(Path("frames"), 42) == Path("frames/000042.png")


def test_an_odd_size_stays_odd(tmp_path: Path, noise: Callable[..., np.ndarray]):
    with open_sink(tmp_path, size=(33, 17)) as sink:
        sink.write(0, noise(0, 33, 17))
    assert (read_png(tmp_path / "000000.png") == noise(0, 33, 17)).all()


def test_lossless_files_of_a_photograph_are_well_below_raw_size(tmp_path: Path, photo: np.ndarray):
    with open_sink(tmp_path, size=(128, 128)) as sink:
        sink.write(0, photo)
    assert (tmp_path / "000000.png").stat().st_size < 0.75 * photo.nbytes


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
def test_a_full_disk_leaves_no_half_frame(tmp_path: Path, noise: Callable[..., np.ndarray]):
    partial_path(tmp_path / "000003.png").symlink_to("/dev/full")
    with (
        open_sink(tmp_path, size=(64, 48)) as sink,
        pytest.raises(OutputError, match=r"disk is full: cannot write 000003\.png"),
    ):
        sink.write(3, noise())
    assert os.listdir(tmp_path) == []


def test_a_truncated_frame_is_named(tmp_path: Path, noise: Callable[..., np.ndarray]):
    with open_sink(tmp_path, size=(64, 48)) as sink:
        sink.write(0, noise())
    whole = (tmp_path / "000000.png").read_bytes()
    (tmp_path / "000000.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OutputError, match=r"cannot read .*000000\.png.*render it again"):
        read_png(tmp_path / "000000.png")


@pytest.mark.parametrize("content", [b"", b"GIF89a no png at all"])
def test_a_file_that_is_no_png_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "000001.png").write_bytes(content)
    with pytest.raises(OutputError, match=r"cannot read .*000001\.png"):
        read_png(tmp_path / "000001.png")


def test_a_missing_frame_is_named(tmp_path: Path):
    with pytest.raises(OutputError, match=r"frame '000009\.png' is missing"):
        read_png(tmp_path / "000009.png")
