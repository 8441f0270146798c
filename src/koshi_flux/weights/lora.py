"""Does a LoRA fit a model? Told from the file's header before anything is loaded. Imports no torch."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from koshi_flux.errors import ModelError
from koshi_flux.weights.lora_file import Change, Content, read_content
from koshi_flux.weights.lora_layers import FAMILIES, LAYERS, PUBLISHED, Family, Layer, Target
from koshi_flux.weights.lora_metadata import base_model, says_family, triggers

__all__ = ["PUBLISHED", "LoraFacts", "Target", "check_fit", "check_loras", "read_lora"]

_OTHER_MODELS = {
    ("down_block", "up_block", "mid_block", "input_blocks", "output_blocks", "middle_block"): "Stable Diffusion",
    ("joint_blocks",): "Stable Diffusion 3",
    ("blocks_",): "Wan",
    ("layers_",): "Z-Image or Lumina 2",
    ("double_stream_blocks",): "HiDream",
    ("mode_blocks", "content_mode_blocks"): "FLUX.3",
    ("distilled_guidance_layer",): "Chroma",
    ("transformer_blocks_{}_img_m", "transformer_blocks_{}_txt_m"): "Qwen-Image",
}
"""What else people have LoRAs for, by how the names of its layers begin."""

_PROMPT_WIDTHS = {768: "Stable Diffusion 1.5", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
"""Which Stable Diffusion reads prompts of which width."""


@dataclass(frozen=True, slots=True)
class LoraFacts:
    """What a LoRA's header tells.

    Args:
        families: what it was trained for: one; both where nothing tells them apart; none where it is neither.
        foreign: what it is instead, in words, where `families` is empty.
        layout: who names layers like that: "diffusers", "kohya", "ComfyUI", "peft", ... or "bare" without a prefix.
        changes: what it does, layer by layer.
        unknown: what it holds that its family does not have.
        left_out: what it holds that films do not use, in words.
        triggers: words that call it up in a prompt.
        base_model: what it was trained on, in its trainer's words; "" where nothing is said.
    """

    file: Path
    families: tuple[Family, ...]
    foreign: str
    layout: str
    changes: tuple[Change, ...]
    unknown: tuple[str, ...]
    left_out: tuple[str, ...]
    triggers: tuple[str, ...]
    base_model: str

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks of its changes, each once, rising."""
        return tuple(sorted({change.rank for change in self.changes}))

    @property
    def blocks(self) -> tuple[int, int]:
        """The largest numbers of a double and of a single block that it touches; -1 for none."""
        return _blocks(self.changes)

    @property
    def widths(self) -> tuple[float, ...]:
        """The width of the models it was trained for; none if that does not show, several if its sizes contradict."""
        return tuple(sorted(_widths(self.changes, self.families[0]))) if self.families else ()

    def in_words(self) -> str:
        """A line for who uses it: what it is, and what to write into the prompt."""
        kind = "LoKr" if any(change.is_lokr for change in self.changes) else "LoRA"
        rank = f" of rank {' to '.join(dict.fromkeys(map(str, (self.ranks[0], self.ranks[-1]))))}" if self.ranks else ""
        families = " or ".join(FAMILIES[family] for family in self.families)
        told = [f"{self.file.name}: {f'{kind}{rank} for {families}' if families else self.foreign}"]
        if self.base_model:
            told.append(f"trained on {self.base_model}")
        told.append(f"trigger words: {', '.join(self.triggers)}" if self.triggers else "it states no trigger words")
        told += [f"not used: {left}" for left in self.left_out]
        return "; ".join(told)


def read_lora(file: Path) -> LoraFacts:
    """What a LoRA's header tells; no weight is read.

    Raises:
        ModelError: there is no such file, or it is damaged. A whole file of another kind is told in `foreign`.
    """
    content = read_content(file)
    families = _families(content.changes, says_family(content.metadata))
    foreign = _foreign(content, families)
    if foreign:
        families = ()
    else:
        _check_whole(file, content.changes)
    layers = LAYERS[families[0]] if families else {}
    return LoraFacts(
        file=file,
        families=families,
        foreign=foreign,
        layout=content.layout,
        changes=content.changes,
        unknown=(*(change.key for change in content.changes if change.name not in layers), *content.odd),
        left_out=content.left_out,
        triggers=triggers(content.metadata),
        base_model=base_model(content.metadata),
    )


def check_fit(facts: LoraFacts, target: Target) -> None:
    """Refuse a LoRA that a model cannot take, or that would only seem to fit.

    Raises:
        ModelError: it was trained for another model; the message says for which, and how that shows.
    """
    ours, name = FAMILIES[target.family], facts.file.name
    wanted = f"give a LoRA that was trained for {target.name}"
    if not facts.families:
        raise ModelError(f"{name} is {facts.foreign}; {wanted}")
    if target.family not in facts.families:
        theirs = FAMILIES[facts.families[0]]
        shows = _what_shows(facts, target.family)
        raise ModelError(f"{name} was trained for {theirs} (it has {shows}); {target.name} is a {ours}: {wanted}")
    strange = (change.key for change in facts.changes if change.name not in LAYERS[target.family])
    if unknown := list(dict.fromkeys((*facts.unknown, *strange))):
        listed = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        raise ModelError(f"{name} changes layers that no {ours} has: {listed}; {wanted}")
    for misfit in _misfits(facts, target):
        raise ModelError(f"{name} does not fit {target.name}: {misfit}{_trained_for(facts, target.family)}; {wanted}")


def check_loras(loras: Mapping[str, str], target: Target, *, download: bool = True) -> dict[str, LoraFacts]:
    """Find a film's LoRAs and make sure that its model can take them; `facts.file` is where each of them is.

    Args:
        loras: where they are said to be, by name: a file or folder, owner/name or owner/name/file on the hub.
        download: whether one on the hub that is not here yet is brought here.

    Raises:
        ModelError: one is missing or does not fit; the message begins with its name, as in "lora.style: ...".
    """
    found = {}
    for name, source in loras.items():
        try:
            found[name] = read_lora(_find(source, download))
            check_fit(found[name], target)
        except ModelError as refused:
            raise ModelError(f"lora.{name}: {refused}") from refused
    return found


def _find(source: str, download: bool) -> Path:
    file = Path(source).expanduser()
    if file.is_file():
        return file
    from koshi_flux.weights.hub import find_file  # the hub's library takes a while to import

    return find_file(source, download=download)


def _families(changes: tuple[Change, ...], said: str) -> tuple[Family, ...]:
    """Whose layers these are: by their names, then by their sizes, then by the published models, then by what is said.

    A file with layers that neither has is of the one that has most of them, if that is more than half.
    """
    known = {family: sum(change.name in LAYERS[family] for change in changes) for family in FAMILIES}
    most = max(known.values())
    if 2 * most <= len(changes):
        return ()
    families = tuple(family for family in FAMILIES if known[family] == most)
    for speaks_for in (_has_one_width, _is_published, lambda changes, family: family == said):
        families = tuple(family for family in families if speaks_for(changes, family)) or families
    return families


def _layers(changes: Iterable[Change], family: Family) -> list[tuple[Change, Layer]]:
    """Changes of layers that the family has."""
    return [(change, LAYERS[family][change.name]) for change in changes if change.name in LAYERS[family]]


def _widths(changes: Iterable[Change], family: Family) -> set[float]:
    """The widths of the family's models that these layers are of."""
    return {width for change, layer in _layers(changes, family) for width in layer.widths(change.reads, change.rows)}


def _blocks(changes: Iterable[Change]) -> tuple[int, int]:
    singles, doubles = ([change.block for change in changes if change.is_single is kind] for kind in (True, False))
    return max(doubles, default=-1), max(singles, default=-1)


def _has_one_width(changes: tuple[Change, ...], family: Family) -> bool:
    return len(_widths(changes, family)) <= 1


def _is_published(changes: tuple[Change, ...], family: Family) -> bool:
    return bool(_models(changes, family))


def _models(changes: tuple[Change, ...], family: Family) -> list[str]:
    """The published models that have all these layers."""
    widths = _widths(changes, family) or {0.0}
    return [
        name
        for name, model in PUBLISHED.items()
        if all(model.holds(family, width, *_blocks(changes)) for width in widths)
    ]


def _check_whole(file: Path, changes: Iterable[Change]) -> None:
    """Refuse a file that lacks a part of a layer."""
    for change in changes:
        if not change.rows:
            held = ", ".join(change.parts.values())
            raise ModelError(
                f"{file} is damaged: the parts of {change.key} do not go together ({held}). Download it again"
            )


def _foreign(content: Content, families: tuple[Family, ...]) -> str:
    """What a file is that is no LoRA for either family; "" for one that is."""
    for change in content.changes:
        model = next((model for names, model in _OTHER_MODELS.items() if change.name.startswith(names)), "")
        if model:
            return f"a LoRA for {_which(model, content.changes)} (it has {change.key})"
    if content.kind:
        return f"{content.kind}; only plain LoRAs and LoKrs can be used"
    if not content.changes:
        return "a LoRA for the text encoder alone" if content.left_out and not content.odd else "a model, not a LoRA"
    return "" if families else f"no LoRA for FLUX (it has {content.changes[0].key})"


def _which(model: str, changes: Iterable[Change]) -> str:
    """The exact Stable Diffusion, told by the prompts it reads."""
    prompts = [change.reads for change in changes if change.name.endswith("attn2_to_k")]
    return _PROMPT_WIDTHS.get(prompts[0], model) if prompts and model == "Stable Diffusion" else model


def _what_shows(facts: LoraFacts, other: Family) -> str:
    """By what a LoRA can be told from one for the `other` family."""
    for change in facts.changes:
        if change.name not in LAYERS[other]:
            return change.key
    for change, layer in _layers(facts.changes, other):
        if layer.widths(change.reads, change.rows) - set(facts.widths):
            return f"{change.key} of {change.reads} to {change.rows} values"
    if not _is_published(facts.changes, other):
        return f"block {max(facts.blocks)} of a model {facts.widths[0]:g} wide"
    return f"{facts.base_model} as its base model"


def _misfits(facts: LoraFacts, target: Target) -> Iterator[str]:
    """What does not fit, in words; nothing if all is well."""
    for change, layer in _layers(facts.changes, target.family):
        for width in sorted(layer.widths(change.reads, change.rows) - {target.width}):
            sizes = f"{change.key} has {change.reads} to {change.rows} values"
            yield f"{sizes}, as in a model {width:g} wide, and this one is {target.width} wide"
    for kind, touched, has in zip(
        ("double", "single"), facts.blocks, (target.double_blocks, target.single_blocks), strict=True
    ):
        if touched >= has:
            yield f"it touches {kind} block {touched}, the model has {has} (counted from 0)"


def _trained_for(facts: LoraFacts, family: Family) -> str:
    """The published model that it must be for, if there is one."""
    models = _models(facts.changes, family)
    return f"; it was trained for {models[0]}" if models else ""
