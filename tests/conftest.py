"""What holds for all tests: no network, and one thread per process (xdist fills the cores)."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

WORDS = {
    "scenes": ["mountains", "ocean", "lake", "desert", "forest", "meadow", "canyon"],
    "times": ["dawn", "night"],
    "weather": ["misty", "snow", "covered"],
    "styles": ["8-bit", "art"],
    "plain": ["a", "at", "over"],
}


@pytest.fixture(scope="session")
def random_nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the bundled model, with random weights and few words."""
    from koshi_flux.flux2.tiny import make_tiny_model

    folder = make_tiny_model(tmp_path_factory.mktemp("bundled") / "nano")
    (folder / "words.json").write_text(json.dumps(WORDS))
    (folder / "config.py").write_text("# a package lies beside its weights")
    return folder


@pytest.fixture
def nano(random_nano: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands in for the bundled model, under its name, while a test runs."""
    from koshi_flux.nano.config import NANO
    from koshi_flux.pipeline.factory import SPECS

    monkeypatch.setitem(SPECS, "nano", replace(NANO, folder=random_nano))
    monkeypatch.setattr("koshi_flux.nano.words.FILE", random_nano / "words.json")
    return random_nano


@pytest.fixture(scope="session", autouse=True)
def caches_of_its_own(tmp_path_factory):
    """Nothing is kept among the user's own caches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOSHI_CACHE", str(tmp_path_factory.mktemp("caches")))
        yield
