"""The guide video: how it is read, how its motion moves the film, how its picture is mixed in."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from koshi_flux.schedule.settings.kinds import Choice, Keyframed, constant


class FootageSettings(BaseModel):
    """The guide video."""

    video: str = Field(default="", description="the guide video: a film, a picture, or a folder of pictures")
    video_start: int = Field(default=0, ge=0, description="its first frame that is used")
    video_end: int = Field(default=-1, ge=-1, description="its last frame that is used; -1 is its end")
    video_step: int = Field(default=1, ge=1, description="use every nth of its frames")
    video_fit: Annotated[Literal["cover", "contain", "stretch"], Choice] = Field(
        default="cover", description="when its shape differs: cut its edges, leave bars, or stretch it"
    )
    video_short: Annotated[Literal["hold", "loop"], Choice] = Field(
        default="hold", description="when it is shorter than the film: hold its last frame, or start over"
    )
    video_audio: bool = Field(default=False, description="keep its sound")
    video_coherence: Keyframed = constant(0, "video: how much of the last frame follows its motion, 0 to 1")
    flow_method: Annotated[Literal["dis", "dis-fine", "farneback", "raft"], Choice] = Field(
        default="dis", description="how optical flow is found"
    )
    hybrid_motion: Annotated[Literal["none", "affine", "perspective", "flow"], Choice] = Field(
        default="none", description="move the film as the video moves; ransac: affine unless said otherwise"
    )
    hybrid_motion_source: Annotated[Literal["video", "previous"], Choice] = Field(
        default="video", description="motion between two frames of the video, or from the last picture to the video"
    )
    hybrid_flow_factor: Keyframed = constant(1, "how far the film follows the flow")
    hybrid_composite: Annotated[Literal["none", "normal", "before-motion", "after-generation"], Choice] = Field(
        default="none", description="mix the video's picture in: after the motion, before it, or into what was drawn"
    )
    hybrid_alpha: Keyframed = constant(0.5, "how much of the mixture is taken, 0 to 1")
    hybrid_mask: Annotated[Literal["none", "blend", "depth", "video-depth", "difference"], Choice] = Field(
        default="none", description="where the film's own picture stays, by brightness, depth or difference"
    )
    hybrid_mask_inverse: bool = Field(default=False, description="turn that mask round")
    hybrid_mask_equalize: Annotated[Literal["none", "before", "after", "both"], Choice] = Field(
        default="none", description="spread its values evenly, before or after the contrast"
    )
    hybrid_mask_auto_contrast: bool = Field(
        default=False, description="stretch it between the percentiles low and high"
    )
    hybrid_mask_blend: Keyframed = constant(0.5, "blend: the video's share of the brightness, 0 to 1")
    hybrid_mask_contrast: Keyframed = constant(1, "contrast of the mask, about its mean")
    hybrid_mask_low: Keyframed = constant(0, "percentile of the mask that becomes black")
    hybrid_mask_high: Keyframed = constant(100, "percentile of the mask that becomes white")
