from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.spelling import did_you_mean, distance, nearest


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("mesages", "messages"),
        ("promt", "prompt"),
        ("Steps", "steps"),
        ("on-error", "on_error"),
        ("tiemout", "timeout"),
        ("ste\u200bps", "steps"),
        ("zebra", None),
        ("", None),
    ],
)
def test_nearest(word: str, meant: str | None) -> None:
    """A slip of up to two letters, of case or of a dash leads to the word; anything further leads nowhere."""
    assert nearest(word, ["messages", "prompt", "steps", "on_error", "timeout"]) == meant


def test_short_words_need_to_be_closer() -> None:
    """In a word of three letters two changes are another word."""
    assert nearest("us", ["as"]) == "as"
    assert nearest("xyz", ["xab"]) is None


def test_hint_quotes_the_word() -> None:
    """The hint is one question, or nothing at all."""
    assert did_you_mean("lable", ["label"]) == "did you mean 'label'?"
    assert did_you_mean("zebra", ["label"]) is None


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_distance_is_symmetric_and_zero_only_for_equal_words(a: str, b: str) -> None:
    """Distance does not depend on the order, and only the same word is at distance 0."""
    assert distance(a, b, 9) == distance(b, a, 9)
    assert (distance(a, b, 9) == 0) == (a == b)


@given(st.text("abc", max_size=8), st.integers(0, 7))
def test_a_swap_is_one_change(word: str, at: int) -> None:
    """Two neighbours that changed places count once."""
    if at + 1 < len(word):
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        assert distance(word, swapped, 2) <= 1
