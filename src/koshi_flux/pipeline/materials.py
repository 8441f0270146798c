"""The pictures, videos and models of depth that a film names: looked at before anything is drawn."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from koshi_flux.depth.choice import check_depth, is_footage
from koshi_flux.errors import SettingsError
from koshi_flux.schedule import guides, masks
from koshi_flux.schedule.animation import Animation
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.distribution import check_cadence

_FLAT_ONLY = ("angle", "zoom", "transform_center_x", "transform_center_y")
_SPACE_ONLY = ("translation_z", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z", "fov", "aspect", "near", "far")
_FLIP = tuple(f"perspective_flip_{axis}" for axis in ("theta", "phi", "gamma", "fv"))
_TRAVEL = ("translation_x", "translation_y", "shake")
_PICTURE = (
    *(
        "denoise",
        "init_image",
        "video_init",
        "guides",
        "mask",
        "mask_image",
        "mask_video",
        "noise_mask",
        "hybrid_motion",
    ),
    *("color_strength", "contrast", "sharpen", "noise", "echo", "video_coherence"),
)
"""What is done with the picture that a frame starts from."""
IDLE: dict[str, tuple[str, ...]] = {
    "2d": _SPACE_ONLY,
    "3d": _FLAT_ONLY,
    "ransac": _SPACE_ONLY,
    "video": (*_FLAT_ONLY, *_SPACE_ONLY, *_FLIP, *_TRAVEL),
    "interpolation": (*_FLAT_ONLY, *_SPACE_ONLY, *_FLIP, *_TRAVEL, *_PICTURE),
}
"""Settings that a mode has no use for."""


def look_over(animation: Animation) -> Iterator[str]:
    """Say what a user should hear about a film's pictures, videos and camera.

    Args:
        animation: with its size settled.

    Raises:
        SettingsError: a picture or video is missing or cannot be read, or a method is not there.
        ModelError: a depth model is incomplete, or a method's library is missing.
    """
    yield from _idle(animation)
    if late := check_cadence(animation.cadence, animation.frames):
        yield late
    _check_methods(animation)
    for setting, file in _pictures(animation):
        _check_picture(setting, Path(file))
    if any("{alpha}" in expression for expressions in animation.masks.values() for expression in expressions):
        _check_transparent(Path(animation.init_image))
    yield from _videos(animation)
    if animation.soundtrack and not Path(animation.soundtrack).is_file():
        raise SettingsError(f"soundtrack: there is no file {animation.soundtrack}")


def _idle(film: Animation) -> Iterator[str]:
    """Schedules that were given and do nothing in this mode."""
    idle = (
        (*IDLE[film.mode], *_FLIP, "near", "far") if film.mode == "3d" and film.lens == "deforum" else IDLE[film.mode]
    )
    given = [name for name in idle if name in film.model_fields_set and _moves(film, name)]
    if given:
        s = "" if len(given) > 1 else "s"
        yield f"mode {film.mode!r} has no use for {', '.join(given)}: {'it' if s else 'they'} change{s} nothing"
    if film.video and not _follows_video(film):
        yield "nothing uses the guide video: set mode, hybrid_motion, hybrid_composite, video_init or video_audio"
    if film.loop and film.mode != "interpolation":
        yield "loop takes the prompts back to the first one, but only mode 'interpolation' ends where it began"


def _follows_video(film: Animation) -> bool:
    """Whether anything of a film comes from its guide video."""
    shown = film.hybrid_composite != "none" or film.video_init or film.video_audio
    return film.mode == "video" or film.leading != "none" or shown


def _moves(film: Animation, name: str) -> bool:
    """Whether a setting is anything but its default."""
    default = type(film).model_fields[name].default
    if not isinstance(default, Schedule):
        return bool(getattr(film, name) != default)
    return bool(np.any(film.scheduled(name) != default.values(1)[0]))


def _check_methods(film: Animation) -> None:
    used = {film.cadence_flow} if film.cadence_flow != "none" else set()
    if film.leading == "flow" or (film.mode == "video" and film.scheduled("video_coherence").any()):
        used.add(film.flow_method)
    if used:
        from koshi_flux.motion.flow import check_flow_method

        for method in sorted(used):
            check_flow_method(method)
    if _needs_depth(film):
        check_depth(film.depth)


def _needs_depth(film: Animation) -> bool:
    return film.mode == "3d" or film.save_depth or "depth" in film.hybrid_mask


def _pictures(film: Animation) -> Iterator[tuple[str, str]]:
    """Every picture that the film names, with the setting that does."""
    for setting in ("init_image", "mask_image"):
        if file := getattr(film, setting):
            yield setting, file
    for file in guides.files(film.guides):
        yield "guides", file
    for setting in ("mask", "noise_mask"):
        for file in masks.files(getattr(film, setting)):
            yield setting, file


def _check_picture(setting: str, file: Path) -> None:
    if not file.is_file():
        raise SettingsError(f"{setting}: there is no picture {file}")
    from koshi_flux.input.picture import read_levels

    read_levels(file, setting)


def _check_transparent(file: Path) -> None:
    from koshi_flux.input.picture import read_levels

    if read_levels(file, "init_image").shape[2] < 4:
        raise SettingsError(f"init_image: {file} has no transparency that could be a mask; leave out alpha_mask")


def _videos(film: Animation) -> Iterator[str]:
    """Open every video that the film names, and say when one is shorter than the film."""
    depth = film.depth if is_footage(film.depth) and _needs_depth(film) else ""
    if not (film.video or film.mask_video or depth):
        return
    from koshi_flux.pipeline.depths import open_depth_video
    from koshi_flux.pipeline.footage import open_guide
    from koshi_flux.pipeline.masks import open_mask_video

    for named, open_it in ((film.video, open_guide), (film.mask_video, open_mask_video), (depth, open_depth_video)):
        if named:
            footage = open_it(film)
            footage.picture(0)
            if short := footage.shortage(film.frames):
                yield short
