"""What the pictures and videos of a Deforum film become: init image, guide video, masks, guided images.

Paths stay as they are written. Whether a file exists is not looked up here; an address on the web is not fetched here.
"""

from koshi_flux.errors import KoshiError
from koshi_flux.schedule.importing import deforum_values as values
from koshi_flux.schedule.importing.deforum_film import OldFilm, Outcome, without
from koshi_flux.schedule.importing.deforum_keys import Key
from koshi_flux.schedule.masks import leaves, read_masks

_SWAPPED = "Deforum's contrast and brightness of masks are swapped"


def init_image(old: OldFilm, key: str, row: Key) -> Outcome:
    """The picture that frame 0 is drawn from."""
    path, missing = old.init
    if path and old.begins_with_video:
        return without("frame 0 is drawn from the video's first frame")
    return Outcome({"init_image": path}) if path else without(missing)


def video(old: OldFilm, key: str, row: Key) -> Outcome:
    """The guide video."""
    if old.hybrid and old.flag("hybrid_use_init_image"):
        return Outcome({"video": old.video[0]} if old.video[0] else {}, "the init image is the video", "translated")
    path, missing = old.path(key)
    if not old.asks_video:
        return without("no mode, hybrid or sound uses the video")
    return Outcome({"video": path}) if path else without(missing)


def take(old: OldFilm, key: str, row: Key) -> Outcome:
    """Which frames of the video are used."""
    if not old.uses_video:
        return without("no guide video is used")
    usual = {"video_step": 1, "video_start": 0, "video_end": -1}[row.to]
    return Outcome({row.to: max(old.whole(key, usual), min(usual, 1))})


def sound(old: OldFilm, key: str, row: Key) -> Outcome:
    """Whose sound the film has."""
    asked = old.word(key)
    if asked in ("init video", "true") and old.uses_video:
        return Outcome({"video_audio": True})
    if asked in ("", "false"):
        return Outcome(to="no sound", fate="kept")
    if asked == "file":
        return Outcome(to="soundtrack", fate="kept")
    return without(f"the video's sound cannot be had: {old.video[1] or 'no guide video'}")


def soundtrack(old: OldFilm, key: str, row: Key) -> Outcome:
    """The file whose sound the film has."""
    if old.word("add_soundtrack") != "file":
        return without("add_soundtrack is not 'File'")
    path, missing = old.path(key)
    return Outcome({"soundtrack": path}) if path else without(missing)


def video_init(old: OldFilm, key: str, row: Key) -> Outcome:
    """Drawing frame 0 from the video."""
    if not old.flag(key):
        return Outcome(to="off", fate="kept")
    return Outcome({"video_init": True}) if old.begins_with_video else without("nothing hybrid is on")


def hybrid(old: OldFilm, key: str, row: Key) -> Outcome:
    """The video's motion, or its picture, in the film."""
    name = old.choice(key)
    if name is None:
        return values.unknown_word(old, key)
    if name == "none":
        return Outcome(to="off", fate="kept")
    if not old.uses_video:
        return without(f"the video is missing: {old.video[1]}; then write {row.to} = '{name}'")
    return Outcome({row.to: name})


def previous(old: OldFilm, key: str, row: Key) -> Outcome:
    """Motion from the film's own last picture to the video's."""
    if not _leads(old):
        return without("hybrid_motion is off")
    if not old.flag(key):
        return Outcome(to="from frame to frame of the video", fate="kept")
    return Outcome({row.to: "previous"}, "Deforum did nothing here for Affine and Perspective, by a mistake")


def flow_method(old: OldFilm, key: str, row: Key) -> Outcome:
    """How the video's flow is found."""
    if old.choice("hybrid_motion") != "flow" or not old.uses_video:
        return without("counts only with hybrid_motion = Optical Flow")
    outcome = values.choice(old, key, row)
    needs = "needs torchvision; dis-fine does not" if outcome.settings.get("flow_method") == "raft" else outcome.why
    return Outcome(outcome.settings, needs, outcome.fate)


def led(old: OldFilm, key: str, row: Key) -> Outcome:
    """How far the film follows the flow."""
    if old.choice("hybrid_motion") != "flow" or not old.uses_video:
        return without("counts only with hybrid_motion = Optical Flow")
    return values.schedule(old, key, row)


def mixed(old: OldFilm, key: str, row: Key) -> Outcome:
    """How the video's picture is mixed in."""
    if not _mixes(old):
        return without("hybrid_composite is off")
    return values.choice(old, key, row) if row.to == "hybrid_mask" else values.schedule(old, key, row)


def hybrid_mask(old: OldFilm, key: str, row: Key) -> Outcome:
    """The shape of the mask that it is mixed in by."""
    if not _mixes(old) or (old.choice("hybrid_comp_mask_type") or "none") == "none":
        return without("no hybrid mask is used")
    if row.to == "hybrid_mask_equalize":
        return values.choice(old, key, row)
    return values.schedule(old, key, row) if key.endswith("_schedule") else values.flag(old, key, row)


def cutoff(old: OldFilm, key: str, row: Key) -> Outcome:
    """The percentiles that the mask is stretched between."""
    if not old.flag("hybrid_comp_mask_auto_contrast"):
        return without("counts only with hybrid_comp_mask_auto_contrast")
    return hybrid_mask(old, key, row)


def alpha_mask(old: OldFilm, key: str, row: Key) -> Outcome:
    """The init image's transparency as mask."""
    if not old.flag(key):
        return Outcome(to="off", fate="kept")
    if not _has_init(old):
        return without("there is no init image whose transparency could be it")
    return Outcome({"alpha_mask": True}, "Deforum lost the transparency before it looked; here it counts", "translated")


def mask_file(old: OldFilm, key: str, row: Key) -> Outcome:
    """The mask that stays the same."""
    if not old.flag("use_mask"):
        return without("use_mask is off")
    path, missing = old.path(key)
    return Outcome({"mask_image": path}) if path else without(missing)


def mask_video(old: OldFilm, key: str, row: Key) -> Outcome:
    """The mask that moves."""
    if not old.flag("use_mask_video"):
        return without("use_mask_video is off")
    path, missing = old.path(key)
    return Outcome({"mask_video": path}) if path else without(missing)


def masked_flag(old: OldFilm, key: str, row: Key) -> Outcome:
    """A switch of masks."""
    return values.flag(old, key, row) if _masks(old) else without("no mask is used")


def masked_number(old: OldFilm, key: str, row: Key) -> Outcome:
    """A number of masks."""
    if not _masks(old):
        return without("no mask is used")
    number = min(max(old.number(key, 1.0), 0.0), 100.0)
    if key == "mask_overlay_blur" or number == 1:
        return Outcome({row.to: number}, fate="kept")
    return Outcome({row.to: number}, _SWAPPED)


def fill(old: OldFilm, key: str, row: Key) -> Outcome:
    """What a masked area starts from."""
    name = old.choice(key, "original")
    if name is None:
        return values.unknown_word(old, key)
    if not _masks(old):
        return without("no mask is used")
    if name == "original":
        return Outcome(to="the picture (original)", fate="kept")
    return without(f"{name}: an area that changes starts from the picture, at the noise level of `denoise`")


def mask(old: OldFilm, key: str, row: Key) -> Outcome:
    """Where the picture, or its grain, may change."""
    given = old.held.get(key)
    used = old.flag("use_noise_mask") if row.to == "noise_mask" else bool(_masks(old))
    if not used or not isinstance(given, str):
        return without("use_noise_mask is off" if row.to == "noise_mask" else "no mask is used")
    try:
        masks = read_masks(given, key, old.program.dialect)
    except KoshiError as unread:
        return without(f"left out: {str(unread).splitlines()[0]}")
    have = _masks(old)
    if "{video_mask}" not in have and "{mask}" in have:
        masks = {frame: text.replace("{video_mask}", "{mask}") for frame, text in masks.items()}
    known = {*have, "{everywhere}"}
    if missing := [leaf for leaf in leaves(masks) if leaf[0] == "{" and leaf not in known]:
        return without(f"{', '.join(missing)} cannot be had")
    if row.to == "mask" and masks == {"0": " & ".join(have)}:
        return Outcome(to="all the masks there are", fate="kept")
    return Outcome({row.to: masks}, fate=None if "{video_mask}" in have else "translated")


def guides(old: OldFilm, key: str, row: Key) -> Outcome:
    """The pictures that a film is led to."""
    if not old.flag("use_looper"):
        return without("use_looper is off")
    missing = {f"{at}: {why}" for at, (path, why) in old.asked_guides.items() if not path}
    said = "; ".join(sorted(missing))
    return Outcome({"guides": old.guides}, said) if old.guides else without(said or "there are none")


def guide(old: OldFilm, key: str, row: Key) -> Outcome:
    """How a film is led to them."""
    return values.schedule(old, key, row) if old.guides else without("no pictures guide this film")


def _leads(old: OldFilm) -> bool:
    return old.uses_video and (old.choice("hybrid_motion") or "none") != "none"


def _mixes(old: OldFilm) -> bool:
    return old.uses_video and (old.choice("hybrid_composite") or "none") != "none"


def _has_init(old: OldFilm) -> bool:
    return bool(old.init[0]) and not old.begins_with_video


def _masks(old: OldFilm) -> list[str]:
    """What the film's mask could be, by name."""
    named = {
        "{alpha}": old.flag("use_alpha_as_mask") and _has_init(old),
        "{mask}": old.flag("use_mask") and old.path("mask_file")[0],
        "{video_mask}": old.flag("use_mask_video") and old.path("video_mask_path")[0],
    }
    return [name for name, there in named.items() if there]
