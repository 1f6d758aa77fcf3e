"""Types are read as FORMAT says, and each mistake has its exact place."""

from __future__ import annotations

import pytest
from hypothesis import given
from random_types import TABLE, lookup, spoken

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    MESSAGE,
    NULL,
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
    endless,
    union,
)
from flowkit.types.grammar import TypeSyntaxError, parse_type, spell


def read(text: str) -> Type:
    return parse_type(text, lookup, field=False).type


def mistake(text: str, *, field: bool = True) -> TypeSyntaxError:
    with pytest.raises(TypeSyntaxError) as caught:
        parse_type(text, lookup, field=field, names=TABLE)
    return caught.value


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("string", STRING),
        ("string(..280)", String(None, 280)),
        ("string( 3 .. 3 )", String(3, 3)),
        ("integer", INTEGER),
        ("integer(1..5)", Integer(1, 5)),
        ("integer(-5..)", Integer(-5, None)),
        ("number(0..1)", Number(0, 1)),
        ("number(-0.5..1.5e3)", Number(-0.5, 1500)),
        ("boolean", BOOLEAN),
        ("date", Date()),
        ("datetime", DateTime()),
        ("any", ANY),
        ("object", OBJECT),
        ("null", NULL),
        ("enum(a | b c | 'quoted, word')", Enum(("a", "b c", "quoted, word"))),
        ("enum('it''s' | \"a | b\" | don't)", Enum(("it's", "a | b", "don't"))),
        ("enum(one)", Enum(("one",))),
        ("list(string)", List(STRING)),
        ("map(list(integer))", Map(List(INTEGER))),
        ("Message", MESSAGE),
        ("Issue", Ref("Issue", TABLE)),
        ("string | null", union(STRING, NULL)),
        ("null|integer|string", union(INTEGER, STRING, NULL)),
        ("(string | integer)", union(STRING, INTEGER)),
        ("list((string | null))", List(union(STRING, NULL))),
        ("string\n  | null", union(STRING, NULL)),
        ("string | any", ANY),
    ],
)
def test_reads(text: str, type_: Type):
    """Every form of the grammar gives its type."""
    assert read(text) == type_


def test_description_follows_a_comma_in_field_position_only():
    """Behind the type of a field stands its description, whatever it holds."""
    parsed = parse_type("enum(a | b) | null,  a, b | (c) ", lookup, field=True)
    assert parsed.description == "a, b | (c)"
    assert mistake("string, short", field=False).start == 6


def test_names_that_were_used_are_told():
    """The parser learns which types of the file are in use."""
    assert parse_type("list(Issue) | map(Tree) | Message", lookup, field=False).used == {"Issue", "Tree"}


@pytest.mark.parametrize(
    ("text", "code", "place", "message"),
    [
        ("boolean(0..1)", "type-range", "(0..1)", "'boolean' takes no range"),
        ("list(string)(1..2)", "type-range", "(1..2)", "'list' takes no range"),
        ("Issue(1..2)", "type-range", "(1..2)", "'Issue' takes no range"),
        ("enum(a)(1..2)", "type-range", "(1..2)", "'enum' takes no range"),
        ("date(2020..2021)", "type-range", "(2020..2021)", "'date' takes no range"),
        ("integer(5..1)", "type-range", "(5..1)", "the range is empty"),
        ("integer(1.5..2)", "type-range", "1.5", "a whole number"),
        ("integer(1..2e0)", "type-range", "2e0", "a whole number"),
        ("string(-1..)", "type-range", "-1", "never shorter than 0"),
        ("string(..)", "type-range", "(..)", "is not a range"),
        ("string (short)", "type-range", "(short)", "is not a range"),
        ("number(1e999..)", "type-range", "1e999", "too large"),
        ("enum(a | b | a)", "type-enum", "a", "stands twice"),
        ("enum()", "type-enum", "()", "at least one word"),
        ("enum(a || b)", "type-enum", "|", "a word is missing"),
        ("enum(a, b)", "type-enum", ",", "separated by '|'"),
        ("enum('a | b)", "type-enum", "'", "never closed"),
        ("list(Isue)", "unknown-type", "Isue", "'Isue' is not a type"),
        ("string | integr, x", "unknown-type", "integr", "'integr' is not a type"),
        ("(string", "type-syntax", "(", "never closed"),
        ("enum(a", "type-syntax", "(", "never closed"),
        ("integer(1", "type-syntax", "(", "never closed"),
        ("string)", "type-syntax", ")", "closes nothing"),
        ("string |", "type-syntax", "", "a type is missing"),
        ("list()", "type-syntax", ")", "a type is missing"),
        ("string - short", "type-syntax", "-", "does not belong"),
        ("string?", "type-syntax", "?", "behind the name of a field"),
        ("string,", "type-syntax", ",", "description is missing"),
        ("", "type-syntax", "", "a type is missing"),
        ("(" * 60 + "string", "type-syntax", "(", "nested too deeply"),
    ],
)
def test_mistakes_have_a_place(text: str, code: str, place: str, message: str):
    """The place covers just what is wrong."""
    error = mistake(text)
    assert (error.code, text[error.start : error.end]) == (code, place)
    assert message in error.message


def test_the_second_word_is_the_wrong_one():
    """Of two equal words the later one is marked."""
    assert mistake("enum(a | b | a)").start == 13


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("string[]", "list(string)"),
        ("Issue[]", "list(Issue)"),
        ("str", "string"),
        ("int", "integer"),
        ("bool", "boolean"),
        ("float", "number"),
        ("dict", "object"),
        ("dict[str, int]", "map(integer)"),
        ("map(string, Issue)", "map(T)"),
        ("list[string]", "list(string)"),
        ("List(str)", "list(string)"),
        ("list[dict[str, Issue]]", "list(map(Issue))"),
        ("array", "list(any)"),
        ("array of strings", "list(string)"),
        ("Optional[str]", "string | null"),
        ("optional string", "string | null"),
        ("optional", "?"),
        ("string?", "name?: string"),
        ("list(Issue?)", "list(Issue | null)"),
        ("enum(a, b)", "enum(a | b)"),
        ("Literal['a', 'b']", "enum(a | b)"),
        ("formal | friendly, the tone", "enum(formal | friendly)"),
        ("'a' | 'b'", "enum(a | b)"),
        ("integer(1-5)", "(1..5)"),
        ("integer(1, 5)", "(1..5)"),
        ("integer(>= 0)", "(0..)"),
        ("string(max 280)", "(..280)"),
        ("string(5)", "(..5)"),
        ("integer(5..1)", "(1..5)"),
        ("Isue", "'Issue'"),
        ("integr", "'integer'"),
        ("A short summary", "string, A short summary"),
        ("string: short", "string, short"),
        ("string - short", "string, short"),
        ("list", "list(string)"),
        ("pkg.mod:Class", "under 'types'"),
        ("5", "default: "),
    ],
)
def test_hints_name_the_way_out(text: str, hint: str):
    """What comes from other languages is answered with our words."""
    assert hint in (mistake(text).hint or "")


@given(spoken)
def test_spelling_and_reading_are_inverse(type_: Type):
    """What `spell` writes, `parse_type` reads back to an equal type."""
    assert read(spell(type_)) == type_


def test_what_the_grammar_cannot_say_is_still_readable():
    """Records without a name and literals are spelled for messages."""
    record = Record((Field("title", STRING), Field("kind", Enum(("a", "b c")), optional=True)))
    assert spell(record) == "{title: string, kind?: enum(a | b c)}"
    assert spell(union(Const("x"), Const(3), Const(True), NULL)) == "'x' | 3 | true | null"


def test_endless_types_are_known():
    """A type is endless when no value of it can be written down."""
    table: dict[str, Type] = {}
    node = Ref("Node", table)
    for type_, answer in [
        (Record((Field("next", node),)), True),
        (Record((Field("next", node, optional=True),)), False),
        (Record((Field("next", union(node, NULL)),)), False),
        (Record((Field("kids", List(node)),)), False),
        (Record((Field("kids", List(node, 1)),)), True),
        (Record((Field("kids", Map(node)),)), False),
        (union(node, NULL), True),
        (node, True),
    ]:
        table["Node"] = type_
        assert endless(node) is answer
