import json
import re
from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline

from koshi_flux.errors import OutputError
from koshi_flux.flux2.tiny import make_tiny_model


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("distilled", [True, False])
def test_plain_diffusers_opens_it_and_knows_whether_it_is_distilled(
    distilled: bool, distilled_pipeline: Flux2KleinPipeline, base_pipeline: Flux2KleinPipeline
):
    pipeline = distilled_pipeline if distilled else base_pipeline
    assert pipeline.config.is_distilled is distilled
    image = pipeline(
        prompt="a fox", height=32, width=48, num_inference_steps=2, guidance_scale=2.0, output_type="pt"
    ).images
    assert image.shape == (1, 3, 32, 48)
    assert image.isfinite().all()
    assert image.std() > 0.01


def test_plain_diffusers_opens_a_tiny_dev(dev_pipeline: Flux2Pipeline):
    assert isinstance(dev_pipeline, Flux2Pipeline)
    assert dev_pipeline.transformer.config.guidance_embeds is True
    image = dev_pipeline(prompt="a fox", height=32, width=48, num_inference_steps=2, output_type="pt").images
    assert image.shape == (1, 3, 32, 48)
    assert image.isfinite().all()
    assert image.std() > 0.01


def test_it_is_small(distilled_folder: Path, dev_folder: Path):
    for folder in (distilled_folder, dev_folder):
        assert sum(map(len, contents(folder).values())) < 4_000_000


def test_the_seed_makes_the_weights(tmp_path: Path, distilled_folder: Path):
    same, other = make_tiny_model(tmp_path / "a"), make_tiny_model(tmp_path / "b", seed=1)
    assert contents(same) == contents(distilled_folder)
    weights = "transformer/diffusion_pytorch_model.safetensors"
    assert contents(other)[weights] != contents(same)[weights]


def test_random_numbers_of_the_caller_go_on_as_if_nothing_had_been(tmp_path: Path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    make_tiny_model(tmp_path / "tiny")
    assert torch.equal(torch.rand(3), expected)


def test_forgotten_statistics_would_show(distilled_pipeline: Flux2KleinPipeline):
    norm = distilled_pipeline.vae.bn
    assert norm.running_mean.abs().mean() > 0.2
    assert (norm.running_var - 1).abs().mean() > 0.5


def test_any_text_can_be_cut_into_tokens(distilled_pipeline: Flux2KleinPipeline, dev_pipeline: Flux2Pipeline):
    for tokenizer in (distilled_pipeline.tokenizer, dev_pipeline.tokenizer):
        for text in ("a fox", "Überall 森 🌲", "\x00\t\n"):
            assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_prompts_are_spoken_as_to_qwen(distilled_pipeline: Flux2KleinPipeline):
    spoken = distilled_pipeline.tokenizer.apply_chat_template(
        [{"role": "user", "content": "a fox"}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert spoken == "<|im_start|>user\na fox<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def test_prompts_are_spoken_as_to_mistral(dev_pipeline: Flux2Pipeline):
    turns = [("system", ["Be ", "brief."]), ("user", ["a fox"])]
    spoken = dev_pipeline.tokenizer.apply_chat_template(
        [{"role": role, "content": [{"type": "text", "text": text} for text in texts]} for role, texts in turns],
        tokenize=False,
    )
    assert spoken == "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]a fox[/INST]"


def test_it_may_be_written_to_an_empty_folder(tmp_path: Path):
    folder = make_tiny_model(str(tmp_path))
    assert folder == tmp_path
    assert json.loads((folder / "model_index.json").read_text())["is_distilled"] is True


def test_it_is_never_written_among_other_files(tmp_path: Path):
    (tmp_path / "film.toml").write_text("frames = 60")
    with pytest.raises(OutputError, match=f"{re.escape(str(tmp_path))} is not empty: give a new or an empty folder"):
        make_tiny_model(tmp_path)
    assert list(contents(tmp_path)) == ["film.toml"]


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "tiny").write_text("")
    with pytest.raises(OutputError, match=f"cannot make a model folder at {re.escape(str(tmp_path))}.*: File exists"):
        make_tiny_model(tmp_path / "tiny")
