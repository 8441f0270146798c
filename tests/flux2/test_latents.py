import torch
from diffusers import Flux2KleinPipeline
from hypothesis import given
from hypothesis import strategies as st

from koshi_flux.flux2.latents import LatentStatistics, image_ids, in_a_row, pack, text_ids, unpack

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def norm(channels: int) -> torch.nn.BatchNorm2d:
    layer = torch.nn.BatchNorm2d(channels, eps=1e-4, affine=False)
    layer.running_mean.copy_(torch.linspace(-1, 1, channels))
    layer.running_var.copy_(torch.linspace(0.25, 4, channels))
    return layer


sizes = {"channels": st.integers(1, 5), "rows": st.integers(1, 6), "columns": st.integers(1, 6)}


@given(**sizes, seed=st.integers(0, 99))
def test_law_5_unpack_undoes_pack(channels: int, rows: int, columns: int, seed: int):
    latent = noise(channels, 2 * rows, 2 * columns, seed=seed)
    tokens = pack(latent)
    assert tokens.shape == (rows * columns, 4 * channels)
    assert torch.equal(unpack(tokens, 2 * rows, 2 * columns), latent)


@given(**sizes)
def test_law_5_tokens_are_those_of_diffusers(channels: int, rows: int, columns: int):
    latent = noise(channels, 2 * rows, 2 * columns)
    blocks = Flux2KleinPipeline._patchify_latents(latent[None])
    assert torch.equal(pack(latent), Flux2KleinPipeline._pack_latents(blocks)[0])


def test_a_token_holds_a_block_of_two_by_two_channel_by_channel():
    latent = torch.arange(2 * 2 * 4).reshape(2, 2, 4).float()  # two channels of two rows: 0 1 2 3 / 4 5 6 7, 8 9 ...
    assert pack(latent).tolist() == [[0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]]


@given(rows=sizes["rows"], columns=sizes["columns"], words=st.integers(1, 9))
def test_places_are_those_of_diffusers(rows: int, columns: int, words: int):
    expected = Flux2KleinPipeline._prepare_latent_ids(torch.empty(1, 4, rows, columns))[0]
    assert torch.equal(image_ids(2 * rows, 2 * columns, CPU), expected)
    assert torch.equal(text_ids(words, CPU), Flux2KleinPipeline._prepare_text_ids(torch.empty(1, words, 3))[0])


@given(shapes=st.lists(st.tuples(sizes["rows"], sizes["columns"]), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_pictures_to_look_at_follow_with_times_of_their_own(shapes: list[tuple[int, int]], seed: int):
    pictures = [noise(1, 2 * rows, 2 * columns, seed=seed + i) for i, (rows, columns) in enumerate(shapes)]
    tokens, places = in_a_row(pictures)
    first, *others = [torch.empty(1, 4, rows, columns) for rows, columns in shapes]
    expected = [Flux2KleinPipeline._prepare_latent_ids(first)[0]]
    if others:
        expected.append(Flux2KleinPipeline._prepare_image_ids(others)[0])
    assert torch.equal(places, torch.cat(expected))
    assert torch.equal(tokens, torch.cat([pack(picture) for picture in pictures]))


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation_of_each_token_channel():
    layer = norm(8)
    raw = noise(2, 4, 6)
    expected = torch.nn.functional.batch_norm(
        Flux2KleinPipeline._patchify_latents(raw[None]), layer.running_mean, layer.running_var, eps=layer.eps
    )
    found = LatentStatistics.of(layer, CPU).normalise(raw)
    assert torch.allclose(found, Flux2KleinPipeline._unpatchify_latents(expected)[0], atol=1e-6)


def test_denormalise_undoes_normalise():
    statistics = LatentStatistics.of(norm(8), CPU)
    raw = noise(2, 4, 6)
    assert torch.allclose(statistics.denormalise(statistics.normalise(raw)), raw, atol=1e-6)


def test_statistics_are_a_copy():
    layer = norm(8)
    statistics = LatentStatistics.of(layer, CPU)
    layer.running_mean.zero_()
    assert statistics.mean.flatten().tolist() == torch.linspace(-1, 1, 8).tolist()
