import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from koshi_flux.errors import OutputError
from koshi_flux.output.disk import partial_path
from koshi_flux.output.png import frame_path, read_png
from koshi_flux.output.sink import FrameSink
from koshi_flux.output.sinks import film_metadata, open_sink
from koshi_flux.output.video import read_metadata

FILMS = [".mp4", ".webm", ".mov", ".mkv", ".gif"]
Noise = Callable[..., np.ndarray]


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("suffix", FILMS)
class TestEveryFilm:
    def test_has_all_frames(self, tmp_path: Path, noise: Noise, suffix: str):
        with open_sink(tmp_path / f"film{suffix}", size=(64, 48), fps=24) as film:
            assert isinstance(film, FrameSink)
            for index in range(10):
                film.write(index, noise(index))
        assert count_frames(tmp_path / f"film{suffix}") == 10
        assert os.listdir(tmp_path) == [f"film{suffix}"]

    def test_appears_when_it_is_whole_even_after_an_interrupt(self, tmp_path: Path, noise: Noise, suffix: str):
        path = tmp_path / "new folder" / f"film{suffix}"

        def interrupted() -> None:
            with open_sink(path, size=(64, 48)) as film:
                for index in range(3):
                    film.write(index, noise(index))
                    assert not path.exists()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert count_frames(path) == 3

    def test_without_frames_is_no_file(self, tmp_path: Path, suffix: str):
        open_sink(tmp_path / f"film{suffix}", size=(64, 48)).close()
        assert os.listdir(tmp_path) == []

    def test_closes_twice(self, tmp_path: Path, noise: Noise, suffix: str):
        with open_sink(tmp_path / f"film{suffix}", size=(64, 48)) as film:
            film.write(0, noise())
            film.close()
        assert count_frames(tmp_path / f"film{suffix}") == 1

    def test_is_the_same_bytes_again_also_when_replayed_from_png_files(self, tmp_path: Path, noise: Noise, suffix: str):
        live, replayed = tmp_path / f"live{suffix}", tmp_path / f"replayed{suffix}"
        metadata = film_metadata("Noise", "frames = 12")
        with (
            open_sink(live, size=(64, 48), metadata=metadata) as film,
            open_sink(tmp_path / "frames", size=(64, 48)) as frames,
        ):
            for index in range(12):
                film.write(index, noise(index))
                frames.write(index, noise(index))
        with open_sink(replayed, size=(64, 48), metadata=metadata) as film:
            for index in range(12):
                film.write(index, read_png(frame_path(tmp_path / "frames", index)))
        assert live.read_bytes() == replayed.read_bytes()

    def test_carries_its_film_toml(self, tmp_path: Path, noise: Noise, suffix: str):
        toml = 'prompts = "0: \\"für Élise\\""\n' * 3000  # 90 kB: longer than QuickTime's old text atoms
        path = tmp_path / f"film{suffix}"
        with open_sink(path, size=(64, 48), metadata=film_metadata("Élise", toml)) as film:
            film.write(0, noise())
        metadata = read_metadata(path)
        assert metadata["comment"] == toml
        if suffix != ".gif":
            assert metadata["title"] == "Élise"
            assert metadata["description"].startswith("made with koshi-flux ")

    def test_refuses_a_frame_of_another_size_and_keeps_the_rest(self, tmp_path: Path, noise: Noise, suffix: str):
        path = tmp_path / f"film{suffix}"
        with open_sink(path, size=(64, 48)) as film:
            film.write(0, noise())
            with pytest.raises(OutputError, match="frame 1 is 48x64, but the film is 64x48"):
                film.write(1, noise(1, 48, 64))
        assert count_frames(path) == 1

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
    def test_on_a_full_disk_says_so_and_leaves_the_old_film(self, tmp_path: Path, noise: Noise, suffix: str):
        path = tmp_path / f"film{suffix}"
        path.write_bytes(b"old")
        partial_path(path).symlink_to("/dev/full")

        def render() -> None:
            with open_sink(path, size=(256, 256)) as film:
                for index in range(50):
                    film.write(index, noise(index, 256, 256))

        with pytest.raises(OutputError, match="the disk is full"):
            render()
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == [path.name]

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
    def test_with_a_hole_never_gets_its_name(self, tmp_path: Path, noise: Noise, suffix: str):
        path = tmp_path / f"film{suffix}"
        with open_sink(path, size=(64, 48)) as film:
            film.write(0, noise(0))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(film._encoder, "add", lambda pixels: Path("/dev/full").write_bytes(pixels))
                with pytest.raises(OutputError, match=f"the disk is full: cannot write frame 1 of film{suffix}"):
                    film.write(1, noise(1))
            film.write(2, noise(2))
        assert os.listdir(tmp_path) == []

    def test_below_a_file_is_refused_at_once(self, tmp_path: Path, suffix: str):
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="cannot write"):
            open_sink(tmp_path / "file" / f"film{suffix}", size=(64, 48))

    def test_in_a_name_that_cannot_be_written_is_refused_at_once(self, tmp_path: Path, suffix: str):
        path = tmp_path / f"film{suffix}"
        partial_path(path).mkdir()
        with pytest.raises(OutputError, match=f"cannot write film{suffix}"):
            open_sink(path, size=(64, 48))


def test_open_sink_refuses_unknown_suffixes(tmp_path: Path):
    with pytest.raises(OutputError, match="known outputs are"):
        open_sink(tmp_path / "film.avi", size=(64, 48))
