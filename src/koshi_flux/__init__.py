"""koshi-flux: keyframed animation in the Deforum tradition with FLUX models.

Nothing heavy is imported until a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from koshi_flux.version import VERSION as __version__

if TYPE_CHECKING:
    from koshi_flux.api import KoshiFlux
    from koshi_flux.errors import KoshiError, ModelError, OutputError, RunError, ScheduleError, SettingsError
    from koshi_flux.feedback import FeedbackConfig, FeedbackProcessor
    from koshi_flux.pipeline.factory import FluxVersion, create_pipeline
    from koshi_flux.pipeline.render import render
    from koshi_flux.schedule.animation import Animation
    from koshi_flux.schedule.curve import Schedule
    from koshi_flux.schedule.files import load_film, save_film
    from koshi_flux.schedule.parameter_adapter import FluxKoshiParameterAdapter
    from koshi_flux.shared.parameters import FrameParameters
    from koshi_flux.shared.types import FluxModel, Frame, History

_HOMES = {
    "KoshiFlux": "api",
    "KoshiError": "errors",
    "ModelError": "errors",
    "OutputError": "errors",
    "RunError": "errors",
    "ScheduleError": "errors",
    "SettingsError": "errors",
    "FeedbackConfig": "feedback",
    "FeedbackProcessor": "feedback",
    "FluxVersion": "pipeline.factory",
    "create_pipeline": "pipeline.factory",
    "render": "pipeline.render",
    "Animation": "schedule.animation",
    "Schedule": "schedule.curve",
    "load_film": "schedule.files",
    "save_film": "schedule.files",
    "FluxKoshiParameterAdapter": "schedule.parameter_adapter",
    "FrameParameters": "shared.parameters",
    "FluxModel": "shared.types",
    "Frame": "shared.types",
    "History": "shared.types",
}

__all__ = [
    "Animation",
    "FeedbackConfig",
    "FeedbackProcessor",
    "FluxKoshiParameterAdapter",
    "FluxModel",
    "FluxVersion",
    "Frame",
    "FrameParameters",
    "History",
    "KoshiError",
    "KoshiFlux",
    "ModelError",
    "OutputError",
    "RunError",
    "Schedule",
    "ScheduleError",
    "SettingsError",
    "__version__",
    "create_pipeline",
    "load_film",
    "render",
    "save_film",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'koshi_flux' has no attribute {name!r}")
    return getattr(import_module(f"koshi_flux.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
