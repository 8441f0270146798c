"""Where the parts of a model lie: in one folder, or as people collect them, file by file. Imports no torch.

A model is given as a folder that diffusers wrote, or as the file of its transformer, and then the rest comes from the
repository of the published model, once: "flux1-dev-Q4_K_S.gguf". Or some of the rest is given, too: "ae.safetensors" as
its vae, "clip_l.safetensors, t5xxl_fp16.safetensors" as its text_encoder.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from koshi_flux.errors import ModelError
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.weights.files import read_json
from koshi_flux.weights.header import SUFFIXES, download_left
from koshi_flux.weights.layouts import Config
from koshi_flux.weights.lora_layers import CLASSES, FAMILIES, PUBLISHED, Family, Target
from koshi_flux.weights.single_file import Content, contents, in_words

Source: TypeAlias = str | Path
"""A folder, a file, or either on the hub, as owner/name or owner/name/file."""

TEXT_PARTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
WITH_WEIGHTS = ("transformer", "vae", "text_encoder", "text_encoder_2")
PARTS: dict[Family, tuple[str, ...]] = {
    "flux1": ("transformer", "vae", *TEXT_PARTS),
    "flux2": ("transformer", "vae", "text_encoder", "tokenizer"),
}
"""What a model of each family is made of, apart from its scheduler, without which noise levels are the family's own."""

_SETTINGS = {"transformer": "model", "vae": "vae"}
"""Which setting says where a part is; for all others it is text_encoder."""
_SAYS_FAMILY: dict[Family, re.Pattern[str]] = {
    "flux1": re.compile(r"flux[-_. ]?1(?!\d)|schnell|krea", re.IGNORECASE),
    "flux2": re.compile(r"flux[-_. ]?2(?!\d)|klein", re.IGNORECASE),
}
"""What a file is called that is, or should be, of a family."""


@dataclass(frozen=True)
class ModelFiles:
    """A model whose parts may lie apart. Used like a folder: `files / "vae"` is the autoencoder's folder, or its file.

    Args:
        root: the folder of the model, or the file of its transformer.
        elsewhere: the folder, or the file, of each part that is not below the root.
        index: what the model says it is, where there is no model_index.json that does.
        spec: the published model that it is, where that is known from a file's shapes and name.
    """

    root: Path
    elsewhere: Mapping[str, Path] = field(default_factory=dict)
    index: Mapping[str, Any] | None = None
    spec: FluxSpec | None = None

    @classmethod
    def of(cls, folder: "Path | ModelFiles") -> "ModelFiles":
        """A folder as it is."""
        return folder if isinstance(folder, ModelFiles) else cls(folder)

    def __truediv__(self, part: str) -> Path:
        return self.elsewhere.get(part, self.root / part)

    def __str__(self) -> str:
        """For messages: the root, and what was given beside it."""
        shown = {part: place for part, place in self.elsewhere.items() if place != self.root and part in WITH_WEIGHTS}
        beside = ", ".join(f"{_setting(part)} {place}" for part, place in shown.items())
        return f"{self.root} with {beside}" if beside else str(self.root)

    @property
    def name(self) -> str:
        """What to call a model that nobody published."""
        return self.root.resolve().stem if self.root.is_file() else self.root.resolve().name

    @property
    def pipeline(self) -> str:
        """The class of diffusers that draws with it, which tells its family; "" if nothing says so."""
        index = self.root / "model_index.json"
        found = self.index if self.index is not None else read_json(index) if index.is_file() else {}
        return str(found.get("_class_name", ""))


def find_model(
    model: Source,
    vae: Source | None = None,
    text_encoder: Source | Sequence[Source] | None = None,
    known: Iterable[FluxSpec] = (),
    *,
    download: bool = True,
) -> ModelFiles:
    """Find all parts of a model; those that are not given come from the repository of the published model.

    Args:
        model: a whole model's folder, or a file (.safetensors, .gguf) with a transformer or with more.
        vae: the autoencoder, if another than the model's own: a file, its folder, or a whole model's.
        text_encoder: the same; where a family has two, any of them, separated by commas.
        known: the published models.
        download: whether to bring here from the hub what is not here yet.

    Raises:
        ModelError: something is absent, damaged, of another kind than expected, or not known to belong together.
    """
    given = _given("vae", vae, ("vae",), download)
    given |= _given("text_encoder", text_encoder, TEXT_PARTS, download)
    if _is_file(model):
        return _around(_file(model, download), given, tuple(known), download)
    from koshi_flux.weights.hub import find_folder  # the hub's library takes a while to import

    wanted = [part for part in PARTS["flux1"] if part not in given]
    files = ModelFiles(find_folder(model, parts=("scheduler", *wanted), download=download), given)
    if files.pipeline.startswith("Flux2"):
        _refuse_strange(files.root, "flux2", given)
    return files


def identify(file: Path, known: Iterable[FluxSpec]) -> FluxSpec | None:
    """The published model whose transformer a file holds, by its shapes and, among equals, by the file's name.

    Base and distilled Klein have the same shapes, so have a dev and krea: "base", "kv" or "krea" in the name decides.
    None for a model that nobody published.

    Raises:
        ModelError: the file holds no transformer, or one of another family than it is named after.
    """
    return _published(file, _with_transformer(file)["transformer"].config(), known)


def _published(file: Path, config: Config, known: Iterable[FluxSpec]) -> FluxSpec | None:
    """The published model with such a transformer."""
    found = Target.of_config(file.name, config)
    alike = [
        spec
        for spec in known
        if spec.name in PUBLISHED
        and replace(PUBLISHED[spec.name], name=file.name) == found
        and (spec.guidance == "embedded") == config["guidance_embeds"]
    ]
    return max(alike, key=lambda spec: len(_words(spec.name) & _words(file.stem)), default=None)


def _around(file: Path, given: dict[str, Path], known: tuple[FluxSpec, ...], download: bool) -> ModelFiles:
    """The model around a transformer."""
    found = _with_transformer(file)
    config = found["transformer"].config()
    spec, family = _published(file, config, known), CLASSES[config["_class_name"]]
    _refuse_strange(file, family, given)
    elsewhere = dict.fromkeys(found, file) | given
    if missing := [part for part in PARTS[family] if part not in elsewhere]:
        elsewhere |= _from_repository(file, spec, missing, download)
    is_base = "base" in _words(file.stem) if spec is None else spec.guidance == "true"
    return ModelFiles(file, elsewhere, _index(family, config, is_base), spec)


def _refuse_strange(root: Path, family: Family, given: dict[str, Path]) -> None:
    """Refuse parts that a family does not have, which would be left aside without a word."""
    if strange := [part for part in given if part not in PARTS[family]]:
        raise ModelError(f"{root} is a {FAMILIES[family]}, which has no {strange[0]}: leave out {given[strange[0]]}")


def _index(family: Family, config: Config, is_base: bool) -> dict[str, Any]:
    """What model_index.json would state."""
    if family == "flux1":
        return {"_class_name": "FluxPipeline"}
    pipeline = "Flux2Pipeline" if config["guidance_embeds"] else "Flux2KleinPipeline"
    return {"_class_name": pipeline, "is_distilled": not is_base}


def _with_transformer(file: Path) -> dict[str, Content]:
    """What there is in a file, if that is a transformer of the family that the file is named after."""
    found = contents(file)
    if "transformer" not in found:
        settings = " and ".join(dict.fromkeys(f"{_setting(part)} = {str(file)!r}" for part in found))
        raise ModelError(
            f"{file} is {in_words(found)}, not a model to draw with: give it as {settings}, and as the model the file "
            "of a transformer or a whole model's folder"
        )
    family = CLASSES[found["transformer"].layout.network]
    said = [other for other, named in _SAYS_FAMILY.items() if named.search(file.name)]
    if len(said) == 1 and said != [family]:
        raise ModelError(
            f"{file} is named after a {FAMILIES[said[0]]}, but holds {in_words(found)}: give the right file, or rename "
            "this one"
        )
    if "kontext" in _words(file.stem):
        raise ModelError(f"{file} is FLUX.1 Kontext by its name, which edits pictures: give a FLUX.1 that draws")
    return found


def _from_repository(file: Path, spec: FluxSpec | None, missing: list[str], download: bool) -> dict[str, Path]:
    """The parts that were not given, as the model was published with them."""
    from koshi_flux.weights.hub import find_folder

    settings = " and ".join(dict.fromkeys(f"{_setting(part)} = ..." for part in missing))
    if spec is None:
        raise ModelError(
            f"{file} has the shape of no published model, so it is not known which {', '.join(missing)} it draws with: "
            f"say {settings} (the folder of a whole model will do)"
        )
    try:
        folder = find_folder(spec.hub_id, parts=missing, download=download)
    except ModelError as refused:
        raise ModelError(f"{refused} (for the {', '.join(missing)} of {file.name}; or say {settings})") from refused
    return {part: folder / part for part in missing}


def _given(
    setting: str, sources: Source | Sequence[Source] | None, wanted: tuple[str, ...], download: bool
) -> dict[str, Path]:
    """The parts that a setting names."""
    given: dict[str, Path] = {}
    for source in _each(sources):
        found = _parts_at(source, wanted, download)
        if not found:
            raise ModelError(f"{setting}: there is no {' or '.join(wanted[:2])} in {source}")
        for part, place in found.items():
            if part in given:
                raise ModelError(f"{setting}: both {given[part]} and {place} are a {part}; leave one out")
            given[part] = place
    return given


def _each(sources: Source | Sequence[Source] | None) -> Iterator[Source]:
    """One place or several; in a text they stand between commas."""
    if isinstance(sources, str) and not Path(sources).expanduser().exists():
        yield from filter(None, (source.strip() for source in sources.split(",")))
    elif isinstance(sources, (str, Path)):
        yield sources
    else:
        yield from sources or ()


def _parts_at(source: Source, wanted: tuple[str, ...], download: bool) -> dict[str, Path]:
    """The wanted parts that a file, a part's folder or a whole model's folder holds."""
    if _is_file(source):
        file = _file(source, download)
        found = contents(file)
        if not any(part in wanted for part in found):
            raise ModelError(f"{file} is {in_words(found)}, expected a {' or '.join(wanted[:2])}")
        return {part: file for part in found if part in wanted}
    place = Path(source).expanduser()
    if (place / "config.json").is_file():
        return dict(_part_folder(place, wanted))
    from koshi_flux.weights.hub import find_folder

    folder = find_folder(source, parts=wanted, download=download)
    return {part: folder / part for part in wanted if (folder / part).is_dir()}


def _part_folder(place: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """A part by what its config says; a text encoder comes with the tokenizer that lies in its folder or beside it."""
    config = read_json(place / "config.json")
    if "vae" in wanted:
        yield "vae", place
        return
    part = "text_encoder_2" if config.get("model_type") == "t5" else "text_encoder"
    yield part, place
    beside = place.with_name(place.name.replace("text_encoder", "tokenizer"))
    for folder in (place, beside):
        if (folder / "tokenizer_config.json").is_file():
            yield part.replace("text_encoder", "tokenizer"), folder
            return


def _is_file(source: Source) -> bool:
    """Whether this is to be a file, be it here or on the hub."""
    return str(source).lower().endswith(SUFFIXES) or Path(source).expanduser().is_file()


def _file(source: Source, download: bool) -> Path:
    """Where a file is."""
    place = Path(source).expanduser()
    if place.is_file() or place.parent.is_dir():
        if not place.is_file():
            raise ModelError(f"there is no file {place}{download_left(place)}")
        return place
    from koshi_flux.weights.hub import find_file

    return find_file(source, place.suffix, download=download)


def _setting(part: str) -> str:
    return _SETTINGS.get(part, "text_encoder")


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))
