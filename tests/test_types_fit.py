"""Whether a value may go where another type is declared is known before anything runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from random_types import TABLE, types

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Const,
    Date,
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
from flowkit.types.fit import fits

AB = Enum(("a", "b"))
POINT = Record((Field("x", INTEGER), Field("label", STRING, optional=True)), "Point")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (INTEGER, NUMBER),
        (INTEGER, Integer(1, 5)),
        (Integer(1, 5), Integer(5, 9)),
        (STRING, String(None, 280)),
        (AB, STRING),
        (AB, Enum(("b", "c", "a"))),
        (Date(), STRING),
        (Const("a"), AB),
        (Const(3), Integer(1, 5)),
        (Const(3), NUMBER),
        (Const("2026-03-01"), Date()),
        (Const(True), BOOLEAN),
        (STRING, union(STRING, NULL)),
        (NULL, union(STRING, NULL)),
        (union(Const("a"), Const("b")), AB),
        (ANY, INTEGER),
        (INTEGER, ANY),
        (List(ANY), List(INTEGER)),
        (POINT, OBJECT),
        (OBJECT, POINT),
        (OBJECT, Map(STRING)),
        (Record((Field("a", INTEGER),)), Map(NUMBER)),
        (Map(INTEGER), Record((Field("a", NUMBER),))),
        (Record((Field("x", INTEGER),)), POINT),
        (Record((Field("label", union(STRING, NULL)), Field("x", INTEGER))), POINT),
        (Record((Field("x", INTEGER),)), Record((Field("x", INTEGER), Field("y", STRING, default="q")))),
        (Ref("Tree", TABLE), Ref("Tree", dict(TABLE))),
    ],
)
def test_fits(source: Type, target: Type):
    """What is always right, and what may be right at run time, is accepted."""
    assert fits(source, target) is None


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (STRING, INTEGER, "string is not integer"),
        (NUMBER, INTEGER, "number is not integer"),
        (STRING, AB, "string is not enum(a | b)"),
        (STRING, Date(), "string is not date"),
        (BOOLEAN, INTEGER, "boolean is not integer"),
        (Integer(6, 9), Integer(1, 5), "integer(6..9) is never integer(1..5)"),
        (Number(None, 0), Integer(1), "number(..0) is not integer(1..)"),
        (String(10), String(None, 5), "string(10..) is never string(..5)"),
        (Enum(("a", "d")), AB, "'d' is not among the words of enum(a | b)"),
        (Const("friendli"), Enum(("friendly", "formal")), "'friendli' is not enum(friendly | formal); did you mean 'friendly'?"),
        (Const(9), Integer(1, 5), "9 is not integer(1..5)"),
        (Const(True), INTEGER, "true is not integer"),
        (Const("soon"), Date(), "'soon' is not date"),
        (union(STRING, NULL), STRING, "may be absent"),
        (NULL, STRING, "may be absent"),
        (union(STRING, INTEGER), STRING, "integer is not string"),
        (INTEGER, union(STRING, BOOLEAN), "integer is not string | boolean"),
        (List(POINT), List(Record((Field("x", STRING), Field("label", STRING)))), "[].x: integer is not string"),
        (
            Record((Field("a", POINT),)),
            Record((Field("a", Record((Field("x", INTEGER), Field("label", STRING)))),)),
            "a.label: may be absent",
        ),
        (Record(()), POINT, "the field 'x' is missing"),
        (Record((Field("x", INTEGER), Field("lable", STRING))), POINT, "'lable' is not a field of Point; did you mean 'label'?"),
        (Map(STRING), Map(INTEGER), "[…]: string is not integer"),
        (POINT, Map(INTEGER), "label: string is not integer"),
        (POINT, Map(union(INTEGER, STRING)), "label: may be absent"),
        (List(STRING, 5), List(STRING, None, 2), "the number of items is never right"),
        (OBJECT, STRING, "object is not string"),
    ],
)
def test_reasons(source: Type, target: Type, reason: str):
    """What cannot be right is refused with the path and both types."""
    assert fits(source, target) == reason


def test_recursive_types_are_compared_to_the_end():
    """Two trees that differ deep down do not fit, and the comparison ends."""
    one: dict[str, Type] = {}
    one["Tree"] = Record((Field("kids", List(Ref("Tree", one))), Field("value", INTEGER)))
    two: dict[str, Type] = {}
    two["Tree"] = Record((Field("kids", List(Ref("Tree", two))), Field("value", STRING)))
    assert fits(Ref("Tree", one), Ref("Tree", two)) == "value: integer is not string"
    assert fits(Ref("Tree", one), one["Tree"]) is None


@given(types)
def test_every_type_fits_itself(type_: Type):
    """A value may always go where its own type is declared."""
    assert fits(type_, type_) is None


@given(types, types)
def test_alternatives_only_widen(one: Type, other: Type):
    """Declaring more alternatives never makes a value wrong."""
    assert fits(one, union(one, other)) is None
