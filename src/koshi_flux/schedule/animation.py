"""The whole film, frozen: every setting that can be given, checked before anything starts."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, ValidationError, model_validator

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.checks import check
from koshi_flux.schedule.complaints import in_words
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.distribution import drawn_frames
from koshi_flux.schedule.expression import Scope
from koshi_flux.schedule.guides import Guides
from koshi_flux.schedule.masks import mask_values
from koshi_flux.schedule.places import whole_paths
from koshi_flux.schedule.presets import with_preset
from koshi_flux.schedule.prompts import PromptSchedule
from koshi_flux.schedule.references import read_references, reference_at
from koshi_flux.schedule.seeds import seeds
from koshi_flux.schedule.settings.camera import CameraSettings
from koshi_flux.schedule.settings.drawing import DrawingSettings
from koshi_flux.schedule.settings.feedback import FeedbackSettings
from koshi_flux.schedule.settings.film import FilmSettings
from koshi_flux.schedule.settings.footage import FootageSettings
from koshi_flux.schedule.settings.guides import GuideSettings
from koshi_flux.schedule.shake import flat, shake
from koshi_flux.schedule.strength import denoise_from_strength
from koshi_flux.schedule.walk import Step, looped, prompt_keys, walk
from koshi_flux.shared.parameters import FrameParameters, PromptBlend
from koshi_flux.shared.spec import FluxSpec

Values = npt.NDArray[np.float64]


class Animation(FeedbackSettings, GuideSettings, FootageSettings, CameraSettings, DrawingSettings, FilmSettings):
    """A film: frozen, validated, the thing that is saved, shared and rendered.

    Settings that say "schedule" take a number or text such as "0:(1.0), 60:(1.05)" (docs/schedules.md).

    Raises:
        SettingsError: a setting is unknown, of the wrong kind or out of range; the message names it.
        ScheduleError: a schedule or prompt cannot be read or evaluated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __eq__(self, other: object) -> bool:
        """Two films are equal when all their settings are."""
        return isinstance(other, Animation) and all(
            getattr(self, name) == getattr(other, name) for name in Animation.model_fields
        )

    __hash__ = None  # type: ignore[assignment]  # prompts are a dict

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, settings: Any, handler: Callable[[Any], "Animation"]) -> "Animation":
        """Write the settings of a preset in, and say what is wrong in the words of a film file."""
        try:
            animation = handler(with_preset(settings) if isinstance(settings, Mapping) else settings)
        except ValidationError as invalid:
            raise SettingsError(
                "\n".join(in_words(error, ["preset", *cls.model_fields]) for error in invalid.errors())
            ) from None
        check(animation)
        return animation

    @classmethod
    def from_deforum(cls, path_or_dict: Path | str | Mapping[str, Any]) -> "Animation":
        """The film of a Deforum settings file, or of another that `schedule.importing.import_film` reads.

        That function also says what became of every key.
        """
        from koshi_flux.schedule.importing import import_film

        return import_film(path_or_dict).animation

    @cached_property
    def schedules(self) -> dict[str, Schedule]:
        """Every schedule that the film gives or keeps at its default, by name; those of LoRAs as "lora.name"."""
        own = {name: value for name in Animation.model_fields if isinstance(value := getattr(self, name), Schedule)}
        return own | {f"{kind}.{name}": part.strength for kind in _ADDED for name, part in getattr(self, kind).items()}

    @cached_property
    def _clock(self) -> dict[str, Any]:
        """What schedules and prompts are evaluated with."""
        return {"frames": self.frames, "seed": self.seed, "fps": self.fps, "bpm": self.bpm}

    @cached_property
    def _values(self) -> dict[str, Values]:
        return {name: schedule.values(**self._clock) for name, schedule in self.schedules.items()}

    @cached_property
    def _scope(self) -> Scope:
        return Scope(**self._clock)

    @cached_property
    def _shaken(self) -> dict[str, Values]:
        """What the shaking camera adds to its schedules."""
        strength = self._values["shake_strength"]
        shaken = shake(self.shake, self.frames, self.fps, self.seed, strength, self.shake_speed)
        return shaken if self.mode == "3d" else flat(shaken, (self.size or _ANY_SIZE)[1])

    @cached_property
    def _prompts(self) -> PromptSchedule:
        """The prompts; in a loop the first one once more, where the film begins anew."""
        blend = self.prompt_blend or ("linear" if self.mode == "interpolation" else "hold")
        prompts = PromptSchedule.parse(self.prompts, blend=blend, negative=self.negative_prompt)
        return looped(prompts, **self._clock) if self.loop else prompts

    @cached_property
    def prompt_values(self) -> list[tuple[PromptBlend, PromptBlend]]:
        """The prompt and the negative prompt of every frame."""
        return self._prompts.values(**self._clock)

    @cached_property
    def drawn(self) -> tuple[int, ...]:
        """The frames that are drawn, in order, the first and the last among them; the others are moved between."""
        keys = prompt_keys(self._prompts, **self._clock)
        return drawn_frames(self.frames, self.cadence, self.keyframe_distribution, keys)

    @cached_property
    def _walk(self) -> tuple[Step, ...]:
        """Between which prompts' noises each frame of an interpolation stands."""
        keys = [key for key in prompt_keys(self._prompts, **self._clock) if key < self.frames or not self.loop]
        return walk(keys, self.frames, self.seed, self.loop, self._prompts.blend)

    @cached_property
    def _guides(self) -> Guides:
        return Guides.of(self.guides, self._scope)

    @cached_property
    def masks(self) -> dict[str, list[str]]:
        """The expressions of `mask` and `noise_mask` at every frame; without `mask`, all that could be one."""
        named = ("{alpha}", self.alpha_mask), ("{mask}", self.mask_image), ("{video_mask}", self.mask_video)
        usual = {"0": " & ".join(leaf for leaf, given in named if given)}
        return {
            "mask": mask_values(self.mask or usual, self._scope),
            "noise_mask": mask_values(self.noise_mask, self._scope, "noise_mask"),
        }

    @cached_property
    def seeds(self) -> npt.NDArray[np.uint32]:
        """The noise seed of every frame; an in-between has that of the next drawn one."""
        scheduled = None if self.seed_schedule is None else self._values["seed_schedule"]
        return seeds(self.seed_behavior, self.seed, self.drawn, self.frames, self.seed_iter, scheduled)

    def scheduled(self, name: str) -> Values:
        """One schedule's own value at every frame, float64 (frames,)."""
        return self._values[name]

    def values(self, name: str) -> Values:
        """One schedule's value at every frame, float64 (frames,).

        `denoise` also when it was given as strength, or otherwise for frames that start from an init image or a guide;
        motion with the shaking of the camera.
        """
        if name == "denoise":
            return self._denoise
        return self._values[name] + self._shaken[name] if name in self._shaken else self._values[name]

    @cached_property
    def _denoise(self) -> Values:
        if self.guides and self.guide_denoise is not None:
            values = self._values["guide_denoise"]
        elif self.strength_schedule is not None:
            kept = self._values["strength_schedule"]
            values = denoise_from_strength(kept) if self.denoise_mode == "sigma" else 1 - kept
        else:
            values = self._values["denoise"]
        if self.init_denoise is not None and (self.init_image or self.video_init):
            values = np.concatenate(([self.init_denoise], values[1:]))
        return values

    def moving(self) -> list[str]:
        """The names of the schedules that change over the film."""
        return [name for name in self._values if np.ptp(self.values(name)) > 0]

    def keyframes(self, name: str) -> tuple[int, ...]:
        """The frames of a schedule's keys, also those beyond the film's end."""
        return self.schedules[name].keyframes(**self._clock)

    def at(self, frame: int) -> FrameParameters:
        """Everything that frame needs to know, 0 <= frame < frames.

        `denoise`, `steps` and `guidance` that the film leaves to the model have FrameParameters' own defaults until
        `resolved` fills them in.
        """
        if not 0 <= frame < self.frames:
            raise IndexError(f"frame {frame} of a film with frames 0 to {self.frames - 1}")
        prompt, negative = self.prompt_values[frame]
        return FrameParameters(
            frame=frame,
            prompt=prompt,
            negative=negative,
            lens=self.lens if self.mode == "3d" else "pinhole",
            uncovered=self.uncovered or ("redraw" if self.mode in ("3d", "ransac") else "border"),
            **{name: getattr(self, name) for name in _CONSTANTS},
            **self._numbers(frame),
            **self._noise(frame),
            **self._pictures(frame),
        )

    def _numbers(self, frame: int) -> dict[str, Any]:
        """What schedules of the same name come to."""
        numbers: dict[str, Any] = {name: float(self.values(name)[frame]) for name in self._scheduled}
        if "steps" in numbers:
            numbers["steps"] = round(numbers["steps"])
        strengths = {
            kind: tuple((name, float(self.values(f"{kind}.{name}")[frame])) for name in getattr(self, kind))
            for kind in _ADDED
        }
        return numbers | strengths

    @cached_property
    def _scheduled(self) -> tuple[str, ...]:
        """The schedules that are a frame's parameters as they are."""
        names = [name for name in self.schedules if name in _PER_FRAME and name not in _COMPOSED]
        given = self.denoise is not None or self.strength_schedule is not None
        return (*names, "denoise") if given else tuple(names)

    def _noise(self, frame: int) -> dict[str, Any]:
        """The seeds, and how far from the first one's noise to the second's."""
        if self.mode == "interpolation" and self.noise_walk:
            step = self._walk[frame]
            return {"seed": step.seeds[0], "subseed": step.seeds[1], "subseed_strength": step.share}
        strength = float(self._values["subseed_strength"][frame])
        subseed = int(self._values["subseed"][frame]) % 2**32
        return {"seed": int(self.seeds[frame]), "subseed": subseed, "subseed_strength": strength}

    def _pictures(self, frame: int) -> dict[str, Any]:
        """The masks and pictures that hold at a frame."""
        pictures: dict[str, Any] = {name: expressions[frame] for name, expressions in self.masks.items()}
        pictures["reference"] = reference_at(read_references(self.reference), frame)
        if guide := self._guides.at(frame):
            most, slope, tween = (
                float(self._values[f"guide_{name}"][frame]) for name in ("blend_max", "blend_slope", "tween")
            )
            pictures |= {"guide": guide.picture, "guide_blend": guide.blend(most, slope, tween)}
        return pictures

    @property
    def leading(self) -> str:
        """What of the guide video moves the film: "none", its camera ("affine" or "perspective"), or its "flow"."""
        return "affine" if self.mode == "ransac" and self.hybrid_motion == "none" else self.hybrid_motion

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
        return self.prompt_values[0][0][0][0]

    def strength_in_words(self) -> str:
        """What Deforum's strength became, at the first frame that has something to keep."""
        p = self.at(min(1, self.frames - 1))
        keep = self._values["strength_schedule"][p.frame]
        meaning = "start sigma" if self.denoise_mode == "sigma" else "share of the steps"
        return f"strength {keep:.2f} (keep) → denoise {p.denoise:.2f} ({meaning}), {p.steps} steps"

    def texts(self) -> tuple[set[str], set[str]]:
        """Every text that some frame's prompt, or negative prompt, is blended from."""
        positive, negative = ({text for blends in self.prompt_values for text, _ in blends[side]} for side in (0, 1))
        return positive, negative

    def strides(self, after: int | None = None) -> Iterator[tuple[FrameParameters, ...]]:
        """The way from each drawn frame to the next: the parameters of the frames between, the drawn one last.

        Args:
            after: the last frame already drawn; None begins with frame 0 alone.
        """
        if after is None:
            yield (self.at(0),)
        for here, there in pairwise(self.drawn):
            if here >= (after or 0):
                yield tuple(self.at(frame) for frame in range(here + 1, there + 1))

    def resolved(self, spec: FluxSpec) -> "Animation":
        """The same film with the model's defaults, a definite seed and the whole paths of its files written in."""
        left: dict[str, object] = {}
        if "model" not in self.model_fields_set:
            left["model"] = self.model  # a film on disk names it, whatever the default of a later version
        if self.size is None:
            left["size"] = spec.default_size
        if self.denoise is None and self.strength_schedule is None and self.mode != "interpolation":
            left["denoise"] = spec.default_denoise
        if self.steps is None:
            left["steps"] = spec.default_steps
        if self.guidance is None:
            left["guidance"] = spec.default_guidance
        if self.seed < 0:
            left["seed"] = int.from_bytes(os.urandom(4))
        left |= whole_paths(self.given(), Path.cwd())
        return self.replaced(**left) if left else self

    def replaced(self, **changes: object) -> "Animation":
        """A copy with other settings, validated anew."""
        return Animation(**{**self.given(), **changes})

    def given(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as `Animation(**given)` takes them."""
        return {name: getattr(self, name) for name in Animation.model_fields if name in self.model_fields_set}


_PER_FRAME = set(FrameParameters.__dataclass_fields__)
_COMPOSED = ("subseed", "subseed_strength", "denoise")
"""Parameters that are more than the value of a schedule."""
_CONSTANTS = ("denoise_mode", "border", "kernel", "symmetry", "color_coherence")
"""Settings that every frame is told, though they never change."""
_ANY_SIZE = (512, 512)
"""Stands for the size of a film that leaves it to its model, where a film is only checked."""
_ADDED = ("lora", "controlnet", "ip_adapter")
"""What is added to the model, by name, each with a strength."""
