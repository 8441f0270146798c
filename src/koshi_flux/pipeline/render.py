"""The film, one frame after the other. Whoever holds the iterator decides about progress, preview and stopping."""

from collections.abc import Generator
from dataclasses import replace

import torch

from koshi_flux.feedback import correct
from koshi_flux.modes import MODES
from koshi_flux.pipeline.cadence import in_betweens
from koshi_flux.pipeline.controls import Controls
from koshi_flux.pipeline.prompts import Conditionings, read_prompts
from koshi_flux.pipeline.references import References
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.flow_matching import euler, mix, staircase
from koshi_flux.shared.noise import frame_noise
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import FluxModel, Frame, History, Image, Latent


@torch.inference_mode()
def render(animation: Animation, model: FluxModel, history: History | None = None) -> Generator[Frame, None, None]:
    """Yield every frame of a film in order; with a `history`, those after the frame it ends with.

    Args:
        animation: what it leaves to the model takes the model's defaults.
        history: where an earlier run stopped; the film goes on exactly as if it had not stopped.
    """
    animation = animation.resolved(model.spec)
    prompts, references = read_prompts(animation, model), References(model, animation.picture_size)
    model.use_loras(model.check_loras({name: lora.file for name, lora in animation.lora.items()}))
    controls = Controls(animation, model)
    mode = MODES[animation.mode]
    history = history or History()
    for path in animation.strides(after=None if history.previous is None else history.previous.index):
        picture = mode(history, path)
        if picture is not None:
            picture = correct(picture, history.reference, path[-1])
        seen = replace(prompts, references=references.at(path[-1], history), controls=controls.at(path[-1], picture))
        if picture is None:
            frame = invent(model, seen, path[-1], animation.picture_size)
        else:
            frame = redraw(model, seen, path[-1], picture)
        if history.previous is not None:
            yield from in_betweens(history.previous, frame, path)
        yield frame
        history = history.after(frame)


def invent(model: FluxModel, prompts: Conditionings, parameters: FrameParameters, size: tuple[int, int]) -> Frame:
    """A frame out of nothing but noise; `size` is (width, height)."""
    width, height = size
    scale = model.spec.downscale
    noise = latent_noise(model, parameters, (model.spec.channels, height // scale, width // scale))
    return denoise(model, prompts, parameters, noise, model.sigmas(parameters.steps, 1.0, width, height))


def redraw(model: FluxModel, prompts: Conditionings, parameters: FrameParameters, picture: Image) -> Frame:
    """A frame out of the moved and corrected picture: noised up to `denoise`, then drawn; at 0 the picture itself."""
    if parameters.denoise == 0:
        return Frame(picture.contiguous(), parameters)
    height, width = picture.shape[1:]
    latent = model.encode(picture)
    noise = latent_noise(model, parameters, tuple(latent.shape))
    sigmas = noise_levels(model, parameters, width, height)
    return denoise(model, prompts, parameters, mix(latent, noise, sigmas[0]), sigmas)


def noise_levels(model: FluxModel, parameters: FrameParameters, width: int, height: int) -> tuple[float, ...]:
    """The levels that a frame is redrawn through, from `denoise` or from the step it stands for down to 0."""
    if parameters.denoise_mode == "steps":
        return staircase(model.sigmas(parameters.steps, 1.0, width, height), parameters.denoise)
    return model.sigmas(parameters.steps, parameters.denoise, width, height)


def denoise(
    model: FluxModel, prompts: Conditionings, parameters: FrameParameters, x: Latent, sigmas: tuple[float, ...]
) -> Frame:
    """Follow the model's velocity from the noised latent `x` at sigmas[0] down to a finished frame."""
    model.set_loras(dict(parameters.lora))
    prompt = prompts.blend(parameters.prompt)
    negative = prompts.blend(parameters.negative) if model.spec.guidance == "true" else None
    latent = euler(lambda x, sigma: model.velocity(x, sigma, prompt, negative, parameters.guidance), x, sigmas)
    return Frame(model.decode(latent).contiguous(), parameters, latent, sigmas)


def latent_noise(model: FluxModel, parameters: FrameParameters, shape: tuple[int, ...]) -> Latent:
    """The frame's own noise, drawn on the CPU, on the model's device."""
    return frame_noise(shape, parameters.seed, parameters.frame).to(model.device)
