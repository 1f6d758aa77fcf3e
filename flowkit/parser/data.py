"""Check data of the file against its type, and infer types where none is written. Knows where each piece of the data stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowkit.parser.shapes import is_empty
from flowkit.parser.values import BAD, finite
from flowkit.source import Mapping, Node, Sequence
from flowkit.spelling import did_you_mean, nearest
from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    AnyType,
    Enum,
    Field,
    Integer,
    List,
    Null,
    Number,
    Record,
    Type,
    expand,
    nullable,
    present,
    union,
)
from flowkit.types.validators import FieldError, Invalid, Validator

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowkit.errors import Place
    from flowkit.parser.reading import Reading


def data(r: Reading, type_: Type, node: Node, what: str, code: str) -> Any:
    """Return the data of a node that must have a type, or BAD when problems have been reported, each where it stands."""
    if is_empty(node):
        r.error("empty-value", node.place(), f"{what} is empty", "write null if absence is meant")
        return BAD
    value = finite(r, node, what)
    if value is BAD or isinstance(type_, AnyType):
        return value
    return value if fits(r, type_, value, what, code, lambda error: _place(node, error)) else BAD


def fits(r: Reading, type_: Type, value: Any, what: str, code: str, place: Callable[[FieldError], Place]) -> bool:
    """Report each place of a value that does not have its type; whether there is none."""
    try:
        Validator(type_).value(value)
    except Invalid as invalid:
        for error in _once(invalid.errors, type_):
            r.error(code, place(error), f"{what} does not fit its type: {error}", _hint(error, type_, value))
        return False
    return True


def _once(errors: tuple[FieldError, ...], type_: Type) -> list[FieldError]:
    """Drop what is missing only because its name is misspelt."""
    slips = set()
    for extra in (e for e in errors if e.kind == "extra"):
        missing = [str(e.loc[-1]) for e in errors if e.kind == "missing" and e.loc[:-1] == extra.loc[:-1]]
        if (meant := nearest(str(extra.loc[-1]), missing)) is not None:
            slips.add((*extra.loc[:-1], meant))
    return [e for e in errors if not (e.kind == "missing" and e.loc in slips)]


def _hint(error: FieldError, type_: Type, value: Any) -> str | None:
    for part in error.loc if error.kind == "type" else ():
        type_ = present(expand(type_))
        if isinstance(type_, Record) and (found := type_.get(str(part))) is not None:
            type_, value = found.type, value[part]
        elif isinstance(type_, List) and isinstance(part, int):
            type_, value = type_.item, value[part]
        else:
            return None
    type_ = present(expand(type_))
    if isinstance(type_, Enum) and isinstance(value, str):
        return did_you_mean(value, type_.words)
    if isinstance(type_, Enum) and str(value) in type_.words:
        return f'quote it: "{value}"'
    return None


def _place(node: Node, error: FieldError) -> Place:
    loc = error.loc if error.kind == "type" else error.loc[:-1]
    for part in loc:
        if isinstance(node, Mapping) and (value := node.get(str(part))) is not None:
            node = value
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        else:
            break
    if error.kind == "extra" and isinstance(node, Mapping) and (key := node.key(str(error.loc[-1]))) is not None:
        return key.place()
    return node.place()


# -- inference ---------------------------------------------------------------------------------------------


def infer(value: Any) -> Type:
    """Return the type of plain data: lists of one sort have it, mappings are records, what differs is `any`."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int():
            return INTEGER
        case float():
            return NUMBER
        case str():
            return STRING
        case list():
            return List(_common([infer(item) for item in value]))
    return Record(tuple(Field(str(name), infer(item)) for name, item in value.items()))


def _common(types: list[Type]) -> Type:
    found = types[0] if types else ANY
    for type_ in types[1:]:
        found = _join(found, type_)
    return found


def _join(a: Type, b: Type) -> Type:
    if a == b:
        return a
    if isinstance(a, Null) or isinstance(b, Null):
        return nullable(union(a, b))
    one, other = present(a), present(b)
    if one != a or other != b:
        return nullable(_join(one, other))
    match a, b:
        case (Integer() | Number(), Integer() | Number()):
            return NUMBER
        case (List(), List()):
            if isinstance(a.item, AnyType) or isinstance(b.item, AnyType):
                return List(ANY)
            return List(_join(a.item, b.item))
        case (Record(), Record()) if set(a.names()) == set(b.names()):
            others = {f.name: f.type for f in b.fields}
            return Record(tuple(Field(f.name, _join(f.type, others[f.name])) for f in a.fields))
    return ANY
