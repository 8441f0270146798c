import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import OutputError
from koshi_flux.output.formats import FORMATS
from koshi_flux.output.sinks import open_sink
from koshi_flux.output.video import encoders, even, read_metadata

Noise = Callable[..., np.ndarray]
RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


def write(path: Path, frames: list[np.ndarray], fps: float = 24) -> Path:
    height, width, _ = frames[0].shape
    with open_sink(path, size=(width, height), fps=fps) as film:
        for index, frame in enumerate(frames):
            film.write(index, frame)
    return path


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def plane(frame: av.VideoFrame, number: int) -> np.ndarray:
    """Stored values of Y (0), Cb (1) or Cr (2), in steps of 8 bits."""
    stored = frame.planes[number]
    deep = frame.format.name.endswith("10le")
    rows = np.frombuffer(stored, np.uint16 if deep else np.uint8).reshape(stored.height, -1)[:, : stored.width]
    return rows / 4 if deep else rows.astype(float)


def patches() -> np.ndarray:
    """Four vertical stripes of 32 pixels."""
    return np.repeat(np.array([[RED, GREEN, BLUE, GREY]], np.uint8), 32, axis=1).repeat(64, axis=0)


def stripes(frame: av.VideoFrame) -> np.ndarray:
    """(Y, Cb, Cr) in the middle of each of the four stripes."""
    return np.stack(
        [
            [plane(frame, n)[32 if n == 0 else 16, (2 * k + 1) * plane(frame, n).shape[1] // 8] for n in range(3)]
            for k in range(4)
        ]
    )


def to_rgb(ycbcr: np.ndarray, red: float, blue: float) -> np.ndarray:
    """Undo the matrix with luma weights `red` and `blue` (ITU-R BT.709-6, items 3.2 to 3.5), limited range."""
    y, cb, cr = (ycbcr[:, 0] - 16) / 219, (ycbcr[:, 1] - 128) / 224, (ycbcr[:, 2] - 128) / 224
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], axis=1) * 255


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov"])
class TestColour:
    def test_is_stored_with_the_bt709_matrix(self, tmp_path: Path, suffix: str):
        stored = stripes(decoded(write(tmp_path / f"film{suffix}", [patches()] * 3))[1])
        # Y = 16 + 219 (0.2126 R + 0.7152 G + 0.0722 B) for R, G, B in [0, 1];
        # Cb = 128 + 224 (B - Y) / 1.8556, Cr = 128 + 224 (R - Y) / 1.5748
        expected = [[62.6, 102.3, 240.0], [172.6, 41.7, 26.3], [31.8, 240.0, 117.7], [125.9, 128.0, 128.0]]
        assert np.abs(stored - expected).max() < 1.5
        assert np.abs(to_rgb(stored, 0.2126, 0.0722) - [RED, GREEN, BLUE, GREY]).max() < (4 if suffix == ".webm" else 3)
        assert np.abs(to_rgb(stored, 0.299, 0.114) - [RED, GREEN, BLUE, GREY]).max() > 20  # so this can tell BT.601

    def test_is_tagged_as_what_it_is(self, tmp_path: Path, suffix: str):
        write(tmp_path / f"film{suffix}", [patches()])
        with av.open(str(tmp_path / f"film{suffix}")) as container:
            frame = next(container.decode(video=0))
            codec = container.streams.video[0].codec_context
            for tagged in (codec, frame):
                # 1 is BT.709 in ITU-T H.273, and limited range in FFmpeg
                assert (tagged.colorspace, tagged.color_primaries, tagged.color_trc, tagged.color_range) == (1, 1, 1, 1)

    def test_of_an_odd_sized_film_is_padded_with_the_last_row_and_column(self, tmp_path: Path, suffix: str):
        slope = np.broadcast_to(np.arange(33, dtype=np.uint8)[None, :, None] * 7, (17, 33, 3)).copy()
        frame = decoded(write(tmp_path / f"film{suffix}", [slope] * 2))[0]
        luma = plane(frame, 0)
        assert (frame.width, frame.height) == (34, 18)
        assert np.abs(luma[:17, :33] - (16 + 219 / 255 * slope[..., 0])).max() < 6
        assert np.abs(luma[:, 33] - luma[:, 32]).max() < 4  # one step of the slope is 6


def test_kinds_of_encoding(tmp_path: Path, noise: Noise):
    names = {}
    for suffix in (".mp4", ".webm", ".mov", ".mkv"):
        with av.open(str(write(tmp_path / f"film{suffix}", [noise()]))) as container:
            codec = container.streams.video[0].codec_context
            names[suffix] = (codec.name, codec.pix_fmt, codec.profile)
    assert names[".mp4"] == ("h264", "yuv420p", "High")
    assert names[".webm"][1:] == ("yuv420p", "Profile 0")
    assert names[".mov"] == ("prores", "yuv422p10le", "HQ")
    assert names[".mkv"][:2] == ("ffv1", "bgr0")


@pytest.mark.parametrize("size", [(64, 48), (33, 17)])
def test_mkv_keeps_every_bit(tmp_path: Path, noise: Noise, size: tuple[int, int]):
    frames = [noise(index, *size) for index in range(4)]
    back = decoded(write(tmp_path / "film.mkv", frames))
    assert all((frame.to_ndarray(format="rgb24") == sent).all() for frame, sent in zip(back, frames, strict=True))


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov"])
def test_a_real_picture_stays_close(tmp_path: Path, photo: np.ndarray, suffix: str):
    frame = decoded(write(tmp_path / f"film{suffix}", [photo] * 2))[1]
    luma = 16 + 219 / 255 * (photo @ [0.2126, 0.7152, 0.0722])
    assert 10 * np.log10(219**2 / np.square(plane(frame, 0) - luma).mean()) > 38


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    ("fps", "exact"), [(24, 24), (23.976, Fraction(24000, 1001)), (12.5, Fraction(25, 2)), (60, 60)]
)
def test_rate_count_and_duration_are_exact(tmp_path: Path, noise: Noise, suffix: str, fps: float, exact: Fraction):
    with av.open(str(write(tmp_path / f"film{suffix}", [noise(i) for i in range(7)], fps))) as container:
        stream = container.streams.video[0]
        times = [frame.pts * stream.time_base for frame in container.decode(stream)]
        assert (stream.average_rate, stream.frames) == (exact, 7)
        assert stream.duration * stream.time_base == 7 / Fraction(exact)
        assert times == [index / Fraction(exact) for index in range(7)]


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
def test_matroska_is_exact_to_its_millisecond(tmp_path: Path, noise: Noise, suffix: str):
    with av.open(str(write(tmp_path / f"film{suffix}", [noise(i) for i in range(7)], 23.976))) as container:
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)
        assert [round(f.time * 1000) for f in container.decode(video=0)] == [0, 42, 83, 125, 167, 209, 250]
        assert container.duration == 292_000  # 7 / 23.976 s in microseconds


def test_a_film_begins_with_its_first_frame_whatever_its_number(tmp_path: Path, noise: Noise):
    with open_sink(tmp_path / "film.mp4", size=(64, 48)) as film:
        for index in (100, 101):
            film.write(index, noise(index))
    assert [frame.time for frame in decoded(tmp_path / "film.mp4")] == [0, 1 / 24]


def test_mp4_can_start_before_it_is_downloaded(tmp_path: Path, noise: Noise):
    data = write(tmp_path / "film.mp4", [noise()] * 3).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_small_mp4_is_written_in_less_than_a_second(tmp_path: Path, photo: np.ndarray):
    frames = [np.roll(photo.repeat(2, 0).repeat(2, 1), index, axis=1) for index in range(60)]

    def seconds() -> float:
        start = time.perf_counter()
        write(tmp_path / "film.mp4", frames)
        return time.perf_counter() - start

    assert frames[0].shape == (256, 256, 3)
    assert any(seconds() < 1 for _ in range(3))  # three tries: the machine may have other things to do


@given(st.integers(1, 9), st.integers(1, 9))
def test_even_repeats_the_edge_and_crops_nothing(height: int, width: int):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    padded = even(pixels)
    assert padded.shape == (height + height % 2, width + width % 2, 3)
    assert (padded[:height, :width] == pixels).all()
    assert (padded[-1, :width] == pixels[-1]).all()
    assert (padded[:height, -1] == pixels[:, -1]).all()


def test_this_pyav_has_all_encoders():
    assert encoders() == {"libx264": True, "libvpx-vp9": True, "prores_ks": True, "ffv1": True}


def test_a_missing_encoder_is_named_with_what_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(FORMATS, ".mp4", replace(FORMATS[".mp4"], encoder="libnothing"))
    assert encoders()["libnothing"] is False
    with pytest.raises(OutputError, match=r"no encoder 'libnothing'\. Write \.webm, \.mov, \.mkv, \.gif or PNG files"):
        open_sink(tmp_path / "film.mp4", size=(64, 48))
    assert not list(tmp_path.iterdir())


def test_metadata_of_what_is_no_video_is_an_error(tmp_path: Path):
    (tmp_path / "film.mp4").write_text("no film")
    with pytest.raises(OutputError, match=r"cannot read .*film\.mp4"):
        read_metadata(tmp_path / "film.mp4")
    with pytest.raises(OutputError, match=r"cannot read .*missing\.mp4"):
        read_metadata(tmp_path / "missing.mp4")
