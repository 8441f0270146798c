"""The run folder: what a film leaves on disk, written so that a killed run goes on exactly where it stopped.

    film.toml           the film, with the model's defaults and the seed written in
    frames/000000.png   every frame, rounded once
    depth/000000.png    if the film keeps them, the depths of the drawn frames, in 16 bits
    run.jsonl           one line per frame: its numbers, its time, how it looks
    state/              what only resuming needs: the film's name, the first picture and the last drawn one, in float
    film.mp4            the film

A frame's picture is written first, then its line, then its state; each file appears whole or not at all. So a state
on disk means that everything up to its frame is there too.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from koshi_flux.depth.stored import encode_depth16
from koshi_flux.errors import RunError
from koshi_flux.output.disk import make_folder, replacing
from koshi_flux.output.png import encode_png, frame_path, read_png
from koshi_flux.output.sink import FrameSink, Pixels, to_pixels
from koshi_flux.output.sinks import film_metadata, open_sink
from koshi_flux.output.writer import Writer
from koshi_flux.pipeline.place import FILM_NAME, check_begun, check_free
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.files import dump_film, load_film
from koshi_flux.shared.types import Frame, History, Reference

Record = Callable[[Frame, float], None]
"""Takes a finished frame and the seconds it took."""

REFERENCE = "reference.safetensors"

_WAITING = 2
"""Frames that may be finished but not yet on disk."""


class RunFolder:
    """The folder of one film, named by the film file in it."""

    def __init__(self, film: Path):
        self.film = film
        self.folder = film.parent
        self.frames = self.folder / "frames"
        self.depths = self.folder / "depth"
        self.state = self.folder / "state"
        self.log = self.folder / "run.jsonl"
        self.settings = self.folder / "film.toml"

    def begin(self, animation: Animation) -> History:
        """Lay out the folder for a resolved film that starts at frame 0."""
        check_free(self.film)
        for folder in (self.folder, self.frames, self.state, *([self.depths] if animation.save_depth else [])):
            make_folder(folder)
        with replacing(self.settings) as partial:
            partial.write_text(dump_film(animation, comment=f"torch {torch.__version__}"), encoding="utf-8")
        (self.folder / FILM_NAME).write_text(self.film.name, encoding="utf-8")
        self.log.touch()
        return History()

    def begun(self) -> Animation:
        """The film that was begun here."""
        check_begun(self.film)
        return load_film(self.settings)

    def resume(self, animation: Animation, device: torch.device) -> History:
        """The history up to the last frame that is whole on disk, its pictures on `device`.

        Raises:
            RunError: there is no film here, or the resolved film `animation` is another one.
        """
        self._check_same(animation)
        for state in sorted(self.state.glob("[0-9]*.safetensors"), reverse=True):
            history = self._load_state(state, animation, device)
            if history is not None:
                self._cut_log(after=int(state.stem))
                return history
        self._cut_log(after=-1)
        return History()

    def _check_same(self, animation: Animation) -> None:
        begun = self.begun()
        differ = [name for name in Animation.model_fields if getattr(begun, name) != getattr(animation, name)]
        if differ:
            raise RunError(
                f"{self.folder} holds another film: {', '.join(differ)} differ from its film.toml. Choose a new name, "
                f"or go on with the film as it was begun: koshi render {self.folder} --resume"
            )

    @contextmanager
    def recording(self, animation: Animation, history: History) -> Iterator[Record]:
        """Write frames and film while the next frame is drawn; on leaving, also early, the film so far is playable.

        The film file starts over: it gets the frames that an earlier run left first.
        """
        done = 0 if history.previous is None else history.previous.index + 1
        metadata = film_metadata(animation.title, dump_film(animation))
        size, fps = animation.picture_size, animation.fps
        with open_sink(self.film, size=size, fps=fps, metadata=metadata) as sink:
            for index in range(done):
                sink.write(index, read_png(frame_path(self.frames, index)))

            def write(item: tuple[Frame, float]) -> None:
                self._write(item[0], item[1], sink)

            with Writer(write, bound=_WAITING) as writer:
                yield lambda frame, seconds: writer.put((frame, seconds))

    def _write(self, frame: Frame, seconds: float, sink: FrameSink) -> None:
        pixels = to_pixels(frame.image)
        with replacing(frame_path(self.frames, frame.index)) as partial:
            partial.write_bytes(encode_png(pixels))
        if frame.depth is not None and self.depths.is_dir():
            with replacing(frame_path(self.depths, frame.index)) as partial:
                partial.write_bytes(encode_depth16(frame.depth))
        with self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(_line(frame, seconds, pixels)) + "\n")
        if frame.drawn:
            self._save_state(frame)
        sink.write(frame.index, pixels)

    def _save_state(self, frame: Frame) -> None:
        path = self.state / f"{frame.index:06d}.safetensors"
        for kept in (self.state / REFERENCE, path) if frame.index == 0 else (path,):
            with replacing(kept) as partial:
                save_file({name: plane.cpu().contiguous() for name, plane in _state(frame).items()}, partial)
        for older in self.state.glob("[0-9]*.safetensors"):
            if older != path:
                older.unlink()

    def _load_state(self, path: Path, animation: Animation, device: torch.device) -> History | None:
        """The history that a state file holds, unless a picture up to it is gone or a file is not whole."""
        index = int(path.stem)
        if not all(frame_path(self.frames, earlier).is_file() for earlier in range(index + 1)):
            return None
        try:
            reference, last = (load_file(kept, device=str(device)) for kept in (self.state / REFERENCE, path))
        except (SafetensorError, OSError):
            return None
        return History(
            Reference(reference["image"]), Frame(last["image"], animation.at(index), depth=last.get("depth"))
        )

    def _cut_log(self, after: int) -> None:
        """Drop the lines of frames that will be written again, and a line that a kill cut short."""
        kept = [line for line in self.log.read_text(encoding="utf-8").splitlines() if -1 < _frame_of(line) <= after]
        with replacing(self.log) as partial:
            partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _state(frame: Frame) -> dict[str, Tensor]:
    """What the next frame starts from."""
    return {"image": frame.image} | ({} if frame.depth is None else {"depth": frame.depth})


def _line(frame: Frame, seconds: float, pixels: Pixels) -> dict[str, object]:
    """What run.jsonl says of a frame."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return {
        "frame": frame.index,
        "drawn": frame.drawn,
        "seconds": round(seconds, 4),
        "noise_seed": frame.parameters.seed,
        "sigmas": [round(sigma, 6) for sigma in frame.sigmas],
        "brightness": round(float(grey.mean()) / 255, 5),
        "contrast": round(float(grey.std()) / 255, 5),
        "sharpness": round(float(np.var(cv2.Laplacian(grey, cv2.CV_32F))) / 255**2, 7),
        "parameters": asdict(frame.parameters),
    }


def _frame_of(line: str) -> int:
    """The frame a line is about; -1 for a broken line."""
    try:
        return int(json.loads(line)["frame"])
    except (ValueError, KeyError, TypeError):
        return -1
