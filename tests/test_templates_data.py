"""How values become text, and which values are data at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.templates.data import MAX_DEPTH, Absent, LimitExceeded, NotText, Unknown, plain, text_of, to_json

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\n'b' \"c\" é", "a\n'b' \"c\" é"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-12, "-12"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e21, "1e+21"),
        ([], "[]"),
        ({"b": 1, "a": [None, "é", "<"]}, '{"b": 1, "a": [null, "é", "<"]}'),
        ((1, 2), "[1, 2]"),
        (iter(["x"]), '["x"]'),
    ],
)
def test_text_of_a_value(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    "value", [None, Absent(name="x"), Unknown(name="x"), float("nan"), float("inf"), b"x", object(), len, {1: 2}, [b"x"]]
)
def test_what_has_no_text(value: Any) -> None:
    with pytest.raises(NotText) as e:
        text_of(value)
    assert str(e.value)


@given(DATA)
def test_plain_data_stays_as_it_is_and_its_text_reads_back(value: Any) -> None:
    assert plain(value) == value
    if value is not None and not isinstance(value, str):
        assert json.loads(text_of(value)) == value
    assert json.loads(to_json(value)) == value


def test_absent_is_false_equal_to_none_and_a_field_of_it_is_refused_only_when_printed() -> None:
    absent = Absent(name="x")
    assert not absent
    assert absent == None  # noqa: E711 - this is what a template compares
    assert absent == Absent(name="y")
    assert absent != 0
    assert absent != ""
    assert plain(absent) is None
    assert plain([1, absent]) == [1, None]


def test_deep_data_is_refused_before_the_stack_ends() -> None:
    value: Any = "x"
    for _ in range(MAX_DEPTH + 2):
        value = [value]
    with pytest.raises(LimitExceeded, match="nested deeper"):
        plain(value)


def test_a_function_among_data_is_refused_with_the_way_out() -> None:
    with pytest.raises(NotText, match="a call needs brackets"):
        plain({"f": len})
