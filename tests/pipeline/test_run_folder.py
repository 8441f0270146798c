import json
import shutil
import signal
import subprocess
import sys
import time

import av
import pytest

from koshi_flux.depth.stored import read_depth16
from koshi_flux.errors import OutputError, RunError
from koshi_flux.output.video import read_metadata
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.run_folder import RunFolder
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import load_film, parse_film
from koshi_flux.toy.model import ToyModel

MOVING = {"zoom": "0:(1.0), 10:(1.05)", "angle": 1.5, "denoise": 0.3, "noise": 0.02, "seed": 5}


def rendered(animation, path, resume=False):
    return [frame.index for frame in film(animation, ToyModel(), path, resume)]


def stopped_after(animation, path, frame):
    """Render up to and including a frame, as after Ctrl-C."""
    frames = film(animation, ToyModel(), path)
    for done in frames:
        if done.index == frame:
            break
    frames.close()


def test_a_run_leaves_film_frames_log_and_settings(film_of, tmp_path, digest):
    path = tmp_path / "film.mp4"
    rendered(film_of(frames=5, **MOVING), path)
    assert list(digest(tmp_path)) == [f"{i:06d}.png" for i in range(5)]
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(5))
    assert lines[3]["noise_seed"] == 5 + 3
    assert lines[3]["sigmas"][0] == 0.3
    assert lines[3]["parameters"]["zoom"] == pytest.approx(1.015)
    assert all(line["seconds"] > 0 and 0 < line["brightness"] < 1 for line in lines)


def test_the_folder_holds_the_film_as_it_was_rendered(film_of, tmp_path):
    animation = film_of(frames=2, seed=-1)
    rendered(animation, tmp_path / "film.mp4")
    begun = load_film(tmp_path / "film.toml")
    assert begun.seed >= 0
    assert begun == animation.replaced(seed=begun.seed).resolved(ToyModel.spec)


def test_the_film_file_is_embedded_in_the_film(film_of, tmp_path):
    rendered(film_of(frames=2, **MOVING), tmp_path / "film.mp4")
    metadata = read_metadata(tmp_path / "film.mp4")
    assert parse_film(metadata["comment"]) == load_film(tmp_path / "film.toml")


@pytest.mark.parametrize("cadence", [1, 3])
def test_law_4_resume_is_byte_identical_at_every_frame(film_of, tmp_path, digest, cadence):
    animation = film_of(frames=20, cadence=cadence, size=(32, 32), **MOVING)
    rendered(animation, tmp_path / "whole" / "film.mp4")
    whole = digest(tmp_path / "whole")
    film_bytes = (tmp_path / "whole" / "film.mp4").read_bytes()
    assert len(whole) == 20
    for last in range(19):
        folder = tmp_path / f"stopped-{last}"
        stopped_after(animation, folder / "film.mp4", last)
        assert (folder / "film.mp4").exists()
        rendered(animation, folder / "film.mp4", resume=True)
        assert digest(folder) == whole
        assert (folder / "film.mp4").read_bytes() == film_bytes
        frames = [json.loads(line)["frame"] for line in (folder / "run.jsonl").read_text().splitlines()]
        assert frames == list(range(20))
        shutil.rmtree(folder)


def test_law_4_a_killed_run_goes_on_byte_for_byte(tmp_path, digest):
    script = (
        "import time\n"
        "from pathlib import Path\n"
        "from koshi_flux.pipeline.animation import film\n"
        "from koshi_flux.schedule.files import load_film\n"
        "from koshi_flux.toy.model import ToyModel\n"
        "for frame in film(load_film('film.toml'), ToyModel(), Path('killed/film.mp4')): time.sleep(0.02)\n"
    )
    text = "koshi = 1\nframes = 40\nsize = [64, 64]\nzoom = 1.02\nnoise = 0.03\nprompts = {0 = 'a sea', 20 = 'snow'}\n"
    (tmp_path / "film.toml").write_text(text)
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed/frames/000012.png").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    animation = load_film(tmp_path / "film.toml")
    assert not (tmp_path / "killed/film.mp4").exists()
    left = rendered(animation, tmp_path / "killed" / "film.mp4", resume=True)
    assert 0 < left[0] <= 14
    rendered(animation, tmp_path / "whole" / "film.mp4")
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
    assert (tmp_path / "killed/film.mp4").read_bytes() == (tmp_path / "whole/film.mp4").read_bytes()


def test_law_9_only_the_last_state_is_kept(film_of, tmp_path):
    rendered(film_of(frames=6), tmp_path / "film.mp4")
    states = ["000005.safetensors", "film", "reference.safetensors"]
    assert sorted(p.name for p in (tmp_path / "state").iterdir()) == states


def test_a_torn_log_line_and_a_lost_frame_are_mended(film_of, tmp_path, digest):
    animation = film_of(frames=6, **MOVING)
    rendered(animation, tmp_path / "whole" / "film.mp4")
    stopped_after(animation, tmp_path / "torn" / "film.mp4", 3)
    with (tmp_path / "torn/run.jsonl").open("a") as log:
        log.write('{"frame": 4, "dra')
    (tmp_path / "torn/frames/000002.png").unlink()
    assert rendered(animation, tmp_path / "torn" / "film.mp4", resume=True)[0] == 0
    assert digest(tmp_path / "torn") == digest(tmp_path / "whole")


@pytest.mark.parametrize("damaged", ["000003.safetensors", "reference.safetensors"])
def test_a_damaged_state_starts_over_and_ends_the_same(film_of, tmp_path, digest, damaged):
    animation = film_of(frames=6, **MOVING)
    rendered(animation, tmp_path / "whole" / "film.mp4")
    stopped_after(animation, tmp_path / "cut" / "film.mp4", 3)
    (tmp_path / "cut/state" / damaged).write_bytes(b"cut")
    rendered(animation, tmp_path / "cut" / "film.mp4", resume=True)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_resuming_a_whole_film_brings_back_a_deleted_mp4(film_of, tmp_path):
    path = tmp_path / "film.mp4"
    rendered(film_of(), path)
    before = path.read_bytes()
    path.unlink()
    assert rendered(film_of(), path, resume=True) == []
    assert path.read_bytes() == before


def test_a_taken_folder_is_refused_and_keeps_its_film(film_of, tmp_path):
    rendered(film_of(frames=2), tmp_path / "dream" / "film.mp4")
    before = (tmp_path / "dream/film.mp4").read_bytes()
    with pytest.raises(RunError, match=r"already holds a film.*--resume.*dream-2"):
        rendered(film_of(frames=3), tmp_path / "dream" / "film.mp4")
    assert (tmp_path / "dream/film.mp4").read_bytes() == before


def test_resuming_another_film_names_what_differs(film_of, tmp_path):
    stopped_after(film_of(), tmp_path / "film.mp4", 2)
    with pytest.raises(RunError, match=r"another film: zoom, noise differ"):
        rendered(film_of(zoom=1.1, noise=0.1), tmp_path / "film.mp4", resume=True)


def test_resuming_nothing_says_so(film_of, tmp_path):
    with pytest.raises(RunError, match="no film to go on with"):
        rendered(film_of(), tmp_path / "film.mp4", resume=True)


def test_a_film_with_a_random_seed_is_resumed_with_the_seed_it_began_with(film_of, tmp_path):
    stopped_after(film_of(seed=-1), tmp_path / "film.mp4", 2)
    seed = load_film(tmp_path / "film.toml").seed
    rendered(film_of(seed=-1), tmp_path / "film.mp4", resume=True)
    assert load_film(tmp_path / "film.toml").seed == seed


def test_a_disk_that_fills_up_is_reported_and_the_frames_are_kept(film_of, tmp_path, monkeypatch):
    full = OSError(28, "No space left on device")
    written = RunFolder._write

    def write(self, frame, seconds, sink):
        if frame.index == 3:
            raise full
        written(self, frame, seconds, sink)

    monkeypatch.setattr(RunFolder, "_write", write)
    with pytest.raises(OutputError, match=r"disk is full.*resume"):
        rendered(film_of(frames=12), tmp_path / "film.mp4")
    assert len(list((tmp_path / "frames").glob("*.png"))) == 3
    monkeypatch.undo()
    assert rendered(film_of(frames=12), tmp_path / "film.mp4", resume=True)[0] == 3


def test_an_animation_survives_its_run_folder(tmp_path):
    animation = Animation(
        prompts={"0": "a", "3": "b"}, frames=4, size=(32, 32), zoom="0:(1), 3:(1.1) @ cubic", fps=23.976
    )
    rendered(animation, tmp_path / "film.mkv")
    assert load_film(tmp_path / "film.toml") == animation.resolved(ToyModel.spec)


def test_depths_are_kept_in_16_bits_where_the_film_says_so(film_of, tmp_path):
    animation = film_of(frames=5, mode="3d", cadence=2, save_depth=True, translation_z=5)
    drawn = {frame.index: frame for frame in film(animation, ToyModel(), tmp_path / "film.mp4") if frame.drawn}
    kept = {int(path.stem): read_depth16(path) for path in (tmp_path / "depth").iterdir()}
    assert kept.keys() == drawn.keys() == {0, 2, 4}
    assert all((kept[i] - drawn[i].depth).abs().max() < 1 / 65000 for i in kept)


def test_law_4_a_3d_film_goes_on_with_the_depth_it_had(film_of, tmp_path, digest):
    settings = {"frames": 7, "mode": "3d", "translation_z": 8, "rotation_3d_y": 1, "denoise": 0.4, "shake": "handheld"}
    rendered(film_of(**settings), tmp_path / "whole/film.mp4")
    for stop in (0, 3):
        stopped_after(film_of(**settings), tmp_path / f"part{stop}/film.mp4", stop)
        rendered(film_of(**settings), tmp_path / f"part{stop}/film.mp4", resume=True)
        assert digest(tmp_path / f"part{stop}") == digest(tmp_path / "whole")
