"""Frames by number: the same from anywhere, in any kind of file; orientation, proportions, colour and alpha."""

import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from koshi_flux.errors import SettingsError
from koshi_flux.input.video_file import FAR, VideoFile
from tests.input.videos import LEVEL, video

GROUPS = {"g": "12", "bf": "2"}  # a key frame every 12 frames, the others in another order than they are shown


def shown(file: VideoFile, index: int) -> int:
    """The number that a frame's picture tells."""
    return round(float(file.at(index)[0].mean()) / LEVEL)


KINDS = [
    ("a.mp4", "libx264", "yuv420p", GROUPS),
    ("a.ts", "libx264", "yuv420p", GROUPS),
    ("a.mkv", "libx264", "yuv420p", {**GROUPS, "x264-params": "open-gop=1"}),
    ("a.avi", "libx264", "yuv420p", GROUPS),  # numbers its packets as they are decoded
    ("b.avi", "mpeg4", "yuv420p", {**GROUPS, "qmax": "2"}),
    ("a.h264", "libx264", "yuv420p", GROUPS),  # has no times at all
    ("a.mpg", "mpeg2video", "yuv420p", {**GROUPS, "qmax": "2"}),
    ("a.webm", "libvpx-vp9", "yuv420p", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    ("a.mov", "prores_ks", "yuv422p10le", {}),
    ("b.mov", "png", "rgb24", {}),
    ("b.mkv", "ffv1", "bgr0", {}),
    ("a.apng", "apng", "rgb24", {}),
]


@pytest.mark.parametrize(("name", "codec", "layout", "options"), KINDS, ids=[kind[0] for kind in KINDS])
def test_every_frame_is_found_from_everywhere(tmp_path: Path, name: str, codec: str, layout: str, options: dict):
    file = VideoFile(video(tmp_path / name, 40, codec, layout, options=options))
    assert file.count == 40
    assert [shown(file, index) for index in range(40)] == list(range(40))
    jumps = [39, 0, 38, 12, 11, 24, 23]
    assert [shown(file, index) for index in jumps] == jumps


def test_frames_are_counted_as_they_are_shown_whatever_their_times(tmp_path: Path):
    times = [0, 1, 2, 10, 11, 30, 31, 32, 33, 90]
    file = VideoFile(video(tmp_path / "a.mp4", 10, times=times, options=GROUPS))
    assert file.count == 10
    assert [shown(file, index) for index in (9, 3, 4, 0, 5)] == [9, 3, 4, 0, 5]
    assert [round(file.seconds(index) * 24) for index in range(10)] == times


class Opened:
    """Counts what a video file asks of its container."""

    def __init__(self, file: VideoFile):
        self._container, self.seeks, self.read = file._container, 0, 0
        file._container = self

    def seek(self, *where: object, **how: object) -> None:
        self.seeks += 1
        self._container.seek(*where, **how)

    def demux(self, stream: object):
        for packet in self._container.demux(stream):
            self.read += 1
            yield packet

    def close(self) -> None:
        self._container.close()


def test_reading_on_never_seeks_and_a_far_frame_is_reached_from_the_key_frame_before_it(tmp_path: Path):
    small = [np.full((16, 16, 3), index % 60 * LEVEL, np.uint8) for index in range(1000)]
    file = VideoFile(video(tmp_path / "a.mp4", small, options={"g": "50", "preset": "ultrafast"}))
    file.at(0)
    opened = Opened(file)
    for index in range(1, 101):
        assert shown(file, index) == index % 60
    assert opened.seeks == 0
    assert shown(file, 930) == 930 % 60
    assert opened.seeks == 1
    assert opened.read < 50 + 20  # frames 900 to 930, and those that the decoder's threads hold
    for index in range(931, 960):
        assert shown(file, index) == index % 60
    assert opened.seeks == 1
    file.at(960 + FAR // 2)
    assert opened.seeks == 1  # near: decoding on is cheaper


def test_frames_read_are_let_go_of(tmp_path: Path):
    file = VideoFile(video(tmp_path / "a.mp4", 40, display=(90,)))
    file.at(0)
    gc.collect()
    gc.disable()  # what only the garbage collector frees would pile up between two of its visits
    try:
        for index in range(1, 40):
            file.at(index)
        assert sum(type(thing) is av.VideoFrame for thing in gc.get_objects()) < 10
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("display", "corner"),
    # (row, column) of the quarter where the bright one, stored top left, is shown; None: a quarter turn
    [((0,), (0, 0)), ((90,), None), ((180,), (1, 1)), ((270,), None), ((0, True), (0, 1)), ((0, False, True), (1, 0))],
)
def test_a_video_is_shown_the_way_up_that_it_was_taken(tmp_path: Path, display: tuple, corner: tuple | None):
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16, :32] = 255
    path = video(tmp_path / "a.mp4", [pixels] * 3, display=display)
    levels, aspect = VideoFile(path).at(1)
    assert aspect == 1
    if corner is None:
        with av.open(str(path)) as container:
            anticlockwise = next(container.decode(video=0)).rotation % 360
        corner = {90: (1, 0), 270: (0, 1)}[anticlockwise]
        assert levels.shape == (64, 32, 3)
    else:
        assert levels.shape == (32, 64, 3)
    height, width, _ = levels.shape
    quarters = [[levels[y, x].mean() for x in (width // 4, 3 * width // 4)] for y in (height // 4, 3 * height // 4)]
    assert np.unravel_index(np.argmax(quarters), (2, 2)) == corner
    assert sorted(np.ravel(quarters))[2] < 20


def test_pixels_that_are_not_square_are_told(tmp_path: Path):
    frames = [np.zeros((32, 48, 3), np.uint8)] * 2
    assert VideoFile(video(tmp_path / "a.mp4", frames, aspect=Fraction(4, 3))).at(0)[1] == pytest.approx(4 / 3)
    turned = video(tmp_path / "b.mp4", frames, aspect=Fraction(4, 3), display=(90,))
    assert VideoFile(turned).at(0)[1] == pytest.approx(3 / 4)


RED, GREEN, BLUE, GREY, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (255, 255, 255)


@pytest.mark.parametrize("size", [(160, 96), (1280, 720)])
@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("reach", [ColorRange.MPEG, ColorRange.JPEG])
def test_colours_come_back_by_the_matrix_and_range_that_the_file_names(tmp_path: Path, size, matrix, reach):
    width, height = size
    stripes = np.repeat(np.array([[RED, GREEN, BLUE, GREY, WHITE]], np.uint8), width // 5, axis=1).repeat(
        height, axis=0
    )
    path = video(tmp_path / "a.mp4", [stripes] * 2, colour=(matrix, reach), options={"crf": "1", "preset": "ultrafast"})
    levels, _ = VideoFile(path).at(1)
    middles = levels[height // 2, width // 10 :: width // 5].astype(int)
    assert np.abs(middles - [RED, GREEN, BLUE, GREY, WHITE]).max() <= 3


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), Colorspace.ITU601), ((1280, 720), Colorspace.ITU709)])
def test_a_file_that_names_no_matrix_is_read_by_that_of_its_size(tmp_path: Path, size, matrix):
    green = [np.full((size[1], size[0], 3), GREEN, np.uint8)]
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        frame = av.VideoFrame.from_ndarray(green[0]).reformat(format="yuv420p", dst_colorspace=matrix)
        frame.colorspace = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == 2
    assert np.abs(VideoFile(path).at(0)[0][100, 100].astype(int) - GREEN).max() <= 2


ALPHAS = [
    ("a.mov", "prores_ks", "yuva444p10le", {"profile": "4"}),
    ("b.mov", "png", "rgba", {}),
    ("c.mov", "qtrle", "argb", {}),
    ("a.mkv", "ffv1", "yuva444p", {}),
    ("a.webm", "libvpx-vp9", "yuva420p", {"deadline": "realtime", "cpu-used": "8"}),
    ("a.apng", "apng", "rgba", {}),
]


@pytest.mark.parametrize(("name", "codec", "layout", "options"), ALPHAS, ids=[kind[0] for kind in ALPHAS])
def test_alpha_is_read(tmp_path: Path, name: str, codec: str, layout: str, options: dict):
    pixels = np.full((48, 64, 4), 128, np.uint8)
    pixels[:, :32, 3] = 255
    pixels[:, 48:, 3] = 0
    levels, _ = VideoFile(video(tmp_path / name, [pixels] * 40, codec, layout, options=options)).at(35)
    assert levels.shape == (48, 64, 4)
    assert np.abs(levels[24, (8, 16, 40, 56), 3].astype(int) - [255, 255, 128, 0]).max() <= 4
    assert np.abs(levels[24, 8, :3].astype(int) - 128).max() <= 3


def test_a_video_without_alpha_has_three_channels(tmp_path: Path):
    assert VideoFile(video(tmp_path / "a.mp4", 2)).at(0)[0].shape == (48, 64, 3)


def test_what_is_no_video_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"^mask_video: there is no file .*a\.mp4"):
        VideoFile(tmp_path / "a.mp4", "mask_video")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SettingsError, match=r"empty\.mp4 is empty"):
        VideoFile(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("no video" * 100)
    with pytest.raises(SettingsError, match=r"text\.mp4 cannot be read as a video \(Invalid data"):
        VideoFile(tmp_path / "text.mp4")
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        silence.sample_rate = 48000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with pytest.raises(SettingsError, match=r"sound\.m4a has no pictures, only sound"):
        VideoFile(tmp_path / "sound.m4a")


def test_a_file_torn_off_counts_as_far_as_it_goes(tmp_path: Path):
    noise = [np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8) for index in range(20)]
    whole = video(tmp_path / "a.mkv", noise, "ffv1", "bgr0", options={"g": "1"})
    torn = tmp_path / "torn.mkv"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    file = VideoFile(torn)
    assert 8 <= file.count <= 10
    assert (file.at(file.count - 1)[0] == noise[file.count - 1]).all()
    half = tmp_path / "half.mov"
    whole = video(tmp_path / "a.mov", 20, "png", "rgb24")
    half.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(SettingsError, match=r"half\.mov cannot be read as a video"):
        VideoFile(half)


def test_a_damaged_frame_is_named_and_those_around_it_are_read(tmp_path: Path):
    path = video(tmp_path / "a.mov", 20, "png", "rgb24")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place, size = packets[12].pos, packets[12].size
    data[place : place + size] = bytes(size)
    path.write_bytes(data)
    file = VideoFile(path)
    assert shown(file, 11) == 11
    message = r"^video: frame 12 of .*a\.mov cannot be decoded \(.+\); set video_end = 11, or encode the video anew"
    for _ in range(2):
        with pytest.raises(SettingsError, match=message):
            file.at(12)
    assert [shown(file, index) for index in (13, 11, 19)] == [13, 11, 19]
