import subprocess
import sys

import pytest
import torch

from koshi_flux.depth import check_depth, is_footage, open_depth
from koshi_flux.depth.choice import HUB, NAMES
from koshi_flux.depth.footage import FootageDepth
from koshi_flux.depth.nano import NanoDepth
from koshi_flux.depth.plane import PlaneDepth
from koshi_flux.depth.published import PublishedDepth
from koshi_flux.depth.stored import encode_depth16
from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.shared.types import DepthModel, Footage
from tests.depth.tiny import write_anything


class Still:
    """Footage that shows the same picture all the time but for its brightness, a tenth of the frame's number."""

    def __init__(self, height=4, width=6, color=(1.0, 1.0, 1.0)):
        self.shown = torch.tensor(color).view(3, 1, 1).expand(3, height, width)

    def picture(self, frame):
        return self.shown * frame / 10

    def alpha(self, frame):
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_anything(tmp_path_factory.mktemp("models") / "anything")


@pytest.mark.parametrize("name", [*NAMES, "Nano", "MiDaS", "owner/some-depth.v1.5"])
def test_names_and_places_on_the_hub_are_taken_as_they_are(name):
    check_depth(name)
    assert not is_footage(name)


def test_a_folder_is_looked_into(folder, tmp_path):
    check_depth(str(folder))
    with pytest.raises(ModelError, match=r"is not the folder of a depth model: it has no config\.json"):
        check_depth(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("midass", r"there is no 'midass', did you mean 'midas'\? known are nano, midas, depth-anything, plane; or"),
        ("adabins", r"there is no 'adabins'(:|, did you mean '.*'\?) known are nano, .* folder or as owner/name"),
        ("", r"there is no '': known are"),
        ("/no/such/folder", r"there is no '/no/such/folder': known are"),
        ("depths/film.mp4", r"there is no file depths/film\.mp4"),
        ("depth.PNG", r"there is no file depth\.PNG"),
    ],
)
def test_what_is_not_there_is_named(name, message):
    with pytest.raises(SettingsError, match=f"depth: {message}"):
        check_depth(name)
    with pytest.raises(SettingsError, match=f"depth: {message}"):
        open_depth(name)


def test_naming_and_checking_a_model_imports_no_torch(folder):
    checks = f"from koshi_flux.depth import *; check_depth('midas'); check_depth({str(folder)!r}); check_depth('a/b')"
    code = f"import sys; {checks}; sys.exit(bool({{'torch', 'cv2', 'transformers'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "kind"), [("nano", NanoDepth), ("Plane", PlaneDepth)])
def test_what_is_bundled_is_opened_by_name(name, kind):
    model = open_depth(name, "cpu")
    assert isinstance(model, kind)
    assert isinstance(model, DepthModel)
    assert model.device == torch.device("cpu")


def test_a_folder_is_opened(folder):
    assert isinstance(open_depth(str(folder)), PublishedDepth)


@pytest.mark.parametrize("name", HUB)
def test_a_known_name_is_found_on_the_hub(name, folder, monkeypatch):
    from koshi_flux.depth.folder import check_folder

    asked = []
    monkeypatch.setattr(
        "koshi_flux.depth.folder.find_depth", lambda source: asked.append(source) or check_folder(folder)
    )
    assert isinstance(open_depth(name), PublishedDepth)
    assert asked == [HUB[name]]


def test_a_plane_is_as_near_as_can_be():
    assert torch.equal(PlaneDepth().estimate(torch.rand(3, 4, 6)), torch.ones(4, 6))


def test_a_video_of_depths_is_read_by_the_frame(tmp_path):
    file = tmp_path / "depths.mp4"
    file.touch()
    footage = Still()
    assert isinstance(footage, Footage)
    assert is_footage(str(file))
    model = open_depth(str(file), "cpu", footage)
    assert isinstance(model, FootageDepth)
    assert isinstance(model, DepthModel)
    for frame, depth in ((0, 0.0), (5, 0.5), (10, 1.0), (20, 1.0)):
        assert torch.allclose(model.estimate(torch.rand(3, 4, 6), frame), torch.full((4, 6), depth))


def test_colours_of_a_depth_video_count_by_their_brightness():
    depth = FootageDepth(Still(color=(0.0, 1.0, 0.0))).estimate(torch.rand(3, 4, 6), 10)
    assert torch.allclose(depth, torch.full((4, 6), 0.587))


def test_footage_of_another_size_is_refused():
    with pytest.raises(SettingsError, match=r"differ in size: 6 x 4 and 12 x 8"):
        FootageDepth(Still()).estimate(torch.rand(3, 8, 12))


def test_a_file_of_depths_must_be_opened_by_who_can(tmp_path):
    file = tmp_path / "depth.png"
    file.write_bytes(encode_depth16(torch.rand(4, 6)))
    with pytest.raises(SettingsError, match=r"shows depths itself: open it as footage"):
        open_depth(str(file))
