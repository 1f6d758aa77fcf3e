"""Turn a text, such as a cell of CSV or an option, into the value that it means in a place of a type. Checks no bounds."""

from __future__ import annotations

import re
from typing import Any

from flowkit.types.algebra import (
    MISSING,
    AnyType,
    Boolean,
    Date,
    DateTime,
    Enum,
    Integer,
    Null,
    Number,
    String,
    Type,
    members,
)

_INTEGER = re.compile(r"[+-]?\d{1,300}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def meant(text: str, type_: Type) -> Any:
    """Return the value that a text means in a place of this type, MISSING when it means none."""
    kinds = list(members(type_))
    if any(isinstance(kind, String | AnyType) for kind in kinds):
        return text
    for kind in kinds:
        match kind:
            case Boolean() if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case Null() if text == "null":
                return None
            case Integer() | Number() if _INTEGER.fullmatch(text):
                return int(text)
            case Number() if _NUMBER.fullmatch(text):
                return float(text)
            case Enum() if text in kind.words:
                return text
            case Date() | DateTime():
                return text
    return MISSING
