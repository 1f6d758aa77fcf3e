"""Read `flow.dag.yaml` of Prompt flow into nodes, inputs and outputs with their lines. Converts nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowkit import source
from flowkit.imports import files
from flowkit.imports.draft import Unreadable
from flowkit.imports.files import Folder

NAMES = ("flow.dag.yaml", "flow.dag.yml")
_REFERENCE = re.compile(r"\$\{\s*(?P<inner>[^}]+?)\s*\}")
_NODE = re.compile(r"(?P<node>.+?)\.output(?P<path>(?:\.[\w-]+|\[[^\]]+\])*)")
#: `flow` is the older word for `inputs`.
_INPUT = re.compile(r"(?:inputs?|flow)\.(?P<name>[\w -]+)(?P<path>(?:\.[\w-]+|\[[^\]]+\])*)")


@dataclass(frozen=True, slots=True)
class Reference:
    """`${inputs.name}` where `node` is empty, else `${node.output}`; `path` is what follows, such as `.category`."""

    node: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value under `inputs` of a node."""

    data: Any
    line: int

    @property
    def reference(self) -> Reference | None:
        """What it refers to, if it is a reference and nothing else."""
        return reference(self.data)


@dataclass(frozen=True, slots=True)
class Activate:
    """`activate: {when, is}`."""

    when: Reference | None
    value: Any
    line: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node, or one variant of one."""

    name: str
    line: int
    kind: str = ""
    #: File of its code or template, and where that is named.
    path: str = ""
    path_line: int = 0
    package: str = ""
    inputs: Mapping[str, Value] = field(default_factory=dict)
    provider: str = ""
    connection: str = ""
    api: str = ""
    activate: Activate | None = None
    aggregation: bool = False
    #: The comment above it.
    remark: str = ""

    def references(self) -> Iterator[Reference]:
        """Yield what the node reads."""
        if self.activate and self.activate.when:
            yield self.activate.when
        yield from (value.reference for value in self.inputs.values() if value.reference)

    def reads(self) -> set[str]:
        """Return the nodes whose outputs it reads."""
        return {found.node for found in self.references() if found.node}


@dataclass(frozen=True, slots=True)
class Dag:
    """A whole flow."""

    file: str
    name: str
    description: str
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    nodes: tuple[Node, ...]
    #: For a node with variants: all but the default one, which stands among the nodes.
    variants: Mapping[str, Mapping[str, Node]]
    unknown: tuple[tuple[int, str], ...] = ()

    def get(self, name: str) -> Node | None:
        """Return the node of that name."""
        return next((node for node in self.nodes if node.name == name), None)

    def all(self) -> list[Node]:
        """Return the nodes and all of their variants."""
        return [*self.nodes, *(variant for held in self.variants.values() for variant in held.values())]

    def readers(self, name: str) -> list[Node]:
        """Return the nodes that read the output of a node, in any of their variants."""
        return [node for node in self.all() if name in node.reads()]


def reference(data: Any) -> Reference | None:
    """Return what a value such as `${node.output.key}` refers to, or None."""
    found = _REFERENCE.fullmatch(data.strip()) if isinstance(data, str) else None
    if found is None:
        return None
    if inner := _INPUT.fullmatch(found["inner"]):
        return Reference("", inner["name"], inner["path"])
    if inner := _NODE.fullmatch(found["inner"]):
        return Reference(inner["node"], "", inner["path"])
    return None


def read(folder: Folder, name: str) -> Dag:
    """Read the file. Raises Unreadable and PathRefused."""
    shown = folder.shown(name)
    root = files.tree(folder.text(name), folder.path(name), shown)
    if not isinstance(root, source.Mapping) or not isinstance(root.get("nodes"), source.Sequence):
        raise Unreadable(f"{shown}: there are no `nodes` in it; only flows of YAML and nodes (`flow.dag.yaml`) can be imported")
    for include in _sequence(root.get("additional_includes")):
        path = str(files.plain(include))
        folder.add(folder.root / path, path.rstrip("/").rpartition("/")[2])
    variants: dict[str, dict[str, Node]] = {}
    nodes: list[Node] = []
    many = _mapping(root.get("node_variants"))
    for item in _sequence(root.get("nodes")):
        node = _node(item)
        if node.name in many and _flag(item, "use_variants", default=not node.kind):
            default, others = _variants(node, many[node.name])
            variants[node.name] = others
            node = replace(default, remark=node.remark) if default else node
        nodes.append(node)
    known = {*"inputs outputs nodes node_variants additional_includes environment name id description display_name".split()}
    known |= {*"$schema version language tags type environment_variables chat_group path template_conversion".split()}
    strange = tuple((entry.key.line, entry.key.text) for entry in root.entries if entry.key.text not in known)
    described = files.plain(root.get("description"))
    title = files.plain(root.get("name")) or files.plain(root.get("display_name"))
    return Dag(
        shown,
        str(title or folder.root.resolve().name),
        str(described or ""),
        _values(root.get("inputs")),
        _values(root.get("outputs")),
        tuple(nodes),
        variants,
        strange,
    )


def _variants(node: Node, said: source.Node) -> tuple[Node | None, dict[str, Node]]:
    held = _mapping(_mapping(said).get("variants"))
    chosen = str(files.plain(_mapping(said).get("default_variant_id")) or next(iter(held), ""))
    read_ = {name: _node(_mapping(variant).get("node"), name=node.name, activate=node.activate) for name, variant in held.items()}
    return read_.get(chosen), {name: variant for name, variant in read_.items() if name != chosen}


def _node(item: source.Node | None, *, name: str = "", activate: Activate | None = None) -> Node:
    held = _mapping(item)
    at = _mapping(held.get("source"))
    tool = files.plain(at.get("tool")) or ""
    when = _mapping(held.get("activate"))
    if when:
        activate = Activate(reference(files.plain(when.get("when"))), files.plain(when.get("is")), files.line(held.get("activate")))
    path = at.get("path")
    inputs = _values(held.get("inputs"))
    connection = files.plain(held.get("connection")) or (inputs["connection"].data if "connection" in inputs else "")
    kind = str(files.plain(held.get("type")) or "")
    return Node(
        str(files.plain(held.get("name")) or name),
        files.line(item),
        kind,
        str(files.plain(path) or "").replace("\0", ""),
        files.line(path, files.line(item)),
        str(tool),
        inputs,
        str(files.plain(held.get("provider")) or ""),
        str(connection or ""),
        str(files.plain(held.get("api")) or ""),
        activate,
        bool(files.plain(held.get("aggregation"))),
        _remark(item) if isinstance(item, source.Mapping) else "",
    )


def _remark(item: source.Mapping) -> str:
    """Return the comment lines right above a node."""
    lines: list[str] = []
    for text in reversed(item.file.lines[: item.line - 1]):
        if not text.strip().startswith("#"):
            break
        lines.insert(0, text.strip().removeprefix("#").strip())
    return "\n".join(lines)


def _flag(item: source.Node, name: str, *, default: bool) -> bool:
    found = files.plain(_mapping(item).get(name))
    return default if found is None else bool(found)


def _values(node: source.Node | None) -> dict[str, Value]:
    return {name: Value(files.plain(value), value.line) for name, value in _mapping(node).items()}


def _mapping(node: source.Node | None) -> dict[str, source.Node]:
    return {entry.key.text: entry.value for entry in node.entries} if isinstance(node, source.Mapping) else {}


def _sequence(node: source.Node | None) -> tuple[source.Node, ...]:
    return node.items if isinstance(node, source.Sequence) else ()
