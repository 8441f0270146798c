"""Folders as bad downloads leave them: each is refused with the reason, and without loading anything."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from koshi_flux.errors import ModelError
from koshi_flux.flux1.config import BENT, EVEN, FLUX_1_DEV, FLUX_1_SCHNELL, NoiseCurve
from koshi_flux.flux1.folder import check_folder, read_curve
from koshi_flux.flux1.model import load
from koshi_flux.shared.spec import FluxSpec

TRANSFORMER = Path("transformer/diffusion_pytorch_model.safetensors")
T5 = Path("text_encoder_2/model.safetensors")
SCHEDULER = Path("scheduler/scheduler_config.json")


@pytest.fixture
def folder(dev_folder: Path, tmp_path: Path) -> Path:
    """A copy of a good folder, to be spoiled."""
    return Path(shutil.copytree(dev_folder, tmp_path / "model"))


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


def shard(file: Path) -> list[Path]:
    """Split weights in two, with an index, as large models are published."""
    weights = load_file(file)
    names = sorted(weights)
    halves = [names[::2], names[1::2]]
    files = [file.with_name(f"{file.stem}-0000{i}-of-00002.safetensors") for i in (1, 2)]
    for half, target in zip(halves, files, strict=True):
        save_file({name: weights[name] for name in half}, target, metadata={"format": "pt"})
    places = {name: target.name for half, target in zip(halves, files, strict=True) for name in half}
    file.with_name(f"{file.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    file.unlink()
    return files


def test_a_good_folder_names_the_model_after_itself(dev_folder: Path, schnell_folder: Path):
    dev, schnell = check_folder(dev_folder), check_folder(schnell_folder)
    assert (dev.name, dev.guidance, dev.default_steps, dev.default_guidance) == ("dev", "embedded", 28, 3.5)
    assert (schnell.name, schnell.guidance, schnell.default_steps) == ("schnell", "none", 4)
    assert (dev.text_tokens, schnell.text_tokens) == (512, 256)
    for spec in (dev, schnell):
        assert (spec.family, spec.channels, spec.downscale, spec.multiple) == ("flux1", 16, 8, 16)
        assert (spec.hub_id, spec.licence, spec.aliases, spec.default_size) == ("", "", (), (512, 512))
        assert (spec.text_encoder, spec.memory_gb) == ("CLIP + T5", (0, 0))


@pytest.mark.parametrize(("is_guided", "expected"), [(True, FLUX_1_DEV), (False, FLUX_1_SCHNELL)])
def test_a_published_model_is_recognised_by_its_shape(folder: Path, is_guided: bool, expected: FluxSpec):
    config = folder / "transformer" / "config.json"
    edit(config, num_layers=19, num_single_layers=38, num_attention_heads=24, guidance_embeds=is_guided)
    assert check_folder(folder) is expected


@pytest.mark.parametrize("pipeline", ["FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"])
def test_it_does_not_matter_which_pipeline_wrote_the_folder(folder: Path, pipeline: str):
    edit(folder / "model_index.json", _class_name=pipeline)
    assert check_folder(folder).name == "model"


def test_sharded_weights_are_as_good_as_one_file(folder: Path):
    shard(folder / TRANSFORMER)
    shard(folder / T5)
    assert check_folder(folder).name == "model"
    assert load(folder).encode_prompt("a fox").tokens.isfinite().all()


def test_clips_tables_may_be_in_the_form_that_they_are_published_in(folder: Path):
    part = folder / "tokenizer"
    table = json.loads((part / "tokenizer.json").read_text())["model"]
    (part / "vocab.json").write_text(json.dumps(table["vocab"]))
    (part / "merges.txt").write_text("#version: 0.2\n")
    expected = load(folder).encode_prompt("a fox").pooled
    (part / "tokenizer.json").unlink()
    assert check_folder(folder).name == "model"
    found = load(folder).encode_prompt("a fox").pooled
    assert found is not None
    assert expected is not None
    assert found.equal(expected)


@pytest.mark.parametrize(("stated", "expected"), [(64, 64), (1024, 512), (1e30, 512), (None, 512)])
def test_prompts_are_as_long_as_t5s_tokenizer_says_but_no_longer_than_of_dev(
    folder: Path, stated: float | None, expected: int
):
    edit(folder / "tokenizer_2" / "tokenizer_config.json", model_max_length=stated)
    assert check_folder(folder).text_tokens == expected


def test_a_folder_without_index(tmp_path: Path):
    message = refusal(tmp_path)
    assert f"{tmp_path} is not a model folder: it has no model_index.json" in message
    assert "text_encoder_2/, tokenizer/ and tokenizer_2/" in message
    assert 'hf download black-forest-labs/FLUX.1-dev --exclude "flux1*" --local-dir flux-dev' in message


def test_a_single_file_is_no_folder(folder: Path):
    with pytest.raises(
        ModelError, match=r"is a single file; give it as the model, .* or the folder of a model, such as"
    ):
        check_folder(folder / TRANSFORMER)


@pytest.mark.parametrize(
    ("pipeline", "shown"),
    [
        ("Flux2KleinPipeline", "Flux2KleinPipeline (FLUX.2 Klein)"),
        ("Flux2Pipeline", "Flux2Pipeline (FLUX.2-dev)"),
        ("FluxFillPipeline", "FluxFillPipeline (FLUX.1 Fill)"),
        ("Other", "Other"),
    ],
)
def test_another_kind_of_model_is_named_whatever_its_folder_is_called(folder: Path, pipeline: str, shown: str):
    named = folder.rename(folder.with_name("FLUX.1-dev"))
    edit(named / "model_index.json", _class_name=pipeline)
    assert f"FLUX.1-dev holds a {shown}; this family draws with FLUX.1 (FluxPipeline)" in refusal(named)


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "index is no JSON": (lambda f: cut(f / "model_index.json", 40), r"model_index\.json cannot be read \("),
    "index is a list": (lambda f: (f / "model_index.json").write_text("[]"), r"model_index\.json holds no settings"),
    "part is absent": (lambda f: shutil.rmtree(f / "vae"), r"incomplete: vae/config\.json is missing\. Download it"),
    "second encoder is absent": (
        lambda f: shutil.rmtree(f / "text_encoder_2"),
        r"incomplete: text_encoder_2/config\.json is missing\. Download it again",
    ),
    "config is of another model": (
        lambda f: edit(f / "transformer/config.json", pooled_projection_dim=None),
        r"states no pooled_projection_dim: this is not the transformer of a FLUX\.1",
    ),
    "encoders are exchanged": (
        lambda f: shutil.copy(f / "text_encoder_2/config.json", f / "text_encoder/config.json"),
        r"text_encoder/config\.json states no hidden_size: this is not the text_encoder of a FLUX\.1",
    ),
    "first encoder is another": (
        lambda f: edit(f / "text_encoder/config.json", model_type="qwen3"),
        r"text_encoder/ is a qwen3, expected a clip_text_model\. Take all of them",
    ),
    "second encoder is another": (
        lambda f: edit(f / "text_encoder_2/config.json", model_type="umt5"),
        r"text_encoder_2/ is a umt5, expected a t5",
    ),
    "weights are absent": (
        lambda f: (f / TRANSFORMER).unlink(),
        r"incomplete: transformer/diffusion_pytorch_model\.safetensors is missing\. Download",
    ),
    "weights are empty": (lambda f: cut(f / TRANSFORMER, 0), r"damaged: it has 0 bytes, its header calls for 8\."),
    "weights stop in the header": (lambda f: cut(f / TRANSFORMER, 100), r"damaged: it has 100 bytes, its header calls"),
    "weights stop in the numbers": (lambda f: cut(f / TRANSFORMER, 99_999), r"damaged: it has 99,999 bytes, its head"),
    "weights are zeros": (
        lambda f: (f / TRANSFORMER).write_bytes(bytes(5000)),
        r"damaged: its header is no list of weights\. Download it again",
    ),
    "weights are a pointer": (
        lambda f: (f / TRANSFORMER).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n"),
        r"is a git-lfs pointer, not the weights: run `git lfs pull` in ",
    ),
    "weights of T5 are cut": (lambda f: cut(f / T5, 9000), r"text_encoder_2/model\.safetensors is damaged"),
    "a shard is absent": (
        lambda f: shard(f / TRANSFORMER)[1].unlink(),
        r"transformer/\S+-00002-of-00002\.safetensors is missing",
    ),
    "a shard of T5 is cut": (lambda f: cut(shard(f / T5)[0], 9000), r"-00001-of-00002\.safetensors is damaged"),
    "shards are not listed": (
        lambda f: (shard(f / T5), edit(f / f"{T5}.index.json", weight_map={})),
        r"index\.json lists no weights",
    ),
    "tokenizer has no settings": (
        lambda f: (f / "tokenizer/tokenizer_config.json").unlink(),
        r"tokenizer/tokenizer_config\.json is missing",
    ),
    "tokenizer has no tables": (
        lambda f: (f / "tokenizer_2/tokenizer.json").unlink(),
        r"tokenizer_2/tokenizer\.json is missing",
    ),
    "tokenizer has half its tables": (
        lambda f: (f / "tokenizer/tokenizer.json").rename(f / "tokenizer/vocab.json"),
        r"tokenizer/merges\.txt is missing",
    ),
    "tokenizer is cut": (lambda f: cut(f / "tokenizer_2/tokenizer.json", 3000), r"tokenizer\.json cannot be read \("),
    "scheduler is cut": (lambda f: cut(f / SCHEDULER, 30), r"scheduler_config\.json cannot be read \("),
    "scheduler bends by words": (
        lambda f: edit(f / SCHEDULER, base_shift="much"),
        r"scheduler_config\.json states no noise levels \(.*'much'\)\. Download it again",
    ),
    "scheduler bends by nothing": (
        lambda f: edit(f / SCHEDULER, use_dynamic_shifting=False, shift=0),
        r"scheduler_config\.json states no noise levels",
    ),
    "scheduler bends at one size only": (
        lambda f: edit(f / SCHEDULER, base_image_seq_len=256, max_image_seq_len=256),
        r"scheduler_config\.json states no noise levels",
    ),
    "transformer is of FLUX.2": (
        lambda f: edit(f / "transformer/config.json", _class_name="Flux2Transformer2DModel"),
        r"transformer/ is a Flux2Transformer2DModel, expected a FluxTransformer2DModel\. Take all of them",
    ),
    "autoencoder is of FLUX.2": (
        lambda f: edit(f / "vae/config.json", _class_name="AutoencoderKLFlux2", latent_channels=32),
        r"vae/ is an AutoencoderKLFlux2, expected an AutoencoderKL",
    ),
    "autoencoder has no shift": (
        lambda f: edit(f / "vae/config.json", shift_factor=None),
        r"vae/ states no shift_factor, so it is not that of a FLUX\.1",
    ),
    "latents are too narrow": (
        lambda f: edit(f / "vae/config.json", latent_channels=4),
        r"vae/ gives 4 x 4 = 16 values a token, transformer/ reads 64",
    ),
    "transformer fills in": (
        lambda f: edit(f / "transformer/config.json", in_channels=384),
        r"vae/ gives 4 x 16 = 64 values a token, transformer/ reads 384",
    ),
    "summary is too wide": (
        lambda f: edit(f / "text_encoder/config.json", hidden_size=1280),
        r"text_encoder/ gives a summary of 1280 values, transformer/ reads 16",
    ),
    "embeddings are too narrow": (
        lambda f: edit(f / "text_encoder_2/config.json", d_model=16),
        r"text_encoder_2/ gives 16 values a token, transformer/ reads 32",
    ),
}


@pytest.mark.parametrize(("spoil", "expected"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_folder_is_refused_with_the_reason(folder: Path, spoil: Callable[[Path], object], expected: str):
    spoil(folder)
    assert re.search(expected, refusal(folder))


@pytest.mark.parametrize("place", ["transformer", ".cache/huggingface/download/transformer"])
def test_a_download_that_stopped_halfway_is_named(folder: Path, place: str):
    (folder / TRANSFORMER).unlink()
    half = folder / place / "abc.incomplete"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.touch()
    assert f"is missing (a download stopped halfway: {half}). Download it again" in refusal(folder)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"use_dynamic_shifting": False, "shift": 2.0}, NoiseCurve(math.log(2))),
        ({"use_dynamic_shifting": False, "shift": 1.0}, EVEN),
        ({"use_dynamic_shifting": True, "shift": 3.0}, BENT),
        ({"base_shift": 1, "max_shift": 2}, NoiseCurve.through((256, 1), (4096, 2))),
        ({"base_image_seq_len": 64, "max_image_seq_len": 1024}, NoiseCurve.through((64, 0.5), (1024, 1.15))),
    ],
)
def test_a_scheduler_may_bend_noise_levels_its_own_way(folder: Path, settings: dict[str, object], expected: NoiseCurve):
    edit(folder / SCHEDULER, **settings)
    assert read_curve(folder, is_guided=True) == expected


@pytest.mark.parametrize(("is_guided", "expected"), [(True, BENT), (False, EVEN)])
def test_without_a_scheduler_noise_levels_are_those_of_dev_or_schnell(
    folder: Path, is_guided: bool, expected: NoiseCurve
):
    shutil.rmtree(folder / "scheduler")
    edit(folder / "transformer" / "config.json", guidance_embeds=is_guided)
    assert check_folder(folder).guidance == ("embedded" if is_guided else "none")
    assert read_curve(folder, is_guided=is_guided) == expected
