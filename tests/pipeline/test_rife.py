"""RIFE in a process of its own, with a script in its place that obeys the same command line. Run alone: about 8 s."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from koshi_flux.errors import ModelError, OutputError
from koshi_flux.output.png import encode_png
from koshi_flux.pipeline.rife import NAME, find_rife

# What rife-ncnn-vulkan does with a folder: picture i of n shows moment i * count / n, and the last picture is held;
# it tells the kind of a model by the path it is given. The pictures here are plain, so a moment is a level between two.
SCRIPT = """#!{python}
import getopt, os, signal, sys, time
from PIL import Image

options = dict(getopt.getopt(sys.argv[1:], "0:1:i:o:n:s:m:g:j:f:xzuvh")[0])
here = os.path.dirname(os.path.abspath(__file__))
log = open(os.path.join(here, "calls"), "a")
mood = open(os.path.join(here, "mood")).read()
print("[0 Some GPU] queueC=1", file=sys.stderr)
if "rife-v2" in options["-m"] or "rife-v4" not in options["-m"]:
    sys.exit("only rife-v4 model support custom numframe and timestep")
if not os.path.isfile(os.path.join(options["-m"], "flownet.bin")):
    sys.exit("fopen flownet.bin failed")
if mood == "complain":
    print("vkAllocateMemory failed -2", file=sys.stderr)
    sys.exit(255)
if mood == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if mood == "hang":
    with open(os.path.join(here, "pid"), "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
names = sorted(os.listdir(options["-i"]))
log.write(f"{{len(names)}} ")
pictures = [Image.open(os.path.join(options["-i"], name)) for name in names]
levels = [picture.getpixel((0, 0))[0] for picture in pictures]
width, height = pictures[0].size
total = int(options["-n"])
for number in range(total):
    at = number * len(pictures) / total
    first = min(int(at), len(pictures) - 2)
    share = min(at - first, 1)
    level = round((1 - share) * levels[first] + share * levels[first + 1])
    made = Image.new("RGB", (width, height - (mood == "shrink")), (level, level, level))
    if mood != "forget" or number % 3:
        made.save(os.path.join(options["-o"], options["-f"] % (number + 1)))
    if mood == "break" and number == 1:
        open(os.path.join(options["-o"], options["-f"] % (number + 1)), "wb").write(b"no picture")
"""


def make_program(folder: Path, mood: str = "well") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / NAME
    program.write_text(SCRIPT.format(python=sys.executable))
    program.chmod(0o755)
    (folder / "mood").write_text(mood)
    return folder


def make_model(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True)
    for name in files or ("flownet.param", "flownet.bin"):
        (folder / name).touch()
    return folder


@pytest.fixture
def unpacked(tmp_path):
    """unpacked(mood): a folder as its makers pack it, with a program that behaves as it is told."""

    def make(mood: str = "well") -> Path:
        make_model(tmp_path / "rife" / "rife-v2.3", "flownet.param", "flownet.bin", "contextnet.bin")
        make_model(tmp_path / "rife" / "rife-v4.6")
        return make_program(tmp_path / "rife", mood)

    return make


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    """Eleven plain pictures, each 21 levels brighter than the one before."""
    paths = [tmp_path / f"{index}.png" for index in range(11)]
    for index, path in enumerate(paths):
        path.write_bytes(encode_png(np.full((48, 64, 3), 21 * index, np.uint8)))
    return paths


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """Programs on the PATH of this machine play no part, and what is left lying about is seen."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    yield
    assert list((tmp_path / "scratch").iterdir()) == []


def levels(rife, pictures: list[Path], factor: int) -> list[list[int]]:
    """How bright the moments between each picture and the next are."""
    plain = [np.full((48, 64, 3), 21 * index, np.uint8) for index in range(len(pictures))]
    with rife.between(pictures, factor) as tween:
        return [
            [int(made.mean()) for made in tween(index, plain[index], plain[index + 1])]
            for index in range(len(pictures) - 1)
        ]


class TestDrawing:
    @pytest.mark.parametrize(("factor", "steps"), [(3, [7, 14]), (7, [3, 6, 9, 12, 15, 18])])
    def test_every_pair_gets_its_own_moments(self, unpacked, pictures, factor, steps):
        folder = unpacked()
        got = levels(find_rife(folder), pictures, factor)
        assert got == [[21 * index + step for step in steps] for index in range(10)]
        calls = [int(count) for count in (folder / "calls").read_text().split()]
        assert calls == {3: [9, 3], 7: [4, 4, 4, 2]}[factor]  # 24 new pictures a start, neighbours share a picture

    def test_pairs_that_are_not_asked_for_are_passed_over(self, unpacked, pictures):
        folder = unpacked()
        plain = np.zeros((48, 64, 3), np.uint8)
        with find_rife(folder).between(pictures, 7) as tween:
            assert [int(made.mean()) for made in tween(9, plain, plain)] == [189 + step for step in range(3, 21, 3)]
        assert (folder / "calls").read_text() == "2 "

    def test_an_outer_folder_does_not_mislead_the_program(self, tmp_path, pictures):
        outer = make_program(tmp_path / "rife-v2-and-newer")
        make_model(outer / "rife-v4")
        assert levels(find_rife(outer), pictures[:2], 3) == [[7, 14]]


class TestTrouble:
    @pytest.mark.parametrize(
        ("mood", "told"),
        [
            ("complain", r"ended with code 255 \(\[0 Some GPU\] queueC=1 / vkAllocateMemory failed -2\)"),
            ("crash", r"crashed \(SIGSEGV\)"),
            ("forget", r"wrote 4 of 6 pictures"),
            ("break", r"wrote a broken picture"),
            ("shrink", r"drew 64x47 instead of 64x48"),
        ],
    )
    def test_what_becomes_of_the_program_is_told(self, unpacked, pictures, mood, told):
        with pytest.raises(OutputError, match=f"{NAME} {told}.*The film's frames are untouched"):
            levels(find_rife(unpacked(mood)), pictures[:2], 3)

    def test_a_program_that_hangs_is_ended(self, unpacked, pictures):
        impatient = replace(find_rife(unpacked("hang")), patience=0.1)
        with pytest.raises(OutputError, match=r"hung: 6 pictures were not there after 1 s"):
            levels(impatient, pictures[:2], 3)

    def test_ctrl_c_ends_the_program_too(self, unpacked, pictures, tmp_path):
        folder = unpacked("hang")
        lines = (
            "import signal, sys, tempfile; signal.signal(signal.SIGINT, signal.default_int_handler)",
            "from pathlib import Path; from koshi_flux.pipeline.rife import find_rife",
            "folder, scratch, *pictures = map(Path, sys.argv[1:])",
            "tempfile.tempdir = str(scratch)",
            "with find_rife(folder).between(pictures, 3) as tween: list(tween(0, None, None))",
        )
        words = [folder, tmp_path / "scratch", *pictures[:2]]
        with subprocess.Popen([sys.executable, "-c", "\n".join(lines), *words], stderr=subprocess.DEVNULL) as ours:
            while not (folder / "pid").is_file() or not (folder / "pid").read_text():
                assert ours.poll() is None
                time.sleep(0.02)
            ours.send_signal(signal.SIGINT)
            assert ours.wait(timeout=20) != 0
        with pytest.raises(ProcessLookupError):
            os.kill(int((folder / "pid").read_text()), 0)

    def test_a_program_for_another_machine(self, unpacked, pictures):
        folder = unpacked()
        (folder / NAME).write_bytes(b"\x7fELF nothing that runs")
        with pytest.raises(ModelError, match=r"cannot start .*Exec format error.*or take the engine 'flow'"):
            levels(find_rife(folder), pictures[:2], 3)


class TestFinding:
    def test_the_newest_usable_model_is_taken(self, unpacked):
        folder = unpacked()
        for name in ("rife-v4", "rife-v4.26", "rife-HD"):
            make_model(folder / name)
        found = find_rife(folder)
        assert (found.program, found.model) == (folder / NAME, folder / "rife-v4.26")

    def test_a_model_of_ones_own_beside_the_program(self, unpacked):
        folder = unpacked()
        model = make_model(folder / "rife-v4.22-lite")
        assert find_rife(model).model == model
        assert find_rife(model).program == folder / NAME

    def test_models_may_lie_a_folder_deeper(self, tmp_path):
        folder = make_program(tmp_path / "rife")
        model = make_model(folder / "models" / "rife-v4.6")
        assert find_rife(folder).model == model

    def test_a_program_on_the_path_brings_its_models(self, unpacked, tmp_path):
        folder = unpacked()
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / NAME).symlink_to(folder / NAME)
        found = find_rife()
        assert (found.program, found.model) == (folder / NAME, folder / "rife-v4.6")

    def test_a_model_folder_with_a_program_on_the_path(self, tmp_path):
        make_program(tmp_path / "bin")
        model = make_model(tmp_path / "models" / "rife-v4.6")
        assert find_rife(model) == find_rife(model.parent)
        assert find_rife(model).program == tmp_path / "bin" / NAME

    def test_no_folder(self, tmp_path):
        with pytest.raises(ModelError, match=r"there is no folder .*nowhere"):
            find_rife(tmp_path / "nowhere")

    def test_no_program(self, tmp_path):
        with pytest.raises(ModelError, match=r"not on the PATH: get it from https://github\.com/nihui"):
            find_rife()
        with pytest.raises(ModelError, match=r"which is not in .*, beside it or on the PATH"):
            find_rife(make_model(tmp_path / "rife-v4"))

    def test_a_program_that_may_not_be_run(self, unpacked):
        folder = unpacked()
        (folder / NAME).chmod(stat.S_IRUSR)
        with pytest.raises(ModelError, match=r"may not be run: chmod \+x "):
            find_rife(folder)

    def test_no_model(self, tmp_path):
        with pytest.raises(ModelError, match=r"no RIFE model .*flownet\.param and flownet\.bin"):
            find_rife(make_program(tmp_path / "rife"))

    def test_old_models_only(self, tmp_path):
        folder = make_program(tmp_path / "rife")
        make_model(folder / "rife-HD")
        make_model(folder / "rife-v2.3")
        with pytest.raises(ModelError, match=r"holds rife-HD, rife-v2\.3, but only .*rife-v4"):
            find_rife(folder)

    def test_half_a_model(self, tmp_path):
        folder = make_program(tmp_path / "rife")
        make_model(folder / "rife-v4.6", "flownet.param")
        with pytest.raises(ModelError, match=r"rife-v4\.6' lacks flownet\.bin; unpack it again"):
            find_rife(folder)
