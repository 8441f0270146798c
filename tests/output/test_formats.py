import subprocess
import sys
from pathlib import Path

import pytest

from koshi_flux.errors import OutputError
from koshi_flux.output.formats import FORMATS, check_output, suffix_of
from koshi_flux.output.sinks import SINKS


def test_every_format_has_a_sink_and_every_sink_a_format():
    assert list(SINKS) == list(FORMATS) == ["", ".mp4", ".webm", ".mov", ".mkv", ".gif"]


@pytest.mark.parametrize(
    "name", ["film.mp4", "FILM.MP4", "film.webm", "a/b/film.mov", "film.mkv", "film.gif", "frames"]
)
def test_known_outputs_pass(tmp_path: Path, name: str):
    check_output(tmp_path / name)


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(
        OutputError, match=r"cannot write 'film\.avi': known outputs are \.mp4, \.webm, \.mov, \.mkv, \.gif"
    ):
        check_output(tmp_path / "film.avi")


def test_an_existing_folder_takes_png_files_whatever_its_name(tmp_path: Path):
    (tmp_path / "take.2").mkdir()
    check_output(tmp_path / "take.2")
    assert suffix_of(tmp_path / "take.2") == ""


def test_a_folder_in_the_place_of_a_film_is_refused(tmp_path: Path):
    (tmp_path / "film.mp4").mkdir()
    with pytest.raises(OutputError, match=r"'film\.mp4': a folder of that name is in the way"):
        check_output(tmp_path / "film.mp4")


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path):
    (tmp_path / "frames").write_text("")
    with pytest.raises(OutputError, match="'frames': that is a file, not a folder"):
        check_output(tmp_path / "frames")


def test_checking_imports_neither_torch_nor_pyav():
    code = (
        "import sys, koshi_flux.output.formats, koshi_flux.output.disk;"
        "print([name for name in ('torch', 'av', 'cv2', 'PIL', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_manual_lists_every_output_with_its_size():
    manual = (Path(__file__).parents[2] / "docs" / "output.md").read_text()
    for suffix, kind in FORMATS.items():
        name = f"`{suffix}`" if suffix else "a folder"
        assert any(
            row.startswith(f"| {name} |") and f"| {kind.bytes_per_pixel} |" in row for row in manual.splitlines()
        )
