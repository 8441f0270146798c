"""From a model's name or folder to a model. Imports no torch until one is loaded."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from koshi_flux.errors import ModelError, SettingsError
from koshi_flux.flux1 import config as flux1_config
from koshi_flux.flux2 import config as flux2_config
from koshi_flux.nano import config as nano_config
from koshi_flux.shared.spec import FluxSpec
from koshi_flux.toy import config as toy_config
from koshi_flux.weights.header import SUFFIXES

if TYPE_CHECKING:
    import torch

    from koshi_flux.pipeline.animation import Pipeline
    from koshi_flux.shared.types import FluxModel
    from koshi_flux.weights.model_files import ModelFiles

log = logging.getLogger(__name__)

FAMILIES = ("flux2", "flux1")
"""The folders that hold a family each: `folder` checks its models, `model` loads them. The first is the default."""

SPECS: dict[str, FluxSpec] = {**nano_config.SPECS, **toy_config.SPECS, **flux2_config.SPECS, **flux1_config.SPECS}
"""Every model that is known by name; the first is the default."""


class FluxVersion(Enum):
    """The known models, for those who prefer a member to a name."""

    NANO = "nano"
    TOY = "toy"
    FLUX_2_KLEIN_4B = "flux.2-klein-4b"
    FLUX_2_KLEIN_9B = "flux.2-klein-9b"
    FLUX_2_KLEIN_BASE_4B = "flux.2-klein-base-4b"
    FLUX_2_KLEIN_BASE_9B = "flux.2-klein-base-9b"
    FLUX_2_KLEIN_9B_KV = "flux.2-klein-9b-kv"
    FLUX_2_DEV = "flux.2-dev"
    FLUX_1_DEV = "flux.1-dev"
    FLUX_1_KREA_DEV = "flux.1-krea-dev"
    FLUX_1_SCHNELL = "flux.1-schnell"

    @property
    def spec(self) -> FluxSpec:
        """The model's row of facts."""
        return SPECS[self.value]


def find_spec(name: str) -> FluxSpec | None:
    """The row of a model known by this name or alias, in any case; None when it must be a folder.

    Raises:
        ModelError: the name is neither known nor looks like a folder or hub repository; lists the known.
    """
    wanted = name.lower()
    for spec in SPECS.values():
        if wanted == spec.name or wanted in spec.aliases or wanted == spec.hub_id.lower():
            return spec
    if name.lower().endswith(SUFFIXES) or "/" in name or "\\" in name or Path(name).expanduser().exists():
        return None
    spellings = [alias for spec in SPECS.values() for alias in (spec.name, *spec.aliases)]
    near = get_close_matches(wanted, spellings, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ";"
    raise ModelError(f"unknown model {name!r}{hint} known are {', '.join(SPECS)}, or give the folder of a model")


def check_model(name: str, vae: str = "", text_encoder: str = "") -> FluxSpec:
    """The facts of a model, having looked at its files if it is bundled, a folder or a file; nothing is loaded.

    Args:
        vae: another autoencoder than the model's own: a file or folder.
        text_encoder: the same for what reads prompts; of two, any, separated by a comma.
    """
    spec = find_spec(name)
    if spec is None and (published := _published_file(name)):
        return published
    if spec is not None and spec.folder is None and not vae and not text_encoder:
        return spec
    with _reinstall_if_broken(spec):
        files = find_files(name, vae, text_encoder, download=False)
        found: FluxSpec = _room(_family_of(files), "folder").check_folder(files)
        return spec or found


def pull(name: str) -> Path:
    """Download a model, with the hub's own progress bars; its folder, which was looked at."""
    from koshi_flux.weights.hub import find_folder

    spec = find_spec(name)
    if spec is not None and not spec.hub_id:
        raise SettingsError(f"{spec.name} came with koshi-flux: there is nothing to download")
    folder = find_folder(spec.hub_id if spec else name)
    check_model(str(folder))
    return folder


def _published_file(name: str) -> FluxSpec | None:
    """The published model whose transformer a file here holds; what it lacks is brought when the film begins."""
    from koshi_flux.weights.model_files import identify

    file = Path(name).expanduser()
    return identify(file, SPECS.values()) if name.lower().endswith(SUFFIXES) and file.is_file() else None


def find_files(name: str, vae: str = "", text_encoder: str = "", *, download: bool = True) -> "ModelFiles":
    """Where the parts of a model are; as `check_model`."""
    from koshi_flux.weights.model_files import find_model

    spec = find_spec(name)
    if spec is not None and spec.family not in FAMILIES:
        raise ModelError(f"{spec.name} has no vae and no text_encoder that could be another")
    source = name if spec is None else spec.folder or spec.hub_id
    return find_model(source, vae or None, text_encoder or None, SPECS.values(), download=download)


def make_tiny_model(like: str, folder: Path, seed: int = 0) -> Path:
    """Write a random model of a few hundred thousand weights that is drawn with as a published one is.

    Raises:
        ModelError: `like` is not the name of a published FLUX.
    """
    spec = find_spec(like)
    if spec is None or spec.family not in FAMILIES:
        raise ModelError(f"{like!r} is no published FLUX: give a name such as {', '.join(_published())}")
    written: Path = _room(spec.family, "tiny").make_like(spec, folder, seed)
    return written


def _published() -> list[str]:
    """The names of all models that are downloaded."""
    return [spec.name for spec in SPECS.values() if spec.hub_id]


def _family_of(files: "ModelFiles") -> str:
    """The family that draws with a model; what belongs to none is left to the default family to refuse."""
    return next((family for family in FAMILIES if files.pipeline in _room(family, "folder").PIPELINES), FAMILIES[0])


def _room(family: str, name: str) -> Any:
    """A module of a family's folder."""
    return import_module(f"koshi_flux.{family}.{name}")


def load_model(  # noqa: PLR0913 - two things, and ways to hold them by name
    version: FluxVersion | str | Path,
    device: "str | torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
    *,
    vae: str = "",
    text_encoder: str = "",
    memory: str = "auto",
    precision: str = "auto",
    size: tuple[int, int] | None = None,
    beside: Iterable[Path] = (),
    compile: bool = False,
    attention: str = "auto",
) -> "FluxModel":
    """Load a model, held in memory so that it fits.

    Args:
        version: a known model, its name, the folder of one, or the file of its transformer (.safetensors, .gguf).
        device: by default a CUDA or Apple GPU if there is one.
        dtype: in which all is computed; by default bfloat16 on a GPU and float32 on the CPU.
        vae: another autoencoder than the model's own: a file or folder.
        text_encoder: the same for what reads prompts; of two, any, separated by a comma.
        memory: "full" keeps all weights on the device, "offload" and "minimal" fetch them block by block, "auto" takes
            the fastest that fits.
        precision: of the transformer's weights: "fp32", "bf16", "fp8", "int8", "nf4"; "auto" takes the best that fits.
        size: (width, height) of the pictures to come; by default the model's own.
        beside: what is to be held in memory with it, such as a film's ControlNets (`pipeline.companions`).
        compile: whether the transformer's blocks are compiled when the first frame is drawn: a wait for each
            size of pictures, so that later frames take less.
        attention: one of diffusers' attention backends, such as "flash" or "sage"; "auto" takes torch's own.

    Raises:
        ModelError: the model is unknown or damaged, or fits in no allowed way, or the attention does not work here; the
            message says what would.
    """
    name = version.value if isinstance(version, FluxVersion) else str(version)
    spec = find_spec(name)
    if spec is not None and spec.family == "toy":
        from koshi_flux.toy.model import ToyModel

        return ToyModel()
    from koshi_flux.pipeline.machine import best_device, plan_for
    from koshi_flux.weights.memory import Need
    from koshi_flux.weights.speed import Speed

    device = device or best_device()
    if precision == "auto":
        precision = {"torch.float32": "fp32", "torch.bfloat16": "bf16"}.get(str(dtype), "auto")
    with _reinstall_if_broken(spec):
        files = find_files(name, vae, text_encoder)
        family = _family_of(files)
        found = _room(family, "folder").check_folder(files)
        need = Need.of(spec or found, files, size or (spec or found).default_size, beside)
        plan = plan_for(need, device, memory, precision)
        if not (spec or found).is_bundled:
            log.info("memory: %s", plan.in_words())
        model: FluxModel = _room(family, "model").load(files, spec, device, dtype, plan, Speed(compile, attention))
    return model


@contextmanager
def _reinstall_if_broken(spec: FluxSpec | None) -> Iterator[None]:
    """A bundled model cannot be downloaded again: say what mends it instead."""
    try:
        yield
    except ModelError as broken:
        if spec is None or not spec.is_bundled:
            raise
        reason = str(broken).split(". ")[0]
        raise ModelError(
            f"the bundled model {spec.name} did not come whole ({reason}): pip install --force-reinstall koshi-flux"
        ) from broken


def create_pipeline(  # noqa: PLR0913 - as load_model
    version: FluxVersion | str | Path = FluxVersion.NANO,
    device: "str | torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
    *,
    memory: str = "auto",
    precision: str = "auto",
    compile: bool = False,
    attention: str = "auto",
) -> "Pipeline":
    """Load a model and make films with it: `create_pipeline("flux.2-klein-4b").generate_animation(...)`.

    The arguments are those of `load_model`.
    """
    from koshi_flux.pipeline.animation import Pipeline

    name = version.value if isinstance(version, FluxVersion) else str(version)
    model = load_model(version, device, dtype, memory=memory, precision=precision, compile=compile, attention=attention)
    return Pipeline(model, name)
