"""What a user should hear about a film before it is rendered. Imports no torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from koshi_flux.errors import SettingsError
from koshi_flux.nano.words import ignored_in_words
from koshi_flux.pipeline.materials import look_over
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.ip_adapter import IpAdapter
from koshi_flux.schedule.references import FIRST, PREVIOUS, read_references
from koshi_flux.shared.spec import FluxSpec


def notes(animation: Animation, spec: FluxSpec) -> Iterator[str]:
    """Say what a Deforum strength became, and what of the prompts the model cannot use.

    Args:
        animation: with its model's defaults written in (`resolved`).
        spec: the model that will draw it.

    Raises:
        SettingsError: the model cannot do what the film asks for.
    """
    _check_references(animation, spec)
    _check_controlnets(animation, spec)
    check_ip_adapters(animation.ip_adapter, spec)
    yield from look_over(animation)
    if animation.strength_schedule is not None:
        yield animation.strength_in_words()
    positive, negative = animation.texts()
    if spec.guidance != "true" and (unread := sorted(negative - {""})):
        yield f"{spec.name} cannot be told what to avoid, so negative prompts do nothing: " + ", ".join(
            map(repr, unread)
        )
    if spec.is_bundled and (ignored := ignored_in_words(" ".join(sorted(positive)))):
        yield ignored


def _check_controlnets(animation: Animation, spec: FluxSpec) -> None:
    """Are there ControlNets for the model?"""
    if animation.controlnet and not spec.controlnets:
        raise _none_for(spec, "controlnet")


def check_ip_adapters(adapters: Mapping[str, IpAdapter], spec: FluxSpec) -> None:
    """Are there IP-Adapters for the model, and are the pictures there that they are to look at?

    Raises:
        SettingsError: with what could be done instead.
    """
    if adapters and not spec.ip_adapters:
        raise _none_for(spec, "ip_adapter")
    for name, adapter in adapters.items():
        if not adapter.looks_at_film and not Path(adapter.image).is_file():
            raise SettingsError(
                f"ip_adapter.{name}: there is no picture {adapter.image}; it may also be 'first' or 'previous'"
            )


def _none_for(spec: FluxSpec, setting: str) -> SettingsError:
    instead = ", or use reference pictures: reference = 'first'" if spec.references else ""
    return SettingsError(
        f"{setting}: there are none for {spec.name}; take a FLUX.1, for example model = 'flux.1-dev'{instead}"
    )


def _check_references(animation: Animation, spec: FluxSpec) -> None:
    """Can the model look at pictures, and are those that the film names there?"""
    named = {name for names in read_references(animation.reference).values() for name in names}
    if named and not spec.references:
        raise SettingsError(
            f"reference: {spec.name} cannot look at pictures while it draws; FLUX.2 dev and Klein can, for example "
            "model = 'flux.2-klein-4b'"
        )
    for name in sorted(named - {FIRST, PREVIOUS}):
        if not Path(name).is_file():
            raise SettingsError(f"reference: there is no picture {name}; it may also be 'first' or 'previous'")
