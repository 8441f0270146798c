"""The same model in every form that people have it in draws the same frames."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import gguf
import pytest
import torch
from diffusers import AutoencoderKL, Flux2Transformer2DModel, FluxTransformer2DModel
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers
from diffusers.quantizers.gguf.utils import GGUFLinear
from torch import Tensor
from transformers import Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, PixtralVisionConfig

from koshi_flux.errors import ModelError
from koshi_flux.flux1 import model as flux1
from koshi_flux.flux1.config import FLUX_1_DEV
from koshi_flux.flux2 import model as flux2
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.types import Conditioning
from koshi_flux.weights import hub
from koshi_flux.weights.from_file import read_weights
from koshi_flux.weights.lora_layers import PUBLISHED, Target
from koshi_flux.weights.model_files import ModelFiles, find_model
from koshi_flux.weights.parts import read_part
from koshi_flux.weights.single_file import part_of
from tests.weights.single_files import (
    DOUBLE,
    JOINED,
    OUTSIDE,
    SINGLE,
    Weights,
    bfl_autoencoder,
    bfl_transformer,
    prefixed,
    save,
    save_gguf,
    scaled,
    unscaled,
    weights_of,
)

Read = Callable[[str], Conditioning]

FILM = Animation(
    prompts={"0": "a misty forest", "1": "a city in the rain"},
    frames=2,
    size=(64, 64),
    steps=2,
    seed=7,
    zoom="0:(1.0), 1:(1.1)",
)
FOLDERS = {"flux1": "flux1_folder", "klein": "klein_folder", "dev": "dev_folder"}
COMFYUI = "model.diffusion_model."


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small are slower on several threads, and much slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def opened(files: ModelFiles | Path) -> flux1.Flux1Model | flux2.Flux2Model:
    files = ModelFiles.of(files)
    return (flux1 if files.pipeline == "FluxPipeline" else flux2).load(files)


def film(files: ModelFiles | Path, read: Read | None = None) -> Tensor:
    """The frames of the film; `read` stands for a text encoder that another test looks at."""
    model = opened(files)
    if read is not None:
        model.encode_prompt = read  # type: ignore[method-assign]
    return torch.stack([frame.image for frame in render(FILM, model)])


@pytest.fixture(scope="module", params=list(FOLDERS))
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(FOLDERS[request.param])
    return found


@pytest.fixture(scope="module")
def read(folder: Path) -> Read:
    return cache(opened(folder).encode_prompt)


@pytest.fixture(scope="module")
def expected(folder: Path, read: Read) -> Tensor:
    """The film of the folder."""
    return film(folder, read)


def around(file: Path, folder: Path) -> ModelFiles:
    """A transformer's file with the rest of a model folder."""
    return find_model(file, vae=folder, text_encoder=folder)


def written(weights: Weights, form: str, folder: Path) -> Path:
    """A transformer's file in one of the forms that lose nothing."""
    match form:
        case "BFL":
            return save(bfl_transformer(weights), folder / "bfl.safetensors")
        case "ComfyUI":
            return save(prefixed(bfl_transformer(weights), COMFYUI), folder / "comfyui.safetensors")
        case "diffusers":
            return save(weights, folder / "diffusers.sft")
        case _:
            return save_gguf(bfl_transformer(weights), folder / f"{form}.gguf", form)


@pytest.mark.parametrize("form", ["BFL", "ComfyUI", "diffusers", "F32", "F16", "BF16"])
def test_every_form_of_a_transformer_draws_the_same_frames(
    form: str, folder: Path, read: Read, expected: Tensor, tmp_path: Path
):
    file = written(weights_of(folder / "transformer"), form, tmp_path)
    assert film(around(file, folder), read).equal(expected)


def test_a_single_autoencoder_draws_the_same_frames(folder: Path, read: Read, expected: Tensor, tmp_path: Path):
    ae = save(bfl_autoencoder(weights_of(folder / "vae")), tmp_path / "ae.safetensors")
    assert film(find_model(folder, vae=ae), read).equal(expected)


def test_8_bits_with_scales_draw_as_the_numbers_they_stand_for(folder: Path, read: Read, tmp_path: Path):
    held = scaled(bfl_transformer(weights_of(folder / "transformer")))
    file = save({**prefixed(held, COMFYUI), "scaled_fp8": torch.empty(2)}, tmp_path / "fp8.safetensors")
    stood_for = save(unscaled(held), tmp_path / "plain.safetensors")
    assert part_of(file, "transformer").precision == "F8_E4M3, scaled"
    assert film(around(file, folder), read).equal(film(around(stood_for, folder), read))


@pytest.mark.parametrize("per_row", [False, True])
def test_todays_scales_may_be_one_for_each_row(klein_folder: Path, tmp_path: Path, per_row: bool):
    held = scaled(bfl_transformer(weights_of(klein_folder / "transformer")), per_row, (".weight_scale", ".input_scale"))
    markers = {"img_in.comfy_quant": torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)}
    found = read_weights(part_of(save({**held, **markers}, tmp_path / "a.safetensors"), "transformer"), torch.float32)
    stood_for = save(unscaled(held, ".weight_scale"), tmp_path / "b.safetensors")
    expected = read_weights(part_of(stood_for, "transformer"), torch.float32)
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in expected)


def test_8_bits_without_scales_are_taken_as_they_are(flux1_folder: Path, tmp_path: Path):
    weights = {name: each.to(torch.float8_e4m3fn) for name, each in weights_of(flux1_folder / "transformer").items()}
    file = save(bfl_transformer(weights), tmp_path / "fp8.safetensors")
    found = read_weights(part_of(file, "transformer"), torch.bfloat16)
    assert all(found[name].equal(weights[name].bfloat16()) for name in weights)


def test_packed_weights_stay_packed_and_draw_as_the_numbers_they_stand_for(
    folder: Path, read: Read, expected: Tensor, tmp_path: Path
):
    weights = weights_of(folder / "transformer")
    file = save_gguf(bfl_transformer(weights), tmp_path / "q8.gguf", "Q8_0")
    assert part_of(file, "transformer").precision == "Q8_0"
    kind = (
        Flux2Transformer2DModel if "double_stream_modulation_img.linear.weight" in weights else FluxTransformer2DModel
    )
    model = read_part(kind, file, torch.float32)
    query = model.transformer_blocks[0].attn.to_q
    assert isinstance(query, GGUFLinear)
    assert (query.weight.dtype, tuple(query.weight.shape)) == (torch.uint8, (64, 68))  # 34 bytes for 32 weights

    drawn = film(around(file, folder), read)
    assert 0 < (drawn - expected).abs().max() < 0.02
    stood_for = {tensor.name: unpacked(tensor) for tensor in gguf.GGUFReader(file).tensors}
    plain = save(stood_for, tmp_path / "plain.safetensors")
    assert drawn.equal(film(around(plain, folder), read))


def unpacked(tensor: gguf.ReaderTensor) -> Tensor:
    """The numbers of a tensor; diffusers unpacks them to float16."""
    numbers = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
    return (numbers.half() if tensor.tensor_type.name == "Q8_0" else numbers).double()


def test_single_text_encoders_draw_the_same_frames_flux1(flux1_folder: Path, tmp_path: Path):
    clip = prefixed(weights_of(flux1_folder / "text_encoder"), "text_model.")
    clip |= {"logit_scale": torch.tensor(4.6), "text_model.embeddings.position_ids": torch.arange(77)[None]}
    files = (
        save(clip, tmp_path / "clip_l.safetensors"),
        save(weights_of(flux1_folder / "text_encoder_2"), tmp_path / "t5xxl.safetensors"),
    )
    found = find_model(flux1_folder, text_encoder=", ".join(map(str, reversed(files))))
    assert (found / "text_encoder", found / "text_encoder_2") == files
    assert film(found).equal(film(flux1_folder))


def test_a_single_text_encoder_draws_the_same_frames_klein(klein_folder: Path, tmp_path: Path):
    weights = weights_of(klein_folder / "text_encoder")
    del weights["lm_head.weight"]
    qwen = save(weights, tmp_path / "qwen_3_4b.safetensors")
    assert film(find_model(klein_folder, text_encoder=qwen)).equal(film(klein_folder))


def test_a_single_mistral_reads_the_same_with_no_more_layers_than_are_read(dev_folder: Path, tmp_path: Path):
    """ComfyUI cuts it off behind layer 30 and puts its tokenizer among the weights."""
    folder = Path(shutil.copytree(dev_folder, tmp_path / "dev"))
    mistral().to(torch.bfloat16).save_pretrained(folder / "text_encoder")
    text = "language_model.model."
    weights = {
        name.removeprefix("language_model."): weight
        for name, weight in weights_of(folder / "text_encoder").items()
        if name.startswith(text) and not name.startswith(f"{text}layers.30.")
    }
    weights["tekken_model"] = torch.zeros(8, dtype=torch.uint8)
    found = find_model(folder, text_encoder=save(weights, tmp_path / "mistral_3_small_flux2.safetensors"))
    assert part_of(found / "text_encoder", "text_encoder").config()["num_hidden_layers"] == 30
    assert opened(found).encode_prompt("a fox").tokens.equal(opened(folder).encode_prompt("a fox").tokens)


def mistral() -> Mistral3ForConditionalGeneration:
    """A narrow one with the heads and the rotation of Mistral Small."""
    torch.manual_seed(3)
    reading = MistralConfig(
        vocab_size=265, hidden_size=16, intermediate_size=32, num_hidden_layers=31, num_attention_heads=2,
        num_key_value_heads=1, head_dim=128, rms_norm_eps=1e-5, sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1e9},
    )  # fmt: skip
    seeing = PixtralVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, patch_size=4, image_size=64
    )
    return Mistral3ForConditionalGeneration(
        Mistral3Config(text_config=reading, vision_config=seeing, image_token_index=264, spatial_merge_size=1)
    )


def test_a_whole_checkpoint_takes_only_tokenizers_from_the_repository(
    flux1_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checkpoint = {
        **prefixed(bfl_transformer(weights_of(flux1_folder / "transformer")), COMFYUI),
        **prefixed(bfl_autoencoder(weights_of(flux1_folder / "vae")), "vae."),
        **prefixed(weights_of(flux1_folder / "text_encoder"), "text_encoders.clip_l.transformer.text_model."),
        **prefixed(weights_of(flux1_folder / "text_encoder_2"), "text_encoders.t5xxl.transformer."),
    }
    row = replace(FLUX_1_DEV, name="tiny-flux1", hub_id="tiny/flux1", text_tokens=64)
    monkeypatch.setitem(PUBLISHED, row.name, Target(row.name, "flux1", 1, 2, 64))
    asked: list[list[str]] = []
    monkeypatch.setattr(
        hub, "snapshot_download", lambda name, allow_patterns, **_: asked.append(allow_patterns) or str(flux1_folder)
    )
    files = find_model(save(checkpoint, tmp_path / "checkpoint.safetensors"), known=[row])
    assert asked == [["model_index.json", "tokenizer/*", "tokenizer_2/*"]]
    assert opened(files).spec is row
    assert film(files).equal(film(flux1_folder))


def test_diffusers_reads_the_files_of_these_tests_alike(dev_folder: Path, flux1_folder: Path, tmp_path: Path):
    weights = weights_of(dev_folder / "transformer")
    file = save(bfl_transformer(weights), tmp_path / "flux2.safetensors")
    theirs = Flux2Transformer2DModel.from_single_file(str(file), config=str(dev_folder), subfolder="transformer")
    assert all(theirs.state_dict()[name].equal(weight) for name, weight in weights.items())

    weights = weights_of(flux1_folder / "vae")
    file = save(bfl_autoencoder(weights), tmp_path / "ae.safetensors")
    theirs = AutoencoderKL.from_single_file(str(file), config=str(flux1_folder), subfolder="vae")
    assert all(theirs.state_dict()[name].equal(weight) for name, weight in weights.items())


def test_diffusers_hands_out_the_rows_of_a_flux1_alike(tmp_path: Path):
    """Its converter knows only the published width: here every row is a single number, its own place."""
    width = 3072
    joined = {"img_attn.qkv": 3, "txt_attn.qkv": 3, "linear1": 7}
    high = {"img_mod.lin": 6, "txt_mod.lin": 6, "modulation.lin": 3, "img_mlp.0": 4, "txt_mlp.0": 4}
    stems = [stem for stem in OUTSIDE.values() if not stem.startswith(("double", "single"))]
    stems += [f"double_blocks.0.{layer}" for layer in {*DOUBLE.values(), "img_attn.qkv", "txt_attn.qkv"}]
    stems += [f"single_blocks.0.{layer}" for layer in {*SINGLE.values(), "linear1"}]
    weights = {}
    for stem in stems:
        times = next((times for layer, times in {**joined, **high}.items() if stem.endswith(f".{layer}")), 1)
        rows = torch.arange((2 if stem.endswith("adaLN_modulation.1") else times) * width, dtype=torch.float32)
        if ".norm." in stem:
            weights[f"{stem}.scale"] = rows[:128]
        else:
            weights |= {f"{stem}.weight": rows[:, None].clone(), f"{stem}.bias": rows}
    found = read_weights(part_of(save(weights, tmp_path / "flux1.safetensors"), "transformer"), torch.float32)
    expected = convert_flux_transformer_checkpoint_to_diffusers(weights)
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in expected)
    assert len(JOINED) == len(joined)


def test_a_part_that_is_not_in_a_file(klein_folder: Path, tmp_path: Path):
    file = save(weights_of(klein_folder / "transformer"), tmp_path / "klein.safetensors")
    with pytest.raises(ModelError, match=r"klein\.safetensors holds no AutoencoderKL$"):
        read_part(AutoencoderKL, file, torch.float32)


def test_a_weight_that_is_absent_where_nothing_shows_it_before(klein_folder: Path, tmp_path: Path):
    weights = bfl_transformer(weights_of(klein_folder / "transformer"))
    del weights["double_blocks.0.txt_mlp.2.weight"]
    file = save(weights, tmp_path / "klein.safetensors")
    with pytest.raises(
        ModelError, match=r"lacks 1 of its weights, e\.g\. transformer_blocks\.0\.ff_context\.linear_out"
    ):
        read_part(Flux2Transformer2DModel, file, torch.float32)


def test_a_weight_of_another_size(klein_folder: Path, tmp_path: Path):
    weights = bfl_transformer(weights_of(klein_folder / "transformer"))
    weights["double_blocks.0.txt_attn.proj.weight"] = torch.zeros(64, 32)
    file = save(weights, tmp_path / "klein.safetensors")
    with pytest.raises(ModelError, match=r"to_add_out\.weight is \(64, 32\) large, it should be \(64, 64\)"):
        read_part(Flux2Transformer2DModel, file, torch.float32)


def test_a_text_encoder_that_lacks_a_weight(klein_folder: Path, tmp_path: Path):
    weights = weights_of(klein_folder / "text_encoder")
    del weights["model.norm.weight"]
    file = save(weights, tmp_path / "qwen.safetensors")
    with pytest.raises(ModelError, match=r"lacks 1 of its weights, e\.g\. model\.norm\.weight"):
        opened(find_model(klein_folder, text_encoder=file)).encode_prompt("a fox")


def test_packed_weights_are_not_packed_once_more(klein_folder: Path, tmp_path: Path):
    file = save_gguf(bfl_transformer(weights_of(klein_folder / "transformer")), tmp_path / "q8.gguf", "Q8_0")
    with pytest.raises(ModelError, match=r"holds few bits already \(Q8_0\): ask for no other precision"):
        read_part(Flux2Transformer2DModel, file, torch.float32, bits=object())
