"""What a user should hear about a film before it is rendered. Imports no torch."""

from collections.abc import Iterator

from koshi_flux.nano.words import ignored_in_words
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.spec import FluxSpec


def notes(animation: Animation, spec: FluxSpec) -> Iterator[str]:
    """Say what a Deforum strength became, and which words of the prompts the bundled model does not know.

    Args:
        animation: with its model's defaults written in (`resolved`).
        spec: the model that will draw it.
    """
    if animation.strength_schedule is not None:
        yield animation.strength_in_words()
    if spec.is_bundled:
        positive, _ = animation.texts()
        if ignored := ignored_in_words(" ".join(sorted(positive))):
            yield ignored
