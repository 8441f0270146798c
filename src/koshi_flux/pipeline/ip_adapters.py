"""What a film's IP-Adapters make of their pictures, at every frame."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from koshi_flux.input.picture import read_rgba
from koshi_flux.schedule.ip_adapter import IpAdapter
from koshi_flux.schedule.references import FIRST, PREVIOUS
from koshi_flux.shared.types import AdaptedModel, FluxModel, History, Image, Impression


class Impressions:
    """Gives each frame its impressions. Pictures on disk are looked at here, before anything else is in memory."""

    def __init__(self, adapters: Mapping[str, IpAdapter], model: FluxModel):
        self._model = model if adapters and isinstance(model, AdaptedModel) else None
        self._found: dict[str, Impression] = {}
        self._first: Image | None = None
        self._by_image: dict[str, list[str]] = {}
        for name, adapter in adapters.items():
            self._by_image.setdefault(adapter.image, []).append(name)
        if isinstance(model, AdaptedModel):
            model.use_ip_adapters(places(adapters))
        for image in self._by_image.keys() - {FIRST, PREVIOUS}:
            self._look(read_rgba(Path(image), "ip_adapter")[0], self._by_image[image])

    def at(self, strengths: Iterable[tuple[str, float]], history: History) -> tuple[Impression, ...]:
        """What counts at a frame; the film's own pictures are there once they are drawn.

        Args:
            strengths: of each IP-Adapter, by name.
        """
        wanted = {name: strength for name, strength in strengths if strength != 0}
        if history.previous is not None:
            self._look(history.previous.image, wanted.keys() & self._by_image.get(PREVIOUS, ()))
        if history.reference is not None and history.reference.image is not self._first:
            self._first = history.reference.image
            self._look(self._first, self._by_image.get(FIRST, ()))
        found = ((self._found[name], strength) for name, strength in wanted.items() if name in self._found)
        return tuple(replace(impression, strength=strength) for impression, strength in found)

    def _look(self, image: Image, names: Collection[str]) -> None:
        """Have these look; what looked stays in memory only where it must look at every frame."""
        if self._model is None or not names:
            return
        self._found |= self._model.look(image, names)
        if PREVIOUS not in self._by_image:
            self._model.release_ip_adapters()


def places(adapters: Mapping[str, IpAdapter]) -> dict[str, tuple[str, str]]:
    """Where IP-Adapters are and what they look through, as models take it."""
    return {name: (adapter.file, adapter.encoder) for name, adapter in adapters.items()}
