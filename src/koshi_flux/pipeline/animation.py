"""Making a film on disk: the loop, the run folder, and the calls that Python users know."""

import logging
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from koshi_flux.errors import ModelError
from koshi_flux.output.audio import add_sound, check_sound
from koshi_flux.pipeline.footage import sound_of
from koshi_flux.pipeline.ip_adapters import places
from koshi_flux.pipeline.notes import notes
from koshi_flux.pipeline.place import settle
from koshi_flux.pipeline.render import render
from koshi_flux.pipeline.run_folder import RunFolder
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.types import AdaptedModel, ControlledModel, FluxModel, Frame

log = logging.getLogger(__name__)


def film(animation: Animation, model: FluxModel, path: Path, resume: bool = False) -> Generator[Frame, None, None]:
    """Render a film into the run folder of `path` and yield every frame as it is made.

    Leave the loop (or `close()` the iterator) whenever you like: the frames so far are a playable film, and
    `resume=True` goes on from there. Sound is added when the film is whole.
    """
    run = RunFolder(path)
    if resume and animation.seed < 0:
        animation = animation.replaced(seed=run.begun().seed)
    animation = animation.resolved(model.spec)
    for note in notes(animation, model.spec):
        log.info(note)
    model.check_loras({name: lora.file for name, lora in animation.lora.items()})
    if isinstance(model, ControlledModel):
        model.check_controlnets({name: net.file for name, net in animation.controlnet.items()})
    if isinstance(model, AdaptedModel):
        model.check_ip_adapters(places(animation.ip_adapter))
    sound = sound_of(animation)
    if sound and (silent := check_sound(path, sound)):
        log.info(silent)
    history = run.resume(animation, model.device) if resume else run.begin(animation)
    with run.recording(animation, history) as record, closing(render(animation, model, history)) as frames:
        started = time.perf_counter()
        for frame in _within_memory(frames, model):
            record(frame, time.perf_counter() - started)
            yield frame
            started = time.perf_counter()
    if sound:
        add_sound(path, sound)


def _within_memory(frames: Iterator[Frame], model: FluxModel) -> Iterator[Frame]:
    """The frames; when memory runs out, say what to change instead of where."""
    try:
        yield from frames
    except torch.OutOfMemoryError as full:
        raise ModelError(
            f"memory ran out on {model.device}: {model.relief}, with --resume; the frames so far are kept"
        ) from full


class Pipeline:
    """A loaded model that makes films."""

    def __init__(self, model: FluxModel, name: str):
        self.model, self.name = model, name

    def generate_animation(
        self,
        prompts: str | Mapping[int | str, str],
        motion_params: Mapping[str, object] | None = None,
        num_frames: int | None = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        **settings: Any,
    ) -> Path:
        """Render a film and return its path; its run folder is `path.parent`, the frames are in `path.parent/"frames"`.

        Args:
            prompts: what to paint, by frame; a text alone holds for the whole film.
            motion_params: schedules by name, e.g. {"zoom": "0:(1.0), 60:(1.05)", "strength_schedule": "0:(0.65)"}.
            num_frames: length of the film (`frames`).
            out: the film's file or folder; by default a new folder under runs/.
            resume: go on with the film that was begun at `out`.
            settings: any other setting of a film, e.g. size=(768, 512), fps=30, seed=7 (docs/film-file.md).
        """
        given = {**(motion_params or {}), **settings, "prompts": prompts, "model": self.name}
        if num_frames is not None:
            given["frames"] = num_frames
        animation = Animation(**given)
        return shoot(animation, self.model, settle(animation, self.model.spec, out, resume), resume)


def shoot(animation: Animation, model: FluxModel, path: Path, resume: bool = False) -> Path:
    """Render a whole film to `path` and return it."""
    for _ in film(animation, model, path, resume):
        pass
    return path
