"""Films that sound like their guide video, or like a soundtrack."""

import wave

import av
import numpy as np
import pytest

from koshi_flux.errors import SettingsError
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.interpolate import Interpolation, prepare
from koshi_flux.toy.model import ToyModel

RATE = 48_000


@pytest.fixture
def tune(tmp_path):
    """Two seconds of a tone that grows louder."""
    path = tmp_path / "tune.wav"
    seconds = np.arange(2 * RATE) / RATE
    samples = (10_000 * seconds / 2 * np.sin(2 * np.pi * 440 * seconds)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def made(animation, path):
    for _ in film(animation, ToyModel(), path):
        pass
    return path


def heard(path):
    """Loudness by tenths of a second."""
    with av.open(str(path)) as container:
        samples = np.concatenate([frame.to_ndarray().mean(0) for frame in container.decode(audio=0)])
    return [float(np.abs(part).mean()) for part in np.array_split(samples, 10)]


def test_a_soundtrack_is_cut_to_the_film(film_of, tune, tmp_path):
    path = made(film_of(frames=24, soundtrack=str(tune)), tmp_path / "a/film.mp4")
    with av.open(str(path)) as container:
        assert container.streams.audio[0].duration * container.streams.audio[0].time_base == pytest.approx(1, abs=0.03)
    loud = heard(path)
    assert loud[8] > 2 * loud[2] > 0


def test_a_film_can_keep_the_sound_of_the_video_it_follows_from_where_it_follows_it(film_of, tune, tmp_path):
    guide = made(film_of(frames=48, soundtrack=str(tune)), tmp_path / "guide/film.mp4")
    settings = {"frames": 24, "mode": "video", "video": str(guide), "video_start": 24, "video_audio": True}
    second_half = made(film_of(**settings, denoise=0), tmp_path / "b/film.mp4")
    assert heard(second_half)[1] == pytest.approx(heard(guide)[5], rel=0.2)
    assert heard(second_half)[1] > 3 * heard(guide)[1]


def test_films_without_a_voice_say_so_and_are_made(film_of, tune, tmp_path, caplog):
    with caplog.at_level("INFO", logger="koshi_flux"):
        path = made(film_of(frames=2, soundtrack=str(tune)), tmp_path / "c/film.gif")
    assert "film.gif gets no sound" in caplog.text
    assert path.stat().st_size > 0


def test_law_10_sound_that_is_not_there_or_twice_is_refused(film_of, tune, tmp_path):
    with pytest.raises(SettingsError, match=r"soundtrack: there is no file .*none\.wav"):
        made(film_of(soundtrack=str(tmp_path / "none.wav")), tmp_path / "d/film.mp4")
    assert not (tmp_path / "d").exists()
    with pytest.raises(SettingsError, match="`soundtrack` or `video_audio`, not both"):
        film_of(soundtrack=str(tune), video_audio=True, video="a.mp4")
    with pytest.raises(SettingsError, match="video_audio needs `video`"):
        film_of(video_audio=True)


def test_more_frames_keep_the_sound_and_slow_motion_does_not(film_of, tune, tmp_path):
    run = made(film_of(frames=24, soundtrack=str(tune)), tmp_path / "e/film.mp4").parent
    for slow, streams in ((1, 1), (2, 0)):
        film = prepare(run, tmp_path / f"slow{slow}.mp4", Interpolation(factor=2, slow=slow))
        for _ in film.write():
            pass
        with av.open(str(film.path)) as container:
            assert len(container.streams.audio) == streams
    assert heard(tmp_path / "slow1.mp4")[8] == pytest.approx(heard(run / "film.mp4")[8], rel=0.2)
