from pathlib import Path

import pytest

from koshi_flux.errors import OutputError, RunError
from koshi_flux.pipeline.place import check_begun, check_free, film_path, name_from, unused


def begin(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.jsonl").touch()


def test_a_folder_gets_a_film_mp4(tmp_path):
    assert film_path(tmp_path / "dream") == tmp_path / "dream/film.mp4"


def test_a_run_folder_knows_its_film(tmp_path):
    begin(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/film").write_text("dream.webm")
    assert film_path(tmp_path) == tmp_path / "dream.webm"


def test_a_film_file_in_a_new_or_empty_folder_makes_that_the_run_folder(tmp_path):
    assert film_path(tmp_path / "dream.webm") == tmp_path / "dream.webm"
    assert film_path(tmp_path / "new/dream.mov") == tmp_path / "new/dream.mov"


def test_a_film_file_among_other_things_gets_a_folder_of_its_own_name(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert film_path(tmp_path / "dream.mp4") == tmp_path / "dream/dream.mp4"
    begin(tmp_path / "dream")
    assert film_path(tmp_path / "dream.mp4") == tmp_path / "dream/dream.mp4"


def test_a_film_file_in_its_own_run_folder_stays_there(tmp_path):
    begin(tmp_path)
    assert film_path(tmp_path / "dream.mp4") == tmp_path / "dream.mp4"


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write 'dream\.avi'"):
        film_path(tmp_path / "dream.avi")


def test_a_taken_folder_names_the_next_free_one(tmp_path):
    begin(tmp_path / "dream")
    (tmp_path / "dream-2").mkdir()
    assert unused(tmp_path / "dream") == tmp_path / "dream-3"
    assert unused(tmp_path / "other") == tmp_path / "other"
    with pytest.raises(RunError, match="dream-3"):
        check_free(tmp_path / "dream/film.mp4")
    check_begun(tmp_path / "dream/film.mp4")
    with pytest.raises(RunError, match="no film to go on with"):
        check_begun(tmp_path / "other/film.mp4")


def test_a_name_is_made_of_the_first_words():
    assert name_from("A Misty, SEA at dawn: wide shot") == "a-misty-sea-at-dawn"
    assert name_from("日本") == "film"
