"""Compare nodes with shapes, and say both in words for people. Reports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit.source import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from flowkit.keys import Shape


def admits(shape: Shape, node: Node) -> bool:
    """Whether a node is of the sort that a shape wants, its value aside."""
    match shape.kind:
        case "any" | "expression":
            return True
        case "either":
            return any(admits(s, node) for s in shape.of)
        case "table" | "map" | "fields":
            return isinstance(node, Mapping)
        case "list":
            return isinstance(node, Sequence)
    if not isinstance(node, Scalar):
        return False
    match shape.kind:
        case "boolean":
            return isinstance(node.value, bool)
        case "integer" | "number":
            return is_number(node.value)
        case "duration":
            return is_number(node.value) or isinstance(node.value, str)
    return isinstance(node.value, str)


def is_empty(node: Node) -> bool:
    """Whether nothing stands behind the key, as opposed to a written `null`."""
    return isinstance(node, Scalar) and node.value is None and not node.text


def shown(node: Node) -> str:
    """Name a value in a message."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
    if isinstance(node.value, str):
        return repr(node.text if len(node.text) <= 60 else node.text[:57] + "…")
    return node.text[:60] or "nothing"


def expected(shape: Shape) -> str:
    """Say what a shape wants."""
    match shape.kind:
        case "word":
            return "text"
        case "text":
            return "text (a template)"
        case "name":
            return "a name"
        case "path":
            return "the path of a file"
        case "expression":
            return "an expression"
        case "type":
            return "a type"
        case "duration":
            return "a duration such as 30s, 5m or 7d"
        case "boolean":
            return "true or false"
        case "integer" | "number":
            return ("a whole number" if shape.kind == "integer" else "a number") + _bounds(shape)
        case "words":
            return joined(shape.of_words)
        case "list":
            return "a list" if shape.of[0].kind in ("any", "either") else f"a list of {_PLURALS.get(shape.of[0].kind, 'entries')}"
        case "map" | "table" | "fields":
            return "a mapping"
        case "either":
            return joined(tuple(dict.fromkeys(expected(s) for s in shape.of)))
    return "a value"


_PLURALS = {"word": "texts", "name": "names", "table": "mappings", "words": "words", "number": "numbers", "integer": "whole numbers"}


def _bounds(shape: Shape) -> str:
    low, high = shape.min, shape.max
    if high is not None and high > 1e15:
        return " of 64 bits"
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f" greater than {low:g}" if shape.above else f" of at least {low:g}"
    return f" of at most {high:g}" if high is not None else ""


def joined(words: tuple[str, ...]) -> str:
    """Say that one of some words is meant."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def is_number(value: object) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
