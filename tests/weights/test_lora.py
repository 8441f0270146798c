import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.errors import ModelError
from koshi_flux.weights import hub
from koshi_flux.weights.lora import PUBLISHED, LoraFacts, Target, check_fit, check_loras, read_lora
from koshi_flux.weights.lora_layers import LAYERS, Layer
from tests.weights.lora_files import AB, DOWN_UP, factors, flat, write

DEV1, KLEIN4, KLEIN9, DEV2 = (
    PUBLISHED[name] for name in ("flux.1-dev", "flux.2-klein-4b", "flux.2-klein-9b", "flux.2-dev")
)
SHAPES = {model.name: model for model in (DEV1, KLEIN4, KLEIN9, DEV2)}

NATIVE = {
    "flux1": {"double_blocks.18.img_attn.qkv": (1, 3), "single_blocks.37.linear1": (1, 7)},
    "flux2": {"double_blocks.4.img_attn.qkv": (1, 3), "single_blocks.19.linear1": (1, 9)},
}
MODULES = {
    "flux1": {"transformer_blocks.18.attn.to_out.0": (1, 1), "single_transformer_blocks.37.proj_mlp": (1, 4)},
    "flux2": {
        "transformer_blocks.4.attn.to_out.0": (1, 1),
        "single_transformer_blocks.19.attn.to_qkv_mlp_proj": (1, 9),
    },
}
"""Layers by name in BFL's code and in diffusers, with the values they read and give, in widths of the model."""

BARE, DIFFUSERS, COMFY, KOHYA = (
    ("{}", AB),
    ("transformer.{}", AB),
    ("diffusion_model.{}", AB),
    ("lora_unet_{}", DOWN_UP),
)
"""How layers and tensors are named."""

LAYOUTS = [
    ("diffusers", "transformer.{}", MODULES, AB),
    ("diffusers", "transformer.{}", MODULES, ("lora_A.default.weight", "lora_B.default.weight")),
    ("diffusers", "transformer.{}", MODULES, DOWN_UP),
    ("diffusers", "transformer.{}", MODULES, ("lora.down.weight", "lora.up.weight")),
    ("diffusers", "transformer.{}", MODULES, ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight")),
    ("bare", "{}", MODULES, AB),
    ("bare", "{}", NATIVE, AB),
    ("kohya", "lora_unet_{}", NATIVE, DOWN_UP),
    ("kohya", "lora_unet_{}", MODULES, DOWN_UP),
    ("kohya", "lora_unet_{}_", MODULES, DOWN_UP),
    ("ComfyUI", "diffusion_model.{}", NATIVE, AB),
    ("ComfyUI", "diffusion_model.{}", NATIVE, DOWN_UP),
    ("ComfyUI", "diffusion_model.{}", MODULES, AB),
    ("ComfyUI", "model.diffusion_model.{}", NATIVE, AB),
    ("peft", "base_model.model.{}", NATIVE, AB),
    ("peft", "base_model.model.{}", MODULES, AB),
    ("peft", "base_model.model.transformer.{}", MODULES, AB),
    ("OneTrainer", "lora_transformer_{}", MODULES, DOWN_UP),
    ("LyCORIS", "lycoris_{}", MODULES, DOWN_UP),
]


def made(folder: Path, sizes, naming=BARE, *, width=3072, metadata=None, extra=None) -> LoraFacts:
    """What is read of a file that changes these layers, sizes in widths of the model."""
    shapes = {}
    prefix, ends = naming
    for name, (reads, rows) in sizes.items():
        key = prefix.format(flat(name) if "_{}" in prefix else name)
        shapes |= factors(key, reads * width, rows * width, ends=ends)
    return read_lora(write(folder / "style.safetensors", {**shapes, **(extra or {})}, metadata))


def refusal(facts: LoraFacts, target: Target) -> str:
    with pytest.raises(ModelError) as refused:
        check_fit(facts, target)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("family", ["flux1", "flux2"])
@pytest.mark.parametrize(("layout", "prefix", "layers", "ends"), LAYOUTS)
def test_every_layout_is_read(tmp_path: Path, family, layout, prefix, layers, ends):
    facts = made(tmp_path, layers[family], (prefix, ends))
    assert (facts.families, facts.layout, facts.unknown, facts.foreign) == ((family,), layout, (), "")
    assert (facts.ranks, facts.widths) == ((4,), (3072,))
    assert facts.blocks == ((18, 37) if family == "flux1" else (4, 19))
    check_fit(facts, DEV1 if family == "flux1" else KLEIN4)
    assert refusal(facts, KLEIN4 if family == "flux1" else DEV1).startswith(
        f"style.safetensors was trained for {'FLUX.1' if family == 'flux1' else 'FLUX.2'} (it has "
    )


def test_xlabs_names_are_read(tmp_path: Path):
    ends = ("down.weight", "up.weight")
    double = {
        f"double_blocks.3.processor.{name}": (1, rows) for name, rows in {"qkv_lora1": 3, "proj_lora2": 1}.items()
    }
    facts = made(tmp_path, {**double, "single_blocks.7.processor.qkv_lora": (1, 3)}, ("{}", ends))
    assert (facts.families, facts.blocks, facts.layout) == (("flux1",), (3, 7), "bare")
    check_fit(facts, DEV1)


@pytest.mark.parametrize(
    "parts",
    [
        {"lokr_w1": (4, 4), "lokr_w2": (768 * 9, 768)},
        {"lokr_w1": (9, 4), "lokr_w2_a": (3072, 8), "lokr_w2_b": (8, 768)},
        {"lokr_w1_a": (9, 2), "lokr_w1_b": (2, 4), "lokr_w2_a": (3072, 8), "lokr_w2_b": (8, 768)},
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "diffusion_model.single_blocks.3.linear1",
        "lycoris_single_transformer_blocks_3_attn_to_qkv_mlp_proj",
        "transformer.single_transformer_blocks.3.attn.to_qkv_mlp_proj",
        "single_transformer_blocks.3.attn.to_qkv_mlp_proj",
    ],
)
def test_kronecker_products_are_read(tmp_path: Path, name, parts):
    shapes = {f"{name}.{part}": shape for part, shape in parts.items()}
    facts = read_lora(write(tmp_path / "k.safetensors", {**shapes, f"{name}.alpha": ()}))
    assert (facts.families, facts.widths, facts.blocks) == (("flux2",), (3072,), (-1, 3))
    assert facts.ranks == ((8,) if "lokr_w2_a" in parts else (0,))
    assert facts.in_words().startswith("k.safetensors: LoKr of rank ")
    check_fit(facts, KLEIN4)


def test_published_models_are_what_their_configs_say():
    config = {"_class_name": "Flux2Transformer2DModel", "num_layers": 5, "num_single_layers": 20}
    config |= {"num_attention_heads": 24, "attention_head_dim": 128}
    assert Target.of_config("flux.2-klein-4b", config) == KLEIN4
    with pytest.raises(ModelError, match="takes no LoRAs: its transformer is a UNet"):
        Target.of_config("sdxl", {"_class_name": "UNet"})


def whole(target: Target, native: bool) -> dict[str, tuple[int, int]]:
    """Layers of the last blocks of a model."""
    double, single = target.double_blocks - 1, target.single_blocks - 1
    reads = {"flux1": 5, "flux2": 4}[target.family]
    if native:
        return {f"double_blocks.{double}.img_attn.qkv": (1, 3), f"single_blocks.{single}.linear2": (reads, 1)}
    out = {"flux1": "proj_out", "flux2": "attn.to_out"}[target.family]
    return {
        f"transformer_blocks.{double}.attn.to_q": (1, 1),
        f"single_transformer_blocks.{single}.{out}": (reads, 1),
    }


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("trained", "used"), list(product(SHAPES.values(), repeat=2)), ids=lambda target: target.name)
def test_a_lora_fits_the_model_that_it_was_trained_for_and_no_other(tmp_path: Path, trained, used, native):
    facts = made(tmp_path, whole(trained, native), width=trained.width)
    if trained == used:
        check_fit(facts, used)
    else:
        said = refusal(facts, used)
        assert f"trained for {trained.name if trained.family == used.family else trained.name[:6].upper()}" in said
        assert said.endswith(f"give a LoRA that was trained for {used.name}")


def test_a_flux1_lora_of_klein_4bs_width_is_refused_by_name(tmp_path: Path):
    facts = made(tmp_path, {"single_transformer_blocks.0.proj_mlp": (1, 4)}, DIFFUSERS)
    assert refusal(facts, KLEIN4) == (
        "style.safetensors was trained for FLUX.1 (it has transformer.single_transformer_blocks.0.proj_mlp); "
        "flux.2-klein-4b is a FLUX.2: give a LoRA that was trained for flux.2-klein-4b"
    )
    facts = made(tmp_path, {"double_blocks.0.img_mlp.0": (1, 4)}, KOHYA)
    assert "(it has lora_unet_double_blocks_0_img_mlp_0 of 3072 to 12288 values)" in refusal(facts, KLEIN4)
    facts = made(tmp_path, {"transformer_blocks.8.attn.to_q": (1, 1)}, DIFFUSERS)
    assert "(it has block 8 of a model 3072 wide)" in refusal(facts, KLEIN4)


def test_a_lora_for_a_deeper_or_wider_model_says_which(tmp_path: Path):
    facts = made(tmp_path, {"double_blocks.5.img_mlp.0": (1, 6)}, COMFY, width=4096)
    assert refusal(facts, KLEIN4).startswith(
        "style.safetensors does not fit flux.2-klein-4b: diffusion_model.double_blocks.5.img_mlp.0 has 4096 to 24576 "
        "values, as in a model 4096 wide, and this one is 3072 wide; it was trained for flux.2-klein-9b; give"
    )
    shallow = replace(KLEIN9, name="half", single_blocks=12)
    facts = made(tmp_path, {"single_blocks.23.linear2": (4, 1)}, width=4096)
    assert refusal(facts, shallow) == (
        "style.safetensors does not fit half: it touches single block 23, the model has 12 (counted from 0); "
        "it was trained for flux.2-klein-9b; give a LoRA that was trained for half"
    )


def test_sizes_that_contradict_each_other_are_refused(tmp_path: Path):
    shapes = factors("transformer.transformer_blocks.0.attn.to_q", 3072, 4096)
    facts = read_lora(write(tmp_path / "style.safetensors", shapes))
    assert facts.widths == (3072, 4096)
    assert "has 3072 to 4096 values, as in a model 4096 wide" in refusal(facts, KLEIN4)


def test_layers_that_no_model_has_are_named(tmp_path: Path):
    good = {f"transformer_blocks.{n}.attn.to_q": (1, 1) for n in range(5)}
    odd = {f"transformer_blocks.0.attn.to_{word}": (1, 1) for word in ("x", "y", "z", "w")}
    facts = made(tmp_path, {**good, **odd}, DIFFUSERS)
    said = refusal(facts, KLEIN4)
    assert "changes layers that no FLUX.2 has: transformer.transformer_blocks.0.attn.to_x, " in said
    assert said.endswith("to_z and 1 more; give a LoRA that was trained for flux.2-klein-4b")
    facts = made(tmp_path, good, extra={"transformer_blocks.0.attn.to_q.surprise": (3,)})
    assert "no FLUX.2 has: transformer_blocks.0.attn.to_q.surprise; give" in refusal(facts, KLEIN4)


def test_a_mixture_of_both_families_fits_neither(tmp_path: Path):
    mixed = {"attn.to_q": (1, 1), "ff.net.2": (4, 1), "ff.linear_in": (1, 6)}
    facts = made(tmp_path, {f"transformer_blocks.0.{name}": size for name, size in mixed.items()})
    assert "no FLUX.1 has: transformer_blocks.0.ff.linear_in;" in refusal(facts, DEV1)
    assert "transformer_blocks.0.ff.net.2;" in refusal(facts, KLEIN4)


@pytest.mark.parametrize(
    ("base", "families"),
    [
        ({}, ("flux1", "flux2")),
        ({"ss_base_model_version": "flux1"}, ("flux1",)),
        ({"modelspec.architecture": "flux-1-dev/lora"}, ("flux1",)),
        ({"modelspec.architecture": "Flux.2-klein-4b/lora"}, ("flux2",)),
        ({"ss_sd_model_name": "flux-2-klein-base-4b.safetensors"}, ("flux2",)),
    ],
)
def test_what_names_and_sizes_leave_open_the_trainer_decides(tmp_path: Path, base, families):
    facts = made(tmp_path, {"double_blocks.4.img_attn.qkv": (1, 3)}, metadata=base)
    assert facts.families == families
    for target in (DEV1, KLEIN4):
        if target.family in families:
            check_fit(facts, target)
        else:
            assert "as its base model)" in refusal(facts, target)


def test_what_a_trainer_says_does_not_overrule_the_layers(tmp_path: Path):
    facts = made(tmp_path, {"single_blocks.0.linear1": (1, 7)}, metadata={"ss_base_model_version": "flux2"})
    assert facts.families == ("flux1",)


SDXL = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (factors(SDXL, 2048, 640, ends=DOWN_UP), f"a LoRA for Stable Diffusion XL (it has {SDXL})"),
        (
            factors("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768, 320, ends=DOWN_UP),
            "a LoRA for Stable Diffusion 1.5 (it has lora_unet_down_blocks_0",
        ),
        (
            {
                "lora_unet_mid_block_x.lora_down.weight": (4, 9, 3, 3),
                "lora_unet_mid_block_x.lora_up.weight": (9, 4, 1, 1),
            },
            "a LoRA for Stable Diffusion (it has lora_unet_mid_block_x)",
        ),
        (factors("diffusion_model.joint_blocks.0.x_block.attn.qkv", 9, 9), "a LoRA for Stable Diffusion 3"),
        (factors("diffusion_model.blocks.0.self_attn.q", 9, 9), "a LoRA for Wan"),
        (factors("diffusion_model.layers.0.attention.to_q", 9, 9), "a LoRA for Z-Image or Lumina 2"),
        (factors("transformer.transformer_blocks.0.img_mlp.net.2", 9, 9), "a LoRA for Qwen-Image"),
        (factors("diffusion_model.distilled_guidance_layer.in_proj", 9, 9), "a LoRA for Chroma"),
        (factors("diffusion_model.content_mode_blocks.0.q_proj", 9, 9), "a LoRA for FLUX.3"),
        (factors("unheard.of", 9, 9), "no LoRA for FLUX (it has unheard.of)"),
        (factors("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768, 3072), "a LoRA for the text encoder alone"),
        ({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}, "a model, not a LoRA"),
        ({"transformer_blocks.0.attn.to_q.dora_scale": (3072,)}, "a DoRA; only plain LoRAs and LoKrs can be used"),
        ({"lora_unet_img_in.hada_w1_a": (64, 4)}, "a LoHa;"),
        ({"lora_unet_img_in.oft_blocks": (64, 4)}, "an OFT;"),
        ({"double_blocks.0.img_attn.norm.query_norm.scale": (128,)}, "a control LoRA (FLUX.1 Canny or Depth"),
    ],
)
def test_what_is_no_lora_for_flux_is_called_by_its_name(tmp_path: Path, shapes, says):
    facts = read_lora(write(tmp_path / "style.safetensors", shapes))
    assert facts.families == ()
    assert facts.foreign.startswith(says)
    assert facts.foreign in facts.in_words()
    assert refusal(facts, DEV1).startswith(f"style.safetensors is {says}")


def test_a_dora_is_known_by_its_settings_too(tmp_path: Path):
    settings = {"lora_adapter_metadata": json.dumps({"transformer.use_dora": True})}
    assert made(tmp_path, MODULES["flux1"], DIFFUSERS, metadata=settings).foreign.startswith("a DoRA")


def test_what_films_do_not_use_is_said(tmp_path: Path):
    extra = {
        **factors("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768, 3072, ends=DOWN_UP),
        "diffusion_model.double_blocks.0.img_attn.norm.query_norm.scale.diff": (128,),
        "diffusion_model.double_blocks.0.img_attn.qkv.diff_b": (9216,),
    }
    facts = made(tmp_path, NATIVE["flux1"], KOHYA, extra=extra)
    assert facts.left_out == ("its changes to the text encoder", "its whole differences (of biases and norms)")
    assert "not used: its changes to the text encoder; not used:" in facts.in_words()
    check_fit(facts, DEV1)


def test_a_file_with_a_copy_of_itself_in_another_layout_is_read_once(tmp_path: Path):
    names = MODULES["flux1"]
    copy = {
        key: shape for name in names for key, shape in factors(f"lora_unet_{flat(name)}_", 1, 1, ends=DOWN_UP).items()
    }
    facts = made(tmp_path, names, DIFFUSERS, extra={**copy, "lora_unet_img_in.alpha": ()})
    assert [change.key for change in facts.changes] == [f"transformer.{name}" for name in names]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"modelspec.trigger_phrase": "in the style of inkx, wet paper"}, ("in the style of inkx", "wet paper")),
        ({"ss_trigger_words": '["inkx", "wet paper"]'}, ("inkx", "wet paper")),
        ({"instance_prompt": " TOK "}, ("TOK",)),
        (
            {
                "ss_tag_frequency": json.dumps({"10_ink": {" inkx": 20, "a cat": 7, "paper": 20}, "reg": {"a": 1}}),
                "ss_dataset_dirs": json.dumps({"10_ink": {"n_repeats": 10, "img_count": 20}}),
            },
            ("inkx", "paper"),
        ),
        ({"ss_tag_frequency": json.dumps({"ink": {"inkx": 20, "a cat": 7}})}, ("inkx",)),
        ({"ss_tag_frequency": json.dumps({"ink": {"one caption": 1, "another": 1}})}, ()),
        (
            {"ss_tag_frequency": json.dumps({"ink": {f"tag {n}": 9 for n in range(9)}})},
            tuple(f"tag {n}" for n in range(5)),
        ),
        ({"ss_tag_frequency": "{broken"}, ()),
        ({"ss_tag_frequency": "[1]", "ss_dataset_dirs": '{"ink": 3}'}, ()),
        ({"ss_tag_frequency": '{"ink": [3], "b": {"x": "y"}}'}, ()),
        ({}, ()),
    ],
)
def test_trigger_words_are_what_is_stated_or_stood_in_every_caption(tmp_path: Path, metadata, words):
    facts = made(tmp_path, MODULES["flux1"], DIFFUSERS, metadata=metadata)
    assert facts.triggers == words
    shown = f"trigger words: {', '.join(words)}" if words else "it states no trigger words"
    assert facts.in_words() == f"style.safetensors: LoRA of rank 4 for FLUX.1; {shown}"


def test_ranks_and_base_model_are_told(tmp_path: Path):
    extra = factors("transformer.x_embedder", 64, 3072, rank=16)
    facts = made(
        tmp_path,
        MODULES["flux1"],
        DIFFUSERS,
        metadata={"modelspec.architecture": "flux-1-dev/lora"},
        extra=extra,
    )
    assert facts.in_words().startswith("style.safetensors: LoRA of rank 4 to 16 for FLUX.1; trained on flux-1-dev; ")


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"r": 4, "lora_alpha": 8}, 2.0),
        ({"r": 4, "lora_alpha": 8, "use_rslora": True}, 4.0),
        ({"lora_alpha": 8, "alpha_pattern": {"to_out.0": 2}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"^transformer_blocks.18.attn.to_out.0": 2, "(": 1}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"to_q": 2}}, 2.0),
        ({}, 1.0),
    ],
)
def test_pefts_own_scale_is_read(tmp_path: Path, settings, scale):
    layers = {"transformer_blocks.18.attn.to_out.0": (1, 1)}
    stated = {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value for key, value in settings.items()})}
    (change,) = made(tmp_path, layers, DIFFUSERS, metadata=stated).changes
    assert change.scale == scale
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    (change,) = made(tmp_path, layers, ("base_model.model.{}", AB)).changes
    assert change.scale == scale
    (change,) = made(tmp_path, layers, DIFFUSERS).changes
    assert change.scale == 1.0


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"transformer.img_in.lora_A.weight": (4, 64)}, "the parts of transformer.img_in do not go together"),
        (
            {"img_in.lora_A.weight": (4, 64), "img_in.lora_B.weight": (3072, 8)},
            "(img_in.lora_A.weight, img_in.lora_B.weight)",
        ),
        ({"img_in.lora_A.weight": (4, 64), "img_in.lora_B.weight": (3072,)}, "do not go together"),
        ({"img_in.lokr_w1": (4, 4)}, "do not go together"),
        ({"img_in.lokr_w1_a": (4, 4), "img_in.lokr_w1_b": (3, 4), "img_in.lokr_w2": (4, 4)}, "do not go together"),
    ],
)
def test_a_file_that_lacks_a_part_is_damaged(tmp_path: Path, shapes, says):
    with pytest.raises(ModelError) as refused:
        read_lora(write(tmp_path / "style.safetensors", shapes))
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'style.safetensors'} is damaged: ")


def test_what_is_no_whole_file_is_said(tmp_path: Path):
    with pytest.raises(ModelError, match=r"there is no LoRA at .*none\.safetensors"):
        read_lora(tmp_path / "none.safetensors")
    (tmp_path / "old.ckpt").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"old\.ckpt is no \.safetensors file; .* they are refused"):
        read_lora(tmp_path / "old.ckpt")
    (tmp_path / "page.safetensors").write_text("<html>please log in</html>")
    with pytest.raises(ModelError, match=r"page\.safetensors is damaged: it has 26 bytes"):
        read_lora(tmp_path / "page.safetensors")
    text = b'{"a": {"data_offsets": [0, 0]}}'
    (tmp_path / "odd.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelError, match="its header states no shapes"):
        read_lora(tmp_path / "odd.safetensors")


def test_a_films_loras_are_found_and_checked_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    good = write(tmp_path / "good.safetensors", factors("diffusion_model.single_blocks.0.linear1", 3072, 27648))
    bad = write(tmp_path / "bad.safetensors", factors("lora_unet_single_blocks_0_linear1", 3072, 21504, ends=DOWN_UP))
    asked = []
    monkeypatch.setattr(hub, "find_file", lambda source, download: asked.append((source, download)) or good)
    found = check_loras({"ink": str(good), "style": "owner/name"}, KLEIN4, download=False)
    assert {name: facts.file for name, facts in found.items()} == {"ink": good, "style": good}
    assert asked == [("owner/name", False)]
    with pytest.raises(ModelError, match=r"^lora\.style: bad\.safetensors was trained for FLUX\.1"):
        check_loras({"ink": str(good), "style": str(bad)}, KLEIN4)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(list(PUBLISHED.values())), st.data())
def test_a_layers_pieces_are_all_of_its_rows(target: Target, data: st.DataObject):
    layer = data.draw(st.sampled_from([layer for layer in LAYERS[target.family].values() if layer.rows]))
    rows = layer.rows * target.width
    pieces = [piece for module in layer.pieces(rows).values() for piece in module]
    assert sorted(n for piece in pieces for n in range(*piece.indices(rows))) == list(range(rows))


def test_rows_go_to_modules_in_order():
    layer = LAYERS["flux1"]["single_blocks_{}_linear1"]
    assert list(layer.pieces(70).values()) == [
        (slice(0, 10),),
        (slice(10, 20),),
        (slice(20, 30),),
        (slice(30, 70),),
    ]
    assert Layer("a", 1, {"b": 2}, swapped=True).pieces(8) == {"b": (slice(4, 8), slice(0, 4))}
