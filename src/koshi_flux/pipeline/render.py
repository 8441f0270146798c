"""The film, one frame after the other. Whoever holds the iterator decides about progress, preview and stopping."""

from collections.abc import Callable, Generator
from dataclasses import replace

import torch

from koshi_flux.pipeline.cadence import in_betweens
from koshi_flux.pipeline.controls import Controls
from koshi_flux.pipeline.ip_adapters import Impressions
from koshi_flux.pipeline.prompts import Conditionings, read_prompts
from koshi_flux.pipeline.references import References
from koshi_flux.pipeline.stage import Canvas, Stage
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.flow_matching import euler, euler_over, levels_over, mix, staircase, start_map
from koshi_flux.shared.noise import frame_noise, subseeded
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import FluxModel, Frame, History, Latent


@torch.inference_mode()
def render(animation: Animation, model: FluxModel, history: History | None = None) -> Generator[Frame, None, None]:
    """Yield every frame of a film in order; with a `history`, those after the frame it ends with.

    Args:
        animation: what it leaves to the model takes the model's defaults.
        history: where an earlier run stopped; the film goes on exactly as if it had not stopped.
    """
    animation = animation.resolved(model.spec)
    prompts, references = read_prompts(animation, model), References(model, animation.picture_size)
    impressions = Impressions(animation.ip_adapter, model)  # before the transformer is in memory
    model.use_loras(model.check_loras({name: lora.file for name, lora in animation.lora.items()}))
    controls, stage = Controls(animation, model), Stage(animation, model.device)
    history = history or History()
    for path in animation.strides(after=None if history.previous is None else history.previous.index):
        p = path[-1]
        canvas = stage.canvas(history, path)
        picture = None if canvas is None else canvas.picture
        seen = replace(
            prompts,
            references=references.at(p, history),
            controls=controls.at(p, picture),
            adapters=impressions.at(p.ip_adapter, history),
        )
        drawn = invent(model, seen, p, animation.picture_size) if canvas is None else redraw(model, seen, p, canvas)
        frame = stage.finished(drawn, canvas)
        if history.previous is not None:
            yield from in_betweens(stage.scene, history.previous, frame, path, animation.cadence_flow)
        yield frame
        history = history.after(frame)


def invent(model: FluxModel, prompts: Conditionings, parameters: FrameParameters, size: tuple[int, int]) -> Frame:
    """A frame out of nothing but noise; `size` is (width, height)."""
    width, height = size
    scale = model.spec.downscale
    noise = latent_noise(model, parameters, (model.spec.channels, height // scale, width // scale))
    sigmas = model.sigmas(parameters.steps, 1.0, width, height)
    return decoded(model, parameters, euler(velocity_at(model, prompts, parameters), noise, sigmas), sigmas)


def redraw(model: FluxModel, prompts: Conditionings, parameters: FrameParameters, canvas: Canvas) -> Frame:
    """A frame out of a picture: noised up to `denoise`, then drawn; at 0 the picture itself.

    Under a mask each place has a start level of its own: less where the mask is darker, all noise where uncovered.
    """
    height, width = canvas.picture.shape[1:]
    sigmas = noise_levels(model, parameters, width, height)
    if len(sigmas) == 1 and canvas.uncovered is None:
        return Frame(canvas.picture.contiguous(), parameters)
    latent = model.encode(canvas.picture)
    noise, velocity = latent_noise(model, parameters, tuple(latent.shape)), velocity_at(model, prompts, parameters)
    if canvas.changes is None and canvas.uncovered is None:
        return decoded(model, parameters, euler(velocity, mix(latent, noise, sigmas[0]), sigmas), sigmas)
    starts = start_map(sigmas[0], canvas.changes, canvas.uncovered, model.spec.downscale).to(latent.device)
    sigmas = levels_over(starts, sigmas, model.sigmas(parameters.steps, 1.0, width, height))
    return decoded(model, parameters, euler_over(velocity, latent, noise, starts, sigmas), sigmas)


def noise_levels(model: FluxModel, parameters: FrameParameters, width: int, height: int) -> tuple[float, ...]:
    """The levels that a frame is redrawn through, from `denoise` or from the step it stands for down to 0."""
    if parameters.denoise == 0:
        return (0.0,)
    if parameters.denoise_mode == "steps":
        return staircase(model.sigmas(parameters.steps, 1.0, width, height), parameters.denoise)
    return model.sigmas(parameters.steps, parameters.denoise, width, height)


def velocity_at(
    model: FluxModel, prompts: Conditionings, parameters: FrameParameters
) -> Callable[[Latent, float], Latent]:
    """Where the model would have a latent go at a noise level, for one frame's prompt, LoRAs and guidance."""
    model.set_loras(dict(parameters.lora))
    prompt = prompts.blend(parameters.prompt)
    negative = prompts.blend(parameters.negative) if model.spec.guidance == "true" else None
    return lambda x, sigma: model.velocity(x, sigma, prompt, negative, parameters.guidance)


def decoded(model: FluxModel, parameters: FrameParameters, latent: Latent, sigmas: tuple[float, ...]) -> Frame:
    """A frame of a latent that was drawn through noise levels."""
    return Frame(model.decode(latent).contiguous(), parameters, latent, sigmas)


def latent_noise(model: FluxModel, parameters: FrameParameters, shape: tuple[int, ...]) -> Latent:
    """The frame's own noise, on the way to its subseed's; drawn on the CPU, then brought to the model's device."""
    noise = frame_noise(shape, parameters.seed)
    if parameters.subseed_strength > 0:
        noise = subseeded(noise, frame_noise(shape, parameters.subseed), parameters.subseed_strength)
    return noise.to(model.device)
