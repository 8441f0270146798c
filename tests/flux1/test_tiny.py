import json
import re
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from koshi_flux.errors import OutputError
from koshi_flux.flux1.tiny import make_tiny_model


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("schnell", [True, False])
def test_plain_diffusers_opens_it_and_knows_which_it_is(
    schnell: bool, dev_pipeline: FluxPipeline, schnell_pipeline: FluxPipeline
):
    pipeline = schnell_pipeline if schnell else dev_pipeline
    assert pipeline.transformer.config.guidance_embeds is not schnell
    assert pipeline.scheduler.config.use_dynamic_shifting is not schnell
    image = pipeline(
        prompt="a fox", height=32, width=48, num_inference_steps=2, guidance_scale=2.0, output_type="pt"
    ).images
    assert image.shape == (1, 3, 32, 48)
    assert image.isfinite().all()
    assert image.std() > 0.01


def test_it_is_small(dev_folder: Path):
    assert sum(map(len, contents(dev_folder).values())) < 4_000_000


def test_the_seed_makes_the_weights(tmp_path: Path, dev_folder: Path):
    same, other = make_tiny_model(tmp_path / "a"), make_tiny_model(tmp_path / "b", seed=1)
    assert contents(same) == contents(dev_folder)
    weights = "transformer/diffusion_pytorch_model.safetensors"
    assert contents(other)[weights] != contents(same)[weights]


def test_random_numbers_of_the_caller_go_on_as_if_nothing_had_been(tmp_path: Path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    make_tiny_model(tmp_path / "tiny")
    assert torch.equal(torch.rand(3), expected)


def test_the_encoders_are_shaped_as_the_published_ones(dev_pipeline: FluxPipeline):
    """What FLUX.1's two encoders do differently from a fresh config of their classes."""
    assert dev_pipeline.text_encoder_2.config.feed_forward_proj == "gated-gelu"
    assert dev_pipeline.text_encoder.config.eos_token_id == 2
    assert dev_pipeline.text_encoder.config.hidden_act == "quick_gelu"
    assert dev_pipeline.text_encoder.config.hidden_size != dev_pipeline.text_encoder_2.config.d_model


def test_the_summary_is_read_off_the_end_of_the_text(dev_pipeline: FluxPipeline):
    """CLIP sees only what comes before: a summary taken anywhere else would not know the last word."""
    tokenizer = dev_pipeline.tokenizer
    ids = tokenizer("a fox")["input_ids"]
    assert ids[-1] == max(tokenizer.get_vocab().values()) == tokenizer.convert_tokens_to_ids("<|endoftext|>")


def test_any_text_can_be_cut_into_tokens(dev_pipeline: FluxPipeline):
    for text in ("a fox", "Überall 森 🌲", "\x00\t\n", ""):
        clip, t5 = dev_pipeline.tokenizer(text)["input_ids"], dev_pipeline.tokenizer_2(text)["input_ids"]
        assert max(clip) < dev_pipeline.text_encoder.config.vocab_size
        assert max(t5) < dev_pipeline.text_encoder_2.config.vocab_size
        assert t5[-1] == dev_pipeline.tokenizer_2.eos_token_id == 1
    assert dev_pipeline.tokenizer_2.decode(dev_pipeline.tokenizer_2("a fox")["input_ids"]) == "a fox</s>"


def test_it_may_be_written_to_an_empty_folder(tmp_path: Path):
    folder = make_tiny_model(str(tmp_path), schnell=True)
    assert folder == tmp_path
    assert json.loads((folder / "transformer" / "config.json").read_text())["guidance_embeds"] is False


def test_it_is_never_written_among_other_files(tmp_path: Path):
    (tmp_path / "film.toml").write_text("frames = 60")
    with pytest.raises(OutputError, match=f"{re.escape(str(tmp_path))} is not empty: give a new or an empty folder"):
        make_tiny_model(tmp_path)
    assert list(contents(tmp_path)) == ["film.toml"]


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "tiny").write_text("")
    with pytest.raises(OutputError, match=f"cannot make a model folder at {re.escape(str(tmp_path))}.*: File exists"):
        make_tiny_model(tmp_path / "tiny")
