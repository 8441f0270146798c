"""A depth model as transformers keeps it: a folder with config.json, preprocessor_config.json and weights.

All that can be wrong with it is told from its JSON files and from the length of its weights. Imports no torch.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from koshi_flux.errors import ModelError
from koshi_flux.weights.files import check_weights, must_exist, read_json, weight_files

KINDS = ("DPTForDepthEstimation", "DepthAnythingForDepthEstimation", "ZoeDepthForDepthEstimation")
"""The architectures that are understood; the first is what MiDaS 3 is."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The file of the weights, the better kind first. MiDaS was long published as the other kind only, a pickle, of which
nothing but numbers is read."""

BILINEAR, BICUBIC = 2, 3
"""Ways to resize a picture, by Pillow's numbers."""

_DOWNLOAD = "`hf download depth-anything/Depth-Anything-V2-Small-hf --local-dir FOLDER`"
_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How a model wants to be shown a picture.

    Args:
        size: (height, width) in pixels at which it looks at pictures.
        keep_aspect: whether a picture keeps its shape; it then has one of the two sides, whichever changes it less.
        multiple: what both sides are multiples of.
        bicubic: whether pictures are resized by cubics rather than linearly.
        margin: whether a mirrored margin is added, since the model is unsure along edges.
        scale: what colours in [0, 1] are multiplied by.
        mean: what is then subtracted of red, green and blue.
        deviation: what they are divided by at last.
    """

    size: tuple[int, int] = (384, 384)
    keep_aspect: bool = False
    multiple: int = 1
    bicubic: bool = True
    margin: bool = False
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        """The size at which the model looks at a picture of this size.

        Source: DPTImageProcessor and ZoeDepthImageProcessor of transformers, which agree in this.
        """
        rows, columns = self.size[0] / height, self.size[1] / width
        if self.keep_aspect:
            rows = columns = columns if abs(1 - columns) < abs(1 - rows) else rows
        return self._rounded(rows * height), self._rounded(columns * width)

    def _rounded(self, side: float) -> int:
        return max(1, round(side / self.multiple)) * self.multiple


@dataclass(frozen=True, slots=True)
class DepthFiles:
    """A depth model's folder, having been checked.

    Args:
        metric: whether it tells distances, in metres, rather than how near things are.
    """

    folder: Path
    preparation: Preparation
    metric: bool


def find_depth(source: str) -> DepthFiles:
    """A depth model's folder, here or on the hub, from where it is brought here once.

    Raises:
        ModelError: it cannot be had, is incomplete or damaged, or is another kind of model.
    """
    from koshi_flux.weights.hub import find_file, find_part  # the hub's library takes a while to import

    folder = find_part(source)
    if not Path(source).expanduser().exists():
        find_file(f"{source}/preprocessor_config.json", ".json")
        _find_weights(source)
    return check_folder(folder)


def _find_weights(repository: str) -> None:
    """Bring the weights of a repository here, in the better of the two kinds that it has."""
    from koshi_flux.weights.hub import find_file

    better, other = WEIGHTS
    try:
        find_file(f"{repository}/{better}")
    except ModelError as absent:
        try:
            find_file(f"{repository}/{other}", ".bin")
        except ModelError:
            raise absent from absent.__cause__


def check_folder(folder: Path) -> DepthFiles:
    """Refuse a folder that would fail once loaded, or that holds no depth model.

    Raises:
        ModelError: what is wrong with it, and how to get a whole one.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} is not the folder of a depth model: it has no config.json. Give the folder that holds it beside "
            f"preprocessor_config.json and {WEIGHTS[0]}, such as {_DOWNLOAD} makes"
        )
    config = read_json(folder / "config.json")
    kind = next(iter(config.get("architectures") or ()), "model of unknown architecture")
    if kind not in KINDS:
        raise ModelError(
            f"{folder} holds a {kind}, not a depth model that is understood: those are {', '.join(KINDS)}, such as "
            f"{_DOWNLOAD} brings"
        )
    preparation = _read_preparation(folder)
    _check_weights(folder)
    metric = kind.startswith("Zoe") or config.get("depth_estimation_type") == "metric"
    return DepthFiles(folder, preparation, metric)


def _check_weights(folder: Path) -> None:
    """Are the weights whole?"""
    better, other = WEIGHTS
    files = weight_files(folder / better)
    pickle = folder / other
    if any(file.is_file() for file in files) or not pickle.is_file():
        for file in files:
            check_weights(file)
    elif _starts_with(pickle, _LFS):
        raise ModelError(f"{pickle} is a git-lfs pointer, not the weights: run `git lfs pull` in {folder}")
    elif not zipfile.is_zipfile(pickle):  # their table of contents lies at the end
        raise ModelError(f"{pickle} is damaged, or cut short. Download it again")


def _starts_with(file: Path, start: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(start)) == start


def _read_preparation(folder: Path) -> Preparation:
    """What preprocessor_config.json says, as DPT's and ZoeDepth's processors of transformers understand it."""
    file = folder / "preprocessor_config.json"
    must_exist(file)
    config = read_json(file)
    is_zoe = str(config.get("image_processor_type", "")).startswith("ZoeDepth")
    if not config.get("do_resize", True) or (config.get("do_pad") and not is_zoe):
        raise ModelError(
            f"{file} asks for pictures of any size, padded, as the DPTs on DINOv2 do: these models tell distances in "
            "rooms or streets and are not understood. Take depth-anything instead"
        )
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    normalised = config.get("do_normalize", True)
    return Preparation(
        size=_size(config.get("size", 384), file),
        keep_aspect=bool(config.get("keep_aspect_ratio", False)),
        multiple=int(config.get("ensure_multiple_of", 1)),
        bicubic=config.get("resample", BICUBIC) != BILINEAR,
        margin=is_zoe and bool(config.get("do_pad", True)),
        scale=255 * factor,
        mean=_colour(config, "image_mean", file) if normalised else (0.0,) * 3,
        deviation=_colour(config, "image_std", file) if normalised else (1.0,) * 3,
    )


def _size(size: Any, file: Path) -> tuple[int, int]:
    """(height, width); older files give one number for both."""
    if isinstance(size, dict):
        size = size.get("height"), size.get("width")
    height, width = size if isinstance(size, tuple) else (size, size)
    if not (isinstance(height, int) and isinstance(width, int) and min(height, width) > 0):
        raise ModelError(f"{file} states no size as height and width. Download it again")
    return height, width


def _colour(config: dict[str, Any], name: str, file: Path) -> tuple[float, ...]:
    """One number for each of red, green and blue."""
    values = config.get(name, [0.5] * 3)
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(value, int | float) for value in values):
        raise ModelError(f"{file} states no {name} of red, green and blue. Download it again")
    return tuple(float(value) for value in values)
