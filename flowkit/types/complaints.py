"""Turn what pydantic-core found wrong with a value into words for people and models, one complaint for each place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, TypeAlias

from pydantic_core import ValidationError

from flowkit.spelling import did_you_mean
from flowkit.types.algebra import ANY, List, Map, Null, Record, Type, Union, expand
from flowkit.types.wording import describe, items, measure, show

Loc: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One place of a value that does not fit: `path` like `issues[2].severity`, empty for the whole; `value` for people."""

    path: str
    message: str
    value: str = ""
    #: `extra`: a key that is no field; `missing`: a field that is not there; `syntax`: no JSON at all.
    kind: Literal["type", "extra", "missing", "syntax"] = field(default="type", compare=False)
    #: The same place as keys and positions.
    loc: Loc = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(ValueError):
    """A value does not have its type; `errors` holds every place."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(map(str, self.errors))


class NotPlainError(ValueError):
    """Something in an `any` is no JSON data. Carries the place; its text is safe to print, whatever the value is."""

    def __init__(self, message: str, at: Loc, value: Any) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.value = value


#: The type of an error whose context says under `expected` what should stand there.
EXPECTED = "expected"
#: Begins the label of an alternative in the location of an error; the position of the alternative and what it is follow.
LABEL = "\x00"

_KEY = "[key]"


def explain(error: ValidationError, type_: Type) -> tuple[FieldError, ...]:
    """Return a complaint for each place where a value of this type is wrong."""
    found = error.errors(include_url=False)
    return tuple(_field_error(e, type_) for e in _choose([dict(e) for e in found], 0))


def _choose(errors: list[dict[str, Any]], depth: int) -> list[dict[str, Any]]:
    """Of the errors of each union keep those of the one alternative that was probably meant."""
    kept: list[dict[str, Any]] = []
    for prefix, group in groupby(errors, lambda e: _to_label(e["loc"], depth)):
        if prefix is None:
            kept.extend(group)
            continue
        n = len(prefix)
        branches: dict[str, list[dict[str, Any]]] = {}
        for e in group:
            branches.setdefault(e["loc"][n], []).append(e)
        branches = {label: _choose(es, n + 1) for label, es in branches.items()}
        meant = [es for es in branches.values() if not any(_other_kind(e, n) for e in es)]
        if meant:
            kept.extend(sorted(meant, key=len)[0])  # noqa: FURB192 - mypy takes len as a key of sorted only
        else:
            first = next(iter(branches.values()))[0]
            expected = " or ".join(label.split(LABEL)[2] for label in branches)
            kept.append({"type": EXPECTED, "loc": prefix, "ctx": {"expected": expected}, "input": first["input"]})
    return kept


def _other_kind(error: dict[str, Any], n: int) -> bool:
    """Whether an error says that the value is not even of the kind of its alternative, such as a text for a list."""
    return len(error["loc"]) == n + 1 and error["type"] not in ("too_short", "too_long")


def _to_label(loc: Loc, depth: int) -> Loc | None:
    for i, part in enumerate(loc[depth:], depth):
        if isinstance(part, str) and part.startswith(LABEL):
            return loc[:i]
    return None


def _field_error(error: dict[str, Any], type_: Type) -> FieldError:
    raw: Loc = error["loc"]
    loc = tuple(p for p in raw if not (isinstance(p, str) and p.startswith(LABEL)))
    context = error.get("ctx") or {}
    value = error["input"]
    kind: Literal["type", "extra", "missing", "syntax"] = "type"
    match error["type"]:
        case "expected":
            message = f"must be {context['expected']}, not {measure(value, context['expected'])}"
        case "missing":
            kind, message, value = "missing", _missing(raw, type_), None
        case "extra_forbidden":
            kind, message = "extra", _extra(raw, type_)
        case "list_type":
            message = f"must be a list, not {show(value)}"
        case "dict_type":
            message = f"must be {describe(_type_at(type_, raw))}, not {show(value)}"
        case "too_short":
            message = f"must have at least {items(context['min_length'])}, not {context['actual_length']}"
        case "too_long":
            message = f"must have at most {items(context['max_length'])}, not {context['actual_length']}"
        case "json_invalid":
            kind, message = "syntax", f"is not JSON: {context['error']}"
        case "recursion_loop" | "recursion_depth_exceeded":
            message, value = "is nested too deeply", None
        case "value_error" if isinstance(inner := context["error"], NotPlainError):
            loc, value, message = (*loc, *inner.at), inner.value, inner.message
        case "invalid_key":
            loc, message = loc[:-1], f"must have text as keys, not {show(value)}"
        case "string_type" | "string_unicode" if loc[-1:] == (_KEY,):
            loc, message = loc[:-2], f"must have text as keys, not {show(value)}"
        case "string_unicode":
            message = "has a key with half a surrogate"
        case _:
            message = error["msg"]
    return FieldError(_path(loc), message, show(value), kind, loc)


def _missing(raw: Loc, type_: Type) -> str:
    record = _type_at(type_, raw[:-1])
    found = record.get(str(raw[-1])) if isinstance(record, Record) else None
    if found is None or isinstance(expand(found.type), Record):
        return "is required"
    return f"is required: {describe(found.type)}"


def _extra(raw: Loc, type_: Type) -> str:
    record = _type_at(type_, raw[:-1])
    if not isinstance(record, Record):
        return "is not a field here"
    hint = did_you_mean(str(raw[-1]), record.names())
    if hint is None:
        names = record.names()
        hint = f"the fields are {', '.join(names[:12])}{', …' if len(names) > 12 else ''}" if names else "there are no fields"
    return f"is not a field here; {hint}"


def _type_at(type_: Type, raw: Iterable[str | int]) -> Type:
    """Follow a location of pydantic-core, with its labels, down a type."""
    for part in raw:
        type_ = _without_null(expand(type_))
        if isinstance(part, str) and part.startswith(LABEL) and isinstance(type_, Union):
            type_ = [m for m in type_.members if not isinstance(m, Null)][int(part.split(LABEL)[1])]
        elif isinstance(type_, Record):
            found = type_.get(str(part))
            type_ = found.type if found else ANY
        elif isinstance(type_, List):
            type_ = type_.item
        elif isinstance(type_, Map):
            type_ = type_.value
        else:
            return ANY
    return _without_null(expand(type_))


def _without_null(type_: Type) -> Type:
    if isinstance(type_, Union):
        rest = [m for m in type_.members if not isinstance(m, Null)]
        if len(rest) == 1:
            return _without_null(expand(rest[0]))
    return type_


def _path(loc: Loc) -> str:
    """Spell a place as people write it: `issues[2].severity`."""
    text = ""
    for part in loc[:16]:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{show(part)}]"
    return text + ("…" if len(loc) > 16 else "")
