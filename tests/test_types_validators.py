"""Values are checked strictly, and what is wrong is said with its path in plain words."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from random_types import TABLE, json_data, types

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
from flowkit.types.validators import Invalid, Validator, pattern_error

ISSUE = Record(
    (
        Field("title", STRING),
        Field("kind", Enum(("bug", "question", "billing"))),
        Field("severity", Integer(1, 5)),
        Field("order_id", STRING, optional=True),
    ),
    "Issue",
)
TREE = Ref("Tree", {})
TREE.table["Tree"] = Record((Field("value", INTEGER), Field("kids", List(TREE))), "Tree")  # type: ignore[index]  # only here is it filled


def said(type_: Type, value: Any) -> list[str]:
    """Return what is wrong with plain data, or with JSON text as bytes."""
    check = Validator(type_)
    with pytest.raises(Invalid) as caught:
        check.json(value) if isinstance(value, bytes) else check.value(value)
    return [str(e) for e in caught.value.errors]


def test_every_mistake_is_told_with_its_path():
    """All places are reported at once, in plain words."""
    value = [{"title": "x", "kind": "bug", "severity": 1}, {"kind": "feature", "severity": 9, "titel": "x"}, 5]
    assert said(List(ISSUE), value) == [
        "[1].title: is required: text",
        "[1].kind: must be one of bug, question, billing, not 'feature'",
        "[1].severity: must be an integer from 1 to 5, not 9",
        "[1].titel: is not a field here; did you mean 'title'?",
        "[2]: must be an object with title, kind, severity, order_id, not 5",
    ]


def test_paths_are_written_as_people_write_them():
    """Names with dots, positions in brackets, odd keys in quotes."""
    type_ = Record((Field("issues", List(Map(Record((Field("odd key", INTEGER),))))),))
    assert said(type_, {"issues": [{}, {"a b": {"odd key": "x"}}]}) == ["issues[1]['a b']['odd key']: must be an integer, not 'x'"]


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (INTEGER, '"5"'),
        (INTEGER, "true"),
        (INTEGER, "5.0"),
        (INTEGER, "null"),
        (NUMBER, '"5"'),
        (NUMBER, "true"),
        (NUMBER, "NaN"),
        (NUMBER, "1e999"),
        (NUMBER, "-Infinity"),
        (Number(0, 1), "1.01"),
        (Number(0.5, 0.9), "1"),
        (BOOLEAN, "1"),
        (BOOLEAN, '"true"'),
        (STRING, "5"),
        (NULL, '""'),
        (Enum(("a",)), '"A"'),
        (List(STRING), '"a"'),
        (OBJECT, "[]"),
        (ANY, "NaN"),
        (ANY, "[1e999]"),
        (OBJECT, '{"a": NaN}'),
        (Date(), '"2026-02-30"'),
        (Date(), '"20260301"'),
        (Date(), '"2026-03-01T00:00:00Z"'),
        (DateTime(), '"2026-03-01T25:00:00Z"'),
        (DateTime(), '"2026-03-01"'),
        (String(2, 3), '"x"'),
        (String(2, 3), '"xxxx"'),
        (String(pattern="^a+$"), '"b"'),
        (String(pattern="(?=a)a$"), '"b"'),
        (List(INTEGER, 1, 2), "[]"),
        (List(INTEGER, 1, 2), "[1, 2, 3]"),
        (Const(True), "1"),
        (Const(1), "true"),
    ],
)
def test_nothing_is_converted(type_: Type, text: str):
    """A value of another kind is refused, even where it could be read as the right one."""
    with pytest.raises(Invalid):
        Validator(type_).json(text)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (NUMBER, 5),
        (NUMBER, 5.5),
        (Number(0.5, 1.5), 1),
        (INTEGER, 10**300),
        (Date(), "2026-03-01"),
        (DateTime(), "2026-03-01T10:00:00.123456789+02:00"),
        (DateTime(), "2026-03-01 10:00"),
        (String(pattern="b"), "abc"),
        (String(1, 1), "é"),
        (Enum(("a", "b c")), "b c"),
        (union(STRING, NULL), None),
        (union(INTEGER, List(STRING)), ["a"]),
        (ANY, {"a": [1, 2.5, None, True, "x"]}),
        (Map(INTEGER), {"": 1}),
    ],
)
def test_what_fits_stays_as_it_is(type_: Type, value: Any):
    """A value that fits is the same afterwards, 5 stays an integer, a date stays text."""
    for found in (Validator(type_).json(json.dumps(value)), Validator(type_).value(value)):
        assert found == value
        assert type(found) is type(value)


def test_absent_is_one_thing():
    """An optional field that is null or not there is not there; a required one that may be null is null; a default is filled."""
    type_ = Record(
        (
            Field("z", STRING, optional=True),
            Field("a", List(STRING), default=["x"]),
            Field("n", union(STRING, NULL)),
            Field("k", union(STRING, NULL), default="k"),
        )
    )
    check = Validator(type_)
    assert check.json('{"n": null, "a": null, "z": null}') == {"a": ["x"], "n": None, "k": "k"}
    assert check.value({"n": "", "k": None, "z": "z"}) == {"z": "z", "a": ["x"], "n": "", "k": None}
    assert said(type_, {}) == ["n: is required: text or null"]


def test_defaults_are_not_shared():
    """Each value has its own copy of a default."""
    check = Validator(Record((Field("a", List(STRING), default=[]),)))
    check.value({})["a"].append("x")
    assert check.value({}) == {"a": []}
    assert check.value({"a": None}) == {"a": []}


def test_fields_stand_in_the_authors_order():
    """The order of the reply does not count: what enters the next prompt is always spelled alike."""
    text = b'{"severity": 1, "kind": "bug", "title": "x"}'
    assert list(Validator(ISSUE).json(text)) == ["title", "kind", "severity"]
    assert list(Validator(ISSUE).value(json.loads(text))) == ["title", "kind", "severity"]


class Tone(enum.StrEnum):
    FORMAL = "formal"


def test_python_objects_are_refused():
    """Only JSON data passes; the place of anything else is told."""
    assert said(ANY, {"a": [date(2026, 1, 1)]}) == ["a[0]: must be JSON data, not a Python object of type date"]
    assert said(OBJECT, {"a": {5: 1}}) == ["a: must have text as keys, not 5"]
    assert said(Map(INTEGER), {5: 1}) == ["must have text as keys, not 5"]
    assert said(ISSUE, {5: 1})[-1] == "must have text as keys, not 5"
    for type_, value in [
        (STRING, bytearray(b"x")),
        (List(INTEGER), (1,)),
        (Date(), date(2026, 1, 1)),
        (ANY, {1}),
        (ANY, object()),
        (NUMBER, 1j),
    ]:
        assert "a Python object of type" in said(type_, value)[0]
    with pytest.raises(Invalid, match="must be text, not a Python object of type bytes"):
        Validator(STRING).value(b"x")


def test_kinds_of_text_and_mapping_become_plain():
    """Subclasses are copied into the plain types, so that they print alike everywhere."""
    assert type(Validator(STRING).value(Tone.FORMAL)) is str
    assert type(Validator(ANY).value(Tone.FORMAL)) is str
    assert type(Validator(ANY).value(OrderedDict(a=1))) is dict


def test_a_checked_value_is_a_copy():
    """What a caller does to its own data later changes nothing."""
    data = {"a": [1]}
    copy = Validator(ANY).value(data)
    data["a"].append(2)
    assert copy == {"a": [1]}


@pytest.mark.parametrize("type_", [STRING, ANY, Map(ANY), String(pattern="."), Enum(("a",)), ISSUE])
def test_half_surrogates_are_refused(type_: Type):
    """Text that no file and no wire can hold never gets in."""
    for value in ("\ud800", {"\ud800": 1}):
        with pytest.raises(Invalid):
            Validator(type_).value(value)
    with pytest.raises(Invalid):
        Validator(type_).json('"\ud800"')
    with pytest.raises(Invalid):
        Validator(type_).json(b'"\\ud800"')


@pytest.mark.parametrize("type_", [ANY, OBJECT, INTEGER, NUMBER, STRING, TREE, List(ANY), union(ISSUE, List(INTEGER))])
@pytest.mark.parametrize("text", [b"[" * 5_000, b"[" * 5_000 + b"]" * 5_000, b"9" * 5_000, b'{"value":' * 5_000, b"", b"\xff", b"1 2"])
def test_hostile_text_is_refused(type_: Type, text: bytes):
    """Depth, huge integers and broken bytes are an ordinary mistake."""
    with pytest.raises(Invalid) as caught:
        Validator(type_).json(text)
    assert caught.value.errors[0].message.startswith("is not JSON: ")
    assert caught.value.errors[0].kind == "syntax"


def test_hostile_objects_are_refused():
    """Depth, circles and huge integers in Python data are an ordinary mistake too."""
    circle: list[Any] = []
    circle.append(circle)
    tree: dict[str, Any] = {"value": 1, "kids": []}
    tree["kids"].append(tree)
    assert said(ANY, circle)[0].endswith("is nested too deeply")
    assert said(TREE, tree) == ["kids[0]: is nested too deeply"]
    for type_ in (ANY, INTEGER, NUMBER, Integer(0)):
        assert "a huge integer" in said(type_, 10**5_000)[0] or "4200 digits" in said(type_, 10**5_000)[0]
    assert said(ANY, [math.inf]) == ["[0]: must be a finite number"]


def test_alternatives_complain_about_the_one_that_was_meant():
    """Of several alternatives the one of the right kind is explained; else all are named."""
    type_ = union(STRING, List(ISSUE), NULL)
    assert said(type_, 5) == ["must be text or a list, not 5"]
    assert said(type_, [{"title": "x", "kind": "bugg", "severity": 1}]) == ["[0].kind: must be one of bug, question, billing, not 'bugg'"]
    assert said(List(union(ISSUE, TREE)), [{"value": 1, "kids": 3}]) == ["[0].kids: must be a list, not 3"]
    assert said(union(STRING, INTEGER, NULL), 1.5) == ["must be text or an integer or null, not 1.5"]


def test_lengths_are_told_as_lengths():
    """A long text is not quoted back."""
    assert said(String(None, 3), "x" * 300) == ["must be text of at most 3 characters, not 300 characters"]
    assert said(List(STRING, 1), []) == ["must have at least 1 item, not 0"]


def test_types_may_contain_themselves():
    """Recursion is followed as deep as the value goes."""
    value = {"value": 1, "kids": [{"value": 2, "kids": []}]}
    assert Validator(TREE).value(value) == value
    value["kids"][0]["value"] = "x"  # type: ignore[index]  # made two lines above
    assert said(TREE, value) == ["kids[0].value: must be an integer, not 'x'"]


def test_circular_names_do_no_harm():
    """Names that lead to themselves are the parser's mistake to report; here they are `any`."""
    table: dict[str, Type] = {}
    table["A"], table["B"] = Ref("B", table), Ref("A", table)
    table["C"] = union(Ref("C", table), NULL)
    for name in table:
        assert Validator(Ref(name, table)).json("5") == 5


def test_same_names_of_two_files_are_two_types():
    """A name means what its own table says."""
    one: dict[str, Type] = {"T": STRING}
    two: dict[str, Type] = {"T": INTEGER}
    check = Validator(Record((Field("a", Ref("T", one)), Field("b", Ref("T", two)))))
    assert check.value({"a": "x", "b": 1}) == {"a": "x", "b": 1}


def test_patterns_are_checked_before_use():
    """A pattern that is no regular expression is known; look-around is one."""
    assert pattern_error("^a$") is None
    assert pattern_error("(?=a)") is None
    assert "unterminated" in (pattern_error("(a") or "")


@given(types, json_data)
def test_both_ways_agree(type_: Type, value: Any):
    """A value passes as data exactly when it passes as JSON text, with the same result and the same complaints."""
    check = Validator(type_)
    text = json.dumps(value)
    value = json.loads(text)
    try:
        found = check.json(text)
    except Invalid as error:
        with pytest.raises(Invalid) as caught:
            check.value(value)
        assert [str(e) for e in caught.value.errors] == [str(e) for e in error.errors]
        assert all(e.message for e in error.errors)
    else:
        assert check.value(value) == found
        assert check.value(found) == found


def test_named_types_of_the_random_types_are_sound():
    """The types that the laws are tried on can be compiled."""
    assert Validator(Ref("Tree", TABLE)).value({"value": 1, "kids": [], "other": None, "named": {}})
