import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import pytest

from koshi_flux import cli
from koshi_flux.flux2.folder import check_folder
from koshi_flux.flux2.tiny import make_tiny_model
from koshi_flux.output.png import read_png
from koshi_flux.pipeline.factory import SPECS
from koshi_flux.version import VERSION

FILM = """koshi = 1
model = "toy"
frames = 4
size = [64, 48]
zoom = "0:(1.0), 3:(1.1)"
prompts = "a misty sea"
"""


@pytest.fixture
def koshi(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder that holds film.toml; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    (tmp_path / "film.toml").write_text(FILM)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["koshi", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


def python(*words, cwd=None):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=cwd, check=False)


def test_render_makes_a_film_and_says_where(koshi, tmp_path):
    code, out, _ = koshi("render", "film.toml")
    assert code == 0
    assert "4 frames of 64x48 at 24 fps (0.2 s), model toy, 1 prompt" in out
    assert out.strip().endswith("runs/film/film.mp4")
    with av.open("runs/film/film.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 4
    assert len(list((tmp_path / "runs/film/frames").iterdir())) == 4


@pytest.mark.parametrize("suffix", [".webm", ".mov", ".mkv", ".gif"])
def test_the_suffix_of_out_decides_the_kind(koshi, suffix):
    code, out, _ = koshi("render", "film.toml", "--out", f"other/dream{suffix}", "--set", "frames=2")
    assert code == 0
    assert out.strip().endswith(f"other/dream{suffix}")
    assert Path(f"other/dream{suffix}").stat().st_size > 100
    assert Path("other/frames/000001.png").exists()


def test_a_film_beside_other_files_gets_its_own_folder(koshi):
    code, out, _ = koshi("render", "film.toml", "--out", "dream.mp4")
    assert code == 0
    assert out.strip().endswith("dream/dream.mp4")
    assert Path("film.toml").read_text() == FILM


def test_settings_can_be_overridden(koshi):
    koshi("render", "film.toml", "--set", "frames=2", "--set", "size=32x32", "--set", "zoom=0:(1.02)")
    assert read_png(Path("runs/film/frames/000001.png")).shape == (32, 32, 3)


def test_a_deforum_strength_is_said_aloud(koshi):
    _, out, _ = koshi("check", "film.toml", "--set", "strength_schedule=0:(0.65)")
    assert "strength 0.65 (keep) → denoise 0.50 (start sigma), 4 steps" in out


def test_a_taken_folder_is_refused_unless_new_or_resume(koshi):
    koshi("render", "film.toml")
    code, _, err = koshi("render", "film.toml")
    assert code == 2
    assert "runs/film already holds a film" in err
    assert "runs/film-2" in err
    assert koshi("render", "film.toml", "--new")[1].strip().endswith("runs/film-2/film.mp4")
    assert koshi("render", "film.toml", "--resume")[0] == 0
    assert koshi("render", "runs/film", "--resume")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["render", "none.toml"], "no film file at none.toml"),
        (["render", "film.toml", "--set", "zom=1"], "unknown key 'zom', did you mean 'zoom'?"),
        (["render", "film.toml", "--set", "zoom=0:(1.0) 30:(1.05)"], "zoom: expected ',' at column 9"),
        (["render", "film.toml", "--set", "size=100x100"], "the nearest is 96x96"),
        (["render", "film.toml", "--set", "denoise=1.5"], "denoise: 1.5 at frame 0; it must lie in [0, 1]"),
        (["render", "film.toml", "--model", "klien-4b"], "unknown model 'klien-4b', did you mean 'klein-4b'?"),
        (["render", "film.toml", "--model", "qqq"], "known are nano, toy, flux.2-klein-4b"),
        (["render", "film.toml", "--model", "./no/such/folder"], "no/such/folder"),
        (["render", "film.toml", "--out", "film.avi"], "cannot write 'film.avi': known outputs are .mp4"),
        (["render", "film.toml", "--resume"], "no film to go on with"),
        (["check", "film.toml", "--set", "frames"], "--set takes key=value"),
        (["plot", "film.toml", "--out", "x.bmp"], "known pictures are .png"),
        (["preview", "film.toml", "--out", "x.avi"], "cannot write 'x.avi'"),
        (["render", "film.toml", "--set", "frames=1000000", "--set", "size=8192x8192"], "the disk is too full"),
    ],
)
def test_law_10_bad_input_is_one_paragraph_and_code_2_before_a_model_is_loaded(koshi, monkeypatch, words, says):
    monkeypatch.setattr("koshi_flux.pipeline.factory.load_model", lambda *_: pytest.fail("a model was loaded"))
    code, _, err = koshi(*words)
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_a_damaged_model_folder_is_refused_before_anything_is_written(koshi, tmp_path):
    make_tiny_model(tmp_path / "tiny")
    weights = tmp_path / "tiny/transformer/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    code, _, err = koshi("render", "film.toml", "--model", tmp_path / "tiny")
    assert code == 2
    assert "diffusion_pytorch_model.safetensors is damaged" in err
    assert not Path("runs").exists()


def test_debug_shows_where_an_error_comes_from(koshi, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["koshi", "check", "none.toml", "--debug"])
    with pytest.raises(cli.KoshiError, match="no film file"):
        cli.main()


def test_what_nobody_foresaw_is_one_paragraph_too(tmp_path):
    (tmp_path / "film.toml").write_text(FILM)
    broken = "from koshi_flux import cli; cli._load = lambda *_: 1 / 0; cli.main()"
    quiet = python("-c", broken, "check", "film.toml", cwd=tmp_path)
    assert quiet.returncode == 1
    assert "something unforeseen went wrong (ZeroDivisionError" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in python("-c", broken, "check", "film.toml", "--debug", cwd=tmp_path).stderr


def test_check_says_what_moves_and_writes_nothing(koshi, tmp_path):
    code, out, _ = koshi("check", "film.toml")
    assert code == 0
    assert "moving: zoom" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.toml"]
    assert "no schedule changes over the film" in koshi("check", "film.toml", "--set", "zoom=1")[1]


def test_preview_writes_a_film_and_a_contact_sheet(koshi):
    code, out, _ = koshi("preview", "film.toml", "--out", "cam.mp4")
    assert code == 0
    assert out.split() == ["cam.mp4", "cam.png"]
    with av.open("cam.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 4
    assert read_png(Path("cam.png")).shape == (240, 4 * 320, 3)


def test_interpolate_makes_a_film_of_more_frames_that_lasts_as_long(koshi):
    koshi("render", "film.toml")
    code, out, _ = koshi("interpolate", "runs/film", "--factor", "3")
    assert code == 0
    assert "runs/film/film-x3.mp4 (12 frames at 72 fps, 0.2 s)" in out
    with av.open("runs/film/film-x3.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    code, _, err = koshi("interpolate", "runs/nowhere")
    assert code == 2
    assert "there is no film in" in err


def test_what_a_film_names_is_looked_at_before_a_model_is_loaded(koshi, monkeypatch):
    monkeypatch.setattr("koshi_flux.pipeline.factory.load_model", lambda *_, **__: pytest.fail("too late"))
    code, _, err = koshi("render", "film.toml", "--set", "mode=video", "--set", "video=dance.mp4")
    assert code == 2
    assert "dance.mp4" in err
    assert not Path("runs").exists()


def test_an_old_settings_file_becomes_a_film_and_a_report(koshi, tmp_path):
    old = {"max_frames": 3, "animation_mode": "2D", "zoom": "0:(1.02)", "angle": "0:(1)", "W": 64, "H": 48, "fps": 12}
    old |= {"strength_schedule": "0:(0.65)", "prompts": {"0": "a misty sea"}, "sampler": "Euler a", "zooom": 3}
    Path("old.txt").write_text(json.dumps(old))
    code, out, _ = koshi("import", "old.txt", "-o", "new.toml", "--model", "toy")
    assert code == 0
    assert "new.import.md" in out
    assert "zooom" in out
    assert "sampler" in Path("new.import.md").read_text()
    code, out, _ = koshi("render", "new.toml")
    assert code == 0
    assert "3 frames of 64x48 at 12 fps" in out
    assert "strength 0.65 (keep) → denoise 0.50" in out
    assert koshi("import", "old.txt", "-o", "new.toml")[0] == 2


def test_presets_are_listed_printed_looked_at_and_used(koshi, monkeypatch):
    shown = []
    monkeypatch.setattr(cli, "_show", lambda film, path: shown.append((film.zoom, path)))
    code, out, _ = koshi("presets")
    assert code == 0
    assert out.count("\n") >= 8
    code, out, _ = koshi("presets", "dream", "--out", "dream.mp4")
    assert f'zoom = "{shown[0][0].text}"' in out
    assert shown[0][1] == Path("dream.mp4")
    assert koshi("presets", "nightmare")[0] == 2
    koshi("render", "film.toml", "--set", "preset=handheld", "--set", "frames=2")
    written = Path("runs/film/film.toml").read_text()
    assert 'mode = "3d"' in written
    assert "preset" not in written
    assert 'zoom = "0:(1), 3:(1.1)"' in written, "the film's own settings win"


def test_a_film_can_be_written_for_others(koshi):
    code, out, _ = koshi("export", "film.toml", "--to", "deforum")
    assert code == 0
    assert json.loads(out)["max_frames"] == 4
    code, out, _ = koshi("export", "film.toml", "--to", "parseq", "-o", "manifest.json")
    assert code == 0
    assert len(json.loads(Path("manifest.json").read_text())["rendered_frames"]) == 4
    assert koshi("export", "film.toml", "--to", "word")[0] == 2


def test_plot_draws_what_moves(koshi):
    code, out, _ = koshi("plot", "film.toml", "--out", "curves.png", "--set", "angle=0:(sin(t))")
    assert code == 0
    assert "angle, zoom" in out
    assert read_png(Path("curves.png")).std() > 5
    assert koshi("plot", "film.toml", "--out", "still.svg", "--set", "zoom=1")[0] == 0


def test_models_and_doctor_name_every_model(koshi):
    for command in ("models", "doctor"):
        code, out, _ = koshi(command)
        assert code == 0
        for name in ("nano", "toy", "flux.2-klein-4b", "flux.2-klein-base-9b"):
            assert name in out
    assert VERSION in out
    assert "libx264" in out


def test_models_lists_the_bundled_one_first(koshi):
    rows = koshi("models")[1].splitlines()
    facts = ["nano", "Apache-2.0", "bundled", "4", "0.45", "koshi-nano", "bundled", "runs", "anywhere"]
    assert rows[1].split() == facts


def test_a_model_is_described_by_its_row(koshi):
    facts = dict(line.split("  ", 1) for line in koshi("models", "klein-base")[1].splitlines())
    assert facts["model"].strip() == "flux.2-klein-base-4b"
    assert facts["weights"].strip() == "black-forest-labs/FLUX.2-klein-base-4B"
    assert facts["guidance"].strip() == "4, negative prompts work"
    assert "64 tokens of a prompt" in koshi("models", "nano")[1]
    assert koshi("models", "qqq")[0] == 2


def test_the_words_of_nano_are_listed_by_group(koshi, nano):
    code, out, _ = koshi("models", "nano", "--words")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["scenes", "times", "weather", "styles", "plain"]
    assert "mountains, ocean, lake, desert, forest, meadow, canyon" in out
    assert koshi("models", "--words")[1] == out
    code, _, err = koshi("models", "toy", "--words")
    assert code == 2
    assert "toy has no list of words, only nano has one: koshi models nano --words" in err


def test_a_film_without_a_model_is_drawn_by_nano_which_names_the_words_it_does_not_know_once(koshi, nano):
    Path("film.toml").write_text('koshi = 1\nframes = 2\n[prompts]\n0 = "a dragon over a lake"\n1 = "a lake, dragon"\n')
    strange = "nano does not know 'dragon': it knows mountains, ocean, lake, desert, forest, meadow, ... (all: koshi "
    _, out, _ = koshi("check", "film.toml")
    assert "2 frames of 256x256 at 24 fps (0.1 s), model nano, 2 prompts" in out
    assert out.count(strange) == 1
    code, out, err = koshi("render", "film.toml", "--set", "size=32x32")
    assert code == 0
    assert (out + err).count(strange) == 1
    assert read_png(Path("runs/film/frames/000001.png")).shape == (32, 32, 3)
    assert "model" not in Path("film.toml").read_text()
    assert 'model = "nano"' in Path("runs/film/film.toml").read_text()


def test_known_words_and_other_models_are_passed_over_in_silence(koshi, nano):
    film = ("check", "film.toml", "--set")
    assert "does not know" not in koshi(*film, 'prompts="a misty lake"', "--model", "nano")[1]
    assert "does not know" not in koshi(*film, 'prompts="a dragon"', "--model", "toy")[1]
    assert "does not know" not in koshi(*film, 'prompts="a dragon"', "--model", "klein")[1]


def test_doctor_tells_whether_the_bundled_weights_came_whole(koshi, nano, tmp_path, monkeypatch):
    def line():
        return next(line for line in koshi("doctor")[1].splitlines() if line.startswith("nano"))

    assert line().split() == ["nano", "bundled", "runs", "anywhere"]
    monkeypatch.setitem(SPECS, "nano", replace(SPECS["nano"], folder=tmp_path))
    assert "broken: pip install --force-reinstall koshi-flux" in line()


def test_doctor_tells_all_the_ways_to_hold_a_model(koshi):
    code, out, _ = koshi("doctor", "--model", "flux.1-schnell", "--size", "512x512")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[-4:]] == ["auto", "full", "offload", "minimal"]
    assert "read from disk" in out
    assert koshi("doctor", "--model", "flux.9")[0] == 2
    assert "multiples of 16" in koshi("doctor", "--model", "klein", "--size", "500x500")[2]


def test_a_film_is_the_same_however_its_model_is_held(koshi, tmp_path):
    koshi("make-tiny-model", "tiny")
    words = ("render", "film.toml", "--model", "./tiny", "--set", "frames=2", "--set", "steps=1", "--set", "size=64x64")
    for memory in ("full", "minimal"):
        code, out, _ = koshi(*words, "--memory", memory, "--precision", "fp32", "--out", memory)
        assert code == 0
        assert ("read from disk" in out) == (memory == "minimal")
    full, minimal = (read_png(tmp_path / name / "frames/000001.png").astype(int) for name in ("full", "minimal"))
    assert abs(full - minimal).max() <= 1
    code, _, errors = koshi(*words, "--memory", "tiny", "--out", "other")
    assert (code, "one of auto, full, offload, minimal" in errors) == (2, True)


def test_pulling_needs_a_model_that_is_downloaded(koshi):
    assert "nothing to download" in koshi("models", "pull", "nano")[2]
    assert "koshi models pull klein-4b" in koshi("models", "a", "b", "c")[2]


def test_a_model_is_pulled_once_and_its_folder_told(koshi, tmp_path, monkeypatch):
    koshi("make-tiny-model", "tiny")
    monkeypatch.setattr("koshi_flux.weights.hub.find_folder", lambda source, **_: tmp_path / "tiny")
    code, out, _ = koshi("models", "pull", "klein")
    assert (code, out.strip()) == (0, str(tmp_path / "tiny"))


def test_a_tiny_model_films_from_end_to_end(koshi, tmp_path):
    code, out, _ = koshi("make-tiny-model", "tiny")
    assert (code, out.strip()) == (0, "tiny")
    words = ("--model", "./tiny", "--set", "frames=3", "--set", "steps=2", "--set", "size=64x64")
    code, out, _ = koshi("render", "film.toml", *words)
    assert code == 0
    assert "model tiny" in out
    assert len(list((tmp_path / "runs/film/frames").iterdir())) == 3
    assert koshi("make-tiny-model", "tiny")[0] == 2


def test_a_tiny_model_is_like_the_published_one_that_is_asked_for(koshi, tmp_path):
    assert koshi("make-tiny-model", "tiny", "--like", "klein-base")[0] == 0
    assert check_folder(tmp_path / "tiny").guidance == "true"


@pytest.mark.parametrize("like", ["toy", "kline", "./folder"])
def test_a_tiny_model_is_only_made_like_one_that_is_published(koshi, tmp_path, like):
    code, _, errors = koshi("make-tiny-model", "tiny", "--like", like)
    assert code == 2
    assert like in errors
    assert "flux.1-dev" in errors
    assert not (tmp_path / "tiny").exists()


def test_help_and_check_do_not_import_torch(tmp_path):
    (tmp_path / "film.toml").write_text(FILM)
    for words in (["--help"], ["check", "film.toml"], ["models", "nano"]):
        script = (
            f"import sys; sys.argv = ['koshi', *{words}]\n"
            "from koshi_flux.cli import main\n"
            "try: main()\n"
            "except SystemExit: print([m for m in ('torch', 'cv2', 'av', 'rich', 'diffusers') if m in sys.modules])\n"
        )
        assert python("-c", script, cwd=tmp_path).stdout.strip().endswith("[]"), words


def test_version_is_printed(koshi):
    assert koshi("--version")[1].strip() == VERSION


def test_ctrl_c_finishes_the_frame_leaves_a_playable_film_and_says_how_to_go_on(tmp_path):
    (tmp_path / "film.toml").write_text(FILM.replace("frames = 4", "frames = 5000"))
    command = [sys.executable, "-m", "koshi_flux.cli", "render", "film.toml"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs/film/frames/000005.png").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "finishing the frame in flight" in err
    assert "go on with: koshi render runs/film --resume" in out
    frames = len(list((tmp_path / "runs/film/frames").iterdir()))
    with av.open(str(tmp_path / "runs/film/film.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
