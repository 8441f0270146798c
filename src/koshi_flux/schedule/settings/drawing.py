"""How a frame is drawn: noise levels, steps, guidance, and what is added to the model."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from koshi_flux.schedule.settings.kinds import Choice, ControlNets, IpAdapters, Keyframed, Loras, References


class DrawingSettings(BaseModel):
    """What the model is asked for."""

    denoise: Keyframed | None = Field(
        default=None, description="schedule: start sigma; 0 keeps the moved picture, 1 ignores it; the model's own"
    )
    denoise_mode: Annotated[Literal["sigma", "steps"], Choice] = Field(
        default="sigma", description="what `denoise` is: a noise level, or the share of the steps that diffusers runs"
    )
    strength_schedule: Keyframed | None = Field(
        default=None, description="schedule: Deforum's strength (1 keeps everything), converted to `denoise`"
    )
    steps: Keyframed | None = Field(default=None, description="schedule: Euler steps per drawn frame; the model's own")
    guidance: Keyframed | None = Field(default=None, description="schedule: guidance scale; the model's own")
    lora: Loras = Field(
        default_factory=dict, description="LoRAs by name: {style = {file = 'style.safetensors', strength = 0.8}}"
    )
    controlnet: ControlNets = Field(
        default_factory=dict,
        description="ControlNets by name: {edges = {file = 'owner/name', kind = 'canny', strength = 0.6}}",
    )
    ip_adapter: IpAdapters = Field(
        default_factory=dict,
        description="IP-Adapters by name: {face = {file = 'owner/name', image = 'face.png', strength = 0.7}}",
    )
    reference: References = Field(
        default_factory=dict, description="pictures to draw by the sight of, by frame: first, previous, a file"
    )
