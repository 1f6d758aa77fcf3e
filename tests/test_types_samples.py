"""Samples fit their types, are the same for the same seed, and can be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_types import TABLE, types

from flowkit.types.algebra import (
    INTEGER,
    NULL,
    STRING,
    Const,
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
from flowkit.types.patterns import matching
from flowkit.types.samples import sample
from flowkit.types.validators import Validator


@given(types, st.text(max_size=4))
def test_every_sample_fits(type_: Type, seed: str):
    """A sample passes the check of its own type, and a seed always gives the same."""
    found = sample(type_, seed=seed)
    assert Validator(type_).value(found) == found
    assert sample(type_, seed=seed) == found


def test_samples_are_full():
    """Optional fields are there, lists have two items, what may be null is not."""
    type_ = Record(
        (Field("a", STRING, optional=True), Field("b", List(INTEGER)), Field("c", union(STRING, NULL)), Field("d", Map(INTEGER)))
    )
    found = sample(type_, seed="1")
    assert set(found) == {"a", "b", "c", "d"}
    assert len(found["b"]) == len(found["d"]) == 2
    assert found["c"] is not None


def test_bounds_of_lists_hold():
    """Two items, unless the bounds say otherwise."""
    assert [len(sample(List(INTEGER, low, high), seed="1")) for low, high in [(None, 1), (3, None), (0, 0), (None, 9)]] == [1, 3, 0, 2]


def test_words_come_from_names_and_examples():
    """A text speaks of its field; examples come first."""
    type_ = Record((Field("short_title", STRING), Field("language", STRING), Field("order", STRING, examples=("A-1",))))
    found = sample(type_, seed="1")
    assert found["short_title"].endswith(" short title")
    assert found["language"] in ("en", "fr", "it", "de")
    assert found["order"] == "A-1"


def test_seeds_differ():
    """Different seeds give different samples, and a new field leaves the others alone."""
    one = Record((Field("a", Integer(1, 1_000)),))
    two = Record((Field("b", STRING), Field("a", Integer(1, 1_000))))
    assert len({sample(one, seed=str(i))["a"] for i in range(20)}) > 10
    assert sample(one, seed="x")["a"] == sample(two, seed="x")["a"]


def test_recursion_ends():
    """A type inside itself is followed twice and then left out wherever that is allowed."""
    found = sample(Ref("Tree", TABLE), seed="1")
    assert Validator(Ref("Tree", TABLE)).value(found) == found
    assert found["kids"][0]["kids"] == []
    table: dict[str, Type] = {}
    table["Node"] = Record((Field("next", Ref("Node", table)),))
    with pytest.raises(ValueError, match="no way out"):
        sample(Ref("Node", table), seed="1")


@pytest.mark.parametrize(
    "type_", [Number(0, 1), Number(0.001, 0.002), Number(None, -5), Number(7), Integer(None, -3), Const("x"), Enum(("a",))]
)
def test_narrow_types(type_: Type):
    """Narrow bounds hold for every seed."""
    for seed in range(30):
        Validator(type_).value(sample(type_, seed=str(seed)))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{3}-\d{4}$",
        r"^\S+@\S+\.\w+$",
        r"(foo|bar)+",
        r"^[^a-z]+$",
        r"^.{5,}$",
        r"(?i)^abc$",
        r"\bword\b",
        r"^(\w)\1$",
        r"^(?!x)a",
        r"^#[0-9a-fA-F]{6}$",
        r"^\+?[1-9]\d{1,14}$",
        r"^[\u4e00-\u9fff]+$",
        r"^\d{4}-\d{2}-\d{2}$",
        r"^[\w.-]*[^\s]$",
        r"^a*?b+?$",
        r"^(?:x|y)(?P<n>z)(?P=n)$",
        r"",
    ],
)
def test_patterns_are_matched(pattern: str):
    """Common patterns are found in what is made for them, within bounds too."""
    for turn in range(20):
        assert re.search(pattern, matching(pattern, 0, None, turn))
    bounded = matching(r"^[a-z]+$", 12, 14, 1)
    assert re.fullmatch(r"[a-z]{12,14}", bounded)
    type_ = String(2, 40, pattern)
    if pattern not in (r"^[^a-z]+$",):
        assert sample(type_, seed="1")


def test_a_broken_pattern_gives_some_text():
    """What cannot be read is not made; the check refuses it as it would any wrong value."""
    assert matching("(a", 0, None, 1) == "text"
