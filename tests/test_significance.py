"""Exact tests say what R and SciPy say, and never call chance what so few runs cannot tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.significance import LEVEL, enough, fisher, least, sign


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ((3, 3, 0, 3), 0.1),
        ((4, 4, 0, 4), 2 / 70),
        ((8, 10, 1, 6), 0.03496503496503495),  # scipy.stats.fisher_exact([[8, 2], [1, 5]]), its own example
        ((10, 10, 5, 10), 0.03250773993808049),
        ((2, 5, 2, 5), 1.0),
        ((1, 1, 1, 1), 1.0),
        ((0, 4, 0, 9), 1.0),
        ((5, 5, 0, 1), 1 / 6),
    ],
)
def test_fisher_by_table(counts: tuple[int, int, int, int], p: float) -> None:
    assert fisher(*counts) == pytest.approx(p)


@pytest.mark.parametrize(("better", "worse", "p"), [(0, 0, 1), (1, 0, 1), (1, 3, 0.625), (0, 5, 0.0625), (0, 6, 0.03125), (4, 4, 1)])
def test_sign_by_table(better: int, worse: int, p: float) -> None:
    assert sign(better, worse) == pytest.approx(p)


def test_four_repeats_are_the_least_that_can_be_significant() -> None:
    assert enough() == 4
    assert least(3, 3) > LEVEL >= least(4, 4)


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_p_is_a_probability_and_sides_do_not_matter(runs: int, then: int, data: st.DataObject) -> None:
    passed, before = data.draw(st.integers(0, runs)), data.draw(st.integers(0, then))
    p = fisher(passed, runs, before, then)
    assert 0 < p <= 1
    assert p == fisher(before, then, passed, runs) == fisher(runs - passed, runs, then - before, then)
    assert p >= least(runs, then) or {passed / runs, before / then} != {0.0, 1.0}
