"""Embeddings come back as they were, and only for the encoder, the settings and the text that gave them."""

import os
from pathlib import Path

import pytest
import torch

from koshi_flux.shared.types import Conditioning
from koshi_flux.weights import prompt_cache
from koshi_flux.weights.prompt_cache import PromptCache, cache_folder, cache_for, identity


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    part = tmp_path / "text_encoder"
    part.mkdir()
    (part / "config.json").write_text("{}")
    (part / "model.safetensors").write_bytes(bytes(1_000_000))
    return part


def conditioning(pooled: bool = False) -> Conditioning:
    return Conditioning(torch.randn(8, 4), torch.randn(3) if pooled else None)


@pytest.mark.parametrize("pooled", [False, True])
def test_embeddings_come_back_bit_for_bit(encoder, tmp_path, pooled):
    given = conditioning(pooled)
    PromptCache([encoder], "cpu", tmp_path / "cache").put("a lake", given)
    found = PromptCache([encoder], "cpu", tmp_path / "cache").get("a lake")
    assert torch.equal(found.tokens, given.tokens)
    assert (found.pooled is None) == (given.pooled is None)
    assert not pooled or torch.equal(found.pooled, given.pooled)


def test_another_text_setting_or_encoder_finds_nothing(encoder, tmp_path):
    PromptCache([encoder], "cpu", tmp_path / "cache").put("a lake", conditioning())
    assert PromptCache([encoder], "cpu", tmp_path / "cache").get("a lake ") is None
    assert PromptCache([encoder], "cuda", tmp_path / "cache").get("a lake") is None
    content = bytearray(1_000_000)
    content[-1] = 1
    (encoder / "model.safetensors").write_bytes(content)
    assert PromptCache([encoder], "cpu", tmp_path / "cache").get("a lake") is None


def test_a_broken_file_is_as_good_as_none_and_is_mended(encoder, tmp_path):
    cache = PromptCache([encoder], "cpu", tmp_path / "cache")
    cache.put("a lake", conditioning())
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b"half")
    assert cache.get("a lake") is None
    cache.put("a lake", conditioning())
    assert cache.get("a lake") is not None


def test_a_disk_that_takes_nothing_stops_no_film(encoder, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = PromptCache([encoder], "cpu", tmp_path / "cache")
    cache.put("a lake", conditioning())
    assert cache.get("a lake") is None


def test_what_was_used_longest_ago_goes_first(encoder, tmp_path):
    cache = PromptCache([encoder], "cpu", tmp_path)
    for age, text in enumerate(("new", "old", "oldest")):
        cache.put(text, conditioning())
        os.utime(cache._file(text), (1000 - age, 1000 - age))
    size = cache._file("new").stat().st_size
    prompt_cache._make_room(tmp_path, room=2 * size)
    assert cache.get("new") is not None
    assert cache.get("old") is not None
    assert cache.get("oldest") is None


def test_looking_a_prompt_up_keeps_it(encoder, tmp_path):
    cache = PromptCache([encoder], "cpu", tmp_path)
    cache.put("a", conditioning())
    os.utime(cache._file("a"), (0, 0))
    cache.get("a")
    assert cache._file("a").stat().st_mtime > 1e9


def test_only_a_large_encoder_is_worth_a_cache(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("KOSHI_CACHE", str(tmp_path))
    assert cache_for([encoder], "cpu") is None
    monkeypatch.setattr(prompt_cache, "WORTHWHILE", 1_000_000)
    assert cache_for([encoder], "cpu") is not None


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("KOSHI_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "prompts"
    monkeypatch.delenv("KOSHI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "koshi-flux" / "prompts"


def test_the_identity_follows_names_and_contents_not_places(encoder, tmp_path):
    before = identity([encoder])
    assert identity([encoder.rename(tmp_path / "moved")]) == before
    (tmp_path / "moved" / "config.json").write_text("{ }")
    assert identity([tmp_path / "moved"]) != before
