"""More frames between those of a film. Run alone: about 12 s."""

import shutil
import weakref
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from koshi_flux.errors import ModelError, OutputError, RunError, SettingsError
from koshi_flux.output.png import encode_png, frame_path, read_png
from koshi_flux.pipeline import interpolate as room
from koshi_flux.pipeline.interpolate import Interpolation, is_cut, prepare
from koshi_flux.pipeline.rife import NAME
from koshi_flux.pipeline.run_folder import RunFolder

WIDTH, HEIGHT = 96, 64


def texture(shift: float, seed: int = 0) -> np.ndarray:
    """A smooth endless texture, moved right by `shift` pixels; exact at any shift, because it is a sum of waves."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(WIDTH) - shift, np.arange(HEIGHT))
    waves = np.zeros((HEIGHT, WIDTH, 3))
    for _ in range(24):
        along, down = rng.uniform(-0.5, 0.5, 2)
        waves += np.sin(along * x + down * y + rng.uniform(0, 6.3))[..., None] * rng.normal(1, 0.3, 3)
    return np.uint8(np.clip(128 + 18 * waves, 0, 255).round())


def flat(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


@pytest.fixture
def run_of(tmp_path, film_of):
    """A run folder that holds these frames, as a render leaves it."""

    def run(*frames: np.ndarray, fps: float = 12) -> Path:
        folder = RunFolder(tmp_path / "sea" / "film.mp4")
        folder.begin(film_of(frames=max(1, len(frames)), fps=fps, size=(WIDTH, HEIGHT)))
        folder.film.write_bytes(b"the film itself")
        for index, pixels in enumerate(frames):
            frame_path(folder.frames, index).write_bytes(encode_png(pixels))
        return folder.folder

    return run


def made(run: Path, tmp_path: Path, **settings: object) -> list[np.ndarray]:
    """The frames that interpolation makes of a run."""
    out = tmp_path / "made"
    task = prepare(run, out, Interpolation(**settings))
    assert list(task.write()) == list(range(task.count))
    paths = sorted(out.iterdir())
    assert paths == [frame_path(out, index) for index in range(task.count)]
    return [read_png(path) for path in paths]


class TestFrames:
    @pytest.mark.parametrize("factor", range(2, 9))
    def test_the_old_frames_stay_where_they_belong_and_the_last_is_held(self, run_of, tmp_path, factor):
        old = [texture(2.5 * index) for index in range(3)]
        new = made(run_of(*old), tmp_path, factor=factor)
        assert len(new) == 3 * factor
        for index, pixels in enumerate(old):
            np.testing.assert_array_equal(new[index * factor], pixels)
        for held in new[2 * factor :]:
            np.testing.assert_array_equal(held, old[2])

    def test_a_new_frame_shows_things_where_they_are_then(self, run_of, tmp_path):
        new = made(run_of(texture(0), texture(8)), tmp_path, factor=4)
        for moment in (1, 2, 3):
            expected = texture(2.0 * moment)
            error = np.abs(new[moment].astype(float) - expected)[12:-12, 12:-12]
            blend = np.abs((1 - moment / 4) * texture(0.0) + moment / 4 * texture(8) - expected)[12:-12, 12:-12]
            assert error.mean() < 1.5
            assert error.mean() < blend.mean() / 10

    def test_a_loop_leads_back_to_its_first_frame(self, run_of, tmp_path):
        new = made(run_of(texture(0), texture(6)), tmp_path, factor=2, loop=True)
        assert len(new) == 4
        error = np.abs(new[3].astype(float) - texture(3))[12:-12, 12:-12]
        assert error.mean() < 1.5

    def test_equal_frames_have_the_same_frame_between_them(self, run_of, tmp_path):
        new = made(run_of(texture(0), texture(0)), tmp_path, factor=3)
        assert all((pixels == texture(0)).all() for pixels in new)

    def test_a_cut_is_held_and_not_blended(self, run_of, tmp_path):
        scenes = [texture(0), texture(1), texture(0, seed=5), texture(1, seed=5)]
        new = made(run_of(*scenes), tmp_path, factor=4)
        for held in new[4:8]:
            np.testing.assert_array_equal(held, scenes[1])
        np.testing.assert_array_equal(new[8], scenes[2])
        assert (new[9] != scenes[2]).any()

    def test_frames_pass_through_memory_a_few_at_a_time(self, run_of, tmp_path, monkeypatch):
        alive: weakref.WeakSet = weakref.WeakSet()
        most = 0

        class Counted(np.ndarray):
            """An array that can be told from another by where it lies, so that a set takes it."""

            __hash__ = object.__hash__

        def counted(path: Path) -> np.ndarray:
            pixels = read_png(path).view(Counted)
            alive.add(pixels)
            return pixels

        monkeypatch.setattr(room, "read_png", counted)
        monkeypatch.setattr(room, "is_cut", lambda before, after: True)
        run = run_of(*(flat(index) for index in range(40)))
        for _ in prepare(run, tmp_path / "made", Interpolation()).write():
            most = max(most, len(alive))
        assert 2 <= most <= 2 + 5  # a pair, and those that wait for the disk


class TestCuts:
    def test_another_scene_is_a_cut(self):
        assert is_cut(texture(0), texture(0, seed=1))

    def test_opposite_plain_pictures_are_a_cut(self):
        assert is_cut(flat(0), flat(255))

    def test_a_moved_scene_is_none(self):
        assert not is_cut(texture(0), texture(9))

    def test_a_brighter_scene_is_none(self):
        assert not is_cut(texture(0), np.uint8(np.clip(texture(0) * 1.3 + 20, 0, 255)))

    def test_a_noisy_scene_is_none(self):
        noise = np.random.default_rng(0).normal(0, 20, (HEIGHT, WIDTH, 3))
        assert not is_cut(texture(0), np.uint8(np.clip(texture(2) + noise, 0, 255)))

    def test_large_and_small_frames_are_judged_alike(self):
        scenes = [cv2.resize(texture(0, seed=seed), (1280, 720)) for seed in (0, 1)]
        assert is_cut(*scenes)
        assert not is_cut(scenes[0], np.roll(scenes[0], 20, axis=1))


class TestTime:
    @pytest.mark.parametrize(("factor", "slow", "seconds"), [(2, 1, 1), (5, 1, 1), (4, 4, 4), (2, 1.5, 1.5), (8, 2, 2)])
    def test_the_film_lasts_as_long_as_asked_for(self, run_of, tmp_path, factor, slow, seconds):
        run = run_of(*(flat(20 * index) for index in range(6)), fps=6)
        out = tmp_path / "slow.mp4"
        task = prepare(run, out, Interpolation(factor=factor, slow=slow))
        assert sum(1 for _ in task.write()) == task.count == 6 * factor
        with av.open(str(out)) as film:
            frames = [frame.pts * frame.time_base for frame in film.decode(video=0)]
            rate = film.streams.video[0].average_rate
        assert len(frames) == 6 * factor
        assert len(frames) / rate == pytest.approx(seconds)
        assert rate == pytest.approx(Fraction(task.fps).limit_denominator(1000))

    def test_broadcast_rates_stay_exact(self, run_of, tmp_path):
        out = tmp_path / "film.mov"
        list(prepare(run_of(flat(0), flat(9), fps=23.976), out, Interpolation(factor=4)).write())
        with av.open(str(out)) as film:
            assert film.streams.video[0].average_rate == Fraction(96000, 1001)

    def test_the_film_goes_beside_that_of_the_run(self, run_of):
        run = run_of(flat(0), flat(9))
        assert prepare(run, None, Interpolation(factor=3)).path == run / "film-x3.mp4"
        assert prepare(run, None, Interpolation(factor=4, slow=2.5)).path == run / "film-x4-slow2.5.mp4"


class TestNothingIsLost:
    def test_the_run_stays_as_it_was(self, run_of, tmp_path):
        run = run_of(texture(0), texture(3))
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        list(prepare(run, None, Interpolation()).write())
        assert {path: path.read_bytes() for path in before} == before
        assert {path for path in run.rglob("*") if path.is_file()} - set(before) == {run / "film-x2.mp4"}

    def test_stopped_early_it_leaves_an_older_film_as_it_was(self, run_of, tmp_path):
        out = tmp_path / "out" / "film.mp4"
        out.parent.mkdir()
        out.write_bytes(b"an older film")
        frames = prepare(run_of(*map(texture, range(6))), out, Interpolation()).write()
        for _ in range(5):
            next(frames)
        frames.close()
        assert out.read_bytes() == b"an older film"
        assert list(out.parent.iterdir()) == [out]

    def test_ctrl_c_leaves_nothing_behind(self, run_of, tmp_path):
        out = tmp_path / "out" / "film.gif"
        frames = prepare(run_of(*map(texture, range(6))), out, Interpolation()).write()
        next(frames)
        with pytest.raises(KeyboardInterrupt):
            frames.throw(KeyboardInterrupt)
        assert list(out.parent.iterdir()) == []


class TestRife:
    """The engine in its place; `test_rife` looks at it closely."""

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        """A program that gives every moment the same grey, and its model."""
        folder = tmp_path / "rife"
        (folder / "rife-v4.6").mkdir(parents=True)
        for name in ("flownet.param", "flownet.bin"):
            (folder / "rife-v4.6" / name).touch()
        (folder / "grey.png").write_bytes(encode_png(flat(77)))
        lines = (
            "#!/bin/sh",
            "number=0",
            'while [ $number -lt "$8" ]; do number=$((number + 1))',
            f'cp {folder}/grey.png "$4/$(printf %08d $number).png"; done',
        )
        (folder / NAME).write_text("\n".join(lines))
        (folder / NAME).chmod(0o755)
        return folder

    def test_draws_between_frames_but_not_across_a_cut(self, run_of, tmp_path, folder):
        run = run_of(texture(0), texture(2), texture(0, seed=5))
        new = made(run, tmp_path, factor=3, engine="rife", rife_folder=folder)
        expected = [texture(0), flat(77), flat(77), *[texture(2)] * 3, *[texture(0, seed=5)] * 3]
        np.testing.assert_array_equal(new, expected)

    def test_its_crash_leaves_an_older_film_as_it_was(self, run_of, tmp_path, folder):
        (folder / NAME).write_text("#!/bin/sh\nkill -SEGV $$")
        out = tmp_path / "film.mp4"
        out.write_bytes(b"an older film")
        film = prepare(run_of(texture(0), texture(2)), out, Interpolation(engine="rife", rife_folder=folder))
        with pytest.raises(OutputError, match=r"crashed \(SIGSEGV\)"):
            list(film.write())
        assert out.read_bytes() == b"an older film"

    def test_without_a_model_nothing_begins(self, run_of, tmp_path, folder):
        shutil.rmtree(folder / "rife-v4.6")
        with pytest.raises(ModelError, match="there is no RIFE model"):
            prepare(run_of(texture(0), texture(2)), None, Interpolation(engine="rife", rife_folder=folder))


class TestBadInput:
    @pytest.mark.parametrize("factor", [-1, 0, 1, 9])
    def test_the_factor(self, factor):
        with pytest.raises(SettingsError, match=f"from 2 to 8, got {factor}"):
            Interpolation(factor=factor)

    @pytest.mark.parametrize("slow", [0.5, 0, -2, 101, float("nan"), float("inf")])
    def test_the_slowness(self, slow):
        with pytest.raises(SettingsError, match="slow must lie between 1"):
            Interpolation(slow=slow)

    def test_the_engine(self):
        with pytest.raises(SettingsError, match="'warp': known are flow, rife"):
            Interpolation(engine="warp")

    def test_a_folder_of_rife_without_rife(self, tmp_path):
        with pytest.raises(SettingsError, match="add --engine rife"):
            Interpolation(rife_folder=tmp_path)

    def test_no_run(self, tmp_path):
        with pytest.raises(RunError, match="name a run folder"):
            prepare(tmp_path / "nowhere", None, Interpolation())

    def test_no_frame(self, run_of):
        with pytest.raises(RunError, match=r"there is no frame in .*--resume"):
            prepare(run_of(), None, Interpolation())

    def test_one_frame(self, run_of):
        with pytest.raises(RunError, match="nothing lies between one"):
            prepare(run_of(flat(0)), None, Interpolation())

    def test_frames_missing_in_the_middle_are_named(self, run_of):
        run = run_of(*map(flat, range(9)))
        for index in (2, 5):
            frame_path(run / "frames", index).unlink()
        with pytest.raises(RunError, match=r"2 of 9 frames are missing .*\(2, 5\)"):
            prepare(run, None, Interpolation())

    def test_many_missing_frames_are_not_all_named(self, run_of):
        run = run_of(*map(flat, range(9)))
        for index in range(7):
            frame_path(run / "frames", index).unlink()
        with pytest.raises(RunError, match=r"7 of 9 frames are missing .*\(0, 1, 2, 3, 4, \.\.\.\)"):
            prepare(run, None, Interpolation())

    def test_a_frame_of_another_size_is_named(self, run_of):
        run = run_of(flat(0), flat(1), flat(2)[:32])
        with pytest.raises(RunError, match=r"000002\.png is 96x32, but 000000\.png is 96x64"):
            prepare(run, None, Interpolation())

    def test_a_frame_that_is_no_picture(self, run_of):
        run = run_of(flat(0), flat(1))
        frame_path(run / "frames", 1).write_bytes(b"not a picture")
        with pytest.raises(OutputError, match=r"000001\.png.*delete it and render it again"):
            prepare(run, None, Interpolation())

    def test_a_frame_that_is_cut_short(self, run_of, tmp_path):
        run = run_of(texture(0), texture(1))
        whole = frame_path(run / "frames", 1).read_bytes()
        frame_path(run / "frames", 1).write_bytes(whole[: len(whole) // 2])
        out = tmp_path / "out" / "film.mp4"
        with pytest.raises(OutputError, match=r"000001\.png.*delete it and render it again"):
            list(prepare(run, out, Interpolation()).write())
        assert list(out.parent.iterdir()) == []

    def test_an_unknown_kind_of_film(self, run_of):
        with pytest.raises(OutputError, match=r"known outputs are \.mp4"):
            prepare(run_of(flat(0), flat(1)), Path("film.avi"), Interpolation())

    def test_the_films_own_place(self, run_of):
        run = run_of(flat(0), flat(1))
        with pytest.raises(OutputError, match="choose another name"):
            prepare(run, run / "film.mp4", Interpolation())

    @pytest.mark.parametrize("place", ["frames", "."])
    def test_a_folder_in_use(self, run_of, place):
        run = run_of(flat(0), flat(1))
        with pytest.raises(OutputError, match="a folder of their own"):
            prepare(run, run / place, Interpolation())

    def test_a_full_disk(self, run_of, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=10))
        with pytest.raises(OutputError, match="the disk is too full: 4 frames of 96x64"):
            prepare(run_of(flat(0), flat(1)), None, Interpolation())
