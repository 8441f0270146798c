"""Files are known by their headers: by what is in them, not by what they are called, and nothing is loaded."""

import builtins
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, Flux2Transformer2DModel, FluxTransformer2DModel

from koshi_flux.errors import ModelError
from koshi_flux.flux1.config import FLUX_1_DEV, FLUX_1_KREA_DEV, FLUX_1_SCHNELL
from koshi_flux.flux1.config import SPECS as FLUX1
from koshi_flux.flux2.config import FLUX_2_DEV, KLEIN_4B, KLEIN_9B, KLEIN_9B_KV, KLEIN_BASE_4B, KLEIN_BASE_9B
from koshi_flux.flux2.config import SPECS as FLUX2
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.model_files import identify
from koshi_flux.weights.single_file import contents, in_words, part_of
from tests.weights.single_files import (
    bfl_autoencoder,
    bfl_transformer,
    prefixed,
    save,
    save_gguf,
    save_header,
    shapes_of,
    weights_of,
)

KNOWN = (*FLUX2.values(), *FLUX1.values())

PUBLISHED: dict[str, tuple[type, dict[str, object]]] = {
    "flux1-dev": (FluxTransformer2DModel, {"guidance_embeds": True}),
    "flux1-schnell": (FluxTransformer2DModel, {}),
    "flux1-fill": (FluxTransformer2DModel, {"in_channels": 384, "out_channels": 64, "guidance_embeds": True}),
    "flux2-dev": (Flux2Transformer2DModel, {}),
    "klein-4b": (
        Flux2Transformer2DModel,
        {
            "num_layers": 5,
            "num_single_layers": 20,
            "num_attention_heads": 24,
            "joint_attention_dim": 7680,
            "guidance_embeds": False,
        },
    ),
    "klein-9b": (
        Flux2Transformer2DModel,
        {
            "num_layers": 8,
            "num_single_layers": 24,
            "num_attention_heads": 32,
            "joint_attention_dim": 12288,
            "guidance_embeds": False,
        },
    ),
}
"""The published transformers' configs, where they are not the defaults of diffusers."""


@cache
def published(name: str) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """The shapes of a published transformer under BFL's names, and its config."""
    kind, config = PUBLISHED[name]
    with torch.device("meta"):
        model = kind(**config)
    return shapes_of(bfl_transformer(model.state_dict())), dict(model.config)


def refusal(file: Path, look: Callable[[Path], object] = contents) -> str:
    """The message, which is one paragraph and names the file."""
    with pytest.raises(ModelError) as refused:
        look(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["flux1-dev", "flux1-schnell", "flux2-dev", "klein-4b", "klein-9b"])
def test_the_config_of_a_published_transformer_follows_from_its_shapes(name: str, tmp_path: Path):
    shapes, stated = published(name)
    config = part_of(save_header(shapes, tmp_path / "model.safetensors"), "transformer").config()
    expected = {**stated, "out_channels": stated["out_channels"] or stated["in_channels"]}
    found = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    assert found.pop("_class_name") == PUBLISHED[name][0].__name__
    assert found == {key: expected[key] for key in found}
    assert {key for key in stated if not key.startswith("_")} == found.keys()


@pytest.mark.parametrize(
    ("shape", "name", "expected"),
    [
        ("flux1-dev", "flux1-dev", FLUX_1_DEV),
        ("flux1-dev", "shiny_v2", FLUX_1_DEV),
        ("flux1-dev", "flux1-krea-dev_fp8_scaled", FLUX_1_KREA_DEV),
        ("flux1-schnell", "flux1-schnell", FLUX_1_SCHNELL),
        ("flux1-schnell", "FLUX.1-dev-merged", FLUX_1_SCHNELL),
        ("flux2-dev", "flux2-dev", FLUX_2_DEV),
        ("klein-4b", "flux-2-klein-4b", KLEIN_4B),
        ("klein-4b", "my_klein", KLEIN_4B),
        ("klein-4b", "flux-2-klein-base-4b-fp8", KLEIN_BASE_4B),
        ("klein-9b", "flux-2-klein-9b", KLEIN_9B),
        ("klein-9b", "Flux-2-Klein-9B-KV", KLEIN_9B_KV),
        ("klein-9b", "something_base", KLEIN_BASE_9B),
        ("klein-9b", "flux-2-klein-4b", KLEIN_9B),
    ],
)
def test_a_published_model_is_known_by_its_shapes_and_among_equals_by_its_name(
    shape: str, name: str, expected: FluxSpec, tmp_path: Path
):
    file = save_header(prefixed(published(shape)[0], "diffusion_model."), tmp_path / f"{name}.safetensors")  # type: ignore[arg-type]
    assert identify(file, KNOWN) is expected


def test_a_model_that_nobody_published_is_not_known(klein_folder: Path):
    (file,) = (klein_folder / "transformer").glob("*.safetensors")
    assert identify(file, KNOWN) is None


@pytest.mark.parametrize(
    ("shape", "name", "said", "found"),
    [
        ("flux1-dev", "flux2-dev", "FLUX.2", "FLUX.1"),
        ("flux1-schnell", "flux-2-klein-4b", "FLUX.2", "FLUX.1"),
        ("klein-4b", "FLUX.1-dev", "FLUX.1", "FLUX.2"),
        ("flux2-dev", "flux1-schnell", "FLUX.1", "FLUX.2"),
    ],
)
def test_a_file_that_is_named_after_the_other_family(shape: str, name: str, said: str, found: str, tmp_path: Path):
    file = save_header(published(shape)[0], tmp_path / f"{name}.safetensors")
    message = refusal(file, lambda file: identify(file, KNOWN))
    assert f"is named after a {said}, but holds a {found} transformer (BF16): give the right file, or rename" in message


def test_models_that_draw_after_a_picture(tmp_path: Path):
    file = save_header(published("flux1-fill")[0], tmp_path / "flux1-fill-dev.safetensors")
    assert "reads 384 values a token and gives 64: it is a FLUX that draws after a second picture" in refusal(
        file, lambda file: part_of(file, "transformer").config()
    )
    file = save_header(published("flux1-dev")[0], tmp_path / "flux1-dev-kontext_fp8.safetensors")
    assert "is FLUX.1 Kontext by its name, which edits pictures" in refusal(file, lambda file: identify(file, KNOWN))


@pytest.mark.parametrize(
    ("kind", "stated", "network"),
    [
        (AutoencoderKL, {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}, "AutoencoderKL"),
        (AutoencoderKLFlux2, {}, "AutoencoderKLFlux2"),
        (AutoencoderKLFlux2, {"decoder_block_out_channels": [96, 192, 384, 384]}, "AutoencoderKLFlux2"),
    ],
)
def test_the_config_of_a_published_autoencoder_follows_from_its_shapes(
    kind: type, stated: dict[str, object], network: str, tmp_path: Path
):
    levels = {
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "sample_size": 1024,
        "use_quant_conv": kind is AutoencoderKLFlux2,
        "use_post_quant_conv": kind is AutoencoderKLFlux2,
    }
    with torch.device("meta"):
        model = kind(**levels, **stated)
    file = save_header(shapes_of(bfl_autoencoder(model.state_dict())), tmp_path / "ae.safetensors")
    config = part_of(file, "vae").config()
    decoder = {"decoder_block_out_channels": levels["block_out_channels"]} if network.endswith("2") else {}
    latent = {"latent_channels": 32} if network.endswith("2") else {}
    assert config == {"_class_name": network, **levels, **latent, **decoder, **stated}


def language(layers: int, width: int, queries: int, keys: int, inner: int, tokens: int) -> dict[str, tuple[int, ...]]:
    block = "model.layers.{}."
    each = {
        "self_attn.q_proj.weight": (queries, width),
        "self_attn.k_proj.weight": (keys, width),
        "mlp.gate_proj.weight": (inner, width),
    }
    blocks = {block.format(i) + name: shape for i in range(layers) for name, shape in each.items()}
    return {"model.embed_tokens.weight": (tokens, width), **blocks}


def test_the_configs_of_published_text_encoders_follow_from_their_shapes(tmp_path: Path):
    qwen = language(36, 2560, 4096, 1024, 9728, 151936) | {"model.layers.0.self_attn.q_norm.weight": (128,)}
    config = part_of(save_header(qwen, tmp_path / "qwen_3_4b.safetensors"), "text_encoder").config()
    assert config["model_type"] == "qwen3"
    assert (config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]) == (2560, 36, 151936)
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (32, 8, 128)
    assert (config["intermediate_size"], config["rope_parameters"]["rope_theta"]) == (9728, 1e6)

    mistral = language(30, 5120, 4096, 1024, 32768, 131072) | {"tekken_model": (100,)}
    config = part_of(save_header(mistral, tmp_path / "mistral.safetensors"), "text_encoder").config()
    assert (config["model_type"], config["num_hidden_layers"], config["hidden_size"]) == ("mistral", 30, 5120)
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (32, 8, 128)
    assert (config["rope_parameters"]["rope_theta"], config["rms_norm_eps"]) == (1e9, 1e-5)

    first = "encoder.block.0.layer.0.SelfAttention."
    t5: dict[str, tuple[int, ...]] = {
        "shared.weight": (32128, 4096),
        f"{first}q.weight": (4096, 4096),
        f"{first}relative_attention_bias.weight": (32, 64),
        "encoder.block.0.layer.1.DenseReluDense.wi_0.weight": (10240, 4096),
        "encoder.block.23.layer.0.SelfAttention.q.weight": (4096, 4096),
    }
    config = part_of(save_header(t5, tmp_path / "t5xxl_fp16.safetensors"), "text_encoder_2").config()
    assert (config["model_type"], config["d_model"], config["d_kv"], config["d_ff"]) == ("t5", 4096, 64, 10240)
    assert (config["num_heads"], config["relative_attention_num_buckets"]) == (64, 32)

    clip: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (49408, 768),
        "text_model.embeddings.position_embedding.weight": (77, 768),
        "text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768),
        "text_model.final_layer_norm.weight": (768,),
    }
    config = part_of(save_header(clip, tmp_path / "clip_l.safetensors"), "text_encoder").config()
    assert (config["model_type"], config["hidden_size"], config["num_attention_heads"]) == ("clip_text_model", 768, 12)
    assert (config["intermediate_size"], config["max_position_embeddings"]) == (3072, 77)


def test_a_checkpoint_holds_several_parts(flux1_folder: Path, tmp_path: Path):
    weights = {
        **prefixed(bfl_transformer(weights_of(flux1_folder / "transformer")), "model.diffusion_model."),
        **prefixed(bfl_autoencoder(weights_of(flux1_folder / "vae")), "vae."),
    }
    found = contents(save(weights, tmp_path / "all.safetensors"))
    assert in_words(found) == "a FLUX.1 transformer (BF16) with a FLUX.1 autoencoder (BF16)"
    assert "is a FLUX.1 transformer (BF16) with a FLUX.1 autoencoder (BF16); it holds no text_encoder" in refusal(
        tmp_path / "all.safetensors", lambda file: part_of(file, "text_encoder")
    )


def test_norms_may_be_weights_as_comfyui_has_them(klein_folder: Path, tmp_path: Path):
    weights = bfl_transformer(weights_of(klein_folder / "transformer"))
    renamed = {name.replace("_norm.scale", "_norm.weight"): weight for name, weight in weights.items()}
    assert renamed.keys() != weights.keys()
    expected = part_of(save(weights, tmp_path / "a.safetensors"), "transformer").shapes
    assert part_of(save(renamed, tmp_path / "b.safetensors"), "transformer").shapes == expected


FOREIGN = {
    "a LoRA": "transformer_blocks.0.attn.to_q.lora_A.weight",
    "an SDXL checkpoint": "conditioner.embedders.1.model.ln_final.weight",
    "a Stable Diffusion checkpoint": "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    "the UNet of a Stable Diffusion": "down_blocks.0.attentions.0.proj_in.weight",
    "a Stable Diffusion 3": "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",
    "Chroma": "distilled_guidance_layer.in_proj.weight",
    "FLUX.1 Redux": "redux_up.weight",
    "a ControlNet": "controlnet_blocks.0.weight",
    "HiDream": "double_stream_blocks.0.block.ff_i.w1.weight",
    "FLUX.3": "mode_blocks.0.weight",
    "Z-Image": "cap_embedder.0.weight",
    "a text encoder as .gguf": "blk.0.attn_q.weight",
}


@pytest.mark.parametrize("words", list(FOREIGN))
def test_what_is_no_flux_model_is_named(words: str, tmp_path: Path):
    file = save_header({FOREIGN[words]: (4, 4)}, tmp_path / "model.safetensors")
    message = refusal(file)
    assert message.startswith(f"{file} is {words}")
    assert f"(it has {FOREIGN[words]})" in message


def test_what_nobody_knows(tmp_path: Path):
    file = save_header({"layer.weight": (4, 4)}, tmp_path / "model.safetensors")
    assert "holds no part of a FLUX model that is known (it has layer.weight)" in refusal(file)


@pytest.mark.parametrize(
    ("beside", "kind", "words"),
    [
        ({"img_in.weight_scale_2": ()}, "U8", "NVFP4"),
        ({"img_in.pre_quant_scale": (3072,)}, "BF16", "weights smoothed for 4 bits"),
        ({"img_in.qweight": (3072, 16)}, "BF16", "Nunchaku's 4 bits"),
        ({"img_in.weight.absmax": (96,)}, "U8", "bitsandbytes' 4 bits"),
        ({"img_in.weight_scale": ()}, "I8", "numbers of type I8 (in img_in.weight)"),
        ({"img_in.weight_scale": (3072, 4)}, "F8_E4M3", "scales for blocks of weights (in img_in.weight)"),
    ],
)
def test_precisions_that_cannot_be_read(beside: dict[str, tuple[int, ...]], kind: str, words: str, tmp_path: Path):
    shapes = {**published("klein-4b")[0], **beside}
    file = save_header(shapes, tmp_path / "klein.safetensors", **{"img_in.weight": kind})
    assert f"holds {words}, which cannot be read: give the same model in bf16, fp16, fp8 or as .gguf" in refusal(file)


def test_a_packed_autoencoder(klein_folder: Path, tmp_path: Path):
    weights = {name: weight for name, weight in weights_of(klein_folder / "vae").items() if weight.dim() == 2}
    shapes = {"encoder.conv_in.weight": torch.zeros(8, 32), "decoder.conv_in.weight": torch.zeros(8, 32)}
    file = save_gguf({**weights, **shapes, "bn.running_mean": torch.zeros(128)}, tmp_path / "vae.gguf", "Q8_0")
    assert "holds a FLUX.2 autoencoder in Q8_0, which cannot be read" in refusal(file)


def test_blocks_that_lack_what_others_have(tmp_path: Path):
    shapes = dict(published("klein-4b")[0])
    del shapes["double_blocks.3.txt_attn.proj.weight"]
    file = save_header(shapes, tmp_path / "a.safetensors")
    assert "is not whole: transformer_blocks.3.attn.to_add_out.weight is absent, or not (3072, 3072) large" in refusal(
        file
    )
    fewer = {name: shape for name, shape in shapes.items() if ".3." not in name}
    assert "transformer_blocks.3.attn.norm_q.weight is absent" in refusal(
        save_header(fewer, tmp_path / "b.safetensors")
    )
    shapes["double_blocks.3.txt_attn.proj.weight"] = (3072, 1024)
    assert "not (3072, 3072) large" in refusal(save_header(shapes, tmp_path / "c.safetensors"))


def test_layers_that_none_has(tmp_path: Path):
    shapes = {**published("klein-4b")[0], "double_blocks.0.img_extra.weight": (4, 4)}
    file = save_header(shapes, tmp_path / "klein.safetensors")
    assert "is a FLUX.2 transformer, but with layers that none has: double_blocks.0.img_extra.weight" in refusal(file)


def test_an_absent_weight_that_sizes_follow_from(tmp_path: Path):
    shapes = dict(published("klein-4b")[0])
    del shapes["txt_in.weight"]
    file = save_header(shapes, tmp_path / "klein.safetensors")
    assert "is not whole: as a FLUX.2 transformer it lacks 'context_embedder.weight'" in refusal(
        file, lambda file: part_of(file, "transformer").config()
    )


def test_one_of_several_pieces(tmp_path: Path):
    file = save_header(published("klein-4b")[0], tmp_path / "diffusion_pytorch_model-00001-of-00002.safetensors")
    assert "is one of several pieces of a part: give the folder that holds all of them" in refusal(file)


def test_what_it_takes_in_memory(tmp_path: Path, klein_folder: Path):
    plain = part_of(save_header(published("klein-4b")[0], tmp_path / "a.safetensors", "F8_E4M3"), "transformer")
    sizes = dict(plain.held())
    assert sizes["x_embedder.weight"] == 3072 * 128 * 2
    assert sum(sizes.values()) / 2**30 == pytest.approx(KLEIN_4B.memory_gb[0], abs=0.05)
    weights = bfl_transformer(weights_of(klein_folder / "transformer"))
    packed = dict(part_of(save_gguf(weights, tmp_path / "b.gguf", "Q8_0"), "transformer").held())
    assert packed["transformer_blocks.0.attn.to_q.weight"] == 64 * 64 * 34 / 32


def cut(file: Path, size: int) -> Path:
    file.write_bytes(file.read_bytes()[:size])
    return file


def test_downloads_that_stopped(klein_folder: Path, tmp_path: Path):
    weights = bfl_transformer(weights_of(klein_folder / "transformer"))
    short = save(weights, tmp_path / "short.safetensors")
    assert "is damaged: it has 100,000 bytes, its header calls for" in refusal(cut(short, 100_000))
    packed = save_gguf(weights, tmp_path / "short.gguf", "Q8_0")
    assert "is damaged, or cut short (" in refusal(cut(packed, 100_000))
    growing = save(weights, tmp_path / "growing.safetensors")
    (tmp_path / "growing.safetensors.aria2").touch()
    assert f"is not whole (a download stopped halfway: {growing}.aria2): let it finish" in refusal(growing)
    (tmp_path / "absent.safetensors.part").touch()
    absent = tmp_path / "absent.safetensors"
    assert refusal(absent) == f"there is no file {absent} (a download stopped halfway: {absent}.part)"
    cached = tmp_path / ".cache" / "huggingface" / "download" / "away.safetensors.a1b2.incomplete"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert f"(a download stopped halfway: {cached})" in refusal(tmp_path / "away.safetensors")


def test_what_is_no_file_of_weights(tmp_path: Path):
    pickled = tmp_path / "model.ckpt"
    torch.save({"weight": torch.zeros(2)}, pickled)
    assert "is a pickle, which may run programs when read: give the model as .safetensors or .gguf" in refusal(pickled)
    pointer = tmp_path / "pointer.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    assert "is a git-lfs pointer, not the weights" in refusal(pointer)


def test_a_header_without_shapes(tmp_path: Path):
    text = b'{"img_in.weight": {"data_offsets": [0, 0]}}'
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    assert "is damaged: its header states no shapes. Download it again" in refusal(file)


def test_gguf_files_call_for_the_extra(klein_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = save_gguf(bfl_transformer(weights_of(klein_folder / "transformer")), tmp_path / "klein.gguf", "F32")
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "gguf":
            raise ModuleNotFoundError("No module named 'gguf'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert refusal(file) == f"reading {file} needs gguf: pip install 'koshi-flux[gguf]'"
