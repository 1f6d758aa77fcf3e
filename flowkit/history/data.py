"""Read kept JSON, and write times as programs read them. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def value(text: str | None) -> Any:
    """Return kept JSON as data."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def moment(seconds: float) -> str:
    """Return a time as ISO 8601, in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # a clock that was far off
        return ""
