"""Replies become typed values by a ladder of which every rung is recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_types import TABLE, types

from flowkit.answers import read, reask
from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    Date,
    Enum,
    Field,
    Integer,
    List,
    Map,
    Record,
    Ref,
    String,
    Type,
    union,
)
from flowkit.types.samples import sample
from flowkit.types.schemas import shape
from flowkit.types.validators import FieldError, Invalid, Validator

NOTE = Record((Field("title", STRING), Field("tags", List(STRING)), Field("score", Integer(0, 10), optional=True)), "Note")
KIND = Enum(("bug", "question", "billing"))
RIGHT = {"title": "A", "tags": ["x"]}


def value_of(text: str, type_: Type = NOTE, *, wrapped: bool = False) -> tuple[Any, tuple[str, ...]]:
    answer = read(text, Validator(type_), wrapped=wrapped)
    return answer.value, answer.repairs


def wrong(text: str, type_: Type = NOTE, *, wrapped: bool = False) -> list[str]:
    with pytest.raises(Invalid) as caught:
        read(text, Validator(type_), wrapped=wrapped)
    return [str(e) for e in caught.value.errors]


def test_a_right_answer_needs_no_repair():
    """What was asked for is taken as it is."""
    assert value_of('{"title":"A","tags":["x"],"score":3}') == ({**RIGHT, "score": 3}, ())
    assert value_of(' {"title":"A","tags":["x"],"score":null}\n') == (RIGHT, ())


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        ('Sure!\n```json\n{"title":"A","tags":["x"]}\n```\nHope it helps', ("took the fenced block",)),
        ('```\n{"title":"A","tags":["x"],}\n```', ("took the fenced block; dropped trailing commas",)),
        ('~~~~\n{"title":"A","tags":["x"]}\n~~~~', ("took the fenced block",)),
        ('```json\n{"title":"A","tags":["x"]}', ("took the first complete JSON value in the text",)),
        ('{"title":"A","tags":["x",],}', ("dropped trailing commas",)),
        ('"{\\"title\\": \\"A\\", \\"tags\\": [\\"x\\"]}"', ("unpacked JSON from a JSON string",)),
        ('Here {it} is: {"title":"A","tags":["x"]} {ok}', ("took the first complete JSON value in the text",)),
        ('It is {"title":"A","tags":["x",]}.', ("took the first complete JSON value in the text; dropped trailing commas",)),
        ('Not {"a": 1} but {"title":"A","tags":["x"]}', ("took a later JSON value in the text",)),
        ('{"title":"A","tags":["x"],"why":"}"}', ("left out what was not asked for: why",)),
        ('{"value":{"title":"A","tags":["x"]}}', ("took the value from under the key 'value'",)),
        ('<think>{"title":"no","tags":[]}</think>\n{"title":"A","tags":["x"]}', ("left out the thinking before the answer",)),
        ('\ufeff{"title":"A","tags":["x"]}', ()),
    ],
)
def test_repairs_are_recorded(text: str, repairs: tuple[str, ...]):
    """What had to be done to read an answer is said."""
    assert value_of(text) == (RIGHT, repairs)


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ('{"tags":["x"]}', ["title: is required: text"]),
        ('{"title":"A","tags":[],"score":"3"}', ["score: must be an integer from 0 to 10, not '3'"]),
        ('{"title":"A","tags":[],"score":11}', ["score: must be an integer from 0 to 10, not 11"]),
        ('{"title":"A","tags":[],"score":true}', ["score: must be an integer from 0 to 10, not true"]),
        ('{"titel":"A","tags":[]}', ["title: is required: text", "titel: is not a field here; did you mean 'title'?"]),
        ("null", ["must be an object with title, tags, score, not null"]),
        ('```json\n{"tags":["x"]}\n```', ["title: is required: text"]),
    ],
)
def test_wrong_answers_are_explained(text: str, errors: list[str]):
    """Every place that is wrong is told, and nothing is converted."""
    assert wrong(text) == errors


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "I think the title is A.",
        '{"title":"A","tags":[],"score":NaN}',
        '{"title":"A","tags":' + "[" * 5_000,
        '{"title":"A","tags":' + "[" * 5_000 + "]" * 5_000 + "}",
        '{"title":"A","tags":[],"score":' + "9" * 5_000 + "}",
        '{"title":"A","tags":["x"',
        "\ud800",
        '"\ud800"',
    ],
)
def test_what_is_no_json_is_refused(text: str):
    """Prose, cut, hostile and broken text is one ordinary complaint that names what is asked for."""
    (error,) = wrong(text)
    assert error.startswith("is not JSON: ")
    assert error.endswith("it must be an object with title, tags, score")


@pytest.mark.parametrize(
    "text", ["{" * 200_000, '{"a":"' * 50_000, "```x\n" * 50_000, '"' * 100_001, "[{" * 100_000, "{a}" * 100_000, "," * 200_000]
)
@pytest.mark.timeout(60)
def test_hostile_prose_costs_little(text: str):
    """No text makes the search for JSON slow: what this guards against takes many minutes."""
    wrong(text)


def test_text_is_its_own_value():
    """Where text is asked for, the reply is the answer, whatever it looks like."""
    for text in ("hi", ' {"value": "x"}\n', "```\nx\n```", "", "<think>x</think>y"):
        assert value_of(text, STRING, wrapped=True) == (text, ())
    assert wrong("toolong", String(None, 3)) == ["must be text of at most 3 characters, not 7 characters"]


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ('{"value": "bug"}', KIND, "bug"),
        ('{"value": 4}', Integer(1, 5), 4),
        ('{"value": [1]}', List(INTEGER), [1]),
        ('{"value": null}', union(STRING, NULL), None),
    ],
)
def test_the_wrapper_is_no_repair(text: str, type_: Type, value: Any):
    """The key `value` is what was asked for."""
    assert value_of(text, type_, wrapped=True) == (value, ())


UNWRAPPED = "the value stood without its key 'value'"
BARE = "took the bare word"


@pytest.mark.parametrize(
    ("text", "type_", "value", "repairs"),
    [
        ('"bug"', KIND, "bug", (UNWRAPPED,)),
        ("bug", KIND, "bug", (BARE,)),
        (" **bug**.\n", KIND, "bug", (BARE,)),
        ("`bug`", KIND, "bug", (BARE,)),
        ("bug.\n", KIND, "bug", (BARE,)),
        ("4", INTEGER, 4, (UNWRAPPED,)),
        ("**4**", INTEGER, 4, (BARE,)),
        ("0.5.", NUMBER, 0.5, (BARE,)),
        ("true", BOOLEAN, True, (UNWRAPPED,)),
        ("True", BOOLEAN, True, (BARE,)),
        ("1", Enum(("1", "2")), "1", (BARE,)),
        ("2026-03-01", Date(), "2026-03-01", (BARE,)),
        ('["a"]', List(STRING), ["a"], (UNWRAPPED,)),
        ('The answer is {"value": 3}, ok?', INTEGER, 3, ("took the first complete JSON value in the text",)),
        ("hi there", union(STRING, NULL), "hi there", ("took the text itself",)),
        ("see [1]", ANY, "see [1]", ("took the text itself",)),
    ],
)
def test_bare_values_are_taken(text: str, type_: Type, value: Any, repairs: tuple[str, ...]):
    """A value without its wrapper, or a word that stands alone, is accepted and noted."""
    assert value_of(text, type_, wrapped=True) == (value, repairs)


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("Bug", KIND),
        ("The kind is bug", KIND),
        ('{"value": "feature"}', KIND),
        ('"4"', INTEGER),
        ('{"value": "4"}', INTEGER),
        ("four", INTEGER),
        ("true", INTEGER),
        ("1", BOOLEAN),
        ("NaN", NUMBER),
        ("The answer is 4", INTEGER),
    ],
)
def test_words_are_not_guessed(text: str, type_: Type):
    """A value is never picked out of prose, and never converted."""
    wrong(text, type_, wrapped=True)


def test_extra_fields_are_left_out_at_any_depth():
    """Fields that nobody asked for do not cost another call."""
    text = '{"value": 1, "kids": [{"value": 2, "kids": [], "other": null, "named": {}, "z": 1}], "other": null, "named": {}, "q": 2}'
    value, repairs = value_of(text, Ref("Tree", TABLE))
    assert value["kids"][0] == {"value": 2, "kids": [], "other": None, "named": {}}
    assert repairs == ("left out what was not asked for: kids[0].z, q",)


def test_mappings_are_not_wrapped():
    """A mapping is an object of its own."""
    assert value_of('{"a": [1]}', Map(List(INTEGER))) == ({"a": [1]}, ())


def test_asking_again_names_every_place():
    """The model is told what is wrong, where, and what to do; at most ten places."""
    errors = [FieldError("issues[2].severity", "must be an integer from 1 to 5, not 9"), FieldError("", "is not JSON: it is empty")]
    assert reask(errors) == (
        "Your answer does not have the form that was asked for:\n"
        "- issues[2].severity: must be an integer from 1 to 5, not 9\n"
        "- the answer is not JSON: it is empty\n"
        "Give the whole answer again, corrected, and nothing else."
    )
    assert "- and 5 more\n" in reask([FieldError("a", "is required")] * 15)


@given(types, st.text(max_size=3))
def test_what_fits_is_read_back(type_: Type, seed: str):
    """A value in the form that was asked for is read as itself, with no repair."""
    found = sample(type_, seed=seed)
    if isinstance(type_, String):
        assert value_of(found, type_) == (found, ())
        return
    wrapped = shape(type_, "x", lengths=True).wrapped
    assert value_of(json.dumps({"value": found} if wrapped else found), type_, wrapped=wrapped) == (found, ())


@given(types, st.text(), st.booleans())
def test_any_text_is_an_answer_or_a_complaint(type_: Type, text: str, wrapped: bool):
    """No reply breaks the reading."""
    try:
        answer = read(text, Validator(type_), wrapped=wrapped)
    except Invalid as error:
        complaint = reask(error.errors)
        assert complaint.count("\n- ") >= 1  # either outcome is right, each has its law
    else:
        assert Validator(type_).value(answer.value) == answer.value
