import torch
from diffusers import AutoencoderKL, FluxPipeline
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.flux1.latents import LatentScale, image_ids, pack, text_ids, unpack

CPU = torch.device("cpu")

sizes = {"channels": st.integers(1, 16), "rows": st.integers(1, 6), "columns": st.integers(1, 6)}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(**sizes, seed=st.integers(0, 99))
def test_law_5_unpack_undoes_pack(channels: int, rows: int, columns: int, seed: int):
    latent = noise(channels, 2 * rows, 2 * columns, seed=seed)
    tokens = pack(latent)
    assert tokens.shape == (rows * columns, 4 * channels)
    assert torch.equal(unpack(tokens, 2 * rows, 2 * columns), latent)


@given(**sizes)
def test_law_5_tokens_are_those_of_diffusers_bit_for_bit(channels: int, rows: int, columns: int):
    latent = noise(channels, 2 * rows, 2 * columns)
    expected = FluxPipeline._pack_latents(latent[None], 1, channels, 2 * rows, 2 * columns)[0]
    assert torch.equal(pack(latent), expected)
    back = FluxPipeline._unpack_latents(expected[None], 16 * rows, 16 * columns, vae_scale_factor=8)[0]
    assert torch.equal(unpack(expected, 2 * rows, 2 * columns), back)


def test_a_token_holds_a_block_of_two_by_two_channel_by_channel():
    latent = torch.arange(2 * 2 * 4).reshape(2, 2, 4).float()  # two channels of two rows: 0 1 2 3 / 4 5 6 7, 8 9 ...
    assert pack(latent).tolist() == [[0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]]


@given(rows=sizes["rows"], columns=sizes["columns"])
def test_places_are_those_of_diffusers(rows: int, columns: int):
    expected = FluxPipeline._prepare_latent_image_ids(1, rows, columns, CPU, torch.float32)
    assert torch.equal(image_ids(2 * rows, 2 * columns, CPU).float(), expected)


def test_all_words_sit_at_the_origin():
    assert text_ids(3, CPU).tolist() == [[0, 0, 0]] * 3


def test_latents_are_shifted_then_scaled_as_the_autoencoder_states():
    scale = LatentScale.of(AutoencoderKL(scaling_factor=0.3611, shift_factor=0.1159))
    assert scale == LatentScale(shift=0.1159, factor=0.3611)
    found = scale.normalise(torch.full((1, 1, 1), 1.1159))
    assert torch.allclose(found, torch.tensor(0.3611))


def test_denormalise_undoes_normalise():
    scale = LatentScale(shift=0.1159, factor=0.3611)
    raw = noise(2, 4, 6)
    assert torch.allclose(scale.denormalise(scale.normalise(raw)), raw, atol=1e-6)
