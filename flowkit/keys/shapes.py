"""What a table of keys is made of: shapes, keys, tables. Knows no key by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

StepKind = Literal["chat", "flow", "call", "set"]

ShapeKind = Literal[
    "any",  # data of any kind
    "word",  # plain text, no template
    "name",  # a name: letters, digits and _
    "path",  # a path relative to the file
    "text",  # a Jinja template
    "expression",  # a bare Jinja expression, or a number, boolean, null, list or mapping that stands for itself
    "type",  # a type in the grammar
    "fields",  # a mapping of fields: a record
    "duration",  # 30s, 5m, 2h, 7d, 500ms or seconds
    "boolean",
    "integer",
    "number",
    "words",  # one of `of_words`
    "list",  # a list of `of[0]`
    "map",  # a mapping from names to `of[0]`
    "table",  # the mapping described by the table `ref`
    "either",  # one of `of`
]


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand under a key."""

    kind: ShapeKind
    of: tuple[Shape, ...] = ()
    of_words: tuple[str, ...] = ()
    ref: str = ""
    min: float | None = None
    max: float | None = None
    #: Whether numbers equal to `min` are out of range.
    above: bool = False


def words(*of: str) -> Shape:
    """One of some words."""
    return Shape("words", of_words=of)


def list_of(shape: Shape, least: int = 1) -> Shape:
    """A list."""
    return Shape("list", (shape,), min=least)


def map_of(shape: Shape) -> Shape:
    """A mapping from names."""
    return Shape("map", (shape,))


def table(name: str) -> Shape:
    """The mapping that the table of that name describes."""
    return Shape("table", ref=name)


def either(*of: Shape) -> Shape:
    """One of several shapes."""
    return Shape("either", of)


def integer(least: int | None = None, most: int | None = None) -> Shape:
    """A whole number with inclusive bounds."""
    return Shape("integer", min=least, max=most)


def number(least: float | None = None, most: float | None = None, *, above: bool = False) -> Shape:
    """A number with inclusive bounds; with `above`, greater than `least`."""
    return Shape("number", min=least, max=most, above=above)


ANY, WORD, NAME, PATH = Shape("any"), Shape("word"), Shape("name"), Shape("path")
#: Words that may be none.
ABOUT = Shape("word", min=0)
TEXT, EXPRESSION, TYPE = Shape("text"), Shape("expression"), Shape("type")
DURATION, BOOLEAN = Shape("duration"), Shape("boolean")
COUNT = integer(1)
#: The fields of a record, by name.
FIELDS = Shape("fields")
MODEL = either(WORD, list_of(WORD))
CONTENT = either(TEXT, list_of(table("part")))
EXAMPLES = either(list_of(table("example")), PATH)
NAMED_EXPRESSIONS = either(map_of(EXPRESSION), EXPRESSION)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping. `kinds`: the kinds of step that have it, for keys of a step; empty: all."""

    name: str
    shape: Shape
    doc: str
    example: str = ""
    required: bool = False
    kinds: tuple[StepKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One mapping of the format."""

    name: str
    title: str
    doc: str
    keys: tuple[Key, ...]
    #: Words of other tools and of habit: the key that is meant.
    meant: Mapping[str, str] = field(default_factory=dict)
    #: Words without a key of their own: the way out.
    hints: Mapping[str, str] = field(default_factory=dict)
    #: The way out when a required key is missing; empty: as in its example.
    lacking: str = ""
    #: Exactly one key stands there.
    single: bool = False

    def get(self, name: str) -> Key | None:
        """Return the key of that name."""
        return next((key for key in self.keys if key.name == name), None)

    def __getitem__(self, name: str) -> Key:
        """Return the key of a name that the table has."""
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def names(self) -> tuple[str, ...]:
        """Return the names of the keys, in order."""
        return tuple(key.name for key in self.keys)
