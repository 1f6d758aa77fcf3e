"""What the flow beside it calls."""

from __future__ import annotations


def search(query: str, count: int = 3) -> list[str]:
    """Return so many hits."""
    return [f"{query} {number}" for number in range(count)]
