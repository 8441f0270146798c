"""Every published model films, from a tiny model of its kind, through the one loop."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from koshi_flux.errors import ModelError
from koshi_flux.pipeline.animation import film
from koshi_flux.pipeline.factory import SPECS, check_model, load_model, make_tiny_model
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.weights import prompt_cache
from tests.weights.single_files import bfl_transformer, save, save_gguf, weights_of

PUBLISHED = [spec for spec in SPECS.values() if spec.hub_id]


@pytest.mark.parametrize("spec", PUBLISHED, ids=lambda spec: spec.name)
def test_every_row_films(spec, tmp_path):
    folder = str(make_tiny_model(spec.name, tmp_path / "tiny"))
    found, model = check_model(folder), load_model(folder, "cpu")
    assert (found.family, found.guidance, found.channels) == (spec.family, spec.guidance, spec.channels)
    assert (found.default_steps, found.text_tokens) == (spec.default_steps, spec.text_tokens)
    film = Animation(
        prompts={"0": "a lake", "2": "a city"},
        frames=3,
        size=(64, 48),
        steps=2,
        denoise=0.5,
        zoom=1.05,
        negative_prompt="blur",
    )
    frames = list(render(film, model))
    assert [frame.sigmas[0] for frame in frames] == [1.0, 0.5, 0.5]
    assert all(frame.image.shape == (3, 48, 64) and torch.isfinite(frame.image).all() for frame in frames)
    assert (frames[1].image - frames[2].image).abs().max() > 0.01


FILM = Animation(prompts={"0": "a lake", "1": "a city"}, frames=2, size=(64, 48), steps=2, denoise=0.5, zoom=1.05)


LAYER = "transformer_blocks.0.attn.to_q"


@pytest.fixture(scope="module", params=["flux.1-dev", "flux.2-klein-4b", "flux.2-dev"])
def folder(request, tmp_path_factory) -> str:
    return str(make_tiny_model(request.param, tmp_path_factory.mktemp("models") / "tiny"))


def drawn(folder: str, **how: str) -> torch.Tensor:
    return torch.stack([frame.image for frame in render(FILM, load_model(folder, "cpu", **how))])


def test_a_film_is_the_same_wherever_weights_wait(folder):
    full = drawn(folder, memory="full", precision="fp32")
    assert (drawn(folder, memory="offload", precision="fp32") - full).abs().max() < 1e-5


def written_lora(folder: str, file: Path) -> str:
    width = load_file(Path(folder) / "transformer/diffusion_pytorch_model.safetensors")[f"{LAYER}.weight"].shape[0]
    dice = torch.Generator().manual_seed(0)
    factors = {"A": torch.randn(4, width, generator=dice), "B": 3 * torch.randn(width, 4, generator=dice)}
    save_file({f"transformer.{LAYER}.lora_{end}.weight": factor for end, factor in factors.items()}, file)
    return str(file)


def test_a_lora_fades_in_and_leaves_no_trace(folder, tmp_path):
    file = written_lora(folder, tmp_path / "style.safetensors")
    with_style = FILM.replaced(lora={"style": {"file": file, "strength": "0:(0), 1:(1)"}})
    model = load_model(folder, "cpu")
    before = [frame.image for frame in render(FILM, model)]
    styled = [frame.image for frame in render(with_style, model)]
    after = [frame.image for frame in render(FILM, model)]
    assert torch.equal(styled[0], before[0])
    assert (styled[1] - before[1]).abs().max() > 0.01
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_a_lora_of_the_other_family_stops_the_film_before_it_begins(folder, tmp_path):
    file = tmp_path / "style.safetensors"
    other = (
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj"
        if check_model(folder).family == "flux1"
        else "single_transformer_blocks.0.proj_mlp"
    )
    save_file(
        {
            f"transformer.{other}.lora_A.weight": torch.zeros(4, 64),
            f"transformer.{other}.lora_B.weight": torch.zeros(256, 4),
        },
        file,
    )
    styled = FILM.replaced(lora={"style": str(file)})
    with pytest.raises(ModelError, match=r"lora\.style: .*style\.safetensors"):
        list(film(styled, load_model(folder, "cpu"), tmp_path / "run" / "film.mp4"))
    assert not (tmp_path / "run").exists()


def test_a_single_file_films_as_its_folder_does(folder, tmp_path):
    file = save(bfl_transformer(weights_of(Path(folder) / "transformer")), tmp_path / "mine.safetensors")
    model = load_model(file, "cpu", vae=f"{folder}/vae", text_encoder=folder)
    alone = torch.stack([frame.image for frame in render(FILM, model)])
    assert (alone - drawn(folder)).abs().max() < 1e-4


def test_a_gguf_films_and_is_not_fetched_from_disk(folder, tmp_path):
    weights = bfl_transformer(weights_of(Path(folder) / "transformer"))
    file = save_gguf(weights, tmp_path / "mine.gguf", "F16")
    beside = {"vae": f"{folder}/vae", "text_encoder": folder}
    model = load_model(file, "cpu", **beside)
    assert all(torch.isfinite(frame.image).all() for frame in render(FILM, model))


def test_a_file_that_is_not_there_is_not_taken_for_a_name():
    with pytest.raises(ModelError, match=r"there is no file klein\.gguf"):
        check_model("klein.gguf")


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_fewer_bits_draw_much_the_same(folder, precision):
    full = drawn(folder, memory="full", precision="fp32")
    assert 0 < (drawn(folder, memory="full", precision=precision) - full).abs().mean() < 0.02


def test_a_prompt_is_read_once_for_ever(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(prompt_cache, "WORTHWHILE", 0)
    monkeypatch.setenv("KOSHI_CACHE", str(tmp_path))
    first = drawn(folder)
    assert len(list((tmp_path / "prompts").iterdir())) == 2
    model = load_model(folder, "cpu")
    monkeypatch.setattr(model._reader, "_embed", lambda text: pytest.fail(f"{text} was read again"))
    assert torch.equal(torch.stack([frame.image for frame in render(FILM, model)]), first)


def test_running_out_of_memory_says_what_to_do_and_loses_nothing(folder, tmp_path, monkeypatch):
    model = load_model(folder, "cpu")
    velocity, calls = model.velocity, []

    def full(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return velocity(*arguments)

    monkeypatch.setattr(model, "velocity", full)
    with pytest.raises(
        ModelError, match=r"memory ran out on cpu: take --memory offload, or --memory minimal, with --res"
    ):
        list(film(FILM, model, tmp_path / "film.mp4"))
    assert [file.name for file in sorted((tmp_path / "frames").iterdir())] == ["000000.png"]
    list(film(FILM, model, tmp_path / "film.mp4", resume=True))
    whole = [frame.image for frame in render(FILM, model)]
    assert len(list((tmp_path / "frames").iterdir())) == len(whole) == 2


@pytest.mark.parametrize("spec", PUBLISHED, ids=lambda spec: spec.name)
def test_every_row_states_its_facts(spec):
    assert spec.licence
    assert spec.text_encoder
    assert all(size > 1 for size in spec.memory_gb)
    assert spec.aliases
    assert 0 < spec.default_denoise < 1
    assert (spec.default_guidance > 1) == (spec.guidance != "none")


def test_a_tiny_model_is_like_a_published_one_only(tmp_path):
    with pytest.raises(ModelError, match=r"'toy' is no published FLUX: give a name such as flux\.2-klein-4b"):
        make_tiny_model("toy", tmp_path / "tiny")
