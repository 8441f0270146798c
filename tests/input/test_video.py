"""Footage: which frames a film follows, and what it is told before it is begun."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from koshi_flux.errors import SettingsError
from koshi_flux.input.video import GuideVideo, Take, check_video, open_video
from koshi_flux.shared.types import Footage
from tests.input.videos import LEVEL, number, numbered, video

SIZE = (64, 48)


class Film30:
    """A reel of 30 frames, a twelfth of a second each, that remembers what it was asked for."""

    count, promised, still = 30, 0, False

    def __init__(self):
        self.asked = []

    def at(self, index: int):
        self.asked.append(index)
        return np.full((4, 4, 3), index, np.uint8), 1.0

    def seconds(self, index: int) -> float:
        return 1 + index / 12


def guide(**take) -> GuideVideo:
    return GuideVideo(Film30(), Path("clip.mp4"), (4, 4), Take(**take))


def told(footage: GuideVideo, frame: int) -> int:
    return round(float(footage.picture(frame).mean()) * 255)


def test_a_guide_video_is_footage(tmp_path: Path):
    footage = open_video(video(tmp_path / "a.mp4", 5), SIZE)
    assert isinstance(footage, Footage)
    assert footage.count == 5
    assert [number(footage.picture(frame)) for frame in range(5)] == [0, 1, 2, 3, 4]
    picture = footage.picture(2)
    assert picture.shape == (3, 48, 64)
    assert picture.dtype == torch.float32
    assert picture.device.type == "cpu"
    assert footage.alpha(2) is None


@given(
    st.integers(0, 29), st.integers(-1, 60), st.integers(1, 40), st.integers(0, 100), st.sampled_from(["hold", "loop"])
)
def test_every_nth_from_first_to_last_then_held_or_again(start, end, step, frame, short):
    if -1 < end < start:
        end = start
    followed = [number for number in range(30) if number >= start and (end < 0 or number <= end)][::step]
    footage = guide(start=start, end=end, step=step, short=short)
    assert footage.count == len(followed)
    if short == "loop":
        assert told(footage, frame) == followed[frame % len(followed)]
    else:
        assert told(footage, frame) == followed[min(frame, len(followed) - 1)]


def test_two_neighbours_asked_for_again_are_read_once():
    footage = guide()
    for frame in range(1, 10):
        for _ in range(3):
            footage.picture(frame - 1), footage.alpha(frame), footage.picture(frame)
    assert footage._reel.asked == list(range(10))


def test_nothing_is_kept_of_frames_long_gone():
    footage = guide()
    for frame in range(30):
        footage.picture(frame)
    assert footage._shown.cache_info().currsize <= 4


def test_a_video_too_short_is_said_aloud():
    assert guide().shortage(30) is None
    assert guide().shortage(45) == (
        "video: clip.mp4 gives 30 frames, the film has 45: its last one is held from frame 30 on"
    )
    assert guide(start=29, setting="mask_video", short="loop").shortage(2) == (
        "mask_video: clip.mp4 gives 1 frame, the film has 2: it starts over every 1 frames"
    )


def test_a_torn_video_says_so(tmp_path: Path):
    reel = Film30()
    reel.promised = 80
    footage = GuideVideo(reel, Path("clip.mp4"), (4, 4), Take())
    assert "30 frames (the file breaks off: it should have 80), the film has 45" in footage.shortage(45)


def test_where_the_sound_begins_and_how_fast_it_is_shown():
    footage = guide(start=6, end=17, step=2)
    assert footage.starts_at == 1.5
    assert footage.lasts == pytest.approx(1.0)  # 12 frames of a twelfth
    assert footage.speed(6) == pytest.approx(1)
    assert footage.speed(12) == pytest.approx(2)
    assert guide(start=29).speed(24) == 1


def test_settings_out_of_range_are_named():
    for wrong, message in [
        ({"start": -1}, r"video_start must be 0 or more, got -1"),
        ({"start": 5, "end": 4}, r"video_end must be -1 .* or at least video_start = 5, got 4"),
        ({"step": 0}, r"video_step must be 1 or more, got 0"),
    ]:
        with pytest.raises(SettingsError, match=message):
            Take(**wrong)
    with pytest.raises(SettingsError, match=r"video_start = 30 lies beyond the end of clip\.mp4, whose last .* is 29"):
        guide(start=30)


def test_the_check_before_a_film(tmp_path: Path):
    path = video(tmp_path / "a.mp4", 5)
    check_video(path, Take(start=4))
    with pytest.raises(SettingsError, match=r"video_start = 5 lies beyond the end of .*a\.mp4"):
        check_video(path, Take(start=5))
    with pytest.raises(SettingsError, match=r"there is no file .*b\.mp4"):
        check_video(tmp_path / "b.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match=r"folder is a folder without pictures \(.*\.png.*\); name a video"):
        check_video(tmp_path / "folder")
    with pytest.raises(SettingsError, match=r"there is no picture .*c\.png"):
        check_video(tmp_path / "c.png")


def test_a_folder_of_numbered_pictures_in_the_order_of_their_numbers(tmp_path: Path):
    for index, pixels in enumerate(numbered(12)):
        PillowImage.fromarray(pixels).save(tmp_path / f"frame_{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    footage = open_video(tmp_path, SIZE)
    assert footage.count == 12
    assert [number(footage.picture(frame)) for frame in range(12)] == list(range(12))
    assert footage.shortage(13) is not None
    assert (footage.starts_at, footage.lasts, footage.speed(24)) == (0, None, 1)
    (tmp_path / "frame_3.png").write_text("torn")
    with pytest.raises(SettingsError, match=r"video: .*frame_3\.png cannot be read as a picture"):
        open_video(tmp_path, SIZE).picture(3)


def test_a_picture_stands_still_and_is_never_too_short(tmp_path: Path):
    PillowImage.new("RGB", (32, 24), (7 * LEVEL,) * 3).save(tmp_path / "a.png")
    footage = open_video(tmp_path / "a.png", SIZE)
    assert footage.picture(0) is footage.picture(500)
    assert number(footage.picture(500)) == 7
    assert footage.shortage(500) is None


def test_moving_png_and_gif_are_videos(tmp_path: Path):
    pages = [PillowImage.fromarray(pixels) for pixels in numbered(6)]
    for name in ("a.png", "a.gif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], duration=50)
        footage = open_video(tmp_path / name, SIZE)
        assert [number(footage.picture(frame)) for frame in (0, 1, 2, 3, 4, 5, 1)] == [0, 1, 2, 3, 4, 5, 1]
        assert footage.lasts == pytest.approx(0.3, abs=0.02)


def test_what_contain_leaves_bare_is_not_opaque(tmp_path: Path):
    path = video(tmp_path / "a.mp4", [np.full((32, 64, 3), 255, np.uint8)] * 2)
    footage = open_video(path, (64, 64), Take(fit="contain"))
    assert footage.picture(1)[0, :, 5].round().sum() == 32
    assert torch.equal(footage.alpha(1), footage.picture(1)[0].round())
    assert open_video(path, (64, 64)).alpha(1) is None


def test_alpha_is_fitted_with_the_picture(tmp_path: Path):
    pixels = np.full((32, 64, 4), 255, np.uint8)
    pixels[:, :32, 3] = 0
    footage = open_video(video(tmp_path / "a.mov", [pixels] * 2, "png", "rgba"), (32, 32), Take(fit="stretch"))
    alpha = footage.alpha(1)
    assert alpha.shape == (32, 32)
    assert alpha[:, :15].max() == 0
    assert alpha[:, 17:].min() == 1
