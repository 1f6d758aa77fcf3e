"""How one text became another, in few lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.textdiff import changed, words


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("Say hello to Ada", "Say hi to Ada!", ["Say [-hello-]{+hi+} to Ada{+!+}"]),
        ("Begin", "End", ["[-Begin-]{+End+}"]),
        ("one thing", "another matter", ["[-one thing-]{+another matter+}"]),
        ("", "new", ["{+new+}"]),
        ("old", "", ["[-old-]"]),
        ("a\nb\nc\nd\ne\nf\ng", "a\nB\nc\nd\ne\nf\nG", [" a", "-b", "+B", " c", "…", " f", "-g", "+G"]),
        (f"{'w ' * 50}x", f"{'w ' * 50}y", ["…w w w w [-x-]{+y+}"]),
        (f"x {'w ' * 50}end", f"y {'w ' * 50}end", ["[-x-]{+y+} w w w w…"]),
    ],
)
def test_a_change_is_shown_by_words_or_by_lines(before: str, after: str, shown: list[str]) -> None:
    assert changed(before, after) == shown


@given(st.text("ab .,", max_size=8), st.text("ab .,", max_size=8))
def test_both_texts_can_be_read_from_the_words(before: str, after: str) -> None:
    """Without what came in, the line is the old text; without what went, the new one."""
    shown = words(before, after)
    assert re.sub(r"\{\+.*?\+\}", "", shown).replace("[-", "").replace("-]", "") == before
    assert re.sub(r"\[-.*?-\]", "", shown).replace("{+", "").replace("+}", "") == after


def test_long_lines_are_compared_as_lines() -> None:
    """Comparing words takes the square of their number."""
    long = "word " * 20_000
    assert changed(long, long + "x") == [f"-{long}", f"+{long}x"]
