"""What training leaves is a folder like any FLUX.2's, which says truly whether it is distilled."""

import json
from pathlib import Path

import pytest
import torch

from koshi_flux.flux2.folder import check_folder
from koshi_flux.flux2.model import load
from training.nano import distil, export, latents, transformer
from training.nano.autoencoder import AutoencoderConfig, build
from training.nano.captions import known_words

SETTINGS = """
[dataset]
shard = 2
batch = 2
sizes = [[32, 32, 1]]

[transformer]
steps = 2
minutes = 5
batch = 2
rate = 1e-3
heads = 1
double = 1
single = 1
text_width = 8
halved_until = 0.5
halved_share = 0.5
halved_batch = 2
listening = 0.5
blurred = 0.5
unasked = 0.1
shift = 2.0
sheet_every = 100

[distil]
steps = 1
minutes = 5
batch = 2
rate = 1e-4
guidance = 2.0
flow = 0.3
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which all stages up to the transformer have run, for a moment."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "nano.toml").write_text(SETTINGS)
    torch.manual_seed(0)
    config = AutoencoderConfig(
        steps=1,
        minutes=1,
        batch=1,
        rate=1,
        channels=(8, 8, 8, 8),
        groups=4,
        crop=64,
        gaussian=0,
        echoes=0,
        halved=0,
        cycle=0,
    )
    build(config).save_pretrained(folder / "autoencoder" / "vae")
    (folder / "latents").mkdir()
    torch.save({"values": torch.randn(4, 32, 4, 4).half(), "captions": ["a lake"] * 4}, folder / "latents" / "32x32.pt")
    transformer.main(work=folder, config=folder / "nano.toml", device="cpu")
    return folder


def exported(work: Path, target: Path) -> dict[str, object]:
    export.main(work=work, config=work / "nano.toml", target=target)
    return json.loads((target / "model_index.json").read_text())


def test_a_transformer_that_was_only_trained_is_not_called_distilled(work, tmp_path):
    assert exported(work, tmp_path)["is_distilled"] is False
    assert json.loads((tmp_path / "words.json").read_text()) == {k: list(v) for k, v in known_words().items()}


def test_a_distilled_one_is(work, tmp_path):
    distil.main(work=work, config=work / "nano.toml", device="cpu")
    assert exported(work, tmp_path)["is_distilled"] is True


def test_the_folder_is_read_by_the_product_and_keeps_its_shift_and_its_length(work, tmp_path):
    exported(work, tmp_path)
    assert check_folder(tmp_path).text_tokens == 64
    model = load(tmp_path)
    assert model.encode_prompt("a lake").tokens.shape == (64, 24)
    assert model.sigmas(2, 1.0, 64, 64) == pytest.approx((1.0, 2 / 3, 0.0))


def test_weights_are_kept_in_half_precision(work, tmp_path):
    from safetensors.torch import load_file

    exported(work, tmp_path)
    for file in tmp_path.rglob("*.safetensors"):
        assert {tensor.dtype for tensor in load_file(file).values() if tensor.is_floating_point()} == {torch.float16}


def test_latents_are_found_in_the_work_folder(work):
    assert [group.values.shape for group in latents.read_latents(work)] == [(4, 32, 4, 4)]
