"""Pictures that a film starts from, is led by, or is kept to in part: init image, guides, masks."""

from pydantic import BaseModel, Field

from koshi_flux.schedule.settings.kinds import Guides, Keyframed, Masks, constant


class GuideSettings(BaseModel):
    """Pictures from outside."""

    init_image: str = Field(default="", description="the picture that frame 0 is drawn from")
    init_denoise: float | None = Field(
        default=None, ge=0, le=1, description="start sigma of frame 0 with an init image; that of `denoise`"
    )
    video_init: bool = Field(default=False, description="draw frame 0 from the guide video's first frame")
    guides: Guides = Field(default_factory=dict, description="pictures that the film is led to, by frame")
    guide_denoise: Keyframed | None = Field(default=None, description="schedule: start sigma while there are guides")
    guide_blend_max: Keyframed = constant(0.35, "how much of the guide is mixed in, on average, after its frame")
    guide_blend_slope: Keyframed = constant(0.25, "how far that swings")
    guide_tween: Keyframed = constant(20, "for how many frames after a guide's own")
    guide_color: Keyframed = constant(0.075, "how far colours are matched to the guide's, 0 to 1")
    mask: Masks = Field(default_factory=dict, description="where the picture changes (white), by frame: an expression")
    mask_image: str = Field(default="", description="the picture that {mask} stands for")
    mask_video: str = Field(default="", description="the video that {video_mask} stands for")
    alpha_mask: bool = Field(default=False, description="the init image's transparency is the mask: opaque changes")
    mask_invert: bool = Field(default=False, description="black is where the picture changes")
    mask_blur: float = Field(default=4.0, ge=0, le=1000, description="pixels over which a mask is softened")
    mask_contrast: float = Field(default=1.0, ge=0, le=100, description="contrast of a mask, about its middle")
    mask_brightness: float = Field(default=1.0, ge=0, le=100, description="brightness of a mask")
    mask_overlay: bool = Field(default=True, description="outside the mask, put the picture back that was there")
    noise_mask: Masks = Field(default_factory=dict, description="where grain is added, by frame: an expression")
