"""Lay what `--set path=value` says over the tree of a flow file, before anything is read from it. Knows paths, not what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flowkit import source
from flowkit.errors import Problems
from flowkit.source import Document, Entry, Mapping, Node, Scalar, SourceFile
from flowkit.source import Sequence as SequenceNode
from flowkit.spelling import did_you_mean

#: Mappings whose keys are the author's own: a name that is not there is a mistake. Elsewhere the parser knows the keys.
_NAMES = frozenset({"steps", "inputs", "values"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_FORM = "write it as path=value, such as steps.draft.params.temperature=0.2"


def overlay(document: Document, texts: Sequence[str], problems: Problems) -> Document:
    """Return the document with each `path=value` put in, later ones over earlier; values are YAML. Mistakes go to `problems`."""
    root = document.root
    for text in texts:
        if root is not None:
            root = _put(root, text, problems)
    return replace(document, root=root)


def _put(root: Node, text: str, problems: Problems) -> Node:
    path, equals, written = text.partition("=")
    argument = SourceFile(Path("--set"), "--set", (text,))
    names = path.split(".")
    if not equals or not all(names):
        problems.error("set-form", argument.place(1, 1, len(text) + 1), f"{text!r} sets nothing", _FORM)
        return root
    shown = f"--set {path}"
    nothing = Scalar(None, written, "plain", argument, 1, len(path) + 2, 1, len(text) + 1)
    # A file that holds nothing is a mistake, a value that is null is not.
    value = nothing if written.strip() in _NULLS else source.parse(written, path=Path(shown), shown=shown, problems=problems).root
    return root if value is None else _Path(argument, names, problems).replaced(root, 0, value)


class _Path:
    """The way to the place of one value; `keys` hold their places in the argument itself."""

    def __init__(self, argument: SourceFile, names: Sequence[str], problems: Problems) -> None:
        self._problems = problems
        self._keys: list[Scalar] = []
        column = 1
        for name in names:
            self._keys.append(Scalar(name, name, "plain", argument, 1, column, 1, column + len(name)))
            column += len(name) + 1

    def replaced(self, node: Node | None, at: int, value: Node) -> Node:
        """Return the node with the value put in behind the names from `at` on."""
        if at == len(self._keys):
            return value
        key = self._keys[at]
        if isinstance(node, SequenceNode):
            return self._item(node, at, value)
        if isinstance(node, Mapping):
            return self._entry(node, at, value)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            inner = self.replaced(None, at + 1, value)
            return Mapping({key.text: Entry(key, inner)}, key.file, 1, key.column, 1, key.end_column)
        above = ".".join(k.text for k in self._keys[:at])
        self._problems.error("set-path", key.place(), f"there is nothing below {above!r}, which is a single value", f"set {above!r} itself")
        return node

    def _entry(self, node: Mapping, at: int, value: Node) -> Node:
        key = self._keys[at]
        there = node.named.get(key.text)
        if there is None and at and self._keys[at - 1].text in _NAMES and at == 1:
            what = self._keys[0].text
            hint = did_you_mean(key.text, node.named) or f"there are: {', '.join(node.named)}"
            self._problems.error("set-path", key.place(), f"there is no {key.text!r} under {what!r}", hint)
            return node
        entry = Entry(there.key if there else key, self.replaced(there.value if there else None, at + 1, value))
        return replace(node, named={**node.named, key.text: entry})

    def _item(self, node: SequenceNode, at: int, value: Node) -> Node:
        key = self._keys[at]
        number = int(key.text) if key.text.isdecimal() and len(key.text) < 6 else None
        if number is None or number >= len(node.items):
            above = ".".join(k.text for k in self._keys[:at])
            hint = f"its items are 0 to {len(node.items) - 1}" if node.items else None
            self._problems.error("set-path", key.place(), f"{above!r} is a list of {len(node.items)}, which has no item {key.text!r}", hint)
            return node
        items = list(node.items)
        items[number] = self.replaced(items[number], at + 1, value)
        return replace(node, items=tuple(items))
