"""Films get the sound of another file: in time, as long as they are, their pictures untouched."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.errors import OutputError
from koshi_flux.output.audio import VOICES, add_sound, check_sound
from koshi_flux.output.sinks import film_metadata, open_sink
from koshi_flux.output.track import Sound, exactly

RATE, FPS = 48_000, 24
PACKET = 0.022  # seconds of sound in a packet of AAC or Opus, which cannot be cut
CODECS = {".mp4": "aac", ".mov": "pcm_s24le", ".mkv": "pcm_s24le", ".webm": "opus"}


def hum(seconds: float, rate: int = RATE) -> np.ndarray:
    """Smooth noise: every moment sounds different from every other, and lossy encoders keep it."""
    noise = np.random.default_rng(7).standard_normal(round(seconds * RATE) + 64)
    smooth = np.convolve(noise, np.hanning(34) / 17, "valid")[: round(seconds * RATE)]
    times = np.arange(round(seconds * rate)) / rate * RATE
    return (0.3 * np.interp(times, np.arange(len(smooth)), smooth)).astype(np.float32)


def sound(path: Path, samples: np.ndarray, codec: str, rate: int = RATE, start: int = 0, layout: str = "mono") -> Path:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for place in range(0, len(samples), 4096):
            piece = np.ascontiguousarray(np.tile(samples[None, place : place + 4096], (channels, 1)))
            frame = av.AudioFrame.from_ndarray(piece, "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start + place, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def film(path: Path, frames: int = 48) -> Path:
    metadata = film_metadata("A lake", "koshi = 1")
    with open_sink(path, size=(64, 48), fps=FPS, metadata=metadata) as sink:
        for index in range(frames):
            sink.write(index, np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    return path


def heard(path: Path) -> tuple[np.ndarray, int]:
    """The sound on the film's clock, from 0 on, and its rate; Matroska's rounding to milliseconds taken out."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        rate, mixer = stream.codec_context.sample_rate, av.AudioResampler(format="fltp", layout="mono")
        frames = list(container.decode(stream))
        begin = round(frames[0].time * rate)
        line = np.concatenate([mixer.resample(frame)[0].to_ndarray()[0] for frame in frames])
    return np.pad(line, (max(0, begin), 0))[max(0, -begin) :], rate


def lag(given: np.ndarray, expected: np.ndarray) -> int:
    """By how many samples the one comes later than the other, where they agree best."""
    size = 1 << (len(given) + len(expected)).bit_length()
    agreement = np.fft.irfft(np.fft.rfft(given, size) * np.conj(np.fft.rfft(expected, size)), size)
    best = int(np.argmax(agreement))
    return best if best < size // 2 else best - size


def likeness(given: np.ndarray, expected: np.ndarray) -> float:
    """Their correlation without the first and last 40 ms, at most two milliseconds apart."""
    late = lag(given, expected)
    assert abs(late) <= 96
    inner = slice(2000, min(len(given), len(expected)) - 2000)
    return float(np.corrcoef(np.roll(given, -late)[inner], expected[inner])[0, 1])


def pictures(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        return [(frame.time, b"".join(map(bytes, frame.planes))) for frame in container.decode(video=0)]


def lasting(path: Path) -> float:
    with av.open(str(path)) as container:
        return container.duration / 1e6


@pytest.mark.parametrize("suffix", VOICES)
@pytest.mark.parametrize(
    ("source", "start"), [("a.m4a", 0.0), ("a.m4a", 1.2345), ("a.wav", 1.2345), ("a.mka", 1.2345), ("a.ts", 1.2345)]
)
def test_sound_is_in_time_and_as_long_as_the_film(tmp_path: Path, suffix: str, source: str, start: float):
    codec = {"a.m4a": "aac", "a.wav": "pcm_s16le", "a.mka": "libopus", "a.ts": "aac"}[source]
    path, whole = film(tmp_path / f"film{suffix}"), hum(4)
    before, duration = pictures(path), lasting(path)
    origin = sound(tmp_path / source, whole, codec)
    assert check_sound(path, Sound(file=origin, start=start)) is None
    with av.open(str(origin)) as container:
        clock = 0 if source != "a.ts" else container.start_time / 1e6 + 1024 / RATE  # where its sound begins
    assert add_sound(path, Sound(file=origin, start=clock + start)) is None
    given, rate = heard(path)
    assert rate == RATE
    assert abs(len(given) / RATE - 2) < PACKET
    wanted = whole[round(start * RATE) :][:96_000]
    assert abs(lag(given, wanted)) <= (96 if suffix in (".mkv", ".webm") else 24)  # Matroska rounds to milliseconds
    assert likeness(given, wanted) > 0.98
    assert abs(lasting(path) - duration) <= (PACKET if suffix in (".mkv", ".webm") else 0.001)
    assert pictures(path) == before


@pytest.mark.parametrize(
    ("suffix", "codec", "kept"),
    [
        (".mp4", "aac", "aac"),
        (".mp4", "pcm_s16le", "aac"),
        (".mov", "aac", "aac"),
        (".mov", "libopus", "pcm_s24le"),
        (".mkv", "libopus", "opus"),
        (".mkv", "flac", "pcm_s24le"),
        (".webm", "libopus", "opus"),
        (".webm", "aac", "opus"),
    ],
)
def test_what_the_film_can_hold_is_copied(tmp_path: Path, suffix: str, codec: str, kept: str):
    origin = sound(tmp_path / "a.mkv", hum(4), codec)
    path = film(tmp_path / f"film{suffix}")
    add_sound(path, Sound(file=origin))
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == kept
        copied = {bytes(packet) for packet in container.demux(audio=0) if packet.size}
    with av.open(str(origin)) as container:
        stored = {bytes(packet) for packet in container.demux(audio=0) if packet.size}
    codecs_own = {"libopus": "opus"}.get(codec, codec)
    assert (len(copied - stored) <= 1) == (kept == codecs_own)  # the last packet may be cut


@pytest.mark.parametrize("suffix", VOICES)
def test_sound_that_ends_early_is_followed_by_silence(tmp_path: Path, suffix: str):
    path = film(tmp_path / f"film{suffix}")
    add_sound(path, Sound(file=sound(tmp_path / "a.m4a", hum(1), "aac")))
    given, _ = heard(path)
    assert abs(len(given) / RATE - 2) < 0.022
    assert np.abs(given[50_000:]).max() < 0.01
    assert likeness(given[:48_000], hum(1)) > 0.98
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == CODECS[suffix]


def test_only_so_many_seconds_are_heard(tmp_path: Path):
    path = film(tmp_path / "film.mkv")
    add_sound(path, Sound(file=sound(tmp_path / "a.wav", hum(4), "pcm_s16le"), start=0.5, seconds=0.75))
    given, _ = heard(path)
    assert np.abs(given[:36_000] - hum(4)[24_000:60_000]).max() < 1e-4
    assert np.abs(given[36_000:]).max() == 0
    assert len(given) == 96_000


def test_sound_that_begins_late_begins_late(tmp_path: Path):
    origin = sound(tmp_path / "a.mkv", hum(1), "pcm_s16le", start=24_000)
    path = film(tmp_path / "film.mkv")
    add_sound(path, Sound(file=origin))
    given, _ = heard(path)
    assert np.abs(given[:24_000]).max() == 0
    assert np.abs(given[24_000:72_000] - hum(1)).max() < 1e-4


@pytest.mark.parametrize("speed", [24 / 23.976, 0.992])
def test_a_film_a_little_faster_takes_its_sound_along(tmp_path: Path, speed: float):
    path = film(tmp_path / "film.mkv", frames=240)
    add_sound(path, Sound(file=sound(tmp_path / "a.wav", hum(11), "pcm_s16le"), speed=speed))
    given, _ = heard(path)
    assert abs(len(given) - 480_000) <= 48
    times = np.arange(480_000) * speed  # what is heard at the film's second t was stored at t * speed
    wanted = np.interp(times, np.arange(11 * RATE), hum(11))
    assert likeness(given[460_000:479_000], wanted[460_000:479_000]) > 0.99


def test_other_rates_and_many_channels(tmp_path: Path):
    path = film(tmp_path / "film.webm")  # Opus knows 48 kHz only
    add_sound(path, Sound(file=sound(tmp_path / "a.wav", hum(3, 44_100), "pcm_s16le", rate=44_100)))
    given, rate = heard(path)
    assert rate == RATE
    assert likeness(given[:90_000], hum(3)[:90_000]) > 0.98
    path = film(tmp_path / "film.mp4")
    add_sound(path, Sound(file=sound(tmp_path / "b.mka", hum(1), "flac", layout="5.1")))
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.layout.name == "stereo"


def test_the_texts_stay_and_the_same_sound_gives_the_same_bytes(tmp_path: Path):
    origin = sound(tmp_path / "a.wav", hum(3), "pcm_s16le")
    for suffix in VOICES:
        files = [film(tmp_path / f"{name}{suffix}") for name in ("one", "two")]
        with av.open(str(files[0])) as container:
            texts = {key.lower(): text for key, text in container.metadata.items()}
        for path in files:
            add_sound(path, Sound(file=origin))
        with av.open(str(files[0])) as container:
            after = {key.lower(): text for key, text in container.metadata.items()}
            assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert {key: after[key] for key in ("title", "comment", "description")} == {
            key: texts[key] for key in ("title", "comment", "description")
        }
        assert files[0].read_bytes() == files[1].read_bytes()
        add_sound(files[1], Sound(file=origin, start=1))
        assert pictures(files[1]) == pictures(files[0])
        given, _ = heard(files[1])
        assert likeness(given, hum(3)[48_000:]) > 0.98
        assert not list(tmp_path.glob(".*"))


def test_mp4_with_sound_can_start_before_it_is_downloaded(tmp_path: Path):
    path = film(tmp_path / "film.mp4")
    add_sound(path, Sound(file=sound(tmp_path / "a.wav", hum(3), "pcm_s16le")))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_why_there_is_no_sound(tmp_path: Path):
    origin = sound(tmp_path / "a.wav", hum(0.1), "pcm_s16le")
    path = film(tmp_path / "film.mp4", frames=2)
    before = path.read_bytes()
    reasons = [
        (tmp_path / "film.gif", Sound(file=origin), "film.gif gets no sound: .mp4, .mov, .mkv, .webm hold sound, .gif"),
        (
            tmp_path / "film",
            Sound(file=origin),
            "film gets no sound: .mp4, .mov, .mkv, .webm hold sound, a folder of PNG",
        ),
        (
            path,
            Sound(file=origin, speed=2),
            "film.mp4 gets no sound: it shows a.wav at 2 times its speed; choose an fps",
        ),
        (path, Sound(file=tmp_path), f"film.mp4 gets no sound: {tmp_path.name} is a folder"),
        (path, Sound(file=path), "film.mp4 gets no sound: film.mp4 has none"),
    ]
    for place, wish, reason in reasons:
        assert check_sound(place, wish).startswith(reason)
        assert add_sound(place, wish) == check_sound(place, wish)
    assert path.read_bytes() == before


def test_a_sound_that_cannot_be_read_leaves_the_film_alone(tmp_path: Path):
    path = film(tmp_path / "film.mp4", frames=2)
    before = path.read_bytes()
    (tmp_path / "text.wav").write_text("no sound")
    for name in ("text.wav", "missing.wav"):
        for call in (check_sound, add_sound):
            with pytest.raises(OutputError, match=rf"cannot read the sound of .*{name} \(.+\); name a whole"):
                call(path, Sound(file=tmp_path / name))
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


@given(st.lists(st.tuples(st.integers(-30, 60), st.integers(0, 20)), max_size=6), st.integers(0, 80), st.integers(0, 5))
def test_pieces_become_exactly_so_many_samples_each_in_its_place(given, total, gap):
    places, end = [], -40
    for place, size in sorted(given):
        begin = max(place, end)
        places.append((begin, np.arange(begin, begin + size, dtype=np.float32)[None] + 1000))
        end = begin + size
    line = list(exactly(places, total, 0, 1))
    line = np.concatenate(line, axis=1)[0] if line else np.zeros(0)
    expected = np.zeros(total)
    for begin, piece in places:
        for offset, value in enumerate(piece[0]):
            if 0 <= begin + offset < total:
                expected[begin + offset] = value
    assert (line == expected).all()
    assert sum(part.shape[1] for part in exactly(places, total, gap, 1)) == total
