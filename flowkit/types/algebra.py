"""The types themselves, as values: equal when they have the same structure. Knows no syntax, no JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


#: Stands where a field has no default; None is a default like any other.
MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class String:
    """Text; `min` and `max` bound its length, `pattern` is searched for as a regular expression."""

    min: int | None = None
    max: int | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number with inclusive bounds."""

    min: int | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number with inclusive bounds."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class Date:
    """A calendar day as ISO 8601 text."""


@dataclass(frozen=True, slots=True)
class DateTime:
    """A moment as ISO 8601 text."""


@dataclass(frozen=True, slots=True)
class AnyType:
    """Any JSON value: the end of all knowledge."""


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping of which nothing more is known."""


@dataclass(frozen=True, slots=True)
class Null:
    """Absent: JSON null, a skipped output, an optional field that is not there."""


@dataclass(frozen=True, slots=True)
class Enum:
    """One of some words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Const:
    """One literal of an expression; the checker alone makes these, see `widen`."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class List:
    """A list of items of one type."""

    item: Type
    min_items: int | None = None
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping from any text to values of one type."""

    value: Type


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. What it is called and typed makes it equal, not what is said about it."""

    name: str
    type: Type
    optional: bool = False
    description: str = field(default="", compare=False)
    default: Any = field(default=MISSING, compare=False)
    examples: tuple[Any, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields in the author's order; two records with the same fields are the same type."""

    fields: tuple[Field, ...]
    name: str | None = field(default=None, compare=False)
    description: str = field(default="", compare=False)

    def get(self, name: str) -> Field | None:
        """Return the field of that name."""
        return next((f for f in self.fields if f.name == name), None)

    def names(self) -> list[str]:
        """Return the names of the fields, in order."""
        return [f.name for f in self.fields]


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types: flat, without duplicates, Null last. Made by `union` only."""

    members: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """A named type, looked up when needed, so that a type may contain itself."""

    name: str
    table: Mapping[str, Type] = field(compare=False, repr=False)


Type: TypeAlias = (
    String | Integer | Number | Boolean | Date | DateTime | AnyType | Object | Null | Enum | Const | List | Map | Record | Union | Ref
)

STRING = String()
INTEGER = Integer()
NUMBER = Number()
BOOLEAN = Boolean()
ANY = AnyType()
OBJECT = Object()
NULL = Null()
#: The built-in name `Message`, as in `history` and `steps.x.messages`.
MESSAGE = Record((Field("role", Enum(("system", "developer", "user", "assistant", "tool"))), Field("content", STRING)), name="Message")
MESSAGES = List(MESSAGE)


def expand(type_: Type) -> Type:
    """Return the type behind a name; any other type is itself. A name that leads nowhere is `any`."""
    seen = 0
    while isinstance(type_, Ref):
        seen += 1
        if seen > 100:  # a: b, b: a
            return ANY
        type_ = type_.table.get(type_.name, ANY)
    return type_


def members(type_: Type) -> Iterator[Type]:
    """Yield the alternatives of a type, names expanded."""
    type_ = expand(type_)
    if isinstance(type_, Union):
        for m in type_.members:
            yield from members(m)
    else:
        yield type_


def union(*types: Type) -> Type:
    """Join types: flat, once each, Null last. With `any` among them the whole is `any`."""
    flat: dict[Type, None] = {}
    null = False
    for t in types:
        parts = t.members if isinstance(t, Union) else (t,)
        for m in parts:
            if isinstance(m, AnyType):
                return ANY
            if isinstance(m, Null):
                null = True
            else:
                flat[m] = None
    if null:
        flat[NULL] = None
    if len(flat) == 1:
        return next(iter(flat))
    return Union(tuple(flat)) if flat else ANY


def nullable(type_: Type) -> Type:
    """Return the type with absence added."""
    return union(type_, NULL)


def may_be_absent(type_: Type) -> bool:
    """Whether absence is one of the alternatives; of `any` that is not known, so no."""
    return any(isinstance(m, Null) for m in members(type_))


def present(type_: Type) -> Type:
    """Return the type with absence taken away; of nothing but absence, `any` remains."""
    if not may_be_absent(type_):
        return type_
    rest = [m for m in members(type_) if not isinstance(m, Null)]
    return union(*rest) if rest else ANY


def widen(type_: Type) -> Type:
    """Return what a value of this type is declared as: a literal becomes its plain type, at every depth."""
    match type_:
        case Const(bool()):
            return BOOLEAN
        case Const(int()):
            return INTEGER
        case Const(float()):
            return NUMBER
        case Const():
            return STRING
        case List():
            return List(widen(type_.item), type_.min_items, type_.max_items)
        case Map():
            return Map(widen(type_.value))
        case Union():
            return union(*(widen(m) for m in type_.members))
        case Record():
            fields = tuple(Field(f.name, widen(f.type), f.optional, f.description, f.default, f.examples) for f in type_.fields)
            return Record(fields, type_.name, type_.description)
    return type_


def endless(type_: Type) -> bool:
    """Whether a type contains itself with no way out, so that no value of it can be written down.

    `Node: {next: Node}` is endless; `{next?: Node}`, `{next: Node | null}` and `list(Node)` end. `A: A | null` is endless too.
    """
    return _endless(type_, frozenset(), frozenset())


def _endless(type_: Type, above: frozenset[tuple[int, str]], direct: frozenset[tuple[int, str]]) -> bool:
    match type_:
        case Ref():
            key = (id(type_.table), type_.name)
            if key in above:
                return True
            return _endless(type_.table.get(type_.name, ANY), above | {key}, direct | {key})
        case Record():
            needed = (f for f in type_.fields if not f.optional and f.default is MISSING)
            return any(_endless(f.type, above, frozenset()) for f in needed)
        case List():
            return bool(type_.min_items) and _endless(type_.item, above, frozenset())
        case Union():
            if any(isinstance(m, Ref) and (id(m.table), m.name) in direct for m in type_.members):
                return True
            return all(_endless(m, above, direct) for m in type_.members)
    return False
