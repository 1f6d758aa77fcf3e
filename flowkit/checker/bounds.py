"""Find literals that surely make more than a template may make, without making it."""

from __future__ import annotations

import re

from jinja2 import nodes
from jinja2.sandbox import MAX_RANGE

from flowkit.templates.data import MAX_ITEMS
from flowkit.templates.filters import MAX_WIDTH
from flowkit.templates.sandbox import MAX_BITS

#: Filters with a width or count: its name, its place among the arguments, and the most that it may be.
_WIDTHS = {
    "center": ("width", 0, MAX_WIDTH),
    "indent": ("width", 0, MAX_WIDTH),
    "batch": ("linecount", 0, MAX_WIDTH),
    "slice": ("slices", 0, MAX_WIDTH),
    "round": ("precision", 0, 300),
    "tojson": ("indent", 0, 16),
    "json": ("indent", 0, 16),
}
_FORMAT_WIDTH = re.compile(r"%(?:\(\w+\))?[-+ #0]*(\d*)(?:\.(\d*))?[a-zA-Z]")


def number(node: nodes.Node | None) -> int | None:
    """Return the whole number that an expression of literals surely is, as far as it is small."""
    match node:
        case nodes.Const(value=int(value)):
            return value
        case nodes.Neg() if (inner := number(node.node)) is not None:
            return -inner
        case nodes.Add() | nodes.Sub() | nodes.Mul() | nodes.Pow():
            left, right = number(node.left), number(node.right)
            if left is None or right is None or _bits(node, left, right) > MAX_BITS or right < 0:
                return None
            match node:
                case nodes.Add():
                    return left + right
                case nodes.Sub():
                    return left - right
                case nodes.Mul():
                    return left * right
            return int(left**right)
    return None


def _bits(node: nodes.BinExpr, left: int, right: int) -> int:
    if isinstance(node, nodes.Pow):
        return max(left.bit_length(), 1) * abs(right) if abs(left) > 1 else 1
    return left.bit_length() + right.bit_length()


def _length(node: nodes.Node) -> int:
    """Return how long a literal text or list is, 0 where that is not known."""
    match node:
        case nodes.Const(value=str(value)):
            return len(value)
        case nodes.List() | nodes.Tuple():
            return len(node.items)
        case nodes.Mul():
            return max(_length(node.left) * (number(node.right) or 0), _length(node.right) * (number(node.left) or 0))
        case nodes.Add():
            return _length(node.left) + _length(node.right)
    return 0


def too_large(node: nodes.BinExpr) -> str | None:
    """Say that the result of an operator on literals is too large, or None."""
    if isinstance(node, (nodes.Mul, nodes.Pow)):
        left, right = number(node.left), number(node.right)
        if left is not None and right is not None and _bits(node, left, right) > MAX_BITS:
            return f"this number is too large: at most {MAX_BITS:,} bits are allowed"
    if isinstance(node, nodes.Mul) and (size := _length(node)) > MAX_ITEMS:
        return f"this makes {size:,} characters or items; at most {MAX_ITEMS:,} are allowed"
    return None


def long_range(args: list[nodes.Expr]) -> str | None:
    """Say that `range(…)` of literals is too long, or None."""
    numbers = [number(a) for a in args]
    known = [n for n in numbers if n is not None]
    if not known or len(known) != len(numbers) or len(known) > 3 or (len(known) == 3 and known[2] == 0):
        return None
    # What is counted may be longer than the largest size of Python's own `len`.
    start, stop, step = (0, known[0], 1) if len(known) == 1 else (known[0], known[1], known[2] if len(known) == 3 else 1)
    size = max(0, (stop - start + (step - (1 if step > 0 else -1))) // step)
    return f"`range` of {size:,} numbers; at most {MAX_RANGE:,} are allowed" if size > MAX_RANGE else None


def wide_filter(node: nodes.Filter) -> str | None:
    """Say that the literal width or count of a filter is too large, or None."""
    if node.name == "format" and isinstance(node.node, nodes.Const) and isinstance(node.node.value, str):
        for found in _FORMAT_WIDTH.finditer(node.node.value):
            if (widest := max(int(found[1] or 0), int(found[2] or 0))) > MAX_WIDTH:
                return f"`format` with a width of {widest:,}; at most {MAX_WIDTH:,} is allowed"
    if node.name not in _WIDTHS:
        return None
    name, position, most = _WIDTHS[node.name]
    given = next((k.value for k in node.kwargs if k.key == name), node.args[position] if position < len(node.args) else None)
    size = number(given)
    return f"`{node.name}` with a {name} of {size:,}; at most {most:,} is allowed" if size is not None and size > most else None
