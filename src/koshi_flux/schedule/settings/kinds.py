"""Kinds of settings: how each is read from what people write, and what is said when it cannot be."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator

from koshi_flux.schedule.controlnet import ControlNet, read_controlnets
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.guides import read_guides
from koshi_flux.schedule.ip_adapter import IpAdapter, read_ip_adapters
from koshi_flux.schedule.lora import Lora, read_loras
from koshi_flux.schedule.masks import read_masks
from koshi_flux.schedule.references import read_references, written


def _dialect(info: Any) -> str:  # a ValidationInfo, which no runtime check can name
    return str(info.data.get("dialect", "koshi"))


def _schedule(value: object, info: Any) -> Schedule:
    if not isinstance(value, str | int | float | Schedule) or isinstance(value, bool):
        raise ValueError("must be a number or a schedule such as '0:(1.0), 60:(1.05)'")
    return Schedule.parse(value, name=info.field_name or "schedule", dialect=_dialect(info))


def _size(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+)\s*[xX×,]\s*(\d+)\s*", value)):  # noqa: RUF001
        return int(match[1]), int(match[2])
    if isinstance(value, int):
        return value, value
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("must be a width and a height such as [768, 512] or '768x512'")
    return value


def _prompts(value: object) -> object:
    if isinstance(value, str):
        return {"0": value}
    return {str(key): text for key, text in value.items()} if isinstance(value, Mapping) else value


def _loras(value: object, info: Any) -> dict[str, Lora]:
    return read_loras(value, _dialect(info))


def _controlnets(value: object, info: Any) -> dict[str, ControlNet]:
    return read_controlnets(value, _dialect(info))


def _ip_adapters(value: object, info: Any) -> dict[str, IpAdapter]:
    return read_ip_adapters(value, _dialect(info))


def _references(value: object) -> dict[str, str]:
    return written(read_references(value))


def _masks(value: object, info: Any) -> dict[str, str]:
    return read_masks(value, info.field_name or "mask", _dialect(info))


def _guides(value: object) -> dict[str, str]:
    return read_guides(value)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Choice = BeforeValidator(_lower)
"""Of a setting whose values are names: capital letters do not matter."""
Keyframed = Annotated[Schedule, PlainValidator(_schedule)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
Prompts = Annotated[dict[str, str], BeforeValidator(_prompts)]
Loras = Annotated[dict[str, Lora], PlainValidator(_loras)]
ControlNets = Annotated[dict[str, ControlNet], PlainValidator(_controlnets)]
IpAdapters = Annotated[dict[str, IpAdapter], PlainValidator(_ip_adapters)]
Masks = Annotated[dict[str, str], PlainValidator(_masks)]
Guides = Annotated[dict[str, str], PlainValidator(_guides)]
References = Annotated[dict[str, str], PlainValidator(_references)]


def constant(value: float, says: str) -> Any:
    """A schedule that stays at `value` unless the film says otherwise."""
    return Field(default=Schedule.parse(value), description=f"schedule: {says}")
