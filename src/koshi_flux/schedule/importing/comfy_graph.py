"""ComfyUI graphs, saved from the screen or in the API format, as nodes with named values and the links between them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from koshi_flux.errors import SettingsError
from koshi_flux.schedule.importing.comfy_nodes import ENDS, LAYOUTS, named

_SWITCHED_OFF = (2, 4)
"""A node's `mode` when it is muted or bypassed."""
_DEEPEST = 8
"""Groups within groups."""
_GROUP = ("workflow/", "workflow>")


@dataclass(frozen=True, slots=True)
class Node:
    """One node.

    Args:
        place: its id; nodes of a group have the group's before theirs.
        kind: its class, e.g. "DeforumPromptNode".
        values: of its widgets, by name.
        links: the node that each of its other inputs comes from, by the input's name.
        unread: values of widgets that could not be named.
        off: whether it is muted or bypassed.
    """

    place: str
    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[Any, ...] = ()
    off: bool = False

    @property
    def is_deforum(self) -> bool:
        """Whether it is of a Deforum pack."""
        return self.kind.startswith("Deforum")

    @property
    def before(self) -> str | None:
        """The node that its settings come from."""
        data = (source for name, source in self.links.items() if name.endswith("deforum_data"))
        return next(data, next(iter(self.links.values()), None) if self.kind == "Reroute" else None)


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph, its nodes by place."""

    nodes: Mapping[str, Node]

    def chain(self) -> tuple[Node, ...]:
        """The nodes whose settings count, from the first one to the one that uses them."""
        ends = [node for node in self.nodes.values() if node.kind in ENDS and not node.off]
        chains = [self._up_to(node) for node in (ends[:1] or self.nodes.values())]
        return max(chains, key=lambda chain: sum(node.is_deforum for node in chain), default=())

    def _up_to(self, node: Node) -> tuple[Node, ...]:
        nodes = [node]
        while (place := nodes[-1].before) and place in self.nodes and self.nodes[place] not in nodes:
            nodes.append(self.nodes[place])
        return tuple(reversed(nodes))

    def value(self, node: Node, name: str) -> Any:
        """A node's value; one that comes from a node which holds a single value is that one, else None."""
        if name in node.values:
            return node.values[name]
        source = self.nodes.get(node.links.get(name, ""))
        held = list(source.values.values() or source.unread) if source else []
        plain = [value for value in held if isinstance(value, str | int | float)]
        return plain[0] if plain and (len(plain) == 1 or (source is not None and not source.is_deforum)) else None


def has_deforum_nodes(content: object) -> bool:
    """Whether a file's content is a graph with nodes of a Deforum pack."""
    if not isinstance(content, Mapping):
        return False
    try:
        return any(node.is_deforum for node in read_graph(content).nodes.values())
    except SettingsError:
        return False


def read_graph(content: Mapping[str, Any]) -> Graph:
    """A graph in either format.

    Raises:
        SettingsError: it is none, or a node is broken.
    """
    inner = content.get("prompt")
    if isinstance(inner, Mapping) and "nodes" not in content:
        content = inner
    nodes = _saved(content) if isinstance(content.get("nodes"), list) else _api(content)
    return Graph({node.place: node for node in nodes})


def _api(content: Mapping[str, Any]) -> Iterator[Node]:
    """The nodes of the API format: {"3": {"class_type": ..., "inputs": {name: value or [id, output]}}}."""
    for place, node in content.items():
        if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str):
            continue
        inputs = _table(node.get("inputs", {}), f"node {place}: inputs")
        links = {name: str(value[0]) for name, value in inputs.items() if _is_link(value)}
        values = {name: value for name, value in inputs.items() if name not in links}
        yield Node(str(place), node["class_type"], values, links)


def _is_link(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and isinstance(value[1], int)


def _saved(content: Mapping[str, Any]) -> Iterator[Node]:
    """The nodes of a graph saved from the screen."""
    groups = _groups(content)
    for node in _node_tables(content["nodes"]):
        yield from _expanded(node, _sources(content), groups, "", 0)


def _node_tables(nodes: Sequence[Any]) -> list[Mapping[str, Any]]:
    tables = [_table(node, "nodes") for node in nodes]
    return sorted(tables, key=lambda node: node["order"] if isinstance(node.get("order"), int) else 0)


def _sources(content: Mapping[str, Any]) -> dict[Any, str]:
    """The node that each link comes from: links are [id, from, output, to, input, type], or tables of that."""
    sources = {}
    for link in _row(content.get("links")):
        if isinstance(link, list) and len(link) >= 4:
            sources[_hashable(link[0])] = str(link[1])
        elif isinstance(link, Mapping):
            sources[_hashable(link.get("id"))] = str(link.get("origin_id"))
    return sources


def _groups(content: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The nodes within a group node or subgraph, by the kind that stands for it in the graph."""
    extra, definitions = content.get("extra"), content.get("definitions")
    grouped = extra.get("groupNodes") if isinstance(extra, Mapping) else None
    sub = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    found: dict[str, Any] = {}
    for name, group in grouped.items() if isinstance(grouped, Mapping) else ():
        found |= dict.fromkeys([f"{before}{name}" for before in _GROUP], group)
    for graph in _row(sub):
        if isinstance(graph, Mapping):
            found[str(graph.get("id"))] = graph
    held = {kind: group.get("nodes") for kind, group in found.items() if isinstance(group, Mapping)}
    return {kind: _inner(nodes) for kind, nodes in held.items() if isinstance(nodes, list)}


def _inner(nodes: Sequence[Any]) -> list[Mapping[str, Any]]:
    return sorted(
        (_table(node, "a group's nodes") for node in nodes), key=lambda node: str(node.get("index", "")).zfill(6)
    )


def _expanded(
    node: Mapping[str, Any],
    sources: Mapping[Any, str],
    groups: Mapping[str, list[Mapping[str, Any]]],
    within: str,
    depth: int,
) -> Iterator[Node]:
    """A node, or those of the group that it stands for, one behind the other."""
    kind, place = str(node.get("type")), f"{within}{node.get('id', node.get('index'))}"
    inputs = [_table(held, f"node {place}: inputs") for held in _row(node.get("inputs"))]
    links = {str(held.get("name")): sources[key] for held in inputs if (key := _hashable(held.get("link"))) in sources}
    off = node.get("mode") in _SWITCHED_OFF
    values = node.get("widgets_values") or ()
    if kind not in groups or depth == _DEEPEST:
        yield _plain_node(place, kind, inputs, values, links, off)
        return
    parts = groups[kind]
    rows = _shared_out(values, parts)
    entry = {name: source for name, source in links.items() if name.endswith("deforum_data")}
    for number, (part, row) in enumerate(zip(parts, rows, strict=True)):
        last = number == len(parts) - 1
        here = {**part, "widgets_values": row, "mode": node.get("mode") if off else part.get("mode"), "inputs": []}
        for inner in _expanded(here, sources, groups, f"{place}:", depth + 1):
            yield Node(place if last else inner.place, inner.kind, inner.values, entry, inner.unread, inner.off)
            entry = {"deforum_data": inner.place}


def _shared_out(values: Any, parts: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The widgets of a group's nodes: a group has them in one row, a subgraph each of its own."""
    row, own = _row(values), [part.get("widgets_values") or [] for part in parts]
    if not all(isinstance(held, list) for held in own) or sum(map(len, own)) != len(row):
        return own
    ends = [sum(map(len, own[: number + 1])) for number in range(len(own))]
    return [row[end - len(held) : end] for end, held in zip(ends, own, strict=True)]


def _plain_node(
    place: str, kind: str, inputs: Sequence[Mapping[str, Any]], values: Any, links: Mapping[str, str], off: bool
) -> Node:
    if isinstance(values, Mapping):
        return Node(place, kind, {k: v for k, v in values.items() if k not in links}, links, (), off)
    row = _row(values)
    told = [_widget(held) for held in inputs if "widget" in held]
    if kind not in LAYOUTS and told and len(told) == len(row):
        found: dict[str, Any] | None = dict(zip(told, row, strict=True))
    else:
        found = named(kind, row)
    if found is None:
        return Node(place, kind, {}, links, tuple(row), off)
    return Node(place, kind, {k: v for k, v in found.items() if k not in links}, links, (), off)


def _widget(held: Mapping[str, Any]) -> str:
    widget = held["widget"]
    return str(widget.get("name")) if isinstance(widget, Mapping) else str(held.get("name"))


def _table(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{what}: expected a table such as {{...}}, got {value!r:.80}")
    return value


def _row(value: Any) -> list[Any]:
    """A list; what should be one and is not has nothing in it."""
    return value if isinstance(value, list) else []


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int) else None
