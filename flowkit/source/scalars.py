"""Turn the text of a plain scalar into its value by the core schema of YAML 1.2: `NO`, `on`, `12:30` and dates are text."""

from __future__ import annotations

import re

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FIRST = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

#: Longest number in characters. Python refuses to print an integer of more than 4,300 digits, so such a value must not come to be.
LONGEST_NUMBER = 1000


class NumberTooLong(ValueError):
    """A number of more characters than anybody means."""


def value_of(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar; raises NumberTooLong."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST:
        return text
    if len(text) > LONGEST_NUMBER:
        if any(pattern.fullmatch(text) for pattern in (_INTEGER, _OTHER_BASE, _FLOAT)):
            raise NumberTooLong
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text
