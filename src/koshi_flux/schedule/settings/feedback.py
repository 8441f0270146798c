"""What keeps a film from drifting, and what is done to a moved picture before it is redrawn."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from koshi_flux.schedule.settings.kinds import Choice, Keyframed, constant


class FeedbackSettings(BaseModel):
    """The feedback chain."""

    color_coherence: Annotated[Literal["lab", "none"], Choice] = Field(
        default="lab", description="how colours are kept to those of the first frame"
    )
    color_strength: Keyframed = constant(1, "how fully colours are matched, 0 to 1")
    contrast: Keyframed = constant(1, "stretch about the mean brightness, 1 changes nothing")
    sharpen: Keyframed = constant(0, "amount of luma sharpening, 0 changes nothing")
    noise: Keyframed = constant(0, "grain as standard deviation, 0 to 1")
    echo: Keyframed = constant(0, "how much of the last picture stays where it was, 0 to 1: a long exposure")
