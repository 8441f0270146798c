import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file, save_file

from koshi_flux.flux1 import text
from koshi_flux.flux1.config import FLUX_1_DEV
from koshi_flux.flux1.model import Flux1Model, load
from koshi_flux.flux1.tiny import CLIP_WIDTH, T5_WIDTH, make_tiny_model
from koshi_flux.shared.types import Conditioning


@torch.no_grad()
def theirs(pipeline: FluxPipeline, prompt: str, length: int = 512) -> Conditioning:
    tokens, pooled, _ = pipeline.encode_prompt(prompt, max_sequence_length=length)
    return Conditioning(tokens[0], pooled[0])


def same(one: Conditioning, other: Conditioning) -> bool:
    assert one.pooled is not None
    assert other.pooled is not None
    return torch.equal(one.tokens, other.tokens) and torch.equal(one.pooled, other.pooled)


PROMPTS = ["a misty forest at dawn", "", "Überall 森 🌲", "over  two\nlines ", "long " * 40, "long " * 400]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_embeddings_are_those_of_the_pipeline(dev: Flux1Model, dev_pipeline: FluxPipeline, prompt: str):
    found = dev.encode_prompt(prompt)
    assert found.pooled is not None
    assert (found.tokens.shape, found.pooled.shape) == ((512, T5_WIDTH), (CLIP_WIDTH,))
    assert found.tokens.dtype == found.pooled.dtype == torch.float32
    assert not found.tokens.requires_grad
    assert not found.pooled.requires_grad
    assert same(found, theirs(dev_pipeline, prompt))


def test_schnell_reads_256_tokens(schnell: Flux1Model, schnell_pipeline: FluxPipeline):
    found = schnell.encode_prompt("long " * 400)
    assert found.tokens.shape == (256, T5_WIDTH)
    assert same(found, theirs(schnell_pipeline, "long " * 400, 256))


def test_both_encoders_tell_prompts_apart(dev: Flux1Model):
    forest, city = dev.encode_prompt("a forest"), dev.encode_prompt("a city in the rain")
    assert forest.pooled is not None
    assert city.pooled is not None
    assert (forest.tokens - city.tokens).abs().max() > 0.1
    assert (forest.pooled - city.pooled).abs().max() > 0.1


def _as_published(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Under the names in the published CLIP, which are older than transformers 5."""
    return {f"text_model.{name}": value for name, value in weights.items()}


def _twice(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With T5's words a second time, as some repackers write them."""
    return {**weights, "encoder.embed_tokens.weight": weights["shared.weight"].clone()}


@pytest.mark.parametrize(("part", "rename"), [("text_encoder", _as_published), ("text_encoder_2", _twice)])
def test_weights_under_published_names_are_read_alike(
    tmp_path: Path, dev: Flux1Model, part: str, rename: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
):
    folder = make_tiny_model(tmp_path / "published")
    file = folder / part / "model.safetensors"
    weights = rename(load_file(file))
    save_file(weights, file, metadata={"format": "pt"})
    assert same(load(folder).encode_prompt("a forest"), dev.encode_prompt("a forest"))


@pytest.mark.parametrize(
    ("prompt", "lost"),
    [
        ("a lake", ""),
        ("x" * 62, ""),  # the start of a word is a token of its own, and the last of 64 says that the text ends
        (f"{'x' * 60} y", ""),
        (f"{'x' * 61} y", "y"),
        ("x" * 63, "x" * 63),
        (f"{'x' * 59} fog and rain", "fog and rain"),  # the cut goes through "fog"
        (f"{'x' * 58} fog and rain", "and rain"),
        (f"{'x' * 57}\nfog\nand rain", "and rain"),
        (f"{'x' * 61} {'dragon ' * 100}", " ".join(["dragon"] * 28) + " ..."),  # 199 of at most 200 characters
    ],
)
def test_the_words_that_are_not_read_are_said(
    dev_folder: Path, caplog: pytest.LogCaptureFixture, prompt: str, lost: str
):
    model = load(dev_folder, replace(FLUX_1_DEV, text_tokens=64))
    model.encode_prompt(prompt)
    said = [record.getMessage() for record in caplog.records]
    assert said == ([f"a prompt is longer than the 64 tokens that this model reads; cut off: {lost}"] if lost else [])


def test_nobody_is_warned_of_words_that_only_the_summary_leaves_out(dev: Flux1Model, caplog: pytest.LogCaptureFixture):
    short, long = dev.encode_prompt("x " * 60), dev.encode_prompt("x " * 60 + "lake " * 20)  # 77 of CLIP's tokens
    assert not caplog.records
    assert not torch.equal(short.tokens, long.tokens)


def test_the_encoders_are_loaded_once_dropped_on_release_and_loaded_again_when_needed(
    dev_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded: list[weakref.ref[torch.nn.Module]] = []

    def spy(*args: object) -> torch.nn.Module:
        part = read_part(*args)
        loaded.append(weakref.ref(part))
        return part

    read_part = text.read_part
    monkeypatch.setattr(text, "read_part", spy)
    model = load(dev_folder)
    assert not loaded
    first = model.encode_prompt("a forest")
    model.encode_prompt("a city")
    assert [type(part()).__name__ for part in loaded] == ["CLIPTextModel", "T5EncoderModel"]

    model.release_text_encoder()
    assert [part() for part in loaded] == [None, None]

    assert same(model.encode_prompt("a forest"), first)
    assert len(loaded) == 4


def test_releasing_what_was_never_loaded_is_allowed(dev_folder: Path):
    load(dev_folder).release_text_encoder()


def test_reading_prompts_loads_neither_transformer_nor_autoencoder(dev_folder: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> None:
        raise AssertionError("loaded too early")

    monkeypatch.setattr("koshi_flux.flux1.model.read_part", refuse)
    model = load(dev_folder)
    conditioning = model.encode_prompt("a forest")
    with pytest.raises(AssertionError, match="loaded too early"):
        model.velocity(torch.zeros(16, 8, 8), 0.5, conditioning, None, 1.0)
