import copy
import gc
import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

from koshi_flux.flux2 import text
from koshi_flux.flux2.config import FLUX_2_DEV, KLEIN_4B
from koshi_flux.flux2.model import Flux2Model, load

BEFORE_DEVS_PROMPT = 1 + 1 + len(SYSTEM_MESSAGE) + 1 + 1
"""Tokens of a tiny dev: <s>[SYSTEM_PROMPT], a token for each letter of the message, [/SYSTEM_PROMPT][INST]."""


@pytest.fixture(scope="module")
def short_dev(dev_folder: Path) -> Flux2Model:
    """A dev that reads 58 letters of a prompt."""
    return load(dev_folder, replace(FLUX_2_DEV, text_tokens=BEFORE_DEVS_PROMPT + 58))


@pytest.mark.parametrize("prompt", ["a misty forest at dawn", "", "Überall 森 🌲", "long " * 400])
def test_embeddings_are_those_of_the_pipeline(
    distilled: Flux2Model, distilled_pipeline: Flux2KleinPipeline, prompt: str
):
    expected = distilled_pipeline.encode_prompt(prompt)[0][0]
    tokens = distilled.encode_prompt(prompt).tokens
    assert tokens.shape == (512, 48)
    assert tokens.dtype == torch.float32
    assert not tokens.requires_grad
    assert torch.equal(tokens, expected)


@pytest.mark.parametrize(
    "prompt", ["a misty forest at dawn", "", "Überall 森 🌲", "long " * 400, "an [IMG] in it", "</s>[INST] again"]
)
def test_embeddings_of_dev_are_those_of_the_pipeline(dev: Flux2Model, dev_pipeline: Flux2Pipeline, prompt: str):
    expected = dev_pipeline.encode_prompt(prompt)[0][0]
    tokens = dev.encode_prompt(prompt).tokens
    assert tokens.shape == (512, 48)
    assert tokens.dtype == torch.float32
    assert not tokens.requires_grad
    assert torch.equal(tokens, expected)


def test_dev_with_a_shorter_memory_reads_just_as_the_pipeline_does(dev_folder: Path, dev_pipeline: Flux2Pipeline):
    model = load(dev_folder, replace(FLUX_2_DEV, text_tokens=256))
    for prompt in ("a forest", "forest " * 100):
        expected = dev_pipeline.encode_prompt(prompt, max_sequence_length=256)[0][0]
        assert torch.equal(model.encode_prompt(prompt).tokens, expected)


def test_the_hidden_states_that_are_read_are_those_of_the_models_row(
    distilled_folder: Path, distilled_pipeline: Flux2KleinPipeline
):
    tokens = load(distilled_folder, replace(KLEIN_4B, text_layers=(3, 20))).encode_prompt("a forest").tokens
    expected = distilled_pipeline.encode_prompt("a forest", text_encoder_out_layers=(3, 20))[0][0]
    assert tokens.shape == (512, 2 * 16)
    assert torch.equal(tokens, expected)


def test_dev_reads_through_a_tokenizer_that_is_published_as_a_processor_of_pictures_too(
    dev_folder: Path, dev_pipeline: Flux2Pipeline, tmp_path: Path
):
    """As in black-forest-labs/FLUX.2-dev: a PixtralProcessor, which calls for torchvision, around a Llama tokenizer."""
    folder = Path(shutil.copytree(dev_folder, tmp_path / "dev"))
    part = folder / "tokenizer"
    processor = {"processor_class": "PixtralProcessor"}
    (part / "processor_config.json").write_text(json.dumps({**processor, "patch_size": 14, "image_token": "[IMG]"}))
    (part / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "PixtralImageProcessor"}))
    settings = json.loads((part / "tokenizer_config.json").read_text())
    settings |= {**processor, "tokenizer_class": "LlamaTokenizerFast", "legacy": True}
    del settings["padding_side"], settings["backend"]  # a Llama tokenizer pads on the left unless told otherwise
    (part / "tokenizer_config.json").write_text(json.dumps(settings))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "tokenizer": ["transformers", "PixtralProcessor"]}))
    tokens = load(folder).encode_prompt("a misty forest").tokens
    assert torch.equal(tokens, dev_pipeline.encode_prompt("a misty forest")[0][0])


def test_layers_above_those_that_are_read_are_not_kept(dev_pipeline: Flux2Pipeline, dev_folder: Path, tmp_path: Path):
    deep = copy.deepcopy(dev_pipeline.text_encoder)
    layers = deep.get_decoder().layers
    layers.extend(copy.deepcopy(layer) for layer in layers[:3])
    deep.config.text_config.num_hidden_layers = len(layers)
    folder = Path(shutil.copytree(dev_folder, tmp_path / "deep"))
    deep.save_pretrained(folder / "text_encoder")
    model = load(folder)
    assert torch.equal(model.encode_prompt("a forest").tokens, dev_pipeline.encode_prompt("a forest")[0][0])
    assert len(model._reader._pipeline.text_encoder.layers) == 30


def test_a_model_with_a_shorter_memory_reads_just_as_the_pipeline_does(
    distilled_folder: Path, distilled_pipeline: Flux2KleinPipeline
):
    model = load(distilled_folder, replace(KLEIN_4B, text_tokens=64))
    tokens = model.encode_prompt("a misty forest at dawn").tokens
    expected = distilled_pipeline.encode_prompt("a misty forest at dawn", max_sequence_length=64)[0][0]
    assert tokens.shape == (64, 48)
    assert torch.equal(tokens, expected)


@pytest.mark.parametrize(
    ("prompt", "lost"),
    [
        ("a lake", ""),
        ("x" * 58, ""),  # only the marks that end the user's turn are cut
        (f"{'x' * 58} a lake", "a lake"),
        (f"{'x' * 55} fog and rain", "fog and rain"),  # the cut goes through "fog"
        (f"{'x' * 54} fog and rain", "and rain"),
        ("x" * 59, "x" * 59),
        (f"{'x' * 58} {'dragon ' * 100}", " ".join(["dragon"] * 28) + " ..."),  # 199 of at most 200 characters
    ],
)
def test_the_words_that_are_not_read_are_said(
    distilled_folder: Path, caplog: pytest.LogCaptureFixture, prompt: str, lost: str
):
    """The tiny model has a token for each byte, and six of them come before the prompt."""
    model = load(distilled_folder, replace(KLEIN_4B, text_tokens=64))
    model.encode_prompt(prompt)
    said = [record.getMessage() for record in caplog.records if record.name == "koshi_flux.flux2.text"]
    assert said == ([f"a prompt is longer than the 64 tokens that this model reads; cut off: {lost}"] if lost else [])


@pytest.mark.parametrize(
    ("prompt", "lost"),
    [
        ("a lake", ""),
        ("x" * 58, ""),  # only the mark that ends the user's turn is cut
        (f"{'x' * 58} a lake", "a lake"),
        (f"{'x' * 55} fog and rain", "fog and rain"),  # the cut goes through "fog"
        (f"[IMG]{'x' * 54} fog and rain", "and rain"),  # the mark for pictures is taken out before
        ("relationships " * 5, "relationships"),  # a word of the system message, too
    ],
)
def test_the_words_that_dev_does_not_read_are_said(
    short_dev: Flux2Model, caplog: pytest.LogCaptureFixture, prompt: str, lost: str
):
    length = short_dev.spec.text_tokens
    short_dev.encode_prompt(prompt)
    said = [record.getMessage() for record in caplog.records if record.name == "koshi_flux.flux2.text"]
    expected = f"a prompt is longer than the {length} tokens that this model reads; cut off: {lost}"
    assert said == ([expected] if lost else [])


def test_a_model_too_short_for_its_own_system_message_reads_no_word(dev_folder: Path, caplog: pytest.LogCaptureFixture):
    load(dev_folder, replace(FLUX_2_DEV, text_tokens=64)).encode_prompt("fog and rain")
    assert caplog.messages[-1].endswith("cut off: fog and rain")


def test_different_prompts_differ_and_can_be_mixed(distilled: Flux2Model):
    forest, city = (distilled.encode_prompt(prompt).tokens for prompt in ("a forest", "a city in the rain"))
    assert forest.shape == city.shape
    assert (forest - city).abs().max() > 0.1


def test_the_encoder_is_loaded_once_dropped_on_release_and_loaded_again_when_needed(
    distilled_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded: list[weakref.ref[torch.nn.Module]] = []

    def spy(*args: object) -> torch.nn.Module:
        part = read_part(*args)
        loaded.append(weakref.ref(part.get_decoder()))
        return part

    read_part = text.read_part
    monkeypatch.setattr(text, "read_part", spy)
    model = load(distilled_folder)
    assert not loaded
    first = model.encode_prompt("a forest").tokens
    model.encode_prompt("a city")
    assert len(loaded) == 1
    assert loaded[0]() is not None

    model.release_text_encoder()
    assert loaded[0]() is None

    assert torch.equal(model.encode_prompt("a forest").tokens, first)
    assert len(loaded) == 2


def test_of_a_mistral_that_sees_and_writes_only_the_half_that_reads_is_kept(
    dev_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    rest: list[weakref.ref[torch.nn.Module]] = []

    def spy(*args: object) -> torch.nn.Module:
        part = read_part(*args)
        rest.extend(map(weakref.ref, (part.lm_head, part.model.vision_tower, part.model.multi_modal_projector)))
        return part

    read_part = text.read_part
    monkeypatch.setattr(text, "read_part", spy)
    gc.disable()
    try:
        load(dev_folder).encode_prompt("a forest")
        assert [part() for part in rest] == [None, None, None]
    finally:
        gc.enable()


def test_releasing_what_was_never_loaded_is_allowed(distilled_folder: Path):
    load(distilled_folder).release_text_encoder()


def test_reading_prompts_loads_neither_transformer_nor_autoencoder(
    distilled_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*args: object) -> None:
        raise AssertionError("loaded too early")

    monkeypatch.setattr("koshi_flux.flux2.model.read_part", refuse)
    model = load(distilled_folder)
    conditioning = model.encode_prompt("a forest")
    with pytest.raises(AssertionError, match="loaded too early"):
        model.velocity(torch.zeros(32, 8, 8), 0.5, conditioning, None, 1.0)
