"""ControlNets against diffusers' pipelines on tiny weights, and the refusal of what does not fit."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import (
    FluxControlNetImg2ImgPipeline,
    FluxControlNetModel,
    FluxControlNetPipeline,
    FluxMultiControlNetModel,
    FluxPipeline,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.flux1.controlnet import MODES, spread
from koshi_flux.flux1.model import Flux1Model, load
from koshi_flux.pipeline.factory import SPECS
from koshi_flux.pipeline.notes import notes
from koshi_flux.pipeline.render import render
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.controlnet import KINDS
from koshi_flux.shared.flow_matching import euler, mix, staircase
from koshi_flux.shared.types import Conditioning, Control, ControlledModel

HEIGHT, WIDTH = 32, 48
PROMPT = "a misty forest"


def made(folder: Path, seed: int, num_mode: int | None = None, guided: bool = True, **changes: int) -> Path:
    """A random ControlNet; the published ones begin at zero, here nothing is."""
    torch.manual_seed(seed)
    shape = {"num_layers": 1, "num_single_layers": 1, "joint_attention_dim": 32, "pooled_projection_dim": 16}
    net = FluxControlNetModel(
        in_channels=64, attention_head_dim=32, num_attention_heads=2, axes_dims_rope=[4, 14, 14],
        guidance_embeds=guided, num_mode=num_mode, **{**shape, **changes},
    )  # fmt: skip
    for name, weight in net.named_parameters():
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(weight, std=0.2)
    net.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("nets") / "edges", 1)


@pytest.fixture(scope="module")
def union(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("nets") / "union", 2, num_mode=7, guided=False)


@pytest.fixture
def without_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pipelines encode as we do: by the mode, not by a sample."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


def noise(seed: int) -> Tensor:
    return torch.randn(16, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(seed))


def picture(seed: int) -> Tensor:
    return torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def ours(model: Flux1Model, x: Tensor, sigmas: tuple[float, ...], controls: tuple[Control, ...] = ()) -> Tensor:
    read = model.encode_prompt(PROMPT)
    prompt = Conditioning(read.tokens, read.pooled, controls=controls)
    return euler(lambda latent, sigma: model.velocity(latent, sigma, prompt, None, 3.5), x, sigmas)


def packed(x: Tensor) -> Tensor:
    return FluxPipeline._pack_latents(x[None], 1, 16, *x.shape[1:])


def unpacked(tokens: Tensor) -> Tensor:
    return FluxPipeline._unpack_latents(tokens, HEIGHT, WIDTH, 8)[0]


@pytest.fixture
def controlled(dev_folder: Path, edges: Path, union: Path) -> Flux1Model:
    model = load(dev_folder)
    model.use_controlnets({"edges": str(edges), "all": str(union)})
    return model


def test_text_to_image_under_control_is_that_of_the_pipeline(
    controlled: Flux1Model, dev_pipeline: FluxPipeline, edges: Path, without_chance: None
):
    assert isinstance(controlled, ControlledModel)
    pipeline = FluxControlNetPipeline(**dev_pipeline.components, controlnet=FluxControlNetModel.from_pretrained(edges))
    pipeline.set_progress_bar_config(disable=True)
    x, shown = noise(1), picture(2)
    expected = pipeline(
        PROMPT, control_image=shown[None] * 2 - 1, controlnet_conditioning_scale=0.7, height=HEIGHT, width=WIDTH,
        num_inference_steps=3, guidance_scale=3.5, latents=packed(x), output_type="latent",
    ).images  # fmt: skip
    sigmas = controlled.sigmas(3, 1.0, WIDTH, HEIGHT)
    found = ours(controlled, x, sigmas, (Control("edges", "canny", controlled.encode(shown), 0.7),))
    assert (found - unpacked(expected)).abs().max() < 1e-5
    assert (found - ours(controlled, x, sigmas)).abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_a_union_is_told_what_it_is_shown(
    kind: str, controlled: Flux1Model, dev_pipeline: FluxPipeline, union: Path, without_chance: None
):
    net = FluxControlNetModel.from_pretrained(union)
    pipeline = FluxControlNetImg2ImgPipeline(**_of(dev_pipeline), controlnet=net)
    pipeline.set_progress_bar_config(disable=True)
    image, shown = picture(3), picture(2)
    tokens = pipeline(
        PROMPT, image=image[None], control_image=shown[None] * 2 - 1, control_mode=MODES[kind], strength=0.6,
        controlnet_conditioning_scale=1.3, height=HEIGHT, width=WIDTH, num_inference_steps=4, guidance_scale=3.5,
        generator=torch.Generator().manual_seed(5), output_type="latent",
    ).images  # fmt: skip
    sigmas = staircase(controlled.sigmas(4, 1.0, WIDTH, HEIGHT), 0.6)
    control = Control("all", kind, controlled.encode(shown), 1.3)
    found = ours(controlled, mix(controlled.encode(image), noise(5), sigmas[0]), sigmas, (control,))
    assert (found - unpacked(tokens)).abs().max() < 1e-5


def _of(pipeline: FluxPipeline) -> dict[str, object]:
    names = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "transformer")
    return {name: pipeline.components[name] for name in names}


def test_several_add_up_as_in_the_pipeline(
    dev_folder: Path, dev_pipeline: FluxPipeline, edges: Path, tmp_path: Path, without_chance: None
):
    folders = [edges, made(tmp_path / "other", 3)]
    nets = FluxMultiControlNetModel([FluxControlNetModel.from_pretrained(folder) for folder in folders])
    pipeline = FluxControlNetPipeline(**dev_pipeline.components, controlnet=nets)
    pipeline.set_progress_bar_config(disable=True)
    x, shown = noise(1), [picture(2), picture(4)]
    expected = pipeline(
        PROMPT, control_image=[each[None] * 2 - 1 for each in shown], controlnet_conditioning_scale=[0.7, 0.4],
        height=HEIGHT, width=WIDTH, num_inference_steps=2, guidance_scale=3.5, latents=packed(x), output_type="latent",
        control_mode=[None, None],
    ).images  # fmt: skip
    model = load(dev_folder)
    model.use_controlnets({"one": str(folders[0]), "two": str(folders[1])})
    strengths = zip(("one", "two"), shown, (0.7, 0.4), strict=True)
    controls = tuple(Control(name, "canny", model.encode(each), strength) for name, each, strength in strengths)
    found = ours(model, x, model.sigmas(2, 1.0, WIDTH, HEIGHT), controls)
    assert (found - unpacked(expected)).abs().max() < 1e-5


def test_few_additions_serve_several_blocks_in_a_row():
    """19 blocks and 5 additions: each for four blocks, the last for three."""
    one, two = torch.tensor(1.0), torch.tensor(2.0)
    assert [int(each) for each in spread((one, two), 5)] == [1, 1, 1, 2, 2]
    assert [int(each) for each in spread((one, two), 2)] == [1, 2]
    assert spread((), 7) == []


def test_what_does_not_fit_is_refused_before_it_is_loaded(dev_folder: Path, edges: Path, tmp_path: Path):
    model = load(dev_folder)
    with pytest.raises(ModelError, match=r"for another model: its joint_attention_dim is 24, the model's 32"):
        model.use_controlnets({"wide": str(made(tmp_path / "wide", 0, joint_attention_dim=24))})
    with pytest.raises(ModelError, match="holds a FluxTransformer2DModel, not a ControlNet"):
        model.check_controlnets({"whole": str(dev_folder / "transformer")})
    with pytest.raises(ModelError, match="there is no folder nowhere"):
        model.check_controlnets({"absent": "nowhere"})
    pixels = tmp_path / "pixels"
    pixels.mkdir()
    config = json.loads((edges / "config.json").read_text())
    (pixels / "config.json").write_text(json.dumps({**config, "conditioning_embedding_channels": 16}))
    with pytest.raises(ModelError, match="reads pixels, as those of XLabs do"):
        model.check_controlnets({"pixels": str(pixels)})
    (pixels / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"diffusion_pytorch_model\.safetensors is missing"):
        model.check_controlnets({"halved": str(pixels)})
    assert "_transformer" not in vars(model)


def test_a_film_under_control(dev_folder: Path, edges: Path):
    """The first frame has nothing to show; at strength 0 the film is as without."""
    film = Animation(prompts="a forest", frames=3, size=(WIDTH, HEIGHT), steps=1, zoom=1.1, denoise=0.7)
    model = load(dev_folder)
    net = {"file": str(edges), "kind": "canny", "strength": "0:(1), 1:(0), 2:(1)"}
    plain, held = (list(render(each, model)) for each in (film, film.replaced(controlnet={"edges": net})))
    assert [torch.equal(a.image, b.image) for a, b in zip(plain, held, strict=True)] == [True, True, False]


@pytest.mark.parametrize(("name", "instead"), [("flux.2-klein-4b", "reference = 'first'"), ("toy", "'flux.1-dev'")])
def test_other_families_refuse_before_anything_starts(name: str, instead: str):
    film = Animation(model=name, prompts="a forest", controlnet={"edges": {"file": "a/b", "kind": "canny"}})
    with pytest.raises(SettingsError, match=rf"controlnet: there are none for {name}; take a FLUX\.1.*{instead}"):
        list(notes(film.resolved(SPECS[name]), SPECS[name]))
