"""Turn plain values of the file, numbers, words, durations, into data by the shape of their key. Knows no key by name."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowkit.parser.reading import own
from flowkit.parser.shapes import admits, expected, is_empty, is_number, joined, shown
from flowkit.source import Mapping, Node, Scalar, Sequence, plain
from flowkit.spelling import nearest

if TYPE_CHECKING:
    from flowkit.keys import Shape, Table
    from flowkit.parser.reading import Found, Reading


class _Bad:
    __slots__ = ()

    def __repr__(self) -> str:
        return "BAD"


#: Stands for a value about which a problem has been reported.
BAD: Final = _Bad()


def value_of(r: Reading, shape: Shape, node: Node, what: str) -> Any:
    """Return the data of a node that a shape describes, or BAD when that has been reported. `what` names it: "'retry'"."""
    if is_empty(node):
        r.error("empty-value", node.place(), f"{what} is empty", f"write {expected(shape)}, or leave the key out")
        return BAD
    if shape.kind == "either":
        choices = [s for s in shape.of if admits(s, node)]
        return value_of(r, _best(choices), node, what) if choices else wrong(r, shape, node, what)
    if not admits(shape, node):
        return wrong(r, shape, node, what)
    match node:
        case Sequence():
            return _items(r, shape, node, what)
        case Mapping():
            return _map(r, shape, node, what)
    return _scalar(r, shape, node, what)


def key_value(r: Reading, found: dict[str, Found], table: Table, name: str, where: str, default: Any = None) -> Any:
    """Return what stands under a key of a table, or the default where it is not there or wrong."""
    if name not in found:
        return default
    value = value_of(r, table[name].shape, found[name].value, f"{name!r} of {where}")
    return default if value is BAD else value


def wrong(r: Reading, shape: Shape, node: Node, what: str) -> Any:
    """Report that a value is not of the sort that is wanted, and return BAD."""
    hint: str | None = None
    if isinstance(node, Scalar):
        if shape.kind == "words" and node.text not in shape.of_words and not isinstance(node.value, str):
            hint = f"write {' or '.join(shape.of_words)}"
        elif admits(shape, replace_text(node, node.text)) and not isinstance(node.value, str) and shape.kind != "either":
            hint = f'quote it: "{node.text}"'
        elif isinstance(node.value, str) and "{{" in node.value:
            hint = "this key takes no template; it is the same in every run"
        elif isinstance(node.value, str) and _NUMBER.fullmatch(node.value.strip()) and node.style != "plain":
            hint = f"without quotes: {node.value.strip()}"
        elif shape.kind == "list" and admits(shape.of[0], node):
            hint = f"a list of one: [{node.text}]"
        elif shape.kind == "boolean" or _has(shape, "boolean"):
            hint = "YAML 1.2 knows true and false" if node.text.lower() in ("yes", "no", "on", "off") else None
    elif shape.kind == "list" and isinstance(node, Mapping) and admits(shape.of[0], node):
        hint = "begin the entry with '- '"
    r.error("wrong-type", node.place(), f"{what} must be {expected(shape)}, not {shown(node)}", hint)
    return BAD


def replace_text(node: Scalar, text: str) -> Scalar:
    """Return the scalar as it were if its text stood in quotes."""
    return replace(node, value=text, text=text)


def _has(shape: Shape, kind: str) -> bool:
    return shape.kind == kind or any(_has(s, kind) for s in shape.of if shape.kind == "either")


def _best(choices: list[Shape]) -> Shape:
    """Of several shapes that a node may have, the first one that is not mere text."""
    return next((s for s in choices if s.kind not in ("word", "path", "type", "any")), choices[0])


def _items(r: Reading, shape: Shape, node: Sequence, what: str) -> Any:
    if shape.kind == "any":
        return finite(r, node, what)
    least, most = int(shape.min or 0), shape.max
    if len(node.items) < least or (most is not None and len(node.items) > most):
        wanted = f"{least} to {most:g} entries" if most is not None else f"at least {least} {'entry' if least == 1 else 'entries'}"
        r.error("out-of-range", node.place(), f"{what} must have {wanted}, not {len(node.items)}")
        return BAD
    values = [value_of(r, shape.of[0], item, f"each entry of {what}") for item in node.items]
    return BAD if BAD in values else values


def _map(r: Reading, shape: Shape, node: Mapping, what: str) -> Any:
    if shape.kind in ("any", "table") or shape.of[0].kind == "any":
        return finite(r, node, what)
    values = {key.text: value_of(r, shape.of[0], value, f"{key.text!r} in {what}") for key, value in own(node)}
    return BAD if BAD in values.values() else values


def _scalar(r: Reading, shape: Shape, node: Scalar, what: str) -> Any:
    match shape.kind:
        case "integer" | "number":
            return _number(r, shape, node, what)
        case "duration":
            return duration(r, node, what)
        case "words":
            if node.value not in shape.of_words:
                near = nearest(node.text, shape.of_words)
                hint = f"did you mean {near!r}?" if near else f"write {joined(shape.of_words)}"
                r.error("unknown-word", node.place(), f"{what} must be {joined(shape.of_words)}, not {node.text!r}", hint)
                return BAD
        case "any":
            return finite(r, node, what)
        case "word" if node.text or shape.min == 0:
            return node.value
        case _ if not node.text.strip():
            r.error("empty-value", node.place(), f"{what} is empty")
            return BAD
    return node.value


def _number(r: Reading, shape: Shape, node: Scalar, what: str) -> Any:
    value = node.value
    assert isinstance(value, (int, float))
    if shape.kind == "integer" and isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
        return wrong_number(r, shape, node, what)
    low, high = shape.min, shape.max
    below = low is not None and (value <= low if shape.above else value < low)
    if not math.isfinite(value) or below or (high is not None and value > high):
        return wrong_number(r, shape, node, what)
    return int(value) if shape.kind == "integer" else value


def wrong_number(r: Reading, shape: Shape, node: Scalar, what: str) -> Any:
    """Report a number that is out of range, and return BAD."""
    r.error("out-of-range", node.place(), f"{what} must be {expected(shape)}, not {shown(node)}")
    return BAD


def finite(r: Reading, node: Node, what: str) -> Any:
    """Return the data of a node, or BAD when it holds a number that JSON cannot: that has been reported."""
    for scalar in _scalars(node):
        if isinstance(scalar.value, float) and not math.isfinite(scalar.value):
            r.error(
                "out-of-range", scalar.place(), f"{what} holds {scalar.text}, which JSON cannot", "quote it if it is text, or write null"
            )
            return BAD
    return plain(node)


def _scalars(node: Node) -> list[Scalar]:
    match node:
        case Scalar():
            return [node]
        case Sequence():
            return [s for item in node.items for s in _scalars(item)]
    return [s for entry in node.entries for s in _scalars(entry.value)]


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONG_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*(milli|sec|min|h|d)[a-z]*", re.IGNORECASE)
_LONG_UNITS = {"milli": "ms", "sec": "s", "min": "m", "h": "h", "d": "d"}
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


def duration(r: Reading, node: Scalar, what: str) -> Any:
    """Return seconds, or BAD."""
    seconds: float | None = None
    hint: str | None = None
    if isinstance(node.value, str):
        if found := _DURATION.fullmatch(node.value.strip()):
            seconds = float(found[1]) * _SECONDS[found[2]]
        elif long := _LONG_UNIT.fullmatch(node.value.strip()):
            hint = f"write {long[1]}{_LONG_UNITS[long[2].lower()]}"
        elif node.text.lower() in ("yes", "no", "on", "off"):
            hint = "YAML 1.2 knows true and false"
    elif is_number(node.value):
        seconds = float(node.value)  # type: ignore[arg-type]  # a number, by the line above
    if seconds is None or not 0 < seconds < math.inf:
        r.error("wrong-duration", node.place(), f"{what} must be a duration such as 30s, 5m or 7d, not {shown(node)}", hint)
        return BAD
    return seconds
