"""LoRAs on tiny transformers, against diffusers with peft and against weights that a LoRA was added to."""

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, Flux2Transformer2DModel, FluxTransformer2DModel, ModelMixin
from diffusers.loaders import Flux2LoraLoaderMixin, FluxLoraLoaderMixin
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from koshi_flux.errors import ModelError
from koshi_flux.weights.adapters import Adapters, read_additions
from koshi_flux.weights.lora import PUBLISHED, Target, check_fit, read_lora
from koshi_flux.weights.lora_layers import LAYERS, spelled
from tests.weights.lora_files import AB, DOWN_UP, flat

CPU = torch.device("cpu")
KINDS = {"flux1": FluxTransformer2DModel, "flux2": Flux2Transformer2DModel}
LOADERS = {"flux1": FluxLoraLoaderMixin, "flux2": Flux2LoraLoaderMixin}
FAMILIES = ("flux1", "flux2")

Tensors = dict[str, Tensor]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(family: str, **changes: object) -> ModelMixin:
    torch.manual_seed(0)
    sizes = {"num_layers": 2, "num_single_layers": 2, "num_attention_heads": 2, "attention_head_dim": 32}
    common = {**sizes, "joint_attention_dim": 48, "guidance_embeds": True, **changes}
    if family == "flux1":
        return FluxTransformer2DModel(pooled_projection_dim=24, axes_dims_rope=(8, 12, 12), **common).eval()
    return Flux2Transformer2DModel(axes_dims_rope=(8, 8, 8, 8), **common).eval()


@pytest.fixture(scope="module")
def transformers() -> dict[str, ModelMixin]:
    return {family: tiny(family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def transformer(request: pytest.FixtureRequest, transformers: dict[str, ModelMixin]) -> Iterator[ModelMixin]:
    """One that is as it was when a test is over."""
    model = copy.deepcopy(transformers[request.param])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield model
    assert list(before) == list(model.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def family_of(transformer: ModelMixin) -> str:
    return next(family for family, kind in KINDS.items() if isinstance(transformer, kind))


def adapters_of(transformer: ModelMixin, dtype: torch.dtype = torch.float32) -> Adapters:
    return Adapters(transformer, "tiny", CPU, dtype)


@torch.no_grad()
def draw(transformer: ModelMixin, dtype: torch.dtype = torch.float32) -> Tensor:
    """What it makes of some noise."""
    random = torch.Generator().manual_seed(1)
    given = {"img_ids": torch.zeros(16, 4), "txt_ids": torch.zeros(6, 4)}
    channels = 128
    if family_of(transformer) == "flux1":
        channels = 64
        given = {name: ids[:, :3] for name, ids in given.items()}
        given["pooled_projections"] = torch.randn(1, 24, generator=random).to(dtype)
    return transformer(
        hidden_states=torch.randn(1, 16, channels, generator=random).to(dtype),
        encoder_hidden_states=torch.randn(1, 6, 48, generator=random).to(dtype),
        timestep=torch.tensor([0.5]),
        guidance=torch.tensor([4.0]),
        return_dict=False,
        **given,
    )[0]


def linears(transformer: torch.nn.Module) -> dict[str, torch.nn.Linear]:
    return {name: module for name, module in transformer.named_modules() if isinstance(module, torch.nn.Linear)}


def random_lora(
    sizes: Mapping[str, tuple[int, int]],
    prefix: str = "transformer.{}",
    ends: tuple[str, str] = AB,
    rank: int = 4,
    seed: int = 0,
) -> Tensors:
    """A LoRA of these layers, by name with the values they read and give."""
    random = torch.Generator().manual_seed(seed)
    made = {}
    for name, (reads, rows) in sizes.items():
        key = prefix.format(flat(name) if "_{}" in prefix else name)
        made[f"{key}.{ends[0]}"] = 0.2 * torch.randn(rank, reads, generator=random)
        made[f"{key}.{ends[1]}"] = 0.2 * torch.randn(rows, rank, generator=random)
    return made


def of_all_linears(transformer: ModelMixin, seed: int = 0) -> Tensors:
    sizes = {name: (module.in_features, module.out_features) for name, module in linears(transformer).items()}
    return random_lora(sizes, seed=seed)


def saved(folder: Path, tensors: Tensors, name: str = "style", metadata: dict[str, str] | None = None) -> Path:
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors", metadata)
    return folder / f"{name}.safetensors"


def loaded(transformer: ModelMixin, file: Path, strength: float = 1.0) -> Adapters:
    adapters = adapters_of(transformer)
    adapters.load("style", file)
    adapters.set({"style": strength})
    return adapters


def published(target: Target) -> ModelMixin:
    """Two blocks of each kind in full width, without the memory for their weights."""
    with torch.device("meta"):
        return KINDS[target.family](
            num_layers=2,
            num_single_layers=2,
            num_attention_heads=target.width // 128,
            attention_head_dim=128,
            guidance_embeds=True,
        )


DEV1, KLEIN4, DEV2 = (PUBLISHED[name] for name in ("flux.1-dev", "flux.2-klein-4b", "flux.2-dev"))


@pytest.mark.parametrize("target", [DEV1, KLEIN4, DEV2], ids=lambda target: target.name)
def test_the_layers_that_can_change_are_all_that_diffusers_has(target: Target):
    linear = linears(published(target))
    layers = LAYERS[target.family]
    for name, module in linear.items():
        assert layers[spelled(name)[0]].widths(module.in_features, module.out_features) <= {target.width}, name
    for layer in layers.values():
        assert {module.format(1) for module in layer.modules} <= set(linear), layer.name


def native_sizes(target: Target, transformer: ModelMixin) -> dict[str, tuple[int, int]]:
    """The layers of BFL's code, outside of blocks and in the first of each kind, with the values they read and give."""
    linear, sizes = linears(transformer), {}
    for layer in LAYERS[target.family].values():
        is_diffusers = layer.name in layer.modules or "transformer_blocks" in layer.name
        if not is_diffusers and "processor" not in layer.name and "linear1_qkv" not in layer.name:
            modules = [linear[module.format(0)] for module in layer.modules]
            sizes[layer.name.format(0)] = modules[0].in_features, sum(module.out_features for module in modules)
    return sizes


def answers(tensors: Tensors) -> dict[str, Tensor]:
    """What the changes of a file in diffusers' own format make of a vector, by module."""
    made = {}
    for key, value in tensors.items():
        module = key.removeprefix("transformer.").rpartition(".lo")[0]
        if key.endswith("lora_A.weight"):
            made[module] = tensors[key.replace("lora_A", "lora_B")] @ (value @ vector(value.shape[1]))
        elif key.endswith("lokr_w1"):
            other = key.replace("w1", "w2")
            right = tensors[other] if other in tensors else tensors[f"{other}_a"] @ tensors[f"{other}_b"]
            whole = torch.kron(value, right)
            made[module] = whole @ vector(whole.shape[1])
    return made


def vector(length: int) -> Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(length))


FUSED = {"to_qkv": ("to_q", "to_k", "to_v"), "to_added_qkv": ("add_q_proj", "add_k_proj", "add_v_proj")}


def compare(file: Path, target: Target) -> set[str]:
    """Does a file add what diffusers' conversion of it says? The modules that were compared."""
    expected = answers(LOADERS[target.family].lora_state_dict(load_file(file)))
    for module in [module for module in expected if module.endswith(tuple(FUSED))]:
        name, _, fused = module.rpartition(".")
        pieces = expected.pop(module).chunk(3)
        expected |= {f"{name}.{part}": piece for part, piece in zip(FUSED[fused], pieces, strict=True)}
    facts, transformer = read_lora(file), published(target)
    check_fit(facts, target)
    modules = linears(transformer)
    for module, addition in read_additions(facts, target, transformer):
        value = addition(vector(modules[module].in_features))
        torch.testing.assert_close(value, expected.pop(module), rtol=1e-4, atol=1e-4, msg=module)
    assert not expected
    return {change.key for change in facts.changes}


def with_alphas(tensors: Tensors, alpha: float, without: str = "no layer") -> Tensors:
    layers = {key.partition(".lora_")[0] for key in tensors if without not in key}
    return {**tensors, **{f"{layer}.alpha": torch.tensor(alpha) for layer in layers}}


def test_kohyas_files_for_flux1_are_read_as_diffusers_reads_them(tmp_path: Path):
    sizes = native_sizes(DEV1, published(DEV1))
    tensors = with_alphas(random_lora(sizes, "lora_unet_{}", DOWN_UP, rank=2), 1.0, without="final_layer")
    assert len(compare(saved(tmp_path, tensors), DEV1)) == 23


def test_xlabs_files_are_read_as_diffusers_reads_them(tmp_path: Path):
    double = {
        f"double_blocks.1.processor.{kind}_lora{n}": (3072, rows)
        for n in (1, 2)
        for kind, rows in (("qkv", 9216), ("proj", 3072))
    }
    single = {"single_blocks.1.processor.qkv_lora": (3072, 9216), "single_blocks.1.processor.proj_lora": (15360, 3072)}
    tensors = random_lora({**double, **single}, "{}", ("down.weight", "up.weight"), rank=2)
    assert len(compare(saved(tmp_path, tensors), DEV1)) == 6


@pytest.mark.parametrize(
    ("prefix", "ends", "unknown_to_diffusers"),
    [
        ("diffusion_model.{}", AB, ("adaLN",)),
        ("base_model.model.{}", AB, ("adaLN",)),
        ("lora_unet_{}", DOWN_UP, ("adaLN", "guidance_in", "modulation")),
    ],
)
def test_files_for_flux2_are_read_as_diffusers_reads_them(tmp_path: Path, prefix, ends, unknown_to_diffusers):
    sizes = native_sizes(KLEIN4, published(KLEIN4))
    sizes = {name: size for name, size in sizes.items() if not any(word in name for word in unknown_to_diffusers)}
    tensors = random_lora(sizes, prefix, ends, rank=2)
    tensors = with_alphas(tensors, 1.0) if ends == DOWN_UP else tensors
    assert len(compare(saved(tmp_path, tensors), KLEIN4)) == (15 if ends == DOWN_UP else 20)


@pytest.mark.parametrize(
    ("prefix", "layers"),
    [
        (
            "diffusion_model.{}",
            {"double_blocks.0.txt_attn.qkv": (3072, 9216), "double_blocks.1.img_attn.proj": (3072, 3072)},
        ),
        ("lycoris_{}", {"transformer_blocks.0.attn.to_q": (3072, 3072)}),
        ("{}", {"transformer_blocks.1.attn.to_add_out": (3072, 3072)}),
    ],
)
@pytest.mark.parametrize("decomposed", [False, True])
def test_kronecker_products_are_read_as_diffusers_reads_them(tmp_path: Path, prefix, layers, decomposed):
    tensors = {}
    for name, (reads, rows) in layers.items():
        key = f"{prefix.format(flat(name) if '_{}' in prefix else name)}.lokr_w"
        right = torch.randn(rows // 8, 2), torch.randn(2, reads // 16)
        tensors |= {f"{key}1": torch.randn(8, 16) / 10, f"{key.removesuffix('lokr_w')}alpha": torch.tensor(0.5)}
        tensors |= {f"{key}2_a": right[0], f"{key}2_b": right[1]} if decomposed else {f"{key}2": right[0] @ right[1]}
    assert len(compare(saved(tmp_path, tensors), KLEIN4)) == len(layers)


def native_weights(transformer: ModelMixin) -> Tensors:
    """The linear layers of a FLUX.2 transformer as BFL's files have them."""
    linear, native = linears(transformer), {}
    for layer in LAYERS["flux2"].values():
        if layer.name in layer.modules or "transformer_blocks" in layer.name:
            continue
        for block in range(2):
            modules = [module.format(block) for module in layer.modules]
            if set(modules) <= set(linear):
                whole = torch.cat([linear[module].weight.detach() for module in modules])
                name = layer.name.format(block)
                native[name] = torch.cat(whole.chunk(2)[::-1]) if "adaLN" in name else whole
    return native


def test_a_lora_in_bfls_names_is_the_same_as_weights_in_bfls_names_that_it_was_added_to(tmp_path: Path, transformers):
    transformer = transformers["flux2"]
    native = native_weights(transformer)
    lora = random_lora(
        {name: (weight.shape[1], weight.shape[0]) for name, weight in native.items()}, "diffusion_model.{}"
    )
    merged = {
        f"{name}.weight": weight
        + 0.7 * lora[f"diffusion_model.{name}.lora_B.weight"] @ lora[f"diffusion_model.{name}.lora_A.weight"]
        for name, weight in native.items()
    }
    reference = copy.deepcopy(transformer)
    converted = convert_flux2_transformer_checkpoint_to_diffusers(merged)
    assert set(converted) == {f"{name}.weight" for name in linears(transformer)}
    reference.load_state_dict(converted, strict=False)
    adapters = loaded(transformer, saved(tmp_path, lora), 0.7)
    torch.testing.assert_close(draw(transformer), draw(reference), rtol=1e-4, atol=1e-5)
    adapters.unload()


def peft_reference(transformer: ModelMixin, file: Path, strength: float, **given: object) -> Tensor:
    """What diffusers and peft make of it."""
    reference = copy.deepcopy(transformer)
    reference.load_lora_adapter(str(file.parent), weight_name=file.name, adapter_name="a", **given)
    reference.set_adapters(["a"], [strength])
    return draw(reference)


@pytest.mark.parametrize("strength", [1.0, -0.35])
def test_a_lora_draws_as_it_does_with_peft(transformer, tmp_path: Path, strength):
    file = saved(tmp_path, of_all_linears(transformer))
    base = draw(transformer)
    adapters = loaded(transformer, file, strength)
    ours = draw(transformer)
    assert (ours - base).abs().max() > 0.05
    torch.testing.assert_close(
        ours, peft_reference(unhooked(transformer, adapters), file, strength), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(draw(transformer), base)


def unhooked(transformer: ModelMixin, adapters: Adapters) -> ModelMixin:
    adapters.unload()
    return transformer


def test_a_scale_in_the_header_counts_as_it_does_with_peft(transformer, tmp_path: Path):
    tensors = of_all_linears(transformer)
    settings = '{"transformer.r": 4, "transformer.lora_alpha": 2, "transformer.alpha_pattern": {"to_out.0": 7}}'
    settings = settings[:-1] + f', "transformer.target_modules": {list(linears(transformer))}}}'.replace("'", '"')
    file = saved(tmp_path, tensors, metadata={"lora_adapter_metadata": settings})
    expected = peft_reference(transformer, file, 1.0)
    adapters = loaded(transformer, file)
    torch.testing.assert_close(draw(transformer), expected, rtol=1e-4, atol=1e-5)
    adapters.unload()


def test_a_scale_beside_each_layer_counts(transformer, tmp_path: Path):
    tensors = of_all_linears(transformer)
    doubled = {key: 2 * value if "lora_B" in key else value for key, value in tensors.items()}
    adapters = loaded(transformer, saved(tmp_path, doubled))
    expected = draw(transformer)
    adapters.unload()
    adapters = loaded(transformer, saved(tmp_path, with_alphas(tensors, 8.0)))
    assert torch.equal(draw(transformer), expected)
    adapters.unload()


def test_at_strength_0_it_is_the_model_itself_to_the_bit(transformer, tmp_path: Path):
    base = draw(transformer)
    adapters = loaded(transformer, saved(tmp_path, of_all_linears(transformer)))
    assert not torch.equal(draw(transformer), base)
    for nothing in ({"style": 0.0}, {}, {"style": -0.0}):
        adapters.set({"style": 1.0})
        adapters.set(nothing)
        assert torch.equal(draw(transformer), base)
    adapters.unload()
    assert torch.equal(draw(transformer), base)
    assert not any(module._forward_hooks for module in transformer.modules())


def test_a_transformer_is_saved_without_its_loras(transformer, tmp_path: Path):
    transformer.save_pretrained(tmp_path / "before")
    adapters = loaded(transformer, saved(tmp_path, of_all_linears(transformer)))
    transformer.save_pretrained(tmp_path / "with")
    adapters.unload()
    transformer.save_pretrained(tmp_path / "after")
    name = "diffusion_pytorch_model.safetensors"
    before, during, after = ((tmp_path / folder / name).read_bytes() for folder in ("before", "with", "after"))
    assert before == during == after


def test_several_loras_add_up(transformer, tmp_path: Path):
    first, second = (of_all_linears(transformer, seed) for seed in (1, 2))
    files = {"one": saved(tmp_path, first, "one"), "two": saved(tmp_path, second, "two")}
    adapters = adapters_of(transformer)
    assert list(adapters.replace(files)) == ["one", "two"]
    adapters.set({"two": 0.5, "one": 0.25})
    both = draw(transformer)
    joined = {
        key: torch.cat([0.25 * value, 0.5 * second[key]], 1) if "lora_B" in key else torch.cat([value, second[key]])
        for key, value in first.items()
    }
    adapters.replace({"joined": saved(tmp_path, joined, "joined")})
    assert adapters.names == ("joined",)
    adapters.set({"joined": 1.0})
    torch.testing.assert_close(draw(transformer), both, rtol=1e-4, atol=1e-5)
    adapters.unload()


def test_a_lora_may_change_few_layers(transformer, tmp_path: Path):
    name = "transformer_blocks.1.attn.to_v"
    adapters = loaded(transformer, saved(tmp_path, random_lora({name: (64, 64)})))
    assert [module for module, found in transformer.named_modules() if found._forward_hooks] == [name]
    adapters.unload()


def no_number(transformer: ModelMixin) -> Tensors:
    tensors = of_all_linears(transformer)
    tensors[next(key for key in tensors if "to_v.lora_B" in key)][3] = torch.nan
    return tensors


def of_another_size(transformer: ModelMixin) -> Tensors:
    return of_all_linears(transformer) | random_lora({"context_embedder": (40, 64)})


def with_a_layer_of_its_own(transformer: ModelMixin) -> Tensors:
    return of_all_linears(transformer) | random_lora({"transformer_blocks.0.attn.to_x": (64, 64)})


def of_a_deeper_model(transformer: ModelMixin) -> Tensors:
    return of_all_linears(transformer) | random_lora({"transformer_blocks.9.attn.to_q": (64, 64)})


def of_the_other_family(transformer: ModelMixin) -> Tensors:
    return of_all_linears(tiny("flux2" if family_of(transformer) == "flux1" else "flux1"))


REFUSED = {
    no_number: "is damaged: .* holds values that are no numbers",
    of_another_size: "its context_embedder has 40 to 64 values, the model's 48 to 64",
    with_a_layer_of_its_own: "changes layers that no FLUX.[12] has: transformer.transformer_blocks.0.attn.to_x;",
    of_a_deeper_model: r"does not fit tiny: it touches double block 9, the model has 2",
    of_the_other_family: "was trained for FLUX",
}


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.__name__)
def test_after_a_failed_load_all_is_as_before(transformer, tmp_path: Path, bad: Callable[[ModelMixin], Tensors]):
    base = draw(transformer)
    file = saved(tmp_path, bad(transformer), "bad")
    good = saved(tmp_path, of_all_linears(transformer), "good")
    adapters = adapters_of(transformer)
    with pytest.raises(ModelError, match=REFUSED[bad]):
        adapters.load("style", file)
    assert adapters.names == ()
    assert not any(module._forward_hooks for module in transformer.modules())
    assert torch.equal(draw(transformer), base)
    adapters.load("good", good)
    adapters.set({"good": 0.5})
    drawn = draw(transformer)
    for failing in (lambda: adapters.load("style", file), lambda: adapters.replace({"new": good, "style": file})):
        with pytest.raises(ModelError, match=REFUSED[bad]):
            failing()
        assert adapters.names == ("good",)
        assert torch.equal(draw(transformer), drawn)
    adapters.unload()


def test_a_layer_that_this_very_model_lacks_is_named(tmp_path: Path):
    without = tiny("flux1", guidance_embeds=False)
    file = saved(tmp_path, random_lora({"time_text_embed.guidance_embedder.linear_2": (64, 64)}))
    with pytest.raises(
        ModelError, match=r"changes time_text_embed\.guidance_embedder\.linear_2, which tiny does not have"
    ):
        adapters_of(without).load("style", file)


def test_names_are_unique_and_known(transformer, tmp_path: Path):
    adapters = loaded(transformer, saved(tmp_path, of_all_linears(transformer)), 0.5)
    drawn = draw(transformer)
    with pytest.raises(ModelError, match="a LoRA named 'style' is loaded already"):
        adapters.load("style", tmp_path / "style.safetensors")
    with pytest.raises(ModelError, match="there is no LoRA ink; loaded are: style"):
        adapters.set({"style": 1.0, "ink": 1.0})
    assert torch.equal(draw(transformer), drawn)
    adapters.unload()
    with pytest.raises(ModelError, match="loaded are: none"):
        adapters.set({"style": 1.0})


def test_other_models_take_no_loras():
    with torch.device("meta"):
        other = AutoencoderTiny()
    with pytest.raises(ModelError, match="tiny takes no LoRAs: its transformer is a AutoencoderTiny"):
        adapters_of(other)


@pytest.mark.parametrize("plan", ["bf16", "fp8", "group offload", "leaf offload"])
def test_loras_work_however_the_weights_are_held(tmp_path: Path, plan):
    model = tiny("flux2")
    file = saved(tmp_path, of_all_linears(model))
    exact = copy.deepcopy(model)
    loaded(exact, file)
    dtype = torch.float32
    if plan == "bf16":
        model, dtype = model.to(torch.bfloat16), torch.bfloat16
    elif plan == "fp8":
        model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    else:
        level = {"group offload": "block_level", "leaf offload": "leaf_level"}[plan]
        model.enable_group_offload(CPU, CPU, offload_type=level, num_blocks_per_group=1)
    adapters = adapters_of(model, dtype)
    base = draw(model, dtype)
    adapters.load("style", file)
    adapters.set({"style": 1.0})
    drawn = draw(model, dtype)
    adapters.set({})
    assert torch.equal(draw(model, dtype), base)
    if "offload" in plan:
        assert torch.equal(drawn, draw(exact))
    else:
        assert drawn.dtype == dtype
        assert (drawn.float() - draw(exact)).abs().max() < 0.5 * (drawn - base).abs().max()
