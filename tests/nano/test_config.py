import subprocess
import sys
from pathlib import Path

import koshi_flux.nano
from koshi_flux.flux2.folder import check_folder
from koshi_flux.nano.config import FOLDER, NANO
from koshi_flux.pipeline.factory import SPECS, FluxVersion, check_model, find_spec, load_model
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.types import FluxModel


def test_nano_is_the_first_of_the_models_and_the_default_everywhere():
    assert next(iter(SPECS)) == next(iter(FluxVersion)).value == Animation(prompts="x").model == NANO.name == "nano"
    assert find_spec("Koshi-Nano") is SPECS["nano"]


def test_the_weights_lie_beside_the_package():
    assert NANO.folder == FOLDER == Path(koshi_flux.nano.__file__).parent
    assert NANO.is_bundled
    assert not NANO.hub_id


def test_only_nano_is_bundled():
    assert [spec.name for spec in SPECS.values() if spec.is_bundled] == ["nano"]
    assert {spec.text_tokens for spec in SPECS.values() if not spec.is_bundled} == {256, 512}


def test_a_film_left_to_nano_has_its_size_steps_and_denoise():
    film = Animation(prompts="a lake").resolved(NANO)
    assert film.picture_size == (256, 256)
    assert (film.at(0).steps, film.at(0).denoise) == (4, 0.45)


def test_a_folder_that_also_holds_a_package_is_a_good_model(nano):
    assert (nano / "config.py").is_file()
    assert check_folder(nano).guidance == "none"
    assert check_model("nano") is SPECS["nano"]


def test_nano_loads_like_any_flux_2_and_reads_64_tokens(nano):
    model = load_model("nano", device="cpu")
    assert isinstance(model, FluxModel)
    assert model.spec is SPECS["nano"]
    assert model.encode_prompt("a lake").tokens.shape == (64, 48)


def test_nothing_heavy_is_imported_for_it():
    script = (
        "import sys, koshi_flux.nano.config, koshi_flux.nano.words, koshi_flux.pipeline.notes\n"
        "print([m for m in ('torch', 'cv2', 'diffusers', 'transformers', 'rich') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
