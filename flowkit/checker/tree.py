"""Where nodes of a template stand in its text, and which values they name. Knows no types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

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


def string_in(text: str, node: nodes.Node) -> tuple[int, int]:
    """Return offset and length of the letters of a literal text, without its quotes."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        return node.lineno + 1, max(len(node.value), 1)
    return start_of(node), 1


_SIGNS: Mapping[type[nodes.Node], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
    nodes.And: "and",
    nodes.Or: "or",
}
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in"}
#: Longest literal that a message repeats.
_LITERAL = 30


def spelled(node: nodes.Node) -> str:
    """Return an expression as its author may have written it, with … for what is long."""
    match node:
        case nodes.Name():
            return str(node.name)
        case nodes.Const(value=value):
            text = (
                str(value).lower() if value is None or isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else repr(value)
            )
            return text if len(text) <= _LITERAL else "…"
        case nodes.Getattr():
            return f"{_operand(node.node)}.{node.attr}"
        case nodes.Getitem():
            return f"{_operand(node.node)}[{'…' if isinstance(node.arg, nodes.Slice) else spelled(node.arg)}]"
        case nodes.Filter() if node.node is not None:
            return f"{_operand(node.node)} | {node.name}"
        case nodes.Call():
            return f"{_operand(node.node)}({'…' if node.args or node.kwargs else ''})"
        case nodes.BinExpr():
            return f"{_operand(node.left)} {_SIGNS.get(type(node), '…')} {_operand(node.right)}"
        case nodes.Compare(ops=[one]):
            return f"{_operand(node.expr)} {_COMPARISONS.get(one.op, '…')} {_operand(one.expr)}"
        case nodes.Not():
            return f"not {_operand(node.node)}"
        case nodes.Neg():
            return f"-{_operand(node.node)}"
        case nodes.Test():
            return f"{_operand(node.node)} is {node.name}"
        case nodes.CondExpr():
            return f"{_operand(node.expr1)} if {spelled(node.test)}" + (f" else {_operand(node.expr2)}" if node.expr2 else "")
        case nodes.List():
            return "[…]" if node.items else "[]"
        case nodes.Dict():
            return "{…}"
    return "…"


def _operand(node: nodes.Node) -> str:
    """Spell a part of a larger expression, in brackets where it needs them."""
    text = spelled(node)
    whole = not isinstance(node, (nodes.BinExpr, nodes.Compare, nodes.Not, nodes.CondExpr, nodes.Test))
    return text if whole or isinstance(node, nodes.Filter) else f"({text})"


def length_of(node: nodes.Node) -> int:
    """Return how many letters to mark of an expression that is wrong: all of a path, else its beginning."""
    path = node
    while isinstance(path, nodes.Getattr) or (isinstance(path, nodes.Getitem) and isinstance(path.arg, nodes.Const)):
        path = path.node
    if isinstance(path, nodes.Name) or (isinstance(node, nodes.Const) and len(spelled(node)) > 1):
        return len(spelled(node))
    return 1


def keyword_at(text: str, keyword: nodes.Keyword) -> int:
    """Return the offset of the name of `name=value`; the node itself carries the place of the value."""
    found = list(re.finditer(rf"\b{re.escape(keyword.key)}\s*=(?!=)", text[: start_of(keyword.value) + 1]))
    return found[-1].start() if found else keyword.lineno


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
