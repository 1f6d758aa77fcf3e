"""Python annotations become types, and odd ones never raise."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import enum
import functools
import typing
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, Required, TypedDict, TypeVar

import pytest
from pydantic import BaseModel
from pydantic import Field as PydanticField

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    MISSING,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Date,
    DateTime,
    Enum,
    Field,
    Integer,
    List,
    Map,
    Number,
    Record,
    Ref,
    String,
    Type,
    union,
)
from flowkit.types.annotations import signature, type_of, type_of_class


class Size(enum.IntEnum):
    SMALL = 1


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclasses.dataclass
class Node:
    """A tree of numbers."""

    value: int
    kids: list[Node] = dataclasses.field(default_factory=list)
    made: int = dataclasses.field(init=False, default=0)
    stamp: object = dataclasses.field(default_factory=object)


class Order(TypedDict, total=False):
    id: Required[str]
    count: Annotated[int, "how many"]


class Line(TypedDict):
    text: str
    note: NotRequired[str]


class Ticket(BaseModel):
    title: str = PydanticField(description="short", max_length=5, pattern="^a")
    severity: Annotated[int, PydanticField(ge=1, lt=6)] = 3
    score: float = PydanticField(ge=0, le=1)
    owner: str | None = None
    parent: Ticket | None = None
    kind: str = PydanticField(alias="type")


@pytest.mark.parametrize(
    ("annotation", "type_"),
    [
        (str, STRING),
        (int, INTEGER),
        (float, NUMBER),
        (bool, BOOLEAN),
        (None, NULL),
        (Any, ANY),
        (object, ANY),
        (datetime.date, Date()),
        (datetime.datetime, DateTime()),
        (list[int], List(INTEGER)),
        (list, List(ANY)),
        (typing.List, List(ANY)),  # noqa: UP006  # the old spelling is what is tried
        (tuple[int, ...], List(INTEGER)),
        (tuple[int, str], List(union(INTEGER, STRING), 2, 2)),
        (set[str], List(STRING)),
        (collections.abc.Sequence[str], List(STRING)),
        (dict[str, int], Map(INTEGER)),
        (dict[int, str], OBJECT),
        (dict, OBJECT),
        (typing.Mapping[str, Any], Map(ANY)),
        (str | None, union(STRING, NULL)),
        (Optional[int], union(INTEGER, NULL)),  # noqa: UP045  # as above
        (Literal["a", "b"], Enum(("a", "b"))),
        (Literal["a", None, 3], union(Enum(("a",)), NULL, INTEGER)),
        (Color, Enum(("red", "green"))),
        (Size, INTEGER),
        (NewType("Name", str), STRING),
        (TypeVar("T"), ANY),
        (TypeVar("B", bound=int), INTEGER),
        (Annotated[str, "about"], STRING),
        (collections.abc.Awaitable[str], STRING),
        (collections.abc.Callable[[int], str], ANY),
        (collections.abc.Iterator[int], ANY),
        (bytes, ANY),
        ("int", ANY),
        (5, ANY),
        ([1], ANY),
        (Exception, ANY),
        (typing.Generic, ANY),
        (tuple[()], List(ANY)),
    ],
)
def test_annotations(annotation: object, type_: Type):
    """Each annotation has one type; what has none is `any`."""
    assert type_of(annotation) == type_


def test_dataclasses_are_records():
    """Fields with a plain default have it, other defaults make a field optional, fields that cannot be given are no fields."""
    found = type_of_class(Node)
    assert isinstance(found, Record)
    assert (found.name, found.description) == ("Node", "A tree of numbers.")
    assert [(f.name, f.optional, f.default) for f in found.fields] == [
        ("value", False, MISSING),
        ("kids", False, []),
        ("stamp", True, MISSING),
    ]
    assert found.fields[1].type == List(Ref("Node", {}))


def test_typed_dicts_are_records():
    """`Required` and `NotRequired` count, also where annotations are strings."""
    assert type_of_class(Order) == Record((Field("id", STRING), Field("count", INTEGER, optional=True)))
    assert type_of_class(Line) == Record((Field("text", STRING), Field("note", STRING, optional=True)))
    order = type_of_class(Order)
    assert isinstance(order, Record)
    assert order.fields[1].description == "how many"


def test_pydantic_models_are_records():
    """Bounds, descriptions, defaults and aliases are read."""
    found = type_of_class(Ticket)
    assert isinstance(found, Record)
    assert found == Record(
        (
            Field("title", String(None, 5, "^a")),
            Field("severity", Integer(1, 5)),
            Field("score", Number(0, 1)),
            Field("owner", union(STRING, NULL)),
            Field("parent", union(Ref("Ticket", {}), NULL)),
            Field("type", STRING),
        )
    )
    assert found.fields[0].description == "short"
    assert [f.default for f in found.fields] == [MISSING, 3, MISSING, None, None, MISSING]


async def lookup_order(
    order: Order,
    count: int = 3,
    *tags: str,
    tone: Literal["formal", "friendly"],
    unknown: Missing,  # type: ignore[name-defined]  # noqa: F821  # what is tried
    half: list[Missing] = [],  # type: ignore[name-defined]  # noqa: B006, F821  # as above
    **rest: object,
) -> list[Ticket]:
    raise NotImplementedError


def test_signature():
    """Parameters are fields, one annotation that cannot be read spoils no other."""
    found = signature(lookup_order)
    assert [(p.name, p.optional, p.default) for p in found.params] == [
        ("order", False, MISSING),
        ("count", True, 3),
        ("tone", False, MISSING),
        ("unknown", False, MISSING),
        ("half", True, MISSING),
    ]
    assert [p.type for p in found.params[1:]] == [INTEGER, Enum(("formal", "friendly")), ANY, ANY]
    assert isinstance(found.returns, List)
    assert isinstance(found.returns.item, Record)
    assert found.extra_keywords
    assert found.is_async
    assert found.record().get("count") == Field("count", INTEGER, optional=True)


class Caller:
    text: bytes

    def __call__(self, text: str) -> int:
        return len(text)


def test_signatures_of_other_callables():
    """Objects, lambdas, partials, classes and functions of C are read as far as they go."""
    assert signature(Caller()).params == (Field("text", STRING),)
    assert signature(Caller()).returns == INTEGER
    assert signature(lambda x, /, y=1: x).positional_only == ("x",)
    assert [p.name for p in signature(functools.partial(lookup_order, "q")).params][:2] == ["count", "tone"]
    assert signature(print).returns == ANY
    assert signature(min).extra_keywords
    assert signature(Ticket).returns == ANY


def test_annotations_that_raise_are_any():
    """An annotation is code; when it fails, the type is not known."""

    def odd(a, b, c):  # type: ignore[no-untyped-def]  # annotations follow
        return a

    odd.__annotations__ = {"a": "1 / 0", "b": "(", "c": "int", "return": "undefined.name"}
    assert [p.type for p in signature(odd).params] == [ANY, ANY, INTEGER]
    assert signature(odd).returns == ANY
