"""Say a type or a value in words: `spell` in those of the grammar, `describe` and `show` in those of a complaint. Knows no places."""

from __future__ import annotations

import math
import re
from typing import Any

from flowkit.types.algebra import (
    AnyType,
    Boolean,
    Const,
    Date,
    DateTime,
    Enum,
    Integer,
    List,
    Map,
    Null,
    Number,
    Object,
    Record,
    Ref,
    String,
    Type,
    Union,
    expand,
)

#: A word of an enum that needs no quotes.
BARE_WORD = re.compile(r"[^\s|(),'\"][^|(),]*")


def spell(type_: Type) -> str:
    """Return the type in the words of the grammar. A record has its name, or its fields in braces."""
    match type_:
        case String():
            return "string" + _spell_range(type_.min, type_.max)
        case Integer():
            return "integer" + _spell_range(type_.min, type_.max)
        case Number():
            return "number" + _spell_range(type_.min, type_.max)
        case Enum():
            return f"enum({' | '.join(map(_spell_word, type_.words))})"
        case Const(bool()):
            return "true" if type_.value else "false"
        case Const():
            return repr(type_.value)
        case List():
            return f"list({spell(type_.item)})"
        case Map():
            return f"map({spell(type_.value)})"
        case Record():
            return type_.name or _spell_fields(type_)
        case Union():
            return " | ".join(map(spell, type_.members))
        case Ref():
            return type_.name
        case Boolean() | Date() | DateTime() | AnyType() | Object() | Null():
            return _NAMES[type(type_)]


_NAMES: dict[type, str] = {
    Boolean: "boolean",
    Date: "date",
    DateTime: "datetime",
    AnyType: "any",
    Object: "object",
    Null: "null",
}


def _spell_fields(record: Record) -> str:
    shown = [f"{f.name}{'?' if f.optional else ''}: {spell(f.type)}" for f in record.fields[:6]]
    return "{" + ", ".join(shown) + (", …" if len(record.fields) > 6 else "") + "}"


def _spell_range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f"({_spell_bound(low)}..{_spell_bound(high)})"


def _spell_bound(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else str(value)


def _spell_word(word: str) -> str:
    if word == " ".join(word.split()) and BARE_WORD.fullmatch(word):
        return word
    return "'" + word.replace("'", "''") + "'"


def describe(type_: Type) -> str:
    """Say what a value of this type is, as in "must be …"."""
    match type_:
        case String():
            return _describe_text(type_)
        case Integer():
            return "an integer" + _between(type_.min, type_.max)
        case Number():
            return "a number" + _between(type_.min, type_.max)
        case Boolean():
            return "true or false"
        case Date():
            return "a date such as '2026-03-01'"
        case DateTime():
            return "a date and time such as '2026-03-01T12:30:00Z'"
        case Enum((word,)):
            return show(word)
        case Enum():
            shown = [w if w.replace(" ", "_").replace("-", "_").isidentifier() else show(w) for w in type_.words]
            return f"one of {', '.join(shown[:40])}{', …' if len(shown) > 40 else ''}"
        case Const():
            return show(type_.value)
        case Null():
            return "null"
        case List():
            return "a list"
        case Record() if type_.fields:
            names = type_.names()
            return f"an object with {', '.join(names[:6])}{', …' if len(names) > 6 else ''}"
        case Map() | Object() | Record():
            return "an object"
        case Union():
            return " or ".join(describe(m) for m in type_.members)
        case Ref():
            target = expand(type_)
            return type_.name if isinstance(target, Union) else describe(target)
        case AnyType():
            return "JSON data"


def _describe_text(type_: String) -> str:
    text = "text"
    if type_.min is not None and type_.max is not None:
        text += f" of {type_.min} to {type_.max} characters" if type_.min != type_.max else f" of {type_.min} characters"
    elif type_.min is not None:
        text += f" of at least {type_.min} character{'' if type_.min == 1 else 's'}"
    elif type_.max is not None:
        text += f" of at most {type_.max} characters"
    return text + (f" that matches {show(type_.pattern)}" if type_.pattern is not None else "")


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def items(n: int) -> str:
    """Count items in words."""
    return f"{n} item" if n == 1 else f"{n} items"


def measure(value: Any, expected: str) -> str:
    """Spell a value shortly; of a text whose length counts, the length."""
    if isinstance(value, str) and "character" in expected:
        return f"{len(value)} characters" if len(value) != 1 else "1 character"
    return show(value)


def show(value: Any, limit: int = 60) -> str:
    """Spell a value shortly, as in "not …": text in quotes, JSON's own words, of containers and objects the kind only."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            text = value if len(value) <= limit else value[: limit - 1] + "…"
            return repr(str(text))
        case int():
            return repr(int(value)) if -(10**limit) < value < 10**limit else "a huge integer"
        case float():
            return "NaN" if math.isnan(value) else repr(float(value)).replace("inf", "Infinity")
        case list():
            return f"a list of {items(len(value))}" if value else "an empty list"
        case dict():
            return "an object" if value else "an empty object"
        case _:
            return f"a Python object of type {type(value).__qualname__}"
