"""Where nodes of a template stand in its text, and which values they name. Knows no types."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import nodes

from flowkit.checker.scope import Scope

_WORD = re.compile(r"\s*\.?\s*(\w+)")
_TEST = re.compile(r"\s*(?:is|==|!=)?\s*(?:not\s+)?(\w+)")


def start_of(node: nodes.Node) -> int:
    """Return the offset of the first letter of an expression."""
    match node:
        case nodes.Getattr() | nodes.Getitem() | nodes.Test() | nodes.Call():
            return start_of(node.node)
        case nodes.Filter() if node.node is not None:
            return start_of(node.node)
        case nodes.BinExpr():
            return start_of(node.left)
        case nodes.Compare():
            return start_of(node.expr)
        case nodes.CondExpr():
            return start_of(node.expr1)
        case nodes.Concat() if node.nodes:
            return start_of(node.nodes[0])
        case nodes.Not() if isinstance(node.node, nodes.Test):
            return min(node.lineno, start_of(node.node))  # `a is not b`: the node carries the place of `not`
    return node.lineno


def attribute_of(text: str, node: nodes.Getattr | nodes.Getitem) -> tuple[int, int]:
    """Return offset and length of the name that a look-up names."""
    if isinstance(node, nodes.Getattr):
        found = _WORD.match(text, node.lineno)
        return (found.start(1), len(found[1])) if found else (node.lineno, 1)
    arg = node.arg
    if isinstance(arg, nodes.Const) and isinstance(arg.value, str):
        return arg.lineno + 1, len(arg.value)
    return start_of(arg), 1


def test_name_of(text: str, node: nodes.Test) -> int:
    """Return the offset of the name of a test."""
    found = re.compile(rf"\b{re.escape(node.name)}\b").search(text, node.lineno)
    return found.start() if found else node.lineno


def string_in(text: str, node: nodes.Expr) -> tuple[int, int]:
    """Return offset and length of the letters of a literal text, without its quotes."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        return node.lineno + 1, max(len(node.value), 1)
    return start_of(node), 1


def spelled(node: nodes.Node) -> str:
    """Return a path as its author wrote it, with … for what is no plain path."""
    match node:
        case nodes.Name():
            return str(node.name)
        case nodes.Getattr():
            return f"{spelled(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=value)):
            return f"{spelled(node.node)}[{value!r}]"
        case nodes.Filter() if node.node is not None:
            return f"{spelled(node.node)} | {node.name}"
    return "…"


def key_of(node: nodes.Node, scope: Scope) -> str | None:
    """Return a text that is the same for two expressions only if they have the same value, or None."""
    match node:
        case nodes.Name():
            binding = scope.find(node.name)
            return binding.key if binding else None
        case nodes.Getattr():
            base = key_of(node.node, scope)
            return None if base is None else f"{base}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=value)):
            base = key_of(node.node, scope)
            if base is None:
                return None
            return f"{base}.{value}" if isinstance(value, str) and value.isidentifier() else f"{base}[{value!r}]"
        case nodes.Const():
            return repr(node.value)
    return _key_of_operation(node, scope)


def _key_of_operation(node: nodes.Node, scope: Scope) -> str | None:
    parts = [key_of(child, scope) for child in node.iter_child_nodes()]
    if any(p is None for p in parts):
        return None
    match node:
        case nodes.Filter() | nodes.Test():
            name = node.name
        case nodes.Operand():
            name = node.op
        case nodes.Compare() | nodes.Not() | nodes.And() | nodes.Or() | nodes.BinExpr() | nodes.List() | nodes.Tuple() | nodes.Neg():
            name = type(node).__name__
        case nodes.Keyword():
            name = node.key
        case _:
            return None
    return f"{name}({', '.join(p for p in parts if p is not None)})"


def steps_read(tree: nodes.Node) -> Iterator[str]:
    """Yield the ids of the steps that a template or expression names."""
    for node in [tree, *tree.find_all((nodes.Getattr, nodes.Getitem))]:
        if isinstance(node, (nodes.Getattr, nodes.Getitem)) and isinstance(node.node, nodes.Name) and node.node.name == "steps":
            if isinstance(node, nodes.Getattr):
                yield node.attr
            elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                yield node.arg.value
