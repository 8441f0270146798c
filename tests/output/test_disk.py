import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from koshi_flux.errors import OutputError
from koshi_flux.output.disk import check_space, explained, make_folder, partial_path, replacing
from koshi_flux.output.formats import FORMATS


def free(monkeypatch: pytest.MonkeyPatch, size: float) -> list[Path]:
    """Pretend that `size` bytes are free; returns the list of places that were asked about."""
    asked: list[Path] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda place: asked.append(place) or SimpleNamespace(free=int(size)))
    return asked


def test_a_film_larger_than_the_disk_is_refused_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    free(monkeypatch, 1.5e9)
    # 2.1 bytes x 2000 frames x 1024 x 1024 pixels = 4.4 GB
    with pytest.raises(OutputError, match=r"2000 frames of 1024x1024 need about 4\.4 GB, 1\.5 GB is free"):
        check_space(tmp_path, 2000, 1024, 1024)


def test_space_is_counted_for_every_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pixels = 100 * 1000 * 1000
    both = (FORMATS[""].bytes_per_pixel + FORMATS[".mkv"].bytes_per_pixel) * pixels
    free(monkeypatch, both + 1)
    check_space(tmp_path, 100, 1000, 1000, ("", ".mkv"))
    free(monkeypatch, both - 1)
    with pytest.raises(OutputError, match="too full"):
        check_space(tmp_path, 100, 1000, 1000, ("", ".mkv"))


def test_a_folder_that_does_not_exist_yet_is_judged_by_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = free(monkeypatch, 1e12)
    check_space(tmp_path / "runs" / "one", 10, 64, 64)
    assert asked == [tmp_path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_explained(number: int):
    with (
        pytest.raises(OutputError, match=r"the disk is full: cannot write 000007\.png.*resume") as caught,
        explained("000007.png"),
    ):
        raise OSError(number, "No space left on device")
    assert isinstance(caught.value.__cause__, OSError)


def test_other_refusals_are_passed_on_in_the_words_of_the_system():
    with pytest.raises(OutputError, match=r"cannot write film\.mp4: Permission denied"), explained("film.mp4"):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_errors_that_are_not_the_disks_stay_what_they_are():
    with pytest.raises(ZeroDivisionError), explained("x"):
        raise ZeroDivisionError


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "film.mp4"
    with replacing(path) as partial:
        assert partial == partial_path(path) == tmp_path / ".film.partial.mp4"
        partial.write_bytes(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_file_leaves_what_was_there_before(tmp_path: Path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*Not a directory"):
        make_folder(tmp_path / "file" / "frames")
