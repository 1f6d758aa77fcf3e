"""What a tricky flow calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Hit:
    """One thing found."""

    title: str
    score: float


def find(query: str, *, most: int = 3) -> list[Hit]:
    """Return so many hits."""
    return [Hit(query, 1 / n) for n in range(1, most + 1)]
