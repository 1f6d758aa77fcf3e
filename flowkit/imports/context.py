"""What the parts of a Prompt flow import share: names, references as expressions, and which steps may be skipped. Converts no node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.imports import texts
from flowkit.imports.dag import Dag, Node, Reference
from flowkit.imports.draft import Draft
from flowkit.imports.files import Folder
from flowkit.imports.names import Names
from flowkit.imports.servers import Models


@dataclass(slots=True)
class Answer:
    """How a model node answers: the type of its step, and whether its text would be JSON."""

    output: Any = None
    json: bool = False
    #: The node whose place the type takes, or none.
    glue: str = ""


@dataclass(slots=True)
class Context:
    """The state of one import."""

    dag: Dag
    folder: Folder
    draft: Draft
    models: Models
    inputs: Names
    steps: Names
    #: Steps that a condition may skip, or that read one of these alone.
    skippable: set[str] = field(default_factory=set)
    #: Of these nodes another one does the work: the path into its output.
    replaced: dict[str, tuple[str, str]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    #: Inputs that are a list of messages now.
    talks: set[str] = field(default_factory=set)
    #: Inputs that may be absent.
    optional: set[str] = field(default_factory=set)
    #: Nodes that give a message of a server, not a text: those with functions.
    raw: set[str] = field(default_factory=set)
    #: What the outputs of the flow are said to be.
    output_types: dict[str, str] = field(default_factory=dict)

    def left(self, line: int, what: str, way: str = "", *, file: str = "") -> None:
        """Report what was not converted."""
        self.draft.report.left(file or self.dag.file, line, what, way)

    def changed(self, line: int, what: str, way: str = "", *, file: str = "") -> None:
        """Report what works in another way now."""
        self.draft.report.changed(file or self.dag.file, line, what, way)

    def expression(self, found: Reference, line: int, *, absent: str = "", as_text: bool = False) -> str:
        """Return a reference as an expression; `absent` stands where there may be nothing, `as_text` writes JSON as text."""
        if not found.node:
            return self._input(found, line, absent)
        node, path = found.node, found.path
        while node in self.replaced:
            node, before = self.replaced[node]
            path = before + path
        if self.dag.get(node) is None or node not in self.steps.given:
            self.left(line, f"${{{found.node}.output}}: there is no such step any more", "name another value")
            return _nothing(absent)
        plain = f"steps.{self.steps.new(node)}.output{keys(path)}"
        if node in self.raw and not path:
            plain = f"{{'role': 'assistant', 'content': {plain}}}"
        elif as_text and not found.path and self.answers.get(node, Answer()).json and node == found.node:
            plain = f"{plain} | json"
        return f"({plain} | default({absent}))" if absent and node in self.skippable else plain

    def _input(self, found: Reference, line: int, absent: str) -> str:
        if found.name not in self.inputs.given:
            self.left(line, f"${{inputs.{found.name}}}: the flow has no such input", "declare it under `inputs`")
            return _nothing(absent)
        plain = f"inputs.{self.inputs.new(found.name)}{keys(found.path)}"
        return f"({plain} | default({absent}))" if absent and found.name in self.optional else plain

    def names(self, node: Node, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return what the variables of a node's template stand for; its settings are none of them."""
        found = {}
        for name, value in node.inputs.items():
            if name in settings:
                continue
            refers = value.reference
            if refers is None:
                found[name] = "''" if value.data is None else texts.literal(value.data)
            else:
                found[name] = self.expression(refers, value.line, absent="''")
        return found

    def only_one(self, node: Node) -> bool:
        """Whether a step that may be skipped is all that a node reads, so that it is skipped too."""
        reads = {self.source(name) for name in node.reads()}
        return len(reads) == 1 and reads <= self.skippable

    def source(self, name: str) -> str:
        """Return the node that now gives what a node gave."""
        while name in self.replaced:
            name = self.replaced[name][0]
        return name


def _nothing(absent: str) -> str:
    """Return what stands where a reference leads nowhere: something that can be printed."""
    return "''" if absent in {"", "none"} else absent


def keys(path: str) -> str:
    """Return a path of Prompt flow as one of expressions: `.a-b` is `['a-b']`."""
    return re.sub(r"\.([\w-]+)", lambda found: found[0] if found[1].isidentifier() else f"['{found[1]}']", path)
