"""Files from the web, served here."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from koshi_flux.errors import SettingsError
from koshi_flux.pipeline.download import download
from koshi_flux.schedule.importing import import_film

FILE = b"pictures" * 1000


@pytest.fixture
def site():
    """The address of a server that has /dance.mp4 and nothing else; it counts what it is asked for."""

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            found = self.path == "/dance.mp4"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(FILE if found else b"")

        def log_message(self, *words):
            pass

    asked = []
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_comes_whole_and_once(site, tmp_path):
    address, asked = site
    path = download(f"{address}/dance.mp4", tmp_path / "files")
    assert path == tmp_path / "files/dance.mp4"
    assert path.read_bytes() == FILE
    assert download(f"{address}/dance.mp4", tmp_path / "files") == path
    assert asked == ["/dance.mp4"]


def test_what_is_too_large_too_slow_or_not_there_leaves_nothing(site, tmp_path):
    address, _ = site
    for problem, how in (("has more than", {"largest": 100}), ("takes too long", {"patience": 1e-9})):
        with pytest.raises(SettingsError, match=f"{problem}|cannot be fetched"):
            download(f"{address}/dance.mp4", tmp_path, **how)
    with pytest.raises(SettingsError, match="cannot be fetched: HTTP Error 404"):
        download(f"{address}/none.mp4", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["ftp://a.org/b.mp4", "file:///etc/passwd", "https://a.org/", "dance.mp4"])
def test_other_addresses_are_refused(address, tmp_path):
    with pytest.raises(SettingsError, match="is no address of a file on the web"):
        download(address, tmp_path)


def test_only_files_that_the_film_uses_are_fetched_and_only_when_allowed(site, tmp_path):
    address, asked = site
    old = {"animation_mode": "Video Input", "max_frames": 3, "use_init": False, "prompts": {"0": "a sea"}}
    old |= {"video_init_path": f"{address}/dance.mp4", "init_image": f"{address}/unused.png"}
    left = import_film(old)
    assert left.animation.video == ""
    assert asked == []
    brought = import_film(old, fetch=lambda where: download(where, tmp_path))
    assert brought.animation.video == str(tmp_path / "dance.mp4")
    assert asked == ["/dance.mp4"]
