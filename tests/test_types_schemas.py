"""Types become JSON Schema that servers accept, and a documented part of JSON Schema becomes types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_types import TABLE, types

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
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
from flowkit.types.schemas import SchemaUnsupported, from_json_schema, json_schema, shape, strict

ISSUE = Record(
    (
        Field("title", String(1, 80), description="short imperative title"),
        Field("severity", Integer(1, 5)),
        Field("tone", STRING, default="friendly"),
        Field("order_id", STRING, optional=True, examples=("A-1",)),
        Field("note", union(STRING, NULL), optional=True),
    ),
    "Issue",
    "One issue.",
)


def objects(schema: Any) -> list[dict[str, Any]]:
    """Collect every schema with properties."""
    found = [schema] if isinstance(schema, dict) and "properties" in schema else []
    inner = list(schema.values()) if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    return found + [o for each in inner for o in objects(each)]


def test_a_record_is_its_own_strict_schema():
    """Everything is required, what may be absent may be null, nothing else is allowed, descriptions stay."""
    text = {"type": "string"}
    null = {"type": "null"}
    found = shape(ISSUE, "support triage/extract", lengths=True)
    assert (found.name, found.wrapped) == ("support_triage_extract", False)
    assert found.schema == {
        "type": "object",
        "description": "One issue.",
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 80, "description": "short imperative title"},
            "severity": {"type": "integer", "minimum": 1, "maximum": 5},
            "tone": {"anyOf": [text, null]},
            "order_id": {"anyOf": [text, null]},
            "note": {"anyOf": [text, null]},
        },
        "required": ["title", "severity", "tone", "order_id", "note"],
        "additionalProperties": False,
    }


def test_lengths_can_be_left_out():
    """Some servers refuse minLength and maxLength; the answer is checked here in any case."""
    title = shape(ISSUE, "x", lengths=False).schema["properties"]["title"]
    assert title == {"type": "string", "description": "short imperative title"}


@pytest.mark.parametrize("type_", [STRING, Enum(("a", "b")), List(ISSUE), union(STRING, NULL), union(ISSUE, STRING), Date(), NULL])
def test_what_is_no_record_is_wrapped(type_: Type):
    """The root is always an object, never an alternative."""
    found = shape(type_, "x", lengths=True)
    assert found.wrapped
    assert found.schema["required"] == ["value"]
    assert found.schema["additionalProperties"] is False


def test_recursion_uses_definitions():
    """A type that contains itself refers to its definition; the root stays an object."""
    found = shape(Ref("Tree", TABLE), "x", lengths=True)
    assert not found.wrapped
    assert found.schema["type"] == "object"
    assert found.schema["properties"]["kids"] == {"type": "array", "items": {"$ref": "#/$defs/Tree"}}
    assert set(found.schema["$defs"]) == {"Tree"}


def test_a_type_that_is_used_once_stands_in_place():
    """A name alone makes no definition; two uses do, and scalars never."""
    used_once = shape(Record((Field("a", Ref("Issue", TABLE)),)), "x", lengths=True)
    assert "$defs" not in used_once.schema
    used_twice = shape(
        Record((Field("a", Ref("Issue", TABLE), description="the first"), Field("b", Ref("Issue", TABLE)))), "x", lengths=True
    )
    assert set(used_twice.schema["$defs"]) == {"Issue"}
    assert used_twice.schema["properties"]["a"] == {"anyOf": [{"$ref": "#/$defs/Issue"}], "description": "the first"}


def test_equal_names_of_two_files_stay_apart():
    """Each definition has a name of its own."""
    one: dict[str, Type] = {"T": Record((Field("a", STRING),))}
    two: dict[str, Type] = {"T": Record((Field("b", STRING),))}
    fields = tuple(Field(f"f{i}", Ref("T", table)) for i, table in enumerate([one, two, one, two]))
    found = shape(Record(fields), "x", lengths=True).schema
    assert [p["$ref"] for p in found["properties"].values()] == ["#/$defs/T", "#/$defs/T_"] * 2


@pytest.mark.parametrize("type_", [ANY, OBJECT, Map(STRING), List(Map(STRING)), Record((Field("a", ANY),)), Ref("Tree", TABLE)])
def test_free_keys_are_not_strict(type_: Type):
    """`map`, `object` and `any` cannot be said strictly, and that is told."""
    assert not strict(type_)


def test_a_mapping_is_its_own_root():
    """A mapping is an object already and is not wrapped."""
    found = shape(Map(INTEGER), "x", lengths=True)
    assert not found.wrapped
    assert found.schema == {"type": "object", "additionalProperties": {"type": "integer"}}


@given(types)
def test_strict_schemas_obey_the_servers(type_: Type):
    """Every object of every shape is closed and requires all of its properties."""
    found = shape(type_, "x", lengths=True).schema
    assert found["type"] == "object"
    for each in objects(found):
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])


def test_plain_schema_keeps_what_is_optional():
    """For readers, optional stays optional and defaults and examples are shown."""
    found = json_schema(ISSUE)
    assert found["required"] == ["title", "severity"]
    assert found["properties"]["tone"] == {"type": "string", "default": "friendly"}
    assert found["properties"]["order_id"] == {"type": "string", "examples": ["A-1"]}
    assert json_schema(List(Date())) == {"type": "array", "items": {"type": "string", "format": "date"}}


# -- the way back


@pytest.mark.parametrize(
    ("schema", "type_"),
    [
        ({"type": "string", "minLength": 1, "maxLength": 5, "pattern": "a"}, String(1, 5, "a")),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 5.0}, Integer(1, 5)),
        ({"type": "number", "minimum": 0.5}, Number(0.5)),
        ({"type": ["string", "null"]}, union(STRING, NULL)),
        ({"type": "string", "format": "date"}, Date()),
        ({"type": "string", "format": "date-time"}, DateTime()),
        ({"enum": ["a", "b", None]}, union(Enum(("a", "b")), NULL)),
        ({"const": "a", "type": "string"}, Enum(("a",))),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, List(INTEGER, 1)),
        ({"type": "array"}, List(ANY)),
        ({"type": "object"}, OBJECT),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, Map(INTEGER)),
        ({"type": "object", "additionalProperties": False}, Record(())),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, union(INTEGER, NULL)),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, union(INTEGER, BOOLEAN)),
        ({"allOf": [{"type": "number"}], "description": "x"}, NUMBER),
        ({"$schema": "x", "title": "T", "x-own": 1}, ANY),
        (
            {"properties": {"a": {"type": "string", "default": "q"}, "b": {"type": "string"}, "c": {}}, "required": ["c"]},
            Record((Field("a", STRING), Field("b", STRING, optional=True), Field("c", ANY))),
        ),
    ],
)
def test_reads_the_documented_subset(schema: dict[str, Any], type_: Type):
    """What a type can hold is read."""
    assert from_json_schema(schema, name="T", table={}) == type_


def test_reads_what_is_said_about_fields():
    """Descriptions, defaults and examples stay with the fields."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": "d", "default": "q", "examples": ["e"]}}}
    found = from_json_schema(schema, name="Place", table={})
    assert isinstance(found, Record)
    field = found.fields[0]
    assert (found.name, field.description, field.default, field.examples) == ("Place", "d", "q", ("e",))


def test_references_become_names():
    """Definitions go into the table under the name of the schema; a schema may refer to itself."""
    table: dict[str, Type] = {}
    schema = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "type": "object",
        "properties": {"first": {"$ref": "#/$defs/node"}, "self": {"$ref": "#"}},
    }
    found = from_json_schema(schema, name="Chain", table=table)
    assert set(table) == {"Chain", "Chain.node"}
    assert table["Chain"] == found
    assert table["Chain.node"] == Record((Field("next", Ref("Chain.node", table), optional=True),))


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "strin"}, "/type"),
        ({"not": {}}, "/not"),
        ({"type": "string", "format": "email"}, "/format"),
        ({"type": "number", "multipleOf": 2}, "/multipleOf"),
        ({"type": "string", "minimum": 2}, "/minimum"),
        ({"type": "integer", "minimum": 0.5}, "/minimum"),
        ({"type": "integer", "minimum": True}, "/minimum"),
        ({"type": "object", "properties": {"a/b": {"if": {}}}}, "/properties/a~1b/if"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": True}, "/additionalProperties"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "/required"),
        ({"type": "array", "items": [{}]}, "/items"),
        ({"enum": [1, 2]}, "/enum"),
        ({"const": 1}, "/const"),
        ({"allOf": [{}, {}]}, "/allOf"),
        ({"anyOf": []}, "/anyOf"),
        ({"$ref": "http://example.com/x"}, "/$ref"),
        ({"$ref": "#/$defs/no"}, "/$ref"),
        ({"type": "array", "items": False}, "/items"),
    ],
)
def test_other_keywords_are_errors(schema: dict[str, Any], pointer: str):
    """What a type cannot hold is refused with the place."""
    with pytest.raises(SchemaUnsupported) as caught:
        from_json_schema(schema, name="T", table={})
    assert caught.value.pointer == pointer


def test_depth_is_bounded():
    """A schema of a thousand levels is an ordinary mistake."""
    schema: dict[str, Any] = {}
    for _ in range(1_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaUnsupported, match="nested too deeply"):
        from_json_schema(schema, name="T", table={})


plain = st.sampled_from([String(1, 5), Integer(0), Number(0, 1), BOOLEAN, Date(), DateTime(), Enum(("a", "b")), NULL, ANY, OBJECT])


@given(
    st.recursive(
        plain, lambda t: t.map(List) | t.map(Map) | t.map(lambda x: Record((Field("a", x), Field("b", x, optional=True)))), max_leaves=5
    )
)
def test_plain_schemas_read_back(type_: Type):
    """What `json_schema` writes, `from_json_schema` reads back."""
    assert from_json_schema(json_schema(type_), name="T", table={}) == type_
