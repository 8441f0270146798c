"""What a film adds to a FLUX.1: ControlNets and IP-Adapters, seen to fit before anything starts. Imports no torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from koshi_flux.flux1 import config as flux1_config
from koshi_flux.flux1.companions import find_controlnet, find_ip_adapter
from koshi_flux.pipeline.factory import find_files
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.controlnet import ControlNet
from koshi_flux.schedule.ip_adapter import IpAdapter
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.folder import read_config
from koshi_flux.weights.hub import NotHere
from koshi_flux.weights.memory import weigh_alone

Nets = Mapping[str, ControlNet]
Adapters = Mapping[str, IpAdapter]


def transformer_of(animation: Animation, spec: FluxSpec) -> Mapping[str, Any]:
    """What the config of the transformer states that the film is drawn by, if companions could fit it.

    Nothing is downloaded.
    """
    if not spec.controlnets and not spec.ip_adapters:
        return {}
    if spec.name in flux1_config.SPECS:
        return flux1_config.TRANSFORMER
    files = find_files(animation.model, animation.vae, animation.text_encoder, download=False)
    return read_config(files, "transformer", ("attention_head_dim",), spec.name)


def in_words(nets: Nets, adapters: Adapters, transformer: Mapping[str, Any]) -> Iterator[str]:
    """A line for each, having looked at those that are on this computer; nothing is downloaded.

    Args:
        transformer: what the config of the film's transformer states.

    Raises:
        ModelError: one is damaged, or for another model.
    """
    for name, net in nets.items():
        yield f"controlnet.{name}: {_net_in_words(net, transformer)}"
    for name, adapter in adapters.items():
        yield f"ip_adapter.{name}: {_adapter_in_words(adapter, transformer)}"


def weights_beside(nets: Nets, adapters: Adapters, transformer: Mapping[str, Any]) -> Iterator[Path]:
    """What is in memory together with the transformer, for the memory plan; what is on the hub is brought here.

    An IP-Adapter that looks at pictures on disk has gone before the transformer comes.
    """
    for net in nets.values():
        yield find_controlnet(net.file, transformer)
    for adapter in adapters.values():
        if adapter.looks_at_film:
            files = find_ip_adapter(adapter.file, adapter.encoder, transformer)
            yield from (files.file, files.encoder)


def _net_in_words(net: ControlNet, transformer: Mapping[str, Any]) -> str:
    try:
        folder = find_controlnet(net.file, transformer, download=False)
    except NotHere:
        return _to_come(net.file)
    return f"{net.file} is shown {net.kind}; {weigh_alone(folder).whole:.1f} GB"


def _adapter_in_words(adapter: IpAdapter, transformer: Mapping[str, Any]) -> str:
    try:
        files = find_ip_adapter(adapter.file, adapter.encoder, transformer, download=False)
    except NotHere:
        return _to_come(adapter.file)
    return f"{adapter.file} makes {files.tokens} tokens of {adapter.image}; {weigh_alone(files.file).whole:.1f} GB"


def _to_come(source: str) -> str:
    return f"{source} is downloaded when the film begins"
