"""The whole film, frozen: every setting that can be given, checked before anything starts."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.complaints import in_words
from koshi_flux.schedule.controlnet import ControlNet, beside_film, read_controlnets
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.lora import Lora, located, read_loras
from koshi_flux.schedule.prompts import PromptSchedule
from koshi_flux.schedule.references import beside, read_references, reference_at, written
from koshi_flux.schedule.strength import denoise_from_strength
from koshi_flux.shared.parameters import FrameParameters, PromptBlend
from koshi_flux.shared.spec import FluxSpec

Values = npt.NDArray[np.float64]

SIZE_MULTIPLE = 16
"""Width and height of every FLUX picture: 8 pixels per latent pixel, 2 latent pixels per token."""

RANGES: dict[str, tuple[float, float]] = {
    "zoom": (1e-3, 1e3),
    "perspective_flip_fv": (1e-3, 179.0),
    "denoise": (0.0, 1.0),
    "strength_schedule": (0.0, 1.0),
    "steps": (1.0, 1000.0),
    "guidance": (0.0, 100.0),
    "lora": (-2.0, 2.0),
    "controlnet": (0.0, 2.0),
    "color_strength": (0.0, 1.0),
    "contrast": (0.0, 100.0),
    "sharpen": (0.0, 100.0),
    "noise": (0.0, 1.0),
}
"""What a schedule's values must lie in, over the whole film; schedules not named here take any number."""


def _schedule(value: object, info: Any) -> Schedule:  # a ValidationInfo, which no runtime check can name
    if not isinstance(value, str | int | float | Schedule) or isinstance(value, bool):
        raise ValueError("must be a number or a schedule such as '0:(1.0), 60:(1.05)'")
    return Schedule.parse(value, name=info.field_name or "schedule", dialect=info.data.get("dialect", "koshi"))


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
    return read_loras(value, info.data.get("dialect", "koshi"))


def _controlnets(value: object, info: Any) -> dict[str, ControlNet]:
    return read_controlnets(value, info.data.get("dialect", "koshi"))


def _references(value: object) -> dict[str, str]:
    return written(read_references(value))


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Keyframed = Annotated[Schedule, PlainValidator(_schedule)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
Prompts = Annotated[dict[str, str], BeforeValidator(_prompts)]
Loras = Annotated[dict[str, Lora], PlainValidator(_loras)]
ControlNets = Annotated[dict[str, ControlNet], PlainValidator(_controlnets)]
References = Annotated[dict[str, str], PlainValidator(_references)]


def _constant(value: float, says: str) -> Any:
    return Field(default=Schedule.parse(value), description=says)


class Animation(BaseModel):
    """A film: frozen, validated, the thing that is saved, shared and rendered.

    Settings that say "schedule" take a number or text such as "0:(1.0), 60:(1.05)" (docs/schedules.md).

    Raises:
        SettingsError: a setting is unknown, of the wrong kind or out of range; the message names it.
        ScheduleError: a schedule or prompt cannot be read or evaluated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dialect: Annotated[Literal["koshi", "deforum", "notebook"], BeforeValidator(_lower)] = Field(
        default="koshi",
        description="how schedule texts are read: koshi, or exactly as Deforum's web UI or notebook did",
    )
    prompts: Prompts = Field(min_length=1, description="what to paint, by frame: {0 = 'a forest', 60 = 'a city'}")
    prompt_blend: Annotated[Literal["hold", "linear", "ease"], BeforeValidator(_lower)] = Field(
        default="hold", description="between two prompts: keep the first, or blend evenly or with ease"
    )
    negative_prompt: str = Field(default="", description="what to avoid in the whole film; needs a model with true CFG")
    model: str = Field(default="nano", min_length=1, description="a known model's name, the folder of one, or a file")
    vae: str = Field(default="", description="another autoencoder than the model's own: a file or folder")
    text_encoder: str = Field(default="", description="other text encoders than the model's own: files or folders")
    mode: Annotated[Literal["2d"], BeforeValidator(_lower)] = Field(default="2d", description="the camera")
    frames: int = Field(default=120, ge=1, le=1_000_000, description="length of the film in frames")
    size: Size | None = Field(default=None, description="width and height in pixels, multiples of 16; the model's own")
    fps: float = Field(default=24.0, gt=0, le=1000, allow_inf_nan=False, description="frames per second of the film")
    bpm: float = Field(default=120.0, gt=0, le=1000, allow_inf_nan=False, description="beats per minute, for `beat`")
    seed: int = Field(default=0, ge=-1, lt=2**32, description="decides all noise; -1 picks one and records it")
    cadence: int = Field(default=1, ge=1, le=1000, description="draw every nth frame, move the rest between them")

    denoise: Keyframed | None = Field(
        default=None, description="schedule: start sigma; 0 keeps the moved picture, 1 ignores it; the model's own"
    )
    denoise_mode: Annotated[Literal["sigma", "steps"], BeforeValidator(_lower)] = Field(
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
    reference: References = Field(
        default_factory=dict, description="pictures to draw by the sight of, by frame: first, previous, a file"
    )

    angle: Keyframed = _constant(0, "schedule: degrees per frame, counter-clockwise")
    zoom: Keyframed = _constant(1, "schedule: magnification per frame, more than 1 moves in")
    translation_x: Keyframed = _constant(0, "schedule: pixels per frame that content moves right")
    translation_y: Keyframed = _constant(0, "schedule: pixels per frame that content moves down")
    transform_center_x: Keyframed = _constant(0.5, "schedule: pivot of angle and zoom, 0 left to 1 right")
    transform_center_y: Keyframed = _constant(0.5, "schedule: pivot of angle and zoom, 0 top to 1 bottom")
    perspective_flip_theta: Keyframed = _constant(0, "schedule: degrees per frame, in the plane")
    perspective_flip_phi: Keyframed = _constant(0, "schedule: degrees per frame, about the horizontal axis")
    perspective_flip_gamma: Keyframed = _constant(0, "schedule: degrees per frame, about the vertical axis")
    perspective_flip_fv: Keyframed = _constant(53, "schedule: field of view of the flip in degrees")
    border: Annotated[Literal["replicate", "wrap", "reflect"], BeforeValidator(_lower)] = Field(
        default="replicate", description="what stands in for uncovered pixels"
    )
    kernel: Annotated[Literal["spline", "bilinear"], BeforeValidator(_lower)] = Field(
        default="spline", description="how pictures are resampled: sharp, or faster and softer"
    )

    color_coherence: Annotated[Literal["lab", "none"], BeforeValidator(_lower)] = Field(
        default="lab", description="how colours are kept to those of the first frame"
    )
    color_strength: Keyframed = _constant(1, "schedule: how fully colours are matched, 0 to 1")
    contrast: Keyframed = _constant(1, "schedule: stretch about the mean brightness, 1 changes nothing")
    sharpen: Keyframed = _constant(0, "schedule: amount of luma sharpening, 0 changes nothing")
    noise: Keyframed = _constant(0, "schedule: grain as standard deviation, 0 to 1")

    def __eq__(self, other: object) -> bool:
        """Two films are equal when all their settings are."""
        return isinstance(other, Animation) and all(
            getattr(self, name) == getattr(other, name) for name in Animation.model_fields
        )

    __hash__ = None  # type: ignore[assignment]  # prompts are a dict

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, settings: Any, handler: Callable[[Any], "Animation"]) -> "Animation":
        """Say what is wrong in the words of a film file."""
        try:
            animation = handler(settings)
        except ValidationError as invalid:
            raise SettingsError(
                "\n".join(in_words(error, list(cls.model_fields)) for error in invalid.errors())
            ) from None
        animation._check()
        return animation

    def _check(self) -> None:
        if self.size is not None:
            _check_size(self.size)
        if self.denoise is not None and self.strength_schedule is not None:
            raise SettingsError("give `denoise` or `strength_schedule`, not both: they say the same in opposite senses")
        for name, values in self._values.items():
            _check_range(name, values)
        self._prompt_values  # noqa: B018 - parses and evaluates the prompts

    @cached_property
    def schedules(self) -> dict[str, Schedule]:
        """Every schedule that the film gives or keeps at its default, by name; those of LoRAs as "lora.name"."""
        own = {name: value for name in Animation.model_fields if isinstance(value := getattr(self, name), Schedule)}
        own |= {f"lora.{name}": lora.strength for name, lora in self.lora.items()}
        return own | {f"controlnet.{name}": net.strength for name, net in self.controlnet.items()}

    @cached_property
    def _values(self) -> dict[str, Values]:
        return {
            name: schedule.values(self.frames, seed=self.seed, fps=self.fps, bpm=self.bpm)
            for name, schedule in self.schedules.items()
        }

    @cached_property
    def _prompt_values(self) -> list[tuple[PromptBlend, PromptBlend]]:
        schedule = PromptSchedule.parse(self.prompts, blend=self.prompt_blend, negative=self.negative_prompt)
        return schedule.values(self.frames, seed=self.seed, fps=self.fps, bpm=self.bpm)

    def values(self, name: str) -> Values:
        """One schedule's value at every frame, float64 (frames,); `denoise` also when it was given as strength."""
        if name == "denoise" and self.strength_schedule is not None:
            strength = self._values["strength_schedule"]
            return denoise_from_strength(strength) if self.denoise_mode == "sigma" else 1 - strength
        return self._values[name]

    def moving(self) -> list[str]:
        """The names of the schedules that change over the film."""
        return [name for name, values in self._values.items() if np.ptp(values) > 0]

    def keyframes(self, name: str) -> tuple[int, ...]:
        """The frames of a schedule's keys, also those beyond the film's end."""
        return self.schedules[name].keyframes(self.frames, seed=self.seed, fps=self.fps, bpm=self.bpm)

    def at(self, frame: int) -> FrameParameters:
        """Everything that frame needs to know, 0 <= frame < frames.

        `denoise`, `steps` and `guidance` that the film leaves to the model have FrameParameters' own defaults until
        `resolved` fills them in.
        """
        if not 0 <= frame < self.frames:
            raise IndexError(f"frame {frame} of a film with frames 0 to {self.frames - 1}")
        numbers: dict[str, Any] = {
            name: float(self.values(name)[frame])
            for name in (*self.schedules, "denoise")
            if name in _PER_FRAME
            if name != "denoise" or self.denoise is not None or self.strength_schedule is not None
        }
        if "steps" in numbers:
            numbers["steps"] = round(numbers["steps"])
        prompt, negative = self._prompt_values[frame]
        constants = {
            name: getattr(self, name) for name in ("seed", "denoise_mode", "border", "kernel", "color_coherence")
        }
        reference = reference_at(read_references(self.reference), frame)
        strengths: dict[str, Any] = {
            kind: tuple((name, float(self.values(f"{kind}.{name}")[frame])) for name in getattr(self, kind))
            for kind in ("lora", "controlnet")
        }
        return FrameParameters(
            frame=frame, prompt=prompt, negative=negative, reference=reference, **strengths, **constants, **numbers
        )

    @property
    def picture_size(self) -> tuple[int, int]:
        """(width, height) of a film whose size is settled, by itself or by its model (`resolved`)."""
        if self.size is None:
            raise SettingsError(
                "the film leaves its size to the model: choose one with `resolved`, or say size = [w, h]"
            )
        return self.size

    @property
    def title(self) -> str:
        """The first prompt: what the film is called where a name is wanted."""
        return self._prompt_values[0][0][0][0]

    def strength_in_words(self) -> str:
        """What Deforum's strength became, at the first frame that has something to keep."""
        p = self.at(min(1, self.frames - 1))
        keep = self.values("strength_schedule")[p.frame]
        meaning = "start sigma" if self.denoise_mode == "sigma" else "share of the steps"
        return f"strength {keep:.2f} (keep) → denoise {p.denoise:.2f} ({meaning}), {p.steps} steps"

    def texts(self) -> tuple[set[str], set[str]]:
        """Every text that some frame's prompt, or negative prompt, is blended from."""
        positive, negative = ({text for blends in self._prompt_values for text, _ in blends[side]} for side in (0, 1))
        return positive, negative

    def strides(self, after: int | None = None) -> Iterator[tuple[FrameParameters, ...]]:
        """The way from each drawn frame to the next: the parameters of the frames between, the drawn one last.

        Drawn are frame 0, every `cadence`-th frame and the last one.

        Args:
            after: the last frame already drawn; None begins with frame 0 alone.
        """
        if after is None:
            yield (self.at(0),)
            after = 0
        while after < self.frames - 1:
            drawn = min(after + self.cadence, self.frames - 1)
            yield tuple(self.at(frame) for frame in range(after + 1, drawn + 1))
            after = drawn

    def resolved(self, spec: FluxSpec) -> "Animation":
        """The same film with the model's defaults, a definite seed and the whole paths of its files written in."""
        left: dict[str, object] = {}
        if "model" not in self.model_fields_set:
            left["model"] = self.model  # a film on disk names it, whatever the default of a later version
        if self.size is None:
            left["size"] = spec.default_size
        if self.denoise is None and self.strength_schedule is None:
            left["denoise"] = spec.default_denoise
        if self.steps is None:
            left["steps"] = spec.default_steps
        if self.guidance is None:
            left["guidance"] = spec.default_guidance
        if self.seed < 0:
            left["seed"] = int.from_bytes(os.urandom(4))
        if self.lora:
            left["lora"] = located(self.lora, Path.cwd())
        if self.controlnet:
            left["controlnet"] = beside_film(self.controlnet, Path.cwd())
        if self.reference:
            left["reference"] = beside(self.reference, Path.cwd())
        return self.replaced(**left) if left else self

    def replaced(self, **changes: object) -> "Animation":
        """A copy with other settings, validated anew."""
        return Animation(**{**self.given(), **changes})

    def given(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as `Animation(**given)` takes them."""
        return {name: getattr(self, name) for name in Animation.model_fields if name in self.model_fields_set}


_PER_FRAME = set(FrameParameters.__dataclass_fields__)


def nearest_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size a FLUX model can draw that lies nearest."""
    width, height = (max(SIZE_MULTIPLE, SIZE_MULTIPLE * round(side / SIZE_MULTIPLE)) for side in size)
    return width, height


def _check_size(size: tuple[int, int]) -> None:
    if nearest_size(size) != size:
        wide, high = nearest_size(size)
        raise SettingsError(
            f"size {size[0]}x{size[1]} does not fit: width and height must be multiples of {SIZE_MULTIPLE}; "
            f"the nearest is {wide}x{high}"
        )
    if max(size) > 8192:
        raise SettingsError(f"size {size[0]}x{size[1]} is too large: at most 8192 pixels a side")


def _check_range(name: str, values: Values) -> None:
    low, high = RANGES.get(name.partition(".")[0], (-np.inf, np.inf))
    outside = np.flatnonzero((values < low) | (values > high))
    if outside.size:
        frame = int(outside[0])
        raise SettingsError(f"{name}: {values[frame]:g} at frame {frame}; it must lie in [{low:g}, {high:g}]")
