"""Find the word that was probably meant. Knows no words of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `word` probably stands for, or None.

    Case, dashes and blanks do not count; otherwise up to two changed, swapped, lost or added letters, in short words one.
    """
    best: tuple[int, str] | None = None
    plain = _plain(word)
    for candidate in candidates:
        other = _plain(candidate)
        limit = 2 if min(len(plain), len(other)) > 3 else 1
        found = 0 if plain == other else distance(plain, other, limit)
        if found <= limit and (best is None or found < best[0]) and found < len(other):
            best = (found, candidate)
    return best[1] if best else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return the hint that names the nearest candidate, or None."""
    found = nearest(word, candidates)
    return f"did you mean {found!r}?" if found is not None else None


def distance(a: str, b: str, limit: int) -> int:
    """Count the letters changed, swapped with their neighbour, lost or added between two words; above `limit`, `limit + 1`."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row, older = row, [i], before
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)


def _plain(word: str) -> str:
    return "".join(char for char in word.casefold().replace("-", "_").replace(" ", "_") if char.isprintable())
