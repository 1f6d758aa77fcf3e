"""What the flow beside it calls."""

from __future__ import annotations


def search(query: str, count: int = 3) -> list[str]:
    """Return so many hits."""
    return [f"{query} {number}" for number in range(count)]


def first(text: str, /) -> str:
    """Return the first word; its argument has no name."""
    return text.split(maxsplit=1)[0]
