"""Turn values into the text that stands in a prompt, and back into plain data. Knows nothing of Jinja's syntax.

`text_of` is frozen with format 1: it enters every cache key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from jinja2.runtime import StrictUndefined, Undefined

#: Longest text that a template or one of its expressions may make, in characters.
MAX_TEXT = 2_000_000
#: Most items of a list that an expression may make.
MAX_ITEMS = 1_000_000
#: Deepest nesting of data in a template: beyond it JSON readers and writers give up too.
MAX_DEPTH = 200


class LimitExceeded(Exception):
    """A template would make more than it may."""


class NotText(Exception):
    """A value that has no text: absent, a function, no plain data."""


class Unknown(StrictUndefined):
    """A name that does not exist: any use of it fails."""

    __slots__ = ()


class Absent(StrictUndefined):
    """What is known not to be there: a skipped output, an optional field, JSON null.

    Falsy, not defined, equal to none; a field of it is absent again; to print or to iterate it fails.
    """

    __slots__ = ()

    # StrictUndefined assigns a function that raises to each of these; mypy compares with that function.
    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return other is None or isinstance(other, Absent)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(None)


def describe(value: Any) -> str:
    """Name an absent or unknown value for a message."""
    if isinstance(value, Undefined):
        # Jinja keeps what it knows of an undefined in these fields; its own message speaks of Python objects.
        hint, name = value._undefined_hint, value._undefined_name
        return str(hint or (f"{name!r} is absent" if isinstance(value, Absent) else f"{name!r} is not defined"))
    return "null" if value is None else f"a {type(value).__name__}"


def text_of(value: Any) -> str:
    """Return the text of a value: text as is, everything else as JSON in the author's order."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if value is None or isinstance(value, Undefined):
        raise NotText(f"{describe(value)}, so it has no text")
    return to_json(plain(value))


def to_json(value: Any, indent: int | None = None) -> str:
    """Return plain data as JSON: keys in their order, no escapes beyond what JSON needs."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise NotText("a number that is not finite has no text")
    return json.dumps(value)


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as plain data: iterators become lists, absent becomes None. Refuses all that is no data."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        _number(value)
        return value
    if isinstance(value, Absent):
        return None
    if depth > MAX_DEPTH:
        raise LimitExceeded(f"data is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_key(k): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, Iterator, range)):
        items = []
        for item in value:
            items.append(plain(item, depth + 1))
            if len(items) > MAX_ITEMS:
                raise LimitExceeded(f"a list of more than {MAX_ITEMS:,} items")
        return items
    return refuse(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise NotText(f"the key {key!r} of a mapping is not text")
    return key


def refuse(value: Any) -> NoReturn:
    """Fail on a value that is no data."""
    if isinstance(value, Undefined):
        raise NotText(describe(value))
    raise NotText(f"{describe(value)} is no data" + ("; a call needs brackets" if callable(value) else ""))
