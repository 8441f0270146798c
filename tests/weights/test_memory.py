"""The plan that is picked, the peak it promises, and what is said where nothing fits."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.flux1.config import FLUX_1_DEV
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.memory import AUTOENCODER, Machine, MemoryPlan, Need, Part, plan_memory, weigh, weigh_alone
from koshi_flux.weights.model_files import ModelFiles, find_model
from tests.weights.single_files import bfl_autoencoder, bfl_transformer, prefixed, save, save_gguf, weights_of

KLEIN_9B = Need(Part(16.9, 0.6), Part(15.3, 0.4), 1024 * 1024)

PLANS = (("device", False), ("ram", False), ("ram", True))


def cuda(free: float, ram: float = 64.0) -> Machine:
    return Machine("cuda", free, ram)


@pytest.mark.parametrize(
    ("free", "ram", "expected"),
    [
        (80, 64, ("bf16", "device", "device")),
        (24, 64, ("bf16", "device", "device")),
        (18, 64, ("fp8", "device", "device")),
        (15, 64, ("fp8", "device", "ram")),
        (8, 64, ("bf16", "ram", "ram")),
        (8, 12, ("bf16", "disk", "disk")),
    ],
)
def test_the_fastest_that_fits_is_picked(free, ram, expected):
    plan = plan_memory(KLEIN_9B, cuda(free, ram))
    assert (plan.precision, plan.transformer, plan.encoder) == expected


def test_the_peak_is_the_larger_of_reading_and_drawing():
    plan = plan_memory(KLEIN_9B, cuda(80))
    assert plan.peak_gb == pytest.approx(16.9 + AUTOENCODER + 3.0)
    assert plan_memory(Need(Part(1, 0.1), Part(15.3, 0.4), 2**20), cuda(80)).peak_gb == pytest.approx(15.3)


def test_offloading_holds_two_blocks_and_the_rest_beside():
    plan = plan_memory(KLEIN_9B, cuda(8), memory="offload")
    assert plan.peak_gb == pytest.approx(2 * 0.6 + AUTOENCODER + 3.0)
    assert plan.ram_gb == pytest.approx(16.9)


def test_more_than_a_megapixel_is_decoded_in_tiles():
    small, large = (plan_memory(Need(Part(1, 0.1), Part(1, 0.1), pixels), cuda(80)) for pixels in (2**20, 2**20 + 256))
    assert (small.tiled, large.tiled) == (False, True)


def test_a_cpu_computes_in_fp32_where_it_can_and_reads_from_disk_where_it_must():
    plans = [plan_memory(KLEIN_9B, Machine("cpu", free, free)) for free in (64, 32, 12)]
    assert [(plan.precision, plan.transformer) for plan in plans] == [
        ("fp32", "device"),
        ("bf16", "device"),
        ("fp32", "disk"),
    ]


@given(free=st.floats(0.5, 100), ram=st.floats(0, 200), device=st.sampled_from(["cuda", "mps", "cpu"]))
def test_what_is_picked_fits_and_more_memory_never_gives_a_later_plan(free, ram, device):
    machine, larger = Machine(device, free, ram), Machine(device, 2 * free, ram)
    try:
        plan = plan_memory(KLEIN_9B, machine)
    except ModelError as too_large:
        assert "free on" in str(too_large)  # noqa: PT017 - either outcome is right, for different machines
        return
    assert plan.fits(machine)
    better = plan_memory(KLEIN_9B, larger)
    assert better.transformer == "device" or plan.transformer != "device"


def test_what_is_too_large_is_told_with_the_least_it_needs():
    with pytest.raises(ModelError, match=r"too large for this machine: .*1\.5 GB are free on cuda.*smaller model"):
        plan_memory(KLEIN_9B, cuda(1.5))
    with pytest.raises(ModelError, match="try --memory auto"):
        plan_memory(KLEIN_9B, cuda(8), memory="full")


def test_unknown_words_are_told():
    with pytest.raises(SettingsError, match="memory: should be one of auto, full, offload, minimal, got 'low'"):
        plan_memory(KLEIN_9B, cuda(8), memory="low")
    with pytest.raises(SettingsError, match="precision: 'nf4' does not work on cpu; there are auto, fp32"):
        plan_memory(KLEIN_9B, Machine("cpu", 64, 64), precision="nf4")


def test_after_running_out_the_next_plan_is_named_until_there_is_none():
    full, offload, minimal = (MemoryPlan("bf16", place, place, tiled) for place, tiled in PLANS)
    assert full.relief == "take --memory offload, or --memory minimal"
    assert offload.relief == "take --memory minimal"
    assert minimal.relief == "take a smaller size or a smaller model"


def test_a_plan_says_what_it_does():
    plan = plan_memory(KLEIN_9B, cuda(8))
    assert plan.in_words() == (
        "transformer in bf16 fetched from main memory block by block: about 4.4 GB at most and 16.9 GB of main memory"
    )


def test_weights_are_weighed_by_their_headers(tmp_path):
    tensors = {
        "transformer_blocks.0.a": torch.zeros(1000, 100),
        "transformer_blocks.1.a": torch.zeros(3000, 100),
        "single_transformer_blocks.1.a": torch.zeros(2000, 100),
        "x_embedder.weight": torch.zeros(500, 100),
    }
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    part = weigh(tmp_path, "transformer")
    assert part.whole * 2**30 == pytest.approx(2 * 650_000)
    assert part.block * 2**30 == pytest.approx(2 * 350_000)


def test_shards_are_weighed_together(tmp_path):
    for number in (1, 2):
        save_file({f"layers.{number}.w": torch.zeros(1000)}, tmp_path / f"model-{number}.safetensors")
    index = {"weight_map": {f"layers.{number}.w": f"model-{number}.safetensors" for number in (1, 2)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weigh(tmp_path, "text_encoder").whole * 2**30 == pytest.approx(4000)


def test_of_a_whole_checkpoint_each_part_is_weighed_alone(flux1_folder, tmp_path):
    transformer, vae = weights_of(flux1_folder / "transformer"), weights_of(flux1_folder / "vae")
    checkpoint = save(
        prefixed(bfl_transformer(transformer), "model.diffusion_model.") | prefixed(bfl_autoencoder(vae), "vae."),
        tmp_path / "all.safetensors",
    )
    files = find_model(checkpoint, text_encoder=str(flux1_folder), known=())
    need, folder = (Need.of(FLUX_1_DEV, each, (64, 64)) for each in (files, ModelFiles(flux1_folder)))
    assert need.transformer.whole * 2**30 == pytest.approx(2 * sum(each.numel() for each in transformer.values()))
    assert need.transformer.whole == pytest.approx(folder.transformer.whole)
    assert need.transformer.block == pytest.approx(folder.transformer.block)
    assert need.encoder == folder.encoder
    assert weigh(checkpoint, "vae").whole * 2**30 == pytest.approx(2 * sum(each.numel() for each in vae.values()))


PACKED = Need(Part(7.0, 0.2, packed=True), Part(9.1, 0.3), 2**20)


def test_packed_weights_are_weighed_as_they_are(flux1_folder, tmp_path):
    """Q8_0 holds 32 values in 34 bytes."""
    weights = {
        name: each if each.dim() == 2 and each.shape[1] % 32 == 0 else each.half()
        for name, each in bfl_transformer(weights_of(flux1_folder / "transformer")).items()
    }
    file = save_gguf(weights, tmp_path / "model.gguf", "Q8_0")
    sizes = [
        each.numel() * (34 / 32 if each.dim() == 2 and each.shape[1] % 32 == 0 and not name.startswith(_LOOSE) else 2)
        for name, each in weights.items()
    ]
    beside = {"vae": f"{flux1_folder}/vae", "text_encoder": str(flux1_folder)}
    need = Need.of(FLUX_1_DEV, find_model(file, **beside, known=()), (64, 64))
    assert need.transformer.packed
    assert need.transformer.whole * 2**30 == pytest.approx(sum(sizes))
    assert 0 < need.transformer.block < need.transformer.whole
    plain = save_gguf(weights, tmp_path / "plain.gguf", "F16")
    assert not Need.of(FLUX_1_DEV, find_model(plain, **beside, known=()), (64, 64)).transformer.packed


_LOOSE = ("img_in", "time_in", "final_layer")
"""What `save_gguf` does not pack."""


def test_packed_weights_stay_in_their_bits_whatever_is_computed_in():
    plans = [plan_memory(PACKED, machine, "full") for machine in (cuda(80), Machine("cpu", 80, 80))]
    assert plans[0].peak_gb == pytest.approx(7.0 + AUTOENCODER + 3.0)
    assert plans[1].peak_gb == pytest.approx(max(7.0 + 2 * (AUTOENCODER + 3.0), 2 * 9.1))
    assert plans[0].in_words().startswith("transformer in its own bits on the device")


@given(
    free=st.floats(0.5, 40),
    ram=st.floats(0, 64),
    device=st.sampled_from(["cuda", "mps", "cpu"]),
    memory=st.sampled_from(["auto", "full", "offload", "minimal"]),
)
def test_packed_weights_are_never_fetched_from_disk(free, ram, device, memory):
    """A GGUF on disk would be refused once it is loaded."""
    try:
        plan = plan_memory(PACKED, Machine(device, free, ram), memory)
    except ModelError as refused:
        assert "too large" in str(refused) or "cannot be fetched from disk" in str(refused)  # noqa: PT017 - as above
        return
    assert plan.transformer != "disk"


def test_where_packed_weights_could_only_be_fetched_from_disk_it_is_said_at_once():
    with pytest.raises(ModelError, match=r"packed weights.* as memory = 'offload' asks for on cpu: take --memory auto"):
        plan_memory(PACKED, Machine("cpu", 80, 80), "offload")


def test_what_computes_beside_the_transformer_counts_and_waits_with_it(tmp_path):
    net = {"transformer_blocks.0.a": torch.zeros(3000, 100), "x_embedder.weight": torch.zeros(500, 100)}
    save_file(net, tmp_path / "diffusion_pytorch_model.safetensors")
    save_file({"double_blocks.0.k": torch.zeros(10, 10)}, tmp_path / "alone.safetensors")
    part = weigh_alone(tmp_path)
    assert (part.whole * 2**30, part.block * 2**30) == (pytest.approx(700_000), pytest.approx(700_000))
    assert weigh_alone(tmp_path / "alone.safetensors").whole * 2**30 == 200
    spec = FluxSpec(name="x", family="flux1", channels=16, memory_gb=(12.0, 6.0))
    assert Need.of(spec, None, (64, 64), [tmp_path]).beside == (part,)
    held = Need(Part(12, 1), Part(6, 0.5), 2**20, beside=(Part(2, 0.5), Part(3, 0.25)))
    assert plan_memory(held, cuda(80)).peak_gb == pytest.approx(12 + 5 + AUTOENCODER + 3.0)
    assert plan_memory(held, cuda(80), precision="fp8").peak_gb == pytest.approx(6 + 5 + AUTOENCODER + 3.0)
    fetched = plan_memory(held, cuda(12), memory="offload")
    assert fetched.peak_gb == pytest.approx(2 * (1 + 0.5 + 0.25) + AUTOENCODER + 3.0)
    assert fetched.ram_gb == pytest.approx(12 + 5)


def test_a_model_that_is_not_here_is_guessed_from_its_row():
    spec = FluxSpec(name="x", family="flux2", channels=32, memory_gb=(12.0, 6.0))
    need = Need.of(spec, None, (512, 512))
    assert (need.transformer.whole, need.transformer.block, need.encoder.whole) == (12.0, 1.0, 6.0)
    assert need.pixels == 512 * 512


def test_a_plan_without_sizes_is_one():
    assert MemoryPlan().precision == "bf16"
