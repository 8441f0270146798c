"""What is filmed, how long, how large, with which random numbers, and which of its frames are drawn."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from koshi_flux.schedule.settings.kinds import Choice, Keyframed, Prompts, Size, constant


class FilmSettings(BaseModel):
    """The film as a whole."""

    dialect: Annotated[Literal["koshi", "deforum", "notebook", "parseq"], Choice] = Field(
        default="koshi",
        description="how schedule texts are read: koshi, or exactly as Deforum's web UI, its notebook or Parseq did",
    )
    prompts: Prompts = Field(min_length=1, description="what to paint, by frame: {0 = 'a forest', 60 = 'a city'}")
    prompt_blend: Annotated[Literal["hold", "linear", "ease"], Choice] | None = Field(
        default=None,
        description="between two prompts: hold the first, or blend, linear (as interpolation does) or ease",
    )
    embedding_blend: Annotated[Literal["linear", "slerp"], Choice] = Field(
        default="linear", description="how two prompts are blended: along the straight line, or along the arc"
    )
    negative_prompt: str = Field(default="", description="what to avoid in the whole film; needs a model with true CFG")
    model: str = Field(default="nano", min_length=1, description="a known model's name, the folder of one, or a file")
    vae: str = Field(default="", description="another autoencoder than the model's own: a file or folder")
    text_encoder: str = Field(default="", description="other text encoders than the model's own: files or folders")
    mode: Annotated[Literal["2d", "3d", "video", "interpolation", "ransac"], Choice] = Field(
        default="2d", description="where each frame starts: the last one moved by a camera, a video, or noise"
    )
    frames: int = Field(default=120, ge=1, le=1_000_000, description="length of the film in frames")
    size: Size | None = Field(default=None, description="width and height in pixels, multiples of 16; the model's own")
    fps: float = Field(default=24.0, gt=0, le=1000, allow_inf_nan=False, description="frames per second of the film")
    bpm: float = Field(default=120.0, gt=0, le=1000, allow_inf_nan=False, description="beats per minute, for `beat`")
    soundtrack: str = Field(default="", description="the file whose sound the film gets")
    loop: bool = Field(default=False, description="interpolation: end where the film began")
    seed: int = Field(default=0, ge=-1, lt=2**32, description="decides all noise; -1 picks one and records it")
    seed_behavior: Annotated[Literal["iter", "fixed", "random", "ladder", "alternate", "schedule"], Choice] = Field(
        default="iter", description="how the noise seed goes from drawn frame to drawn frame"
    )
    seed_iter: int = Field(default=1, ge=1, description="iter: how many drawn frames share a seed")
    seed_schedule: Keyframed | None = Field(default=None, description="schedule: the noise seeds; -1 picks one")
    subseed: Keyframed = constant(0, "a second noise seed; -1 picks one")
    subseed_strength: Keyframed = constant(0, "how far the noise goes over to the second seed's, 0 to 1")
    noise_walk: bool = Field(default=True, description="interpolation: noise walks from prompt to prompt too")
    cadence: int = Field(default=1, ge=1, le=1000, description="draw every nth frame, move the rest between them")
    keyframe_distribution: Annotated[Literal["uniform", "prompts", "additive", "redistributed"], Choice] = Field(
        default="uniform",
        description="which frames are drawn: every nth, those with prompts, both, or moved to prompts",
    )
    cadence_flow: Annotated[Literal["none", "dis", "dis-fine", "farneback", "raft"], Choice] = Field(
        default="none", description="align the two pictures that an in-between is blended from, by optical flow"
    )
    cadence_flow_factor: Keyframed = constant(1, "how far they are aligned, 1 is fully")
