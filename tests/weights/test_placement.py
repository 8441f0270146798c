"""Weights that are fetched are the same weights, and no more of them are here at a time than the plan says."""

import copy
import gc
import sys

import pytest
import torch
from diffusers import Flux2Transformer2DModel
from diffusers.hooks.group_offloading import ModuleGroup
from safetensors.torch import save_file
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM, T5Config, T5EncoderModel

from koshi_flux.errors import ModelError
from koshi_flux.weights.memory import weigh
from koshi_flux.weights.placement import hold_in, nf4_settings, place

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def transformer() -> Flux2Transformer2DModel:
    torch.manual_seed(0)
    return Flux2Transformer2DModel(
        in_channels=128,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=48,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=False,
    ).eval()


@torch.no_grad()
def velocity(transformer: Flux2Transformer2DModel) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return transformer(
        hidden_states=torch.randn(1, 16, 128, generator=generator),
        timestep=torch.full((1,), 0.5),
        encoder_hidden_states=torch.randn(1, 8, 48, generator=generator),
        img_ids=torch.zeros(16, 4),
        txt_ids=torch.zeros(8, 4),
        return_dict=False,
    )[0]


@pytest.mark.parametrize("placement", ["device", "ram", "disk"])
def test_fetched_weights_draw_the_same(transformer, placement):
    placed = place(copy.deepcopy(transformer), placement, CPU)
    for _ in range(2):
        assert (velocity(placed) - velocity(transformer)).abs().max() < (2e-6 if placement == "disk" else 1e-12)


@pytest.mark.parametrize("placement", ["ram", "disk"])
def test_no_more_than_planned_is_here_at_a_time(transformer, placement, tmp_path, monkeypatch):
    tensors = {name: value.bfloat16() for name, value in transformer.state_dict().items()}
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    part = weigh(tmp_path, "transformer")
    here: dict[int, float] = {}
    most = 0.0
    onload, offload = ModuleGroup.onload_, ModuleGroup.offload_

    def size(group: ModuleGroup) -> float:
        weights = [weight for module in group.modules for weight in module.parameters()] + list(group.parameters)
        return sum(2 * weight.numel() for weight in weights) / 2**30

    def arrive(group: ModuleGroup) -> None:
        nonlocal most
        onload(group)
        here[id(group)] = size(group)
        most = max(most, sum(here.values()))

    def leave(group: ModuleGroup) -> None:
        offload(group)
        here.pop(id(group), None)

    monkeypatch.setattr(ModuleGroup, "onload_", arrive)
    monkeypatch.setattr(ModuleGroup, "offload_", leave)
    velocity(place(copy.deepcopy(transformer), placement, CPU))
    assert part.block * 0.9 < most <= part.resident(placement) < part.whole


def test_a_text_encoder_is_fetched_leaf_by_leaf():
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    encoder = Qwen3ForCausalLM(config).eval()
    ids = torch.arange(10)[None]
    with torch.no_grad():
        before = encoder(ids, output_hidden_states=True).hidden_states[-1]
        after = place(encoder, "ram", CPU)(ids, output_hidden_states=True).hidden_states[-1]
    assert torch.equal(before, after)


def test_weights_that_two_layers_share_are_read_from_disk_by_both():
    torch.manual_seed(0)
    config = T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    encoder = T5EncoderModel(config).eval()
    assert encoder.shared.weight is encoder.encoder.embed_tokens.weight
    ids = torch.arange(10)[None]
    with torch.no_grad():
        before = encoder(ids).last_hidden_state
        after = place(encoder, "disk", CPU)(ids).last_hidden_state
    assert (before - after).abs().max() < 2e-6


def test_what_was_written_to_disk_goes_with_the_model(transformer, tmp_path, monkeypatch):
    monkeypatch.setenv("KOSHI_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache/weights/4194999-killed").mkdir(parents=True)
    placed = place(copy.deepcopy(transformer), "disk", CPU)
    (folder,) = (tmp_path / "cache/weights").iterdir()
    assert "killed" not in folder.name
    assert len(list(folder.glob("*.safetensors"))) >= 5
    del placed
    gc.collect()
    assert not folder.exists()


def test_two_models_on_disk_keep_apart(transformer):
    torch.manual_seed(1)
    other = copy.deepcopy(transformer)
    for weight in other.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    expected = velocity(other)
    first, second = (place(copy.deepcopy(model), "disk", CPU) for model in (transformer, other))
    assert (velocity(second) - expected).abs().max() < 2e-6
    assert (velocity(first) - velocity(transformer)).abs().max() < 2e-6


def test_eight_bits_halve_the_blocks_and_draw_nearly_the_same(transformer):
    held = hold_in(copy.deepcopy(transformer), "fp8", torch.float32)
    block = held.transformer_blocks[0]
    large = [weight for weight in block.parameters() if weight.ndim == 2]
    assert {weight.dtype for weight in large} == {torch.float8_e4m3fn}
    assert held.proj_out.weight.dtype == torch.float32
    drawn, true = velocity(held), velocity(transformer)
    assert 0 < (drawn - true).std() / true.std() < 0.05


def test_eight_bits_can_be_fetched_too(transformer):
    held = hold_in(copy.deepcopy(transformer), "fp8", torch.float32)
    true = velocity(held)
    assert (velocity(place(held, "disk", CPU)) - true).abs().max() < 2e-6


def test_a_missing_library_is_named(transformer, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ModelError, match=r"int8 needs torchao: pip install 'koshi-flux\[quant\]'"):
        hold_in(copy.deepcopy(transformer), "int8", torch.float32)
    monkeypatch.setattr("diffusers.utils.is_bitsandbytes_available", lambda: False)
    with pytest.raises(ModelError, match=r"nf4 needs bitsandbytes: pip install 'koshi-flux\[quant\]'"):
        nf4_settings("nf4", torch.float32)
    assert nf4_settings("bf16", torch.float32) is None
