"""Folders as bad downloads leave them: each is refused with the reason, and without loading anything."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from koshi_flux.errors import ModelError
from koshi_flux.flux2.config import FLUX_2_DEV, KLEIN_4B, KLEIN_9B, KLEIN_9B_KV, KLEIN_BASE_4B, KLEIN_BASE_9B
from koshi_flux.flux2.folder import check_folder
from koshi_flux.flux2.model import load
from koshi_flux.shared.spec import FluxSpec

TRANSFORMER = Path("transformer/diffusion_pytorch_model.safetensors")


@pytest.fixture
def folder(distilled_folder: Path, tmp_path: Path) -> Path:
    """A copy of a good folder, to be spoiled."""
    return Path(shutil.copytree(distilled_folder, tmp_path / "model"))


@pytest.fixture
def dev(dev_folder: Path, tmp_path: Path) -> Path:
    """The same of a dev."""
    return Path(shutil.copytree(dev_folder, tmp_path / "dev"))


def edit(file: Path, **changes: object) -> None:
    """Change entries of a JSON file; None removes one."""
    content = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def refusal(folder: Path) -> str:
    """The message, which must be one paragraph; `load` must say the same."""
    with pytest.raises(ModelError) as refused:
        check_folder(folder)
    with pytest.raises(ModelError, match=re.escape(str(refused.value))):
        load(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def shard(folder: Path) -> list[Path]:
    """Split the transformer's weights in two, with an index, as large models are published."""
    file = folder / TRANSFORMER
    weights = load_file(file)
    names = sorted(weights)
    halves = [names[::2], names[1::2]]
    files = [file.with_name(f"diffusion_pytorch_model-0000{i}-of-00002.safetensors") for i in (1, 2)]
    for half, target in zip(halves, files, strict=True):
        save_file({name: weights[name] for name in half}, target)
    places = {name: target.name for half, target in zip(halves, files, strict=True) for name in half}
    file.with_name(f"{file.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    file.unlink()
    return files


def test_a_good_folder_names_the_model_after_itself(distilled_folder: Path, base_folder: Path, dev_folder: Path):
    distilled, base, dev = map(check_folder, (distilled_folder, base_folder, dev_folder))
    assert (distilled.name, distilled.guidance, distilled.default_steps) == ("distilled", "none", 4)
    assert (base.name, base.guidance, base.default_steps, base.default_guidance) == ("base", "true", 28, 4.0)
    assert (dev.name, dev.guidance, dev.default_steps, dev.default_guidance) == ("dev", "embedded", 28, 4.0)
    assert [spec.text_encoder for spec in (distilled, base, dev)] == ["Qwen3", "Qwen3", "Mistral"]
    assert [spec.text_layers for spec in (distilled, base, dev)] == [(9, 18, 27), (9, 18, 27), (10, 20, 30)]
    for spec in (distilled, base, dev):
        assert (spec.family, spec.channels, spec.downscale, spec.multiple) == ("flux2", 32, 8, 16)
        assert (spec.hub_id, spec.licence, spec.aliases, spec.default_size) == ("", "", (), (512, 512))


@pytest.mark.parametrize(
    ("layers", "singles", "heads", "distilled", "expected"),
    [
        (5, 20, 24, True, KLEIN_4B),
        (5, 20, 24, False, KLEIN_BASE_4B),
        (8, 24, 32, True, KLEIN_9B),
        (8, 24, 32, False, KLEIN_BASE_9B),
    ],
)
def test_a_published_model_is_recognised_by_its_shape(
    folder: Path, layers: int, singles: int, heads: int, distilled: bool, expected: FluxSpec
):
    config = folder / "transformer" / "config.json"
    edit(config, num_layers=layers, num_single_layers=singles, num_attention_heads=heads)
    edit(folder / "model_index.json", is_distilled=distilled)
    assert check_folder(folder) is expected


def test_a_published_dev_is_recognised_by_its_shape(dev: Path):
    edit(dev / "transformer" / "config.json", num_layers=8, num_single_layers=48, num_attention_heads=48)
    assert check_folder(dev) is FLUX_2_DEV


def test_a_klein_with_a_memory_for_references_is_told_from_one_without(folder: Path):
    edit(folder / "transformer" / "config.json", num_layers=8, num_single_layers=24, num_attention_heads=32)
    edit(folder / "model_index.json", _class_name="Flux2KleinKVPipeline")
    assert check_folder(folder) is KLEIN_9B_KV


def test_a_klein_of_devs_shape_is_not_taken_for_it(folder: Path):
    edit(folder / "transformer" / "config.json", num_layers=8, num_single_layers=48, num_attention_heads=48)
    assert check_folder(folder).name == "model"


@pytest.mark.parametrize(("pipeline", "guidance"), [("Flux2KleinPipeline", "true"), ("Flux2KleinKVPipeline", "none")])
def test_an_index_that_does_not_say_means_what_it_means_to_diffusers(folder: Path, pipeline: str, guidance: str):
    edit(folder / "model_index.json", _class_name=pipeline, is_distilled=None)
    assert check_folder(folder).guidance == guidance


def test_sharded_weights_are_as_good_as_one_file(folder: Path):
    shard(folder)
    assert check_folder(folder).name == "model"


def test_the_older_form_of_a_tokenizer_is_as_good(folder: Path):
    (folder / "tokenizer" / "tokenizer.json").rename(folder / "tokenizer" / "vocab.json")
    assert check_folder(folder).name == "model"


def test_a_folder_without_index(tmp_path: Path):
    message = refusal(tmp_path)
    assert f"{tmp_path} is not a model folder: it has no model_index.json" in message
    assert "hf download black-forest-labs/FLUX.2-klein-4B --local-dir klein-4b" in message


def test_a_single_file_is_no_folder(folder: Path):
    with pytest.raises(
        ModelError, match=r"is a single file; give it as the model, .* or the folder of a model, such as"
    ):
        check_folder(folder / TRANSFORMER)


@pytest.mark.parametrize(
    ("pipeline", "shown"),
    [("FluxPipeline", "FluxPipeline (FLUX.1)"), ("Other", "Other"), (None, "None")],
)
def test_another_kind_of_model_is_named(folder: Path, pipeline: str, shown: str):
    edit(folder / "model_index.json", _class_name=pipeline)
    assert f"holds a {shown}; this family draws with FLUX.2-dev (Flux2Pipeline) and FLUX.2 Klein" in refusal(folder)


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "index is no JSON": (lambda f: cut(f / "model_index.json", 40), r"model_index\.json cannot be read \("),
    "index is a list": (lambda f: (f / "model_index.json").write_text("[]"), r"model_index\.json holds no settings"),
    "index is not text": (lambda f: (f / "model_index.json").write_bytes(b"\xff\xfe"), r"cannot be read \('utf-8'"),
    "part is absent": (
        lambda f: shutil.rmtree(f / "vae"),
        r"incomplete: vae/config\.json is missing\. Download it again",
    ),
    "config is absent": (lambda f: (f / "text_encoder/config.json").unlink(), r"text_encoder/config\.json is missing"),
    "config is of another model": (
        lambda f: edit(f / "text_encoder/config.json", hidden_size=None),
        r"states no hidden_size: this is not the text_encoder of a FLUX\.2 Klein",
    ),
    "weights are absent": (
        lambda f: (f / TRANSFORMER).unlink(),
        r"incomplete: transformer/diffusion_pytorch_model\.safetensors is missing\. Download",
    ),
    "weights are empty": (lambda f: cut(f / TRANSFORMER, 0), r"damaged: it has 0 bytes, its header calls for 8\."),
    "weights stop in the header": (lambda f: cut(f / TRANSFORMER, 100), r"damaged: it has 100 bytes, its header calls"),
    "weights stop in the numbers": (
        lambda f: cut(f / TRANSFORMER, 99_999),
        r"damaged: it has 99,999 bytes, its header",
    ),
    "weights are zeros": (
        lambda f: (f / TRANSFORMER).write_bytes(bytes(5000)),
        r"damaged: its header is no list of weights\. Download it again",
    ),
    "weights are something else": (
        lambda f: (f / TRANSFORMER).write_bytes(b"<!DOCTYPE html><html>Sign in</html>"),
        r"damaged: it has 35 bytes, its header calls for [\d,]{20,}\.",
    ),
    "weights are a pointer": (
        lambda f: (f / TRANSFORMER).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n"),
        r"is a git-lfs pointer, not the weights: run `git lfs pull` in ",
    ),
    "encoder weights are cut": (
        lambda f: cut(f / "text_encoder/model.safetensors", 9000),
        r"text_encoder/model\.safetensors is damaged",
    ),
    "a shard is absent": (lambda f: shard(f)[1].unlink(), r"transformer/\S+-00002-of-00002\.safetensors is missing"),
    "a shard is cut": (lambda f: cut(shard(f)[0], 9000), r"-00001-of-00002\.safetensors is damaged"),
    "shards are not listed": (
        lambda f: (shard(f), edit(f / f"{TRANSFORMER}.index.json", weight_map={})),
        r"index\.json lists no weights",
    ),
    "tokenizer has no settings": (
        lambda f: (f / "tokenizer/tokenizer_config.json").unlink(),
        r"tokenizer/tokenizer_config\.json is missing",
    ),
    "tokenizer has no tables": (
        lambda f: (f / "tokenizer/tokenizer.json").unlink(),
        r"tokenizer/tokenizer\.json is missing",
    ),
    "nothing says how to speak to the encoder": (
        lambda f: (f / "tokenizer/chat_template.jinja").unlink(),
        r"incomplete: tokenizer/chat_template\.jinja is missing",
    ),
    "tokenizer is cut": (lambda f: cut(f / "tokenizer/tokenizer.json", 3000), r"tokenizer\.json cannot be read \("),
    "transformer is of FLUX.1": (
        lambda f: edit(f / "transformer/config.json", _class_name="FluxTransformer2DModel"),
        r"transformer/ is a FluxTransformer2DModel, expected a Flux2Transformer2DModel\. Take all of them",
    ),
    "autoencoder is of FLUX.1": (
        lambda f: edit(f / "vae/config.json", _class_name="AutoencoderKL", latent_channels=16),
        r"vae/ is an AutoencoderKL, expected an AutoencoderKLFlux2",
    ),
    "latents are too narrow": (
        lambda f: edit(f / "vae/config.json", latent_channels=16),
        r"vae/ gives 4 x 16 = 64 values a token, transformer/ reads 128",
    ),
    "embeddings are too wide": (
        lambda f: edit(f / "text_encoder/config.json", hidden_size=4096),
        r"text_encoder/ gives 3 x 4096 = 12288 values a token, transformer/ reads 48",
    ),
    "encoder is too shallow": (
        lambda f: edit(f / "text_encoder/config.json", num_hidden_layers=24),
        r"text_encoder/ has 24 layers, layer 27 is read",
    ),
}


@pytest.mark.parametrize(("spoil", "expected"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_folder_is_refused_with_the_reason(folder: Path, spoil: Callable[[Path], object], expected: str):
    spoil(folder)
    assert re.search(expected, refusal(folder))


def swap(folder: Path, part: str, other: Path) -> None:
    """Put another model's part in its place."""
    shutil.rmtree(folder / part)
    shutil.copytree(other / part, folder / part)


def test_a_text_encoder_of_dev_does_not_read_for_a_klein(folder: Path, dev_folder: Path):
    swap(folder, "text_encoder", dev_folder)
    assert "text_encoder/ is a mistral3, expected the qwen3 of a FLUX.2 Klein. Take all of them" in refusal(folder)


def test_a_text_encoder_of_klein_does_not_read_for_a_dev(dev: Path, distilled_folder: Path):
    swap(dev, "text_encoder", distilled_folder)
    assert "text_encoder/ is a qwen3, expected the mistral3 of a FLUX.2-dev. Take all of them" in refusal(dev)


def test_a_transformer_of_dev_does_not_draw_for_a_klein(folder: Path, dev_folder: Path):
    swap(folder, "transformer", dev_folder)
    assert "transformer/ reads a guidance scale, unlike that of a FLUX.2 Klein. Take all of them" in refusal(folder)


def test_a_transformer_of_klein_does_not_draw_for_a_dev(dev: Path, distilled_folder: Path):
    swap(dev, "transformer", distilled_folder)
    assert "transformer/ reads no guidance scale, unlike that of a FLUX.2-dev. Take all of them" in refusal(dev)


def test_a_klein_named_a_dev_is_refused(folder: Path):
    edit(folder / "model_index.json", _class_name="Flux2Pipeline")
    assert "expected the mistral3 of a FLUX.2-dev" in refusal(folder)


def test_a_transformer_that_states_nothing_about_guidance_reads_it_as_diffusers_assumes(dev: Path, folder: Path):
    edit(dev / "transformer/config.json", guidance_embeds=None)
    edit(folder / "transformer/config.json", guidance_embeds=None)
    assert check_folder(dev).guidance == "embedded"
    assert "transformer/ reads a guidance scale" in refusal(folder)


def mistral(folder: Path, **changes: object) -> None:
    """Change what a dev's text encoder says of its reading half."""
    file = folder / "text_encoder/config.json"
    edit(file, text_config={**json.loads(file.read_text())["text_config"], **changes})


SPOILED_DEVS: dict[str, tuple[Callable[[Path], object], str]] = {
    "encoder is too wide": (
        lambda f: mistral(f, hidden_size=5120),
        r"text_encoder/ gives 3 x 5120 = 15360 values a token, transformer/ reads 48",
    ),
    "encoder is too shallow": (
        lambda f: mistral(f, num_hidden_layers=24),
        r"text_encoder/ has 24 layers, layer 30 is read",
    ),
    "encoder has no sizes": (
        lambda f: edit(f / "text_encoder/config.json", text_config=None),
        r"text_encoder/config\.json states no hidden_size: this is not the text_encoder of a FLUX\.2-dev",
    ),
    "a shard is absent": (lambda f: shard(f)[1].unlink(), r"transformer/\S+-00002-of-00002\.safetensors is missing"),
    "encoder weights are cut": (
        lambda f: cut(f / "text_encoder/model.safetensors", 9000),
        r"text_encoder/model\.safetensors is damaged",
    ),
    "latents are too narrow": (
        lambda f: edit(f / "vae/config.json", latent_channels=16),
        r"vae/ gives 4 x 16 = 64 values a token, transformer/ reads 128",
    ),
}


@pytest.mark.parametrize(("spoil", "expected"), SPOILED_DEVS.values(), ids=SPOILED_DEVS)
def test_a_spoiled_folder_of_dev_is_refused_with_the_reason(dev: Path, spoil: Callable[[Path], object], expected: str):
    spoil(dev)
    assert re.search(expected, refusal(dev))


def test_the_way_to_speak_to_the_encoder_may_stand_among_the_settings_of_the_tokenizer(dev: Path):
    template = dev / "tokenizer" / "chat_template.jinja"
    edit(dev / "tokenizer" / "tokenizer_config.json", chat_template=template.read_text())
    template.unlink()
    assert check_folder(dev).name == "dev"


@pytest.mark.parametrize("place", ["transformer", ".cache/huggingface/download/transformer"])
def test_a_download_that_stopped_halfway_is_named(folder: Path, place: str):
    (folder / TRANSFORMER).unlink()
    half = folder / place / "abc.incomplete"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.touch()
    assert f"is missing (a download stopped halfway: {half}). Download it again" in refusal(folder)


@pytest.mark.parametrize(("stated", "expected"), [(64, 64), (1024, 512), (1e30, 512), (None, 512)])
def test_prompts_are_as_long_as_the_tokenizer_says_but_no_longer_than_a_kleins(
    folder: Path, stated: float | None, expected: int
):
    file = folder / "tokenizer" / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings.pop("model_max_length")
    file.write_text(json.dumps(settings if stated is None else settings | {"model_max_length": stated}))
    assert check_folder(folder).text_tokens == expected
