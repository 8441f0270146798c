"""Pictures that frames are drawn by the sight of: an identity to hold on to, beside the picture they start from."""

from functools import cache
from pathlib import Path

from koshi_flux.input.picture import read_picture
from koshi_flux.schedule.references import FIRST, PREVIOUS
from koshi_flux.shared.parameters import FrameParameters
from koshi_flux.shared.types import FluxModel, History, Image, Latent


class References:
    """Gives each frame its references as latents; what stays the same is encoded once."""

    def __init__(self, model: FluxModel, size: tuple[int, int]):
        self._model, self._size = model, size
        self._held: tuple[Image, Latent] | None = None
        self._from_file = cache(self._encoded_file)

    def at(self, parameters: FrameParameters, history: History) -> tuple[Latent, ...]:
        """What a frame looks at; the film's own pictures are there once they are drawn."""
        found = (self._latent(name, history) for name in parameters.reference)
        return tuple(latent for latent in found if latent is not None)

    def _latent(self, name: str, history: History) -> Latent | None:
        if name == PREVIOUS:
            return None if history.previous is None else self._model.encode(history.previous.image)
        if name == FIRST:
            return None if history.reference is None else self._first(history.reference.image)
        return self._from_file(name)

    def _first(self, image: Image) -> Latent:
        if self._held is None or self._held[0] is not image:
            self._held = image, self._model.encode(image)
        return self._held[1]

    def _encoded_file(self, name: str) -> Latent:
        width, height = self._size
        return self._model.encode(read_picture(Path(name), width * height, self._model.spec.multiple, "reference"))
