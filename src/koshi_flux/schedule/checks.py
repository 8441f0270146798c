"""Whether the settings of a film go together; each of them alone is sound."""

from typing import TYPE_CHECKING

import numpy as np

from koshi_flux.errors import SettingsError
from koshi_flux.schedule import masks
from koshi_flux.schedule.settings.ranges import check_range, check_size

if TYPE_CHECKING:
    from koshi_flux.schedule.animation import Animation


def check(film: "Animation") -> None:
    """Evaluate the whole film, and refuse settings that are out of range or contradict each other.

    Raises:
        SettingsError: they do; the message names the settings and, where there is one, the frame.
        ScheduleError: a schedule or a prompt comes to nothing at some frame.
    """
    if film.size is not None:
        check_size(film.size)
    if film.denoise is not None and film.strength_schedule is not None:
        raise SettingsError("give `denoise` or `strength_schedule`, not both: they say the same in opposite senses")
    for name in film.schedules:
        check_range(name, film.scheduled(name))
    _check_needed(film)
    for low, high, usual in (("near", "far", "200 and 10000"), ("hybrid_mask_low", "hybrid_mask_high", "0 and 100")):
        _check_order(film, low, high, usual)
    film.at(0)  # what only frames evaluate: prompts, seeds, masks, guides


def _check_needed(film: "Animation") -> None:
    """Settings that are nothing without another."""
    for setting, wanted, needed, example in (
        ("mode = 'video'", film.mode == "video", "video", "dance.mp4"),
        ("mode = 'ransac'", film.mode == "ransac", "video", "dance.mp4"),
        ("hybrid_motion", film.hybrid_motion != "none", "video", "dance.mp4"),
        ("hybrid_composite", film.hybrid_composite != "none", "video", "dance.mp4"),
        ("video_audio", film.video_audio, "video", "dance.mp4"),
        ("video_init", film.video_init, "video", "dance.mp4"),
        ("alpha_mask", film.alpha_mask, "init_image", "cut-out.png"),
        ("init_denoise", film.init_denoise is not None and not film.video_init, "init_image", "start.png"),
        ("{mask}", "{mask}" in _leaves(film), "mask_image", "mask.png"),
        ("{video_mask}", "{video_mask}" in _leaves(film), "mask_video", "masks.mp4"),
        ("{alpha}", "{alpha}" in _leaves(film), "init_image", "cut-out.png"),
        ("guide_denoise", film.guide_denoise is not None, "guides", "forest.png"),
    ):
        if wanted and not getattr(film, needed):
            raise SettingsError(f"{setting} needs `{needed}`: say which, for example {needed} = '{example}'")
    if film.init_image and film.video_init:
        raise SettingsError("give `init_image` or `video_init`, not both: each is what frame 0 is drawn from")
    if film.soundtrack and film.video_audio:
        raise SettingsError("give `soundtrack` or `video_audio`, not both: each is what the film sounds like")
    if film.lens == "deforum" and film.leading in ("affine", "perspective"):
        raise SettingsError(
            f"lens = 'deforum' cannot be led by a video's camera ({film.leading}): take the pinhole, or 'flow'"
        )
    if film.seed_behavior == "schedule" and film.seed_schedule is None:
        raise SettingsError("seed_behavior = 'schedule' needs seed_schedule, for example '0:(7), 60:(8)'")


def _check_order(film: "Animation", low: str, high: str, usual: str) -> None:
    """One schedule stays below another."""
    lower, higher = film.scheduled(low), film.scheduled(high)
    swapped = np.flatnonzero(lower >= higher)
    if swapped.size:
        frame = int(swapped[0])
        raise SettingsError(
            f"{low} {lower[frame]:g} must be less than {high} {higher[frame]:g} at frame {frame}; usual are {usual}"
        )


def _leaves(film: "Animation") -> tuple[str, ...]:
    return (*masks.leaves(film.mask), *masks.leaves(film.noise_mask))
