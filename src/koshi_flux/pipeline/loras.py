"""The LoRAs of a film: found, and seen to fit the model, before anything starts. Imports no torch."""

from koshi_flux.errors import ModelError
from koshi_flux.pipeline.factory import find_files
from koshi_flux.schedule.animation import Animation
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.folder import target_of
from koshi_flux.weights.lora import PUBLISHED, LoraFacts, check_loras
from koshi_flux.weights.lora_layers import Target


def find_loras(animation: Animation, spec: FluxSpec) -> dict[str, LoraFacts]:
    """What the film's LoRAs say of themselves, by name; those on the hub are brought here.

    Raises:
        ModelError: one is not there, or was made for another model.
    """
    if not animation.lora:
        return {}
    files = {name: lora.file for name, lora in animation.lora.items()}
    return check_loras(files, _target(animation, spec))


def _target(animation: Animation, spec: FluxSpec) -> Target:
    """The layers of the model that the film is drawn by."""
    if spec.name in PUBLISHED:
        return PUBLISHED[spec.name]
    if spec.family == "toy":
        raise ModelError("the toy model has no weights that a LoRA could change: choose a FLUX, such as klein-4b")
    return target_of(find_files(animation.model, animation.vae, animation.text_encoder, download=False), spec.name)
