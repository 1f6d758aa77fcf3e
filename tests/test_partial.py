"""What is known of a typed answer while it comes."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from flowkit.partial import Partial

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(['{"a": [', "\\", '"', "😀", "}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(st.text(max_size=4), VALUES, max_size=5)


def values(text, cuts=None, *, wrapped=False):
    """What is known after each piece."""
    partial = Partial(wrapped=wrapped)
    edges = sorted({0, len(text), *(range(len(text)) if cuts is None else (cut % (len(text) + 1) for cut in cuts))})
    return [partial.feed(text[a:b]) for a, b in pairwise(edges)]


def part_of(part, whole):
    """Whether one value can be the beginning of the other."""
    if type(part) is not type(whole):
        return False
    if isinstance(part, str):
        return whole.startswith(part)
    if isinstance(part, list):
        return len(part) <= len(whole) and part[:-1] == whole[: len(part)][:-1] and all(map(part_of, part[-1:], whole[len(part) - 1 :]))
    if isinstance(part, dict):
        names = list(part)
        same = list(whole)[: len(names)] == names and all(part[name] == whole[name] for name in names[:-1])
        return same and all(part_of(part[name], whole[name]) for name in names[-1:])
    return part == whole


@given(
    RECORDS,
    st.booleans(),
    st.sampled_from([None, 1]),
    st.lists(st.integers(0, 10_000), max_size=20) | st.none(),
    st.sampled_from(["", "Here:\n```json\n", "<think>{[ }</think>\n", "{no} "]),
)
@example({"a": "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "b": [12, True]}, True, None, None, "")
def test_what_is_known_is_always_a_part_of_the_answer_and_in_the_end_all_of_it(record, escape, indent, cuts, before):
    text = before + json.dumps(record, ensure_ascii=escape, indent=indent)
    whole = from_json(text[len(before) :])
    known = values(text, cuts)
    assert all(value is None or part_of(value, whole) for value in known)
    assert known[-1] == whole


@given(VALUES, st.lists(st.integers(0, 10_000), max_size=20) | st.none())
def test_the_wrapper_is_never_seen(value, cuts):
    text = json.dumps({"value": value})
    whole = from_json(text)["value"]
    known = values(text, cuts, wrapped=True)
    assert all(one is None or part_of(one, whole) for one in known)
    assert known[-1] == whole


@given(st.text(alphabet='{}[]":,\\ntrue1-.e <>hikd/`\ud800', max_size=60), st.booleans())
def test_any_text_is_endured(text, wrapped):
    values(text, wrapped=wrapped)


def test_a_number_or_literal_is_shown_only_when_it_is_complete():
    assert [value for value in values('{"n": 12, "b": true}') if value != {}] == [
        *[{"n": 12}] * 11,
        {"n": 12, "b": True},
    ]


def test_a_string_is_shown_as_far_as_it_came():
    known = values(r'{"s": "a\u00e9\ud83d\ude00"}')
    assert [one["s"] for one in known if one] == ["", "a", *["a"] * 5, *["aé"] * 1, *["aé"] * 11, "aé😀", "aé😀", "aé😀"]


def test_nothing_is_known_before_the_value_begins():
    assert values("Sure, here it is: ") == [None] * 18


def test_what_follows_the_value_changes_nothing():
    assert values('{"a": 1}\n```\nIs [this] {"a": 2} fine?')[-1] == {"a": 1}


def test_what_was_shown_of_a_broken_value_stays():
    assert values('{"a": {"b": 1, }, "c": {"d": 2}}')[-1] == {"a": {"b": 1}}


def test_a_list_without_its_wrapper_is_known_too():
    assert values("[1, 2]", wrapped=True)[-1] == [1, 2]


@pytest.mark.parametrize("wrapped", [False, True])
def test_many_false_beginnings_are_given_up(wrapped):
    assert values("{x " * 500, wrapped=wrapped)[-1] is None


def test_a_value_that_was_returned_does_not_change():
    partial = Partial(wrapped=False)
    first = partial.feed('{"a": [1, ')
    partial.feed("2, 3]}")
    assert first == {"a": [1]}


def test_a_long_answer_costs_little():
    """Half a megabyte in pieces of four characters: far from the minutes that reading all of it each time would take."""
    text = json.dumps({"rows": [{"name": "some text", "n": n} for n in range(15_000)]})
    partial = Partial(wrapped=False)
    began = time.process_time()
    for at in range(0, len(text), 4):
        value = partial.feed(text[at : at + 4])
    assert value == json.loads(text)
    assert time.process_time() - began < 5
