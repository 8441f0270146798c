"""IP-Adapters against diffusers' pipeline on tiny weights, what they leave behind, and what is refused."""

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch._dynamo.utils import counters
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from koshi_flux.errors import ModelError
from koshi_flux.flux1.companions import find_ip_adapter
from koshi_flux.flux1.config import TRANSFORMER
from koshi_flux.flux1.ip_adapter import as_clip_sees
from koshi_flux.flux1.model import Flux1Model, load
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.flow_matching import euler
from koshi_flux.shared.types import AdaptedModel, History, Impression
from koshi_flux.weights.memory import MemoryPlan
from koshi_flux.weights.speed import Speed
from tests.flux1.adapters import DIFFUSERS, SIZES, SUMMARY, XLABS, adapter_weights, made_adapter, made_clip
from tests.flux1.conftest import reference
from tests.flux1.test_controlnet import noise, packed, picture, unpacked
from tests.weights.single_files import save_header

HEIGHT, WIDTH = 32, 48
PROMPT = "a misty forest"
SIGMAS = (1.0, 0.6, 0.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_clip(tmp_path_factory.mktemp("clip") / "vision")


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_adapter(tmp_path_factory.mktemp("adapters") / "style.safetensors")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_adapter(tmp_path_factory.mktemp("adapters") / "other.safetensors", spelling=DIFFUSERS, seed=1)


@pytest.fixture
def model(dev_folder: Path, style: Path, other: Path, clip: Path) -> Flux1Model:
    model = load(dev_folder)
    model.use_ip_adapters({"style": (str(style), str(clip)), "other": (str(other), str(clip))})
    return model


def ours(model: Flux1Model, x: Tensor, sigmas: tuple[float, ...], *seen: Impression) -> Tensor:
    prompt = replace(model.encode_prompt(PROMPT), adapters=seen)
    return euler(lambda latent, sigma: model.velocity(latent, sigma, prompt, None, 3.5), x, sigmas)


def theirs(folder: Path, adapters: list[Path], clip: Path, images: list[Tensor], scales: list[float]) -> Tensor:
    pipeline = reference(folder)
    pipeline.load_ip_adapter(
        [str(file.parent) for file in adapters], weight_name=[file.name for file in adapters],
        image_encoder_pretrained_model_name_or_path=str(clip), image_encoder_dtype=torch.float32,
    )  # fmt: skip
    pipeline.set_ip_adapter_scale(scales)
    tokens = pipeline(
        PROMPT, ip_adapter_image=[pipeline.image_processor.numpy_to_pil(each.movedim(0, 2)[None].numpy())[0]
        for each in images], height=HEIGHT, width=WIDTH, num_inference_steps=3, guidance_scale=3.5,
        latents=packed(noise(1)), output_type="latent",
    ).images  # fmt: skip
    return unpacked(tokens)


def test_one_picture_counts_as_in_the_pipeline(model: Flux1Model, dev_folder: Path, style: Path, clip: Path):
    assert isinstance(model, AdaptedModel)
    shown = picture(2)
    seen = replace(model.look(shown, ["style"])["style"], strength=0.7)
    found = ours(model, noise(1), model.sigmas(3, 1.0, WIDTH, HEIGHT), seen)
    assert (found - theirs(dev_folder, [style], clip, [shown], [0.7])).abs().max() < 1e-5
    assert (found - ours(model, noise(1), model.sigmas(3, 1.0, WIDTH, HEIGHT))).abs().max() > 1e-2


def test_several_add_up_as_in_the_pipeline(model: Flux1Model, dev_folder: Path, style: Path, other: Path, clip: Path):
    shown = [picture(2), torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(4))]
    one = replace(model.look(shown[0], ["style"])["style"], strength=0.7)
    two = replace(model.look(shown[1], ["other"])["other"], strength=1.2)
    found = ours(model, noise(1), model.sigmas(3, 1.0, WIDTH, HEIGHT), one, two)
    assert (found - theirs(dev_folder, [style, other], clip, shown, [0.7, 1.2])).abs().max() < 1e-5


def test_sixteen_tokens_and_a_whole_clip_serve_as_well(
    dev_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """As XLabs' second version and OpenAI's CLIP are; that it also reads texts need not be said."""
    whole = made_clip(tmp_path / "whole", whole=True)
    CLIPVisionModelWithProjection.from_pretrained(whole).save_pretrained(tmp_path / "half")
    many = made_adapter(tmp_path / "many.safetensors", tokens=16)
    found = []
    caplog.clear()
    for encoder in (whole, tmp_path / "half"):
        model = load(dev_folder)
        model.use_ip_adapters({"many": (str(many), str(encoder))})
        found.append(model.look(picture(2), ["many"])["many"])
    assert [keys.shape for keys in found[0].keys] == [(16, 64)]
    assert (found[0].values[0] - found[1].values[0]).abs().max() < 1e-5
    assert not caplog.records


@pytest.mark.parametrize("size", [(32, 48), (61, 37), (28, 28), (200, 90)])
def test_pictures_are_seen_as_by_the_processor_of_clip(size: tuple[int, int]):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    levels = (image * 255).round().byte().movedim(0, 2).numpy()
    processor = CLIPImageProcessor(size=28, crop_size=28)
    expected = torch.as_tensor(
        processor(levels, return_tensors="pt", input_data_format="channels_last").pixel_values[0]
    )
    assert (as_clip_sees(image, 28) - expected).abs().max() < 1e-5


def test_nothing_is_left_behind(model: Flux1Model, dev_folder: Path):
    """At strength 0 and afterwards it's the model itself, bit for bit."""
    plain, before = load(dev_folder), {name: each.clone() for name, each in model._transformer.state_dict().items()}
    expected = ours(plain, noise(1), SIGMAS)
    seen = model.look(picture(2), ["style"])["style"]
    assert torch.equal(ours(model, noise(1), SIGMAS), expected)
    assert (ours(model, noise(1), SIGMAS, seen) - expected).abs().max() > 1e-2
    assert torch.equal(ours(model, noise(1), SIGMAS, replace(seen, strength=0.0)), expected)
    model.use_ip_adapters({})
    assert torch.equal(ours(model, noise(1), SIGMAS), expected)
    after = model._transformer.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_clip_looks_once_at_a_picture_and_goes(model: Flux1Model, monkeypatch: pytest.MonkeyPatch):
    looks: list[int] = []
    forward = CLIPVisionModelWithProjection.forward

    def counting(self: CLIPVisionModelWithProjection, *inputs: object, **named: object) -> object:
        looks.append(1)
        return forward(self, *inputs, **named)

    monkeypatch.setattr(CLIPVisionModelWithProjection, "forward", counting)
    seen = model.look(picture(2), ["style", "other"])
    assert len(looks) == 1
    (encoder,) = map(weakref.ref, model._ip_adapters._encoders.values())
    model.release_ip_adapters()
    gc.collect()
    assert encoder() is None
    again = model.look(picture(2), ["style"])
    assert torch.equal(again["style"].keys[0], seen["style"].keys[0])


@pytest.mark.parametrize("place", ["ram", "disk"])
def test_it_attends_wherever_weights_wait(place: str, model: Flux1Model, dev_folder: Path, style: Path, clip: Path):
    fetched = load(dev_folder, plan=MemoryPlan("fp32", place, place))
    fetched.use_ip_adapters({"style": (str(style), str(clip))})
    seen = fetched.look(picture(2), ["style"])["style"]
    assert (ours(fetched, noise(1), SIGMAS, seen) - ours(model, noise(1), SIGMAS, seen)).abs().max() < 1e-5


def test_it_attends_by_the_chosen_attention_and_compiled_once_for_all_strengths(model: Flux1Model, dev_folder: Path):
    other = load(dev_folder, speed=Speed(compiled=True, attention="_native_math", compiler="eager"))
    seen = model.look(picture(2), ["style"])["style"]
    torch.compiler.reset()
    counters.clear()
    for strength in (1.0, 0.3, 0.5):
        scaled = replace(seen, strength=strength)
        with torch.compiler.set_stance("default" if strength == 1 else "fail_on_recompile"):
            found = ours(other, noise(1), SIGMAS, scaled)
        assert (found - ours(model, noise(1), SIGMAS, scaled)).abs().max() < 1e-5
    assert not counters["graph_break"]
    processors = [layer.processor for layer in other._transformer.modules() if hasattr(layer, "processor")]
    assert {each._attention_backend.value for each in processors} == {"_native_math"}


def refused(model: Flux1Model, file: Path | str, encoder: Path | str) -> str:
    with pytest.raises(ModelError) as said:
        model.use_ip_adapters({"style": (str(file), str(encoder))})
    return str(said.value)


def test_what_does_not_fit_is_refused_before_anything_is_loaded(
    dev_folder: Path, style: Path, clip: Path, tmp_path: Path
):
    model = load(dev_folder)
    wide = made_adapter(tmp_path / "wide.safetensors", width=96)
    assert (
        "its double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight is (96, 32), expected (64, 32)"
        in refused(model, wide, clip)
    )
    deep = made_adapter(tmp_path / "deep.safetensors", blocks=2)
    assert "it is for more blocks, or wider tokens" in refused(model, deep, clip)
    flat = made_adapter(tmp_path / "flat.safetensors", blocks=0)
    assert "it has no double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight" in refused(model, flat, clip)
    assert "is no IP-Adapter of FLUX.1 (it has " in refused(model, clip / "model.safetensors", clip)
    assert "there is no file nowhere" in refused(model, "nowhere", clip)
    (tmp_path / "ip-adapter.bin").write_bytes(b"PK\x03\x04")
    assert "is a pickle" in refused(model, tmp_path / "ip-adapter.bin", clip)
    assert "_transformer" not in vars(model)


def test_adapters_of_instantx_are_refused_by_name(dev: Flux1Model, clip: Path, tmp_path: Path):
    save_file({"image_proj.proj.0.weight": torch.zeros(4, 4)}, tmp_path / "instant.safetensors")
    for source in ("InstantX/FLUX.1-dev-IP-Adapter", tmp_path / "instant.safetensors"):
        assert "of InstantX, which looks through SigLIP and cannot be used: take one of XLabs" in refused(
            dev, source, clip
        )


def test_an_adapter_for_sdxl_is_refused(dev: Flux1Model, clip: Path, tmp_path: Path):
    """It numbers its layers otherwise, and they have no bias."""
    weights = {"image_proj.proj.weight": torch.zeros(4 * 32, SUMMARY), "image_proj.proj.bias": torch.zeros(4 * 32)}
    weights |= {f"image_proj.norm.{end}": torch.zeros(32) for end in ("weight", "bias")}
    weights |= {f"ip_adapter.{place}.to_k_ip.weight": torch.zeros(64, 32) for place in (1, 3)}
    save_file(weights, tmp_path / "sdxl.safetensors")
    assert "for another model, or not whole: it has no ip_adapter.0.to_k_ip.weight" in refused(
        dev, tmp_path / "sdxl.safetensors", clip
    )


def test_an_encoder_that_does_not_fit_is_refused(dev: Flux1Model, style: Path, clip: Path, tmp_path: Path):
    assert "looks through an unknown CLIP, one of 24 values: name it as `encoder`" in refused(dev, style, "")
    narrow = made_clip(tmp_path / "narrow", projection_dim=12)
    assert f"{narrow} sums a picture up in 12 values, {style} reads 24" in refused(dev, style, narrow)
    siglip = tmp_path / "siglip"
    siglip.mkdir()
    (siglip / "config.json").write_text(json.dumps({"model_type": "siglip_vision_model"}))
    assert "is a siglip_vision_model, expected the CLIP" in refused(dev, style, siglip)
    (siglip / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": SIZES}))
    assert "model.safetensors is missing" in refused(dev, style, siglip)
    save_file({"vision_model.x": torch.zeros(1)}, siglip / "model.safetensors")
    assert "is a CLIP without visual_projection.weight" in refused(dev, style, siglip)


def test_the_published_adapters_bring_their_encoder(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """XLabs' second version as its header has it: 16 tokens of 4096 values, out of CLIP-L's 768."""
    asked: list[tuple[object, ...]] = []

    def find(source: str, *how: object, **named: object) -> Path:
        asked.append((source, *how))
        return clip

    monkeypatch.setattr("koshi_flux.flux1.companions.find_part", find)
    monkeypatch.setattr("koshi_flux.flux1.companions._check_encoder", lambda *arguments: None)
    small = adapter_weights(XLABS, blocks=19, reads=1, width=1, tokens=1)
    shapes = {name: _published(name, tensor) for name, tensor in small.items()}
    file = save_header(shapes, tmp_path / "v2.safetensors")
    found = find_ip_adapter(str(file), "", TRANSFORMER)
    assert asked == [("openai/clip-vit-large-patch14", "model.safetensors")]
    assert (found.tokens, found.blocks, len(list(found.tensors()))) == (16, 19, 4 + 19 * 4)


def _published(name: str, tensor: Tensor) -> tuple[int, ...]:
    """The shape of a tensor in the published file."""
    if name.startswith("ip_adapter_proj_model.proj"):
        return (65536, 768)[: tensor.dim()]
    return (4096,) if name.startswith("ip_adapter_proj_model.norm") else (3072, 4096)[: tensor.dim()]


def test_a_film_with_pictures_in_mind(dev_folder: Path, style: Path, clip: Path, tmp_path: Path):
    """At strength 0 it is as without; who goes on with it sees what was seen before."""
    Image.fromarray((picture(2) * 255).byte().movedim(0, 2).numpy()).save(tmp_path / "face.png")
    film = Animation(prompts="a forest", frames=4, size=(WIDTH, HEIGHT), steps=1, zoom=1.1, denoise=0.7)
    adapter = {"file": str(style), "encoder": str(clip), "strength": "0:(0), 1:(0), 2:(1)"}
    both = {"face": {**adapter, "image": str(tmp_path / "face.png")}, "own": {**adapter, "image": "previous"}}
    model = load(dev_folder)
    plain, heeding = (list(render(each, model)) for each in (film, film.replaced(ip_adapter=both)))
    assert [torch.equal(a.image, b.image) for a, b in zip(plain, heeding, strict=True)] == [True, True, False, False]
    history = History().after(heeding[0]).after(heeding[2])
    (last,) = render(film.replaced(ip_adapter=both), load(dev_folder), history)
    assert torch.equal(last.image, heeding[3].image)
