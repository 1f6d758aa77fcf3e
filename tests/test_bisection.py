"""A search finds where versions turned bad, whatever cannot be looked at, with few looks."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.bisection import Search, State


def run(states: list[State], good: int | None = None) -> tuple[Search, list[int]]:
    search, looks = Search(len(states), good), []
    while (at := search.next()) is not None:
        assert at not in looks, "nothing is looked at twice"
        looks.append(at)
        search.told(at, states[at])
    return search, looks


def line(bad: int, good: int) -> list[State]:
    return ["bad"] * bad + ["good"] * good


@pytest.mark.parametrize(
    ("states", "good", "between"),
    [
        (line(1, 1), None, (0,)),
        (line(3, 5), None, (2,)),
        (line(3, 5), 7, (2,)),
        (line(3, 0), None, ()),
        (line(0, 3), None, ()),
        (line(3, 2), 1, ()),
        (["bad", "skipped", "skipped", "good"], None, (0, 1, 2)),
        (["bad", "bad", "skipped", "good"], 3, (1, 2)),
        (["skipped", "bad", "good"], None, ()),
        (["bad", "skipped", "skipped"], None, ()),
    ],
)
def test_search_by_table(states: list[State], good: int | None, between: tuple[int, ...]) -> None:
    assert run(states, good)[0].between == between


@given(st.integers(1, 200), st.integers(1, 200), st.booleans())
def test_the_change_is_found_with_few_looks(bad: int, good: int, named: bool) -> None:
    search, looks = run(line(bad, good), bad + good - 1 if named else None)
    assert search.between == (bad - 1,)
    assert len(looks) <= 2 * log2(bad + good) + 4


@given(st.lists(st.sampled_from([0, 1]), min_size=2, max_size=40), st.integers(1, 39))
def test_skipped_versions_only_widen_the_answer(skips: list[int], bad: int) -> None:
    states: list[State] = ["skipped" if skip else "bad" if at < bad else "good" for at, skip in enumerate(skips)]
    search, looks = run(states)
    truly = [at for at, state in enumerate(states) if state == "bad"]
    if states[0] == "bad" and "good" in states:
        assert search.between
        assert search.between[0] == max(truly)
        assert all(states[at] == "skipped" for at in search.between[1:])
        assert search.between[-1] + 1 == states.index("good")
    else:
        assert search.between == ()
    assert len(looks) <= len(states)
