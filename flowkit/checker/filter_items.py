"""What filters are given: their input, its items, a field of each item. Knows no filter by name."""

from __future__ import annotations

import re

from jinja2 import nodes

from flowkit.checker.inference import Inference, one_of
from flowkit.checker.kinds import Facts, Kind, Row, Rows, is_type
from flowkit.checker.reports import sorts, spell
from flowkit.checker.scope import Scope, did_you_mean
from flowkit.checker.tree import spelled, string_in
from flowkit.types.algebra import (
    ANY,
    STRING,
    AnyType,
    Const,
    Enum,
    List,
    Map,
    Null,
    Object,
    Record,
    Type,
    members,
    nullable,
    union,
)


def input_of(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Type:
    """Return the type that a filter is given, which must be there."""
    assert node.node is not None
    return of.need(node.node, scope, facts)


def refuse(of: Inference, node: nodes.Filter, type_: Type, wanted: str, hint: str | None = None) -> Kind:
    """Report that a filter is given what it cannot take."""
    assert node.node is not None
    of.reports.error(
        "filter-input",
        node.lineno,
        len(node.name),
        f"filter {node.name!r} needs {wanted}, but '{spelled(node.node)}' is {spell(type_)}",
        hint,
    )
    return ANY


def items_of(of: Inference, node: nodes.Filter, scope: Scope, facts: Facts) -> Kind | None:
    """Return the kind of the items that a filter over a list is given; None after a problem."""
    assert node.node is not None
    kind = of.infer(node.node, scope, facts)
    if isinstance(kind, Row):
        return one_of(kind)
    if isinstance(kind, Rows):
        return kind.item
    type_ = of.need(node.node, scope, facts)
    kinds = sorts(type_)
    if kinds is None:
        return ANY
    if kinds and not kinds & {"list", "mapping"} and not (kinds == {"text"} and node.name in {"list", "first", "last", "reverse"}):
        hint = "use `.split(…)` or `| lines`" if kinds == {"text"} else None
        refuse(of, node, type_, "a list", hint)
        return None
    found = [item_of(m) for m in members(type_)]
    return union(*(f for f in found if f is not None))


def item_of(type_: Type) -> Type | None:
    """Return what going through a value gives, None where it cannot be gone through."""
    match type_:
        case List():
            return type_.item
        case Map() | Record() | Object() | Enum() | Const(str()):
            return STRING
        case AnyType():
            return ANY
    return STRING if sorts(type_) == {"text"} else None


def field_of(of: Inference, node: nodes.Expr, item: Kind) -> Type:
    """Return the type of `attribute='a.b'` of an item, and report what it lacks."""
    if not isinstance(node, nodes.Const) or not isinstance(node.value, str) or not is_type(item):
        return ANY
    start, _ = string_in(of.reports.site.text, node)
    current = item
    for part in re.finditer(r"[^.]+", node.value):
        name = part[0]
        found: list[Type] = []
        lacking: list[Record] = []
        bare: list[Type] = []
        for m in members(current):
            match m:
                case Record():
                    field = m.get(name)
                    if field is None:
                        lacking.append(m)
                    else:
                        found.append(nullable(field.type) if field.optional else field.type)
                case Map():
                    found.append(m.value)
                case AnyType() | Object():
                    return ANY
                case List() if name.isdigit():
                    found.append(m.item)
                case Null():
                    pass
                case _:
                    bare.append(m)
        if not found:
            if lacking:
                names = [n for r in lacking for n in r.names()]
                what = lacking[0].name or "an item"
                of.reports.error(
                    "unknown-field", start + part.start(), len(name), f"{what} has no field {name!r}", did_you_mean(name, names, "it has")
                )
            elif bare:
                of.reports.error(
                    "no-field", start + part.start(), len(name), f"the items are {spell(bare[0])}, which has no field {name!r}"
                )
            return ANY
        current = union(*found)
    return current


def argument(node: nodes.Filter, name: str, position: int | None = None) -> nodes.Expr | None:
    """Return an argument of a filter by name or position."""
    for keyword in node.kwargs:
        if keyword.key == name:
            found: nodes.Expr = keyword.value
            return found
    if position is not None and position < len(node.args):
        at: nodes.Expr = node.args[position]
        return at
    return None
