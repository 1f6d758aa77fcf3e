"""Tell whether a text is a calendar day or a moment. Knows no clock and no time zone but UTC and offsets."""

from __future__ import annotations

import re
from datetime import date, datetime

#: A day as RFC 3339 writes it; Python's own reader takes more, such as `20260301`.
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
#: A moment as RFC 3339 writes it, with two liberties: no offset, and a blank for the T.
DATETIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?$"

_DATE = re.compile(DATE.replace("$", r"\Z"))
_DATETIME = re.compile(DATETIME.replace("$", r"\Z"))
_FRACTION = re.compile(r"\.[0-9]+")


def is_date(text: str) -> bool:
    """Whether the text is a day that exists, such as `2026-03-01`."""
    if _DATE.match(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_datetime(text: str) -> bool:
    """Whether the text is a moment that exists, such as `2026-03-01T12:30:00Z`."""
    if _DATETIME.match(text) is None:
        return False
    try:
        datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        return False
    return True
