"""The kinds of file a film can become, as one table keyed by suffix. Imports neither torch nor PyAV."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from koshi_flux.errors import OutputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One kind of output: how it is encoded and how large it gets.

    Args:
        about: one line for people who choose.
        bytes_per_pixel: a busy film's size on disk per pixel of each frame; docs/output.md says how it was measured.
        encoder: PyAV's name of the video encoder; "" where PyAV is not needed.
        layout: PyAV's name of the pixel layout that the encoder gets.
        options: what the encoder is told.
        container: what the container is told.
    """

    about: str
    bytes_per_pixel: float
    encoder: str = ""
    layout: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    container: Mapping[str, str] = field(default_factory=dict)


FORMATS: dict[str, Format] = {
    "": Format(about="folder of PNG files: lossless, resumable", bytes_per_pixel=2.1),
    ".mp4": Format(
        about="H.264: plays everywhere",
        bytes_per_pixel=0.2,
        encoder="libx264",
        layout="yuv420p",
        options={
            "crf": "16",
            "preset": "veryfast",
            "g": "48",
        },  # g: a key frame every 48 frames, so that scrubbing is quick
        container={"movflags": "+faststart"},
    ),
    ".webm": Format(
        about="VP9: for web pages",
        bytes_per_pixel=0.15,
        encoder="libvpx-vp9",
        layout="yuv420p",
        # at the same crf, "good" took 4 to 8 times as long for files and errors of about the same size
        options={"crf": "24", "b": "0", "g": "48", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"},
    ),
    ".mov": Format(
        about="ProRes 422 HQ, 10 bit: for cutting and grading",
        bytes_per_pixel=0.7,
        encoder="prores_ks",
        layout="yuv422p10le",
        options={"profile": "3", "vendor": "apl0"},  # 3 is HQ; some editors refuse files of any other vendor
        # QuickTime's old text atoms end at 65535 bytes, which a film.toml can exceed; metadata tags do not
        container={"movflags": "+faststart+use_metadata_tags"},
    ),
    ".mkv": Format(
        about="FFV1: lossless RGB in one file, for archives",
        bytes_per_pixel=2.0,
        encoder="ffv1",
        layout="bgr0",
        options={"level": "3", "g": "1", "slices": "4", "slicecrc": "1"},
    ),
    ".gif": Format(about="GIF: 256 colours a frame, loops; for chats and readmes", bytes_per_pixel=0.8),
}


def suffix_of(path: Path) -> str:
    """The key of `path` in FORMATS, if it is one; an existing folder is "" whatever dots its name has."""
    suffix = path.suffix.lower()
    return "" if suffix not in FORMATS and path.is_dir() else suffix


def check_output(path: Path) -> None:
    """Refuse, before anything is rendered, a path that no sink can write to."""
    suffix = suffix_of(path)
    if suffix not in FORMATS:
        known = ", ".join(known for known in FORMATS if known)
        raise OutputError(
            f"cannot write {path.name!r}: known outputs are {known}, or a name without suffix for PNG files"
        )
    if suffix and path.is_dir():
        raise OutputError(f"cannot write {path.name!r}: a folder of that name is in the way; choose another name")
    if not suffix and path.is_file():
        raise OutputError(
            f"cannot write PNG files into {path.name!r}: that is a file, not a folder; choose another name"
        )
