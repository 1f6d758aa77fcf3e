"""Say how likely a difference between two counts is by chance alone: exact tests, without approximation. Knows no test of a flow."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Final

#: A difference counts as no chance when chance alone would give it, or a larger one, at most this often.
LEVEL: Final = 0.05
#: Repeats on each side that are looked at for the least number that can be significant.
_MOST: Final = 1000


def fisher(passed: int, runs: int, passed_then: int, runs_then: int) -> float:
    """Return the two-sided p of Fisher's exact test: how often chance gives shares at least as far apart when both sides are the same.

    Two-sided as in R and SciPy: all tables with the same sums that are no likelier than this one.
    """
    total, good = runs + runs_then, passed + passed_then

    def weight(k: int) -> int:
        return comb(runs, k) * comb(runs_then, good - k)

    own = weight(passed)
    both = [weight(k) for k in range(max(0, good - runs_then), min(runs, good) + 1)]
    return float(Fraction(sum(each for each in both if each <= own), comb(total, good)))


def sign(better: int, worse: int) -> float:
    """Return the two-sided p of the sign test: how often a fair coin divides so many cases at least as unevenly."""
    total = better + worse
    tail = sum(comb(total, k) for k in range(min(better, worse) + 1))
    return float(min(Fraction(1), Fraction(2 * tail, 2**total)))


def least(runs: int, runs_then: int) -> float:
    """Return the smallest p that so many repeats can give: all pass on one side, none on the other."""
    return fisher(runs, runs, 0, runs_then)


def enough() -> int:
    """Return the least repeats on both sides that can be significant at all."""
    return next(runs for runs in range(1, _MOST) if least(runs, runs) <= LEVEL)
