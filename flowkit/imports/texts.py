"""Rewrite a Jinja template of another tool: variables into expressions, what flowkit lacks into what it has. Renders nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jinja2 import nodes
from jinja2.defaults import DEFAULT_NAMESPACE

from flowkit.templates.filters import FILTERS, TESTS
from flowkit.templates.syntax import SyntaxProblem, parse_expression, parse_template

#: Names of filters that mean the same in flowkit under another name, or nothing at all.
_SAME = {"e": "escape", "d": "default", "pprint": "json(2)", "count": "length"}
_NEEDLESS = frozenset({"safe", "forceescape"})
#: Methods of mappings, which flowkit reads as keys, and the filters that do the same.
_METHODS = {"items": " | items", "keys": " | list", "values": " | items | map('last') | list"}
#: Names that are no variables.
_BUILT_IN = frozenset({"loop", "caller", "varargs", "kwargs", "self", "super", "range", "dict", "namespace"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something of a template that flowkit cannot do; `line` counts from 1."""

    line: int
    what: str
    way: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """A variable that a template takes from outside: where it is read first, and whether a loop goes through it."""

    offset: int
    looped: bool
    #: Keys of it are read.
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """Text that takes the place of what stands from `start` to `end`."""

    start: int
    end: int
    text: str


def line_of(text: str, offset: int) -> int:
    """Return the line of an offset, from 1."""
    return text.count("\n", 0, offset) + 1


def reads(text: str) -> dict[str, Read]:
    """Return the variables that a template takes from outside; none of a template that Jinja cannot read."""
    try:
        tree = parse_template(text)
    except SyntaxProblem:
        return {}
    return _reads(tree)


def _reads(tree: nodes.Node) -> dict[str, Read]:
    own = _own(tree)
    looped = {loop.iter.name for loop in tree.find_all(nodes.For) if isinstance(loop.iter, nodes.Name)}
    bases = [part.node for part in tree.find_all(nodes.Getattr)] + [part.node for part in tree.find_all(nodes.Getitem)]
    keyed = {base.name for base in bases if isinstance(base, nodes.Name)}
    found: dict[str, Read] = {}
    for name in sorted(tree.find_all(nodes.Name), key=lambda name: name.lineno):
        first = own.get(name.name)
        before = first is not None and name.lineno < first
        if name.ctx == "load" and (first is None or before) and name.name not in _BUILT_IN:
            found.setdefault(name.name, Read(name.lineno, name.name in looped, name.name in keyed))
    return found


def _own(tree: nodes.Node) -> dict[str, int]:
    """Return the names that a template gives itself, with where it first does so."""
    own: dict[str, int] = {}
    # What stands right of `=` or `in` is read before the name on the left is given.
    after: dict[int, int] = {}
    pairs: list[tuple[nodes.Node, nodes.Node]] = [(given.target, given.node) for given in tree.find_all(nodes.Assign)]
    pairs += [(loop.target, loop.iter) for loop in tree.find_all(nodes.For)]
    for target, read in pairs:
        last = max(name.lineno for name in [read, *read.find_all(nodes.Name)])
        after |= {id(name): last + 1 for name in [target, *target.find_all(nodes.Name)]}
    for name in tree.find_all(nodes.Name):
        if name.ctx in {"store", "param"}:
            own[name.name] = min(after.get(id(name), name.lineno), own.get(name.name, sys.maxsize))
    for macro in tree.find_all(nodes.Macro):
        own.setdefault(macro.name, macro.lineno)
    for imported in tree.find_all(nodes.FromImport):
        own.update({(n if isinstance(n, str) else n[1]): -1 for n in imported.names})
    for whole in tree.find_all(nodes.Import):
        own[whole.target] = -1
    return own


def rewrite(text: str, names: Mapping[str, str]) -> tuple[str, list[Trouble]]:
    """Return a template in which the names stand for expressions of a flow, and what stays a trouble.

    A template that Jinja cannot read becomes raw text.
    """
    try:
        tree = parse_template(text)
    except SyntaxProblem as problem:
        trouble = Trouble(
            line_of(text, problem.start), f"Jinja cannot read this: {problem.message}", "mend it; it stands in the flow as raw text"
        )
        return ("{% raw %}" + text + "{% endraw %}" if "endraw" not in text else re.sub(r"\{([{%#])", r"{ \1", text)), [trouble]
    edits, troubles = _edits(tree, text, names)
    shadowed = [name for name in names if name in _own(tree) and name in _reads(tree)]
    prelude = "".join(f"{{% set {name} = {names[name]} %}}\n" for name in shadowed)
    return prelude + no_dollars(applied(text, edits)), troubles


def expression(text: str, names: Mapping[str, str]) -> tuple[str, list[Trouble]]:
    """The same for a bare expression."""
    try:
        tree = parse_expression(text)
    except SyntaxProblem as problem:
        return "none", [Trouble(1, f"Jinja cannot read {text!r}: {problem.message}", "write it anew")]
    edits, troubles = _edits(tree, text, names)
    return applied(text, edits), troubles


def applied(text: str, edits: list[Edit]) -> str:
    """Return the text after all edits, none of which may overlap."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def literal(value: object) -> str:
    """Write a constant as an expression."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\r", "").replace("\n", "\\n")
        return f"'{escaped}'"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(str(key))}: {literal(held)}" for key, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return str(value)


def _edits(tree: nodes.Node, text: str, names: Mapping[str, str]) -> tuple[list[Edit], list[Trouble]]:
    own = _own(tree)
    whole = [tree, *tree.find_all(nodes.Node)]
    edits = [
        Edit(name.lineno, name.lineno + len(name.name), names[name.name])
        for name in whole
        if isinstance(name, nodes.Name) and name.ctx == "load" and name.name in names and name.name not in own
    ]
    troubles: list[Trouble] = []
    for node in whole:
        edits += _methods(node, text)
        for edit, trouble in _filters(node, text):
            edits += [edit] if edit else []
            troubles += [trouble] if trouble else []
    return edits, troubles


def _methods(node: nodes.Node, text: str) -> Iterator[Edit]:
    """`.items()` becomes `| items`: a flow reads a name behind a dot as a key, always."""
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Getattr):
        return
    dot = node.node.lineno
    if node.node.attr in _METHODS and not node.args:
        if call := re.compile(r"\.\s*\w+\s*\(\s*\)").match(text, dot):
            yield Edit(dot, call.end(), _METHODS[node.node.attr])
    elif node.node.attr == "get" and node.args and isinstance(node.args[0], nodes.Const):
        key = literal(node.args[0].value)
        if len(node.args) == 1 and (call := re.compile(r"\.\s*get\s*\(\s*('[^']*'|\"[^\"]*\")\s*\)").match(text, dot)):
            yield Edit(dot, call.end(), f"[{key}]")
        elif call := re.compile(r"\.\s*get\s*\(\s*('[^']*'|\"[^\"]*\")\s*,").match(text, dot):
            yield Edit(dot, call.end(), f"[{key}] | default(")


def _filters(node: nodes.Node, text: str) -> Iterator[tuple[Edit | None, Trouble | None]]:
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        start, end = node.lineno, node.lineno + len(node.name)
        if node.name in _NEEDLESS:
            yield Edit(text.rindex("|", 0, start), end, ""), None
        elif node.name in _SAME:
            yield Edit(start, end, _SAME[node.name]), None
        else:
            yield (
                Edit(start, end, "default"),
                Trouble(
                    line_of(text, start),
                    f"there is no filter {node.name!r}",
                    "it was replaced by `default`; write what is meant with the filters of flowkit",
                ),
            )
    elif isinstance(node, nodes.Test) and node.name not in TESTS:
        start = text.index(node.name, max(node.lineno - 1, 0))
        yield (
            Edit(start, start + len(node.name), "defined"),
            Trouble(line_of(text, start), f"there is no test {node.name!r}", "it was replaced by `defined`; write what is meant"),
        )


def unknown_functions(text: str) -> list[str]:
    """Return the names that Jinja knows by itself and flowkit does not, such as `lipsum`."""
    return [name for name in reads(text) if name in DEFAULT_NAMESPACE and name not in _BUILT_IN]


def no_dollars(text: str) -> str:
    """`${{ price }}` prints a dollar; flowkit refuses it because other tools mean something else by it."""
    return re.sub(r"(\$+)\{\{", r"{{ '\1' }}{{", text)
