"""ComfyUI graphs that carry Deforum nodes: their settings as a film, and every other node in the report.

The nodes hand Deforum's settings down a chain; what stands at its end is read as a Deforum settings file is. Only their
`strength` differs: it is ComfyUI's denoise, the share of the noise schedule that a frame is sent back up. For Stable
Diffusion that is 1 less Deforum's strength. For FLUX it is a time on the curve that ComfyUI gives FLUX at every size.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from koshi_flux.errors import ScheduleError, SettingsError
from koshi_flux.schedule.curve import Schedule
from koshi_flux.schedule.importing.comfy_graph import Graph, Node, has_deforum_nodes, read_graph
from koshi_flux.schedule.importing.comfy_nodes import CONTROL, ENDS, LAYOUTS, PARAMETERS
from koshi_flux.schedule.importing.deforum import read_deforum
from koshi_flux.schedule.importing.prompt_text import keyed_prompts
from koshi_flux.schedule.importing.report import Entry, Imported, Options, shown
from koshi_flux.schedule.importing.reshaped import baked, mapped, simplest
from koshi_flux.schedule.presets import family_of

Values = npt.NDArray[np.float64]

SOURCE = "ComfyUI graph with Deforum nodes"
_COMFY_BEND = 1.15
"""How far ComfyUI bends FLUX.1's noise levels, at every size: the default shift of its ModelSamplingFlux."""
_SEED_WALKS = {
    **{"randomize": "random", "random": "random", "fixed": "fixed", "ladder": "ladder"},
    **{"increment": "iter", "decrement": "iter", "incrementing": "iter", "decrementing": "iter", "iter": "iter"},
}
_BLENDS = {"none": "hold", "linear": "linear"}
_FREE = "seed_behavior"
_RENAMED = {"cfg_scale": "scale", "clip_skip": "clipskip_schedule"}
"""What A043's nodes call keys of Deforum."""
_USUAL = 0.65
"""The nodes' own denoise."""
_REDRAWING = {"strength_schedule": "denoise", "steps": "steps"}
_REDRAWN = {
    "strength_schedule": "ComfyUI's denoise: the noise level where its curve for FLUX.1 begins",
    "steps": "ComfyUI runs all of them at every denoise",
}
_PROMPTS = ("DeforumPromptNode", "DeforumUnformattedPromptNode", "DeforumAreaPromptNode")
_WEIGHTS = ("prompt_weighting", "normalize_prompt_weights", "log_weighted_subprompts")
_FILES = ("ckpt_name", "unet_name")
_PART = "a step of the old graph; every film here has its own way through the same loop"
_WHY: dict[str, str] = {
    **dict.fromkeys(_WEIGHTS, "weights in prompts always count, in their proportion"),
    **dict.fromkeys(_FILES, "a model of another program: choose one with --model"),
    "latent_type": "latents are those of the model that draws",
    "subseed": "the nodes made an image of noise with it, which slerp_strength mixed in",
    "subseed_strength": "the nodes did not use it",
    "slerp_strength": "mixed noise into the picture beside denoise; the start sigma is all the noise there is here",
    "lora_name": "a LoRA of FLUX can be given with --set lora.NAME=FILE; one of another model does not fit",
    **dict.fromkeys(("reset_counter", "reset_latent", "reset", "enable_autoqueue"), "koshi render draws all frames"),
}


def is_comfy(content: object) -> bool:
    """Whether a file's content is a graph of ComfyUI, in either format, with nodes of a Deforum pack."""
    return has_deforum_nodes(content)


def read_comfy(content: Mapping[str, Any], options: Options) -> Imported:
    """The film of a graph.

    Raises:
        SettingsError: a node is broken or holds a wrong value.
        ScheduleError: a schedule cannot be read.
    """
    graph = _Old(read_graph(content), options)
    try:
        read = read_deforum(graph.settings, options)
    except ScheduleError:
        raise
    except SettingsError as wrong:  # which names deforum-studio as the source
        raise SettingsError(f"{SOURCE}: {str(wrong).partition(': ')[2] or wrong}") from None
    own = graph.own(read.animation.frames)
    entries = tuple(graph.report({entry.key: entry for entry in read.entries}, own))
    return Imported(read.animation.replaced(**own), entries, SOURCE)


def start_levels(denoise: Values) -> Values:
    """The noise levels at which ComfyUI's KSampler begins with FLUX.1, for its `denoise` from 0 to 1."""
    bend = math.exp(_COMFY_BEND)
    return bend * denoise / (bend * denoise + 1 - denoise)


@dataclass(frozen=True)
class _Old:
    """A graph as a film.

    Args:
        graph: its nodes.
        options: what whoever imports it wants.
    """

    graph: Graph
    options: Options

    @cached_property
    def chain(self) -> tuple[Node, ...]:
        """The nodes whose settings count."""
        return tuple(node for node in self.graph.chain() if not node.off)

    @cached_property
    def counting(self) -> dict[str, Node]:
        """The node that gives each setting of Deforum: the last one down the chain."""
        return {name: node for node in self.chain if node.kind in PARAMETERS for name in _names(node)}

    @cached_property
    def files(self) -> list[str]:
        """The files of models that are loaded."""
        nodes = (node for node in self.graph.nodes.values() if not node.off)
        return [str(node.values[name]) for node in nodes for name in _FILES if name in node.values]

    @cached_property
    def is_flux(self) -> bool:
        """Whether the film was drawn with FLUX."""
        return self.first("latent_type") == "flux" or any(family_of(file) == "flux1" for file in self.files)

    def first(self, name: str, kinds: tuple[str, ...] = ENDS) -> Any:
        """The value of the first switched-on node of some kinds that has it."""
        nodes = (node for node in (*self.chain, *self.graph.nodes.values()) if node.kind in kinds and not node.off)
        return next((value for node in nodes if (value := self.graph.value(node, name)) is not None), None)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings of Deforum that the chain ends with, and what other nodes add to them."""
        held = {name: self.graph.value(node, name) for name, node in self.counting.items() if name not in _WEIGHTS}
        held = {_RENAMED.get(name, name): value for name, value in held.items() if value is not None}
        if self.prompts:
            held["prompts"] = self.prompts
        if self.first(CONTROL) is not None or held.get(_FREE) not in (None, "schedule"):
            held[_FREE] = _SEED_WALKS.get(str(self.first(CONTROL) or held[_FREE]), held.get(_FREE))
        if (video := self.first("video", ("DeforumLoadVideo",))) is not None:
            held["video_init_path"] = video
        if isinstance(seed := self.first("seed"), int):
            held["seed"] = seed
        if (fps := self.first("fps", ("DeforumVideoSaveNode",))) is not None:
            held["fps"] = fps
        if self.is_flux:
            return {name: value for name, value in held.items() if name not in ("strength_schedule", "steps")}
        if "strength_schedule" in held:
            held["strength_schedule"] = self.strength(held["strength_schedule"]).text
        return held

    def strength(self, text: object) -> Schedule:
        """ComfyUI's denoise as Deforum's strength, 1 less it."""
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise SettingsError(f"strength_schedule: expected a schedule such as '0:(0.65)', got {text!r}")
        dialect = "deforum" if isinstance(text, str) and ":" in text else "koshi"
        schedule = Schedule.parse(text, "strength_schedule", dialect)
        return mapped(schedule, lambda share: 1 - share, "1-{0}")

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The prompts, of the last node that has some; where there is none, the text that is encoded."""
        found: dict[str, str] = {}
        for node in self.chain:
            found = self._prompts(node, found)
        if not found and isinstance(text := self.first("text", ("CLIPTextEncode",)), str) and text.strip():
            return {"0": text}
        return found

    def _prompts(self, node: Node, before: dict[str, str]) -> dict[str, str]:
        value = {name: self.graph.value(node, name) for name in _names(node)}
        if node.kind == "DeforumPromptNode" and isinstance(value.get("prompts"), str):
            return keyed_prompts(value["prompts"])
        if node.kind == "DeforumUnformattedPromptNode" and isinstance(value.get("unformatted_prompts"), str):
            step = value.get("keyframe_interval")
            every = step if isinstance(step, int) else 50
            lines = value["unformatted_prompts"].splitlines()
            return {str(number * every): line.strip() for number, line in enumerate(lines) if line.strip()}
        if node.kind == "DeforumAreaPromptNode" and isinstance(value.get("prompt"), str):
            key = str(value.get("keyframe") or 0)
            return before | {key: ", ".join(filter(None, (before.get(key), value["prompt"])))}
        return before

    def own(self, frames: int) -> dict[str, Any]:
        """The settings of ours that no setting of Deforum says; for a film of so many frames."""
        blend = self.first("blend_method", ("DeforumConditioningBlendNode",))
        own: dict[str, Any] = {} if blend is None else {"prompt_blend": _BLENDS.get(str(blend), "ease")}
        return own | (self.drawing(frames) if self.is_flux else {})

    def drawing(self, frames: int) -> dict[str, Any]:
        """For FLUX: the start sigmas of the denoise that the nodes hand to ComfyUI, and its steps, which all ran."""
        given = {name: self.graph.value(node, name) for name, node in self.counting.items() if name in _REDRAWING}
        text = given.get("strength_schedule")
        shares = np.clip(1 - self.strength(_USUAL if text is None else text).values(frames), 0, 1)
        levels = np.round(start_levels(shares), 6) if self.options.strength == "snr" else shares
        mode = {"denoise_mode": "steps"} if self.options.strength == "steps" else {}
        steps = {} if given.get("steps") is None else {"steps": given["steps"]}
        return {"denoise": simplest(baked(levels, "denoise", "deforum")), **mode, **steps}

    def report(self, told: Mapping[str, Entry], own: Mapping[str, Any]) -> Iterator[Entry]:
        """What became of every node's values, in the order of the graph.

        Args:
            told: what became of Deforum's settings, by key.
            own: the settings that no setting of Deforum says.
        """
        for node in self.graph.nodes.values():
            title = f"{node.kind} {node.place}"
            if why := self._unused(node):
                yield Entry(title, dict(node.values) or list(node.unread), "meaningless", why=why)
            elif node.unread:
                yield Entry(title, list(node.unread), "unknown", why=_unread(node))
            elif not node.values and not _names(node):
                yield Entry(title, None, "meaningless", why=_PART)
            for name in () if why or node.unread else _names(node):
                yield self._fate(node, name, told, own)

    def _unused(self, node: Node) -> str:
        """Why nothing of a node counts; "" if something may."""
        if node.off:
            return "switched off in the graph"
        if node.kind in (*PARAMETERS, *_PROMPTS) and node not in self.chain:
            return "its settings reach no node that uses them"
        return "" if node.kind in LAYOUTS else _PART

    def _fate(self, node: Node, name: str, told: Mapping[str, Entry], own: Mapping[str, Any]) -> Entry:
        """What became of one value of a node."""
        key, value = f"{node.kind}.{name}", self.graph.value(node, name)
        if value is None:
            source = self.graph.nodes.get(node.links.get(name, ""))
            what = f"node {source.place} ({source.kind})" if source else "another node"
            return Entry(key, None, "unknown", why=f"comes from {what} while the graph runs: write it into the film")
        if node.kind in PARAMETERS and self.counting[name] is not node:
            return Entry(key, value, "meaningless", why=f"a later {self.counting[name].kind} says it")
        if (apart := self._apart(node, name, own)) is not None:
            return replace(apart, key=key, value=value)
        known = told.get(self._deforum_key(name, node))
        if known is None or (node.kind not in (*PARAMETERS, *_PROMPTS, *_LENT) and name not in ("seed", CONTROL)):
            return Entry(key, value, "meaningless", why=_WHY.get(name, _PART))
        return replace(known, key=key, value=value)

    def _deforum_key(self, name: str, node: Node) -> str:
        if node.kind in _PROMPTS:
            return "prompts"
        return {"video": "video_init_path", CONTROL: _FREE}.get(name, _RENAMED.get(name, name))

    def _apart(self, node: Node, name: str, own: Mapping[str, Any]) -> Entry | None:
        """The entry of a value that means something else here than in Deforum."""
        if name == "blend_method":
            return Entry("", None, "translated", f"prompt_blend = {own['prompt_blend']}", "over the whole way")
        if name in _REDRAWING and self.is_flux:
            said = own[_REDRAWING[name]]
            to = f"{_REDRAWING[name]} = {shown(said.text if isinstance(said, Schedule) else said)}"
            return Entry("", None, "translated" if name != "steps" else "kept", to, _REDRAWN[name])
        if name == "strength_schedule":
            to = f"strength_schedule = {shown(self.settings[name])}"
            return Entry("", None, "translated", to, "ComfyUI's denoise is 1 less what Deforum's strength keeps")
        if name == _FREE and self.first(CONTROL) is not None:
            return Entry("", None, "meaningless", "", "the widget beside the seed says how it goes on")
        if node.kind == "DeforumAreaPromptNode" and name != "prompt":
            why = "texts have no areas here: each stands for the whole picture"
            return Entry("", None, "translated" if name == "keyframe" else "meaningless", "", why)
        return None


_LENT = ("DeforumVideoSaveNode", "DeforumLoadVideo")
"""Nodes beside the chain with a value that counts."""


def _names(node: Node) -> tuple[str, ...]:
    """The values that a node holds or gets from other nodes."""
    known = {name for layout in LAYOUTS.get(node.kind, ()) for name in layout}
    return (*node.values, *(name for name in node.links if name in known))


def _unread(node: Node) -> str:
    return (
        f"its {len(node.unread)} values stand in the order of an unknown version of the node: "
        "save the graph in the API format, which names them, and import that"
    )
