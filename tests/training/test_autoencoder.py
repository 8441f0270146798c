"""The autoencoder's training, its data, and the latents that the film loop would get."""

import pytest
import torch
from diffusers import AutoencoderKLFlux2
from torch.nn.functional import pixel_unshuffle

from training.nano import dataset, latents
from training.nano.autoencoder import AutoencoderConfig, _loss, _with_echoes, build, difference, finish
from training.nano.dataset import DatasetConfig, read_shards, shard_files
from training.nano.muon import optimisers_for
from training.nano.polish import polish_loss, vae_folder
from training.nano.stage import learn

CONFIG = AutoencoderConfig(
    steps=10,
    minutes=1,
    batch=4,
    rate=1e-3,
    channels=(8, 8, 8, 8),
    groups=4,
    crop=32,
    gaussian=1e-4,
    echoes=0.5,
    halved=1.0,
    cycle=1.0,
)


@pytest.fixture
def model() -> AutoencoderKLFlux2:
    torch.manual_seed(0)
    return build(CONFIG)


def test_echoes_come_with_the_pictures_that_they_should_have_been():
    fresh = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 4, 4)
    echo = (100 + fresh, 200 + fresh)
    seen, target = _with_echoes(fresh, echo, 0.5)
    assert (seen[:4, 0, 0, 0] >= 100).all()
    assert torch.equal(target[:4] - seen[:4], torch.full_like(seen[:4], 100))
    assert torch.equal(seen[4:], fresh[4:])
    assert torch.equal(target[4:], fresh[4:])


def test_echoes_are_chosen_by_chance_so_that_none_is_shown_for_ever():
    fresh = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 4, 4)
    torch.manual_seed(0)
    chosen = {tuple(_with_echoes(fresh, (100 + fresh, fresh), 0.5)[0][:4, 0, 0, 0].tolist()) for _ in range(20)}
    assert len(chosen) > 10


def test_without_echoes_or_with_those_of_another_size_the_pictures_are_seen_as_they_are():
    fresh = torch.rand(4, 3, 8, 8)
    for echo, share in ((None, 0.5), ((fresh, fresh), 0.0), ((torch.rand(2, 3, 16, 16),) * 2, 0.5)):
        seen, target = _with_echoes(fresh, echo, share)
        assert seen is fresh
        assert target is fresh


def test_the_same_picture_is_nodifference_and_a_cast_counts_twice_more():
    picture = torch.rand(1, 3, 16, 16)
    assert difference(picture, picture) == 0
    cast = difference(picture + 0.1, picture)
    assert cast == pytest.approx(0.1 + 4 * 0.01 + 2 * 0.1, abs=1e-5)


def test_training_lowers_the_loss(model):
    pictures = torch.rand(4, 3, 1, 1).expand(-1, -1, 32, 32) * 2 - 1
    optimisers = optimisers_for(model, lambda _: True)
    losses = []
    for _ in range(30):
        loss, drawn = _loss(model, pictures, pictures, CONFIG)
        assert drawn.shape == pictures.shape
        learn(model, loss, optimisers, 2e-3)
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_the_statistics_are_those_of_the_tokens(model, tmp_path):
    pictures = (torch.rand(20, 3, 32, 32) * 255).byte()
    finish(model.eval(), pictures, tmp_path / "vae")
    saved = AutoencoderKLFlux2.from_pretrained(tmp_path / "vae").eval()
    with torch.no_grad():
        tokens = pixel_unshuffle(saved.encode(pictures.float() / 127.5 - 1).latent_dist.mode(), 2)
    assert torch.allclose(saved.bn.running_mean, tokens.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(saved.bn.running_var, tokens.var((0, 2, 3)), rtol=1e-3, atol=1e-6)
    encoded = latents.encode(pictures, saved, torch.device("cpu")).float()
    normal = pixel_unshuffle(encoded, 2)
    assert normal.mean((0, 2, 3)).abs().max() < 0.01
    assert (normal.std((0, 2, 3)) - 1).abs().max() < 0.05


def test_polishing_leaves_the_encoder_alone_and_lowers_the_loss(model):
    model.encoder.requires_grad_(False)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    pictures = torch.rand(4, 3, 1, 1).expand(-1, -1, 32, 32) * 2 - 1
    optimisers = optimisers_for(model, lambda name: not name.startswith("encoder"))
    losses = []
    for _ in range(20):
        loss = polish_loss(model, pictures, pictures, 1.0)
        learn(model, loss, optimisers, 2e-3)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(before[name], value) for name, value in model.encoder.state_dict().items())


def test_the_polished_autoencoder_is_taken_where_there_is_one(tmp_path):
    assert vae_folder(tmp_path) == tmp_path / "autoencoder" / "vae"
    (tmp_path / "polish" / "vae").mkdir(parents=True)
    assert vae_folder(tmp_path) == tmp_path / "polish" / "vae"


def test_shards_are_painted_once_and_read_back(tmp_path):
    settings = tmp_path / "nano.toml"
    settings.write_text("[dataset]\nshard = 4\nbatch = 2\nsizes = [[32, 32, 2], [32, 48, 1]]\n")
    dataset.main(work=tmp_path, config=settings, device="cpu")
    pictures, captions = read_shards(tmp_path, 32, 32)
    assert pictures.shape == (8, 3, 32, 32)
    assert pictures.dtype == torch.uint8
    assert len(captions) == 8
    assert read_shards(tmp_path, 32, 48)[0].shape == (4, 3, 32, 48)
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "dataset").glob("*.pt")}
    dataset.main(work=tmp_path, config=settings, device="cpu")
    assert stamps == {file: file.stat().st_mtime_ns for file in (tmp_path / "dataset").glob("*.pt")}


def test_no_seed_is_painted_twice_nor_held_out():
    config = DatasetConfig(shard=500, batch=25, sizes=((256, 256, 40), (192, 336, 10)))
    firsts = [first for first, *_ in shard_files(config, dataset.WORK)]
    assert sorted(set(firsts)) == firsts
    assert max(firsts) + config.shard < dataset.HELD_OUT


def test_latents_are_kept_with_their_captions(model, tmp_path):
    settings = tmp_path / "nano.toml"
    settings.write_text("[dataset]\nshard = 3\nbatch = 3\nsizes = [[32, 48, 1]]\n")
    dataset.main(work=tmp_path, config=settings, device="cpu")
    model.bn.running_var.fill_(4)
    model.save_pretrained(tmp_path / "autoencoder" / "vae")
    latents.main(work=tmp_path, config=settings, device="cpu")
    (group,) = latents.read_latents(tmp_path)
    assert group.values.shape == (3, 32, 4, 6)
    assert group.captions == read_shards(tmp_path, 32, 48)[1]
