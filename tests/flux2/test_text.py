import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinPipeline

from koshi_flux.flux2 import text
from koshi_flux.flux2.config import KLEIN_4B
from koshi_flux.flux2.model import Flux2Model, load


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
        loaded.append(weakref.ref(part))
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
