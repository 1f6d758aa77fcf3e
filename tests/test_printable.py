"""Text and figures as a screen may show them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit import printable

ANYTHING = st.text(st.characters(codec=None), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def _obeyed(text: str, *, allowed: str) -> list[str]:
    return [char for char in text if (ord(char) < 32 or 127 <= ord(char) < 160 or "\ud800" <= char <= "\udfff") and char not in allowed]


@given(ANYTHING)
def test_line_is_one_line_without_controls(text: str) -> None:
    """Whatever a model or a file says, a line stays one line and a terminal obeys none of it."""
    shown = printable.line(text)
    assert not _obeyed(shown, allowed="")
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(ANYTHING)
def test_block_keeps_only_line_ends_and_tabs(text: str) -> None:
    """Of several lines a terminal obeys line ends and tabs, and nothing else."""
    assert not _obeyed(printable.block(text), allowed="\n\t")


@given(JSON)
def test_json_text_means_the_same_data(data: Any) -> None:
    """JSON for a screen is the same JSON, on one line, in UTF-8."""
    text = printable.json_text(data)
    assert json.loads(text) == data
    assert len(text.splitlines()) == 1
    assert not _obeyed(text, allowed="")


def test_numbers_that_json_lacks_are_null() -> None:
    """NaN and the infinities become null, everything beside them stays."""
    assert json.loads(printable.json_text({"a": [math.nan, 1.5, (math.inf,)], "b": "x"})) == {"a": [None, 1.5, [None]], "b": "x"}


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("한글", 4), ("\u1112\u1161\u11ab", 2), ("é·…", 3), ("✓", 1)]
)
def test_width_counts_terminal_columns(text: str, columns: int) -> None:
    """Wide characters take two columns, combining ones none."""
    assert printable.width(text) == columns


@given(st.text(max_size=30), st.integers(0, 30))
def test_clip_never_exceeds_its_columns(text: str, columns: int) -> None:
    """Clipped text fits, and text that fits is not touched."""
    clipped = printable.clip(text, columns)
    assert printable.width(clipped) <= columns
    if printable.width(text) <= columns:
        assert clipped == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(-1, "0.0s"), (0.04, "0.0s"), (9.96, "10.0s"), (59.94, "59.9s"), (59.96, "1m00s"), (125, "2m05s"), (3599.7, "1h00m"), (3720, "1h02m")],
)
def test_seconds(value: float, text: str) -> None:
    """Times read naturally at every length, without 60.0s or 1m60s between them."""
    assert printable.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (9949, "9.9k"), (9960, "10k"), (999_499, "999k"), (999_600, "1.0M"), (5 * 10**12, "5000G")],
)
def test_count(value: int, text: str) -> None:
    """Large numbers are short, without 1000k between k and M."""
    assert printable.count(value) == text


def test_ascii_only_escapes() -> None:
    """A screen of ASCII sees escapes, not question marks."""
    assert printable.ascii_only("a·é") == "a\\xb7\\xe9"
