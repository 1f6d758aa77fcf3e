"""Decide whether values of one type may stand where another is declared, and say in words why not. Knows no values.

Alternatives, fields, words and kinds must all fit. Ranges, lengths and patterns are an error only where no value could fit: an integer
may go where integer(1..5) is declared and is checked at run time, integer(6..9) may not.
"""

from __future__ import annotations

from flowkit.spelling import did_you_mean
from flowkit.types.algebra import (
    MISSING,
    AnyType,
    Boolean,
    Const,
    Date,
    DateTime,
    Enum,
    Field,
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
    nullable,
)
from flowkit.types.dates import is_date, is_datetime
from flowkit.types.wording import spell

_Seen = frozenset[tuple[int, str, int, str]]


def fits(source: Type, target: Type) -> str | None:
    """Return None when values of `source` may stand where `target` is declared, else the reason: `issues[].kind: string is not …`."""
    return _fit(source, target, "", frozenset())


def _fit(source: Type, target: Type, path: str, seen: _Seen) -> str | None:
    if isinstance(source, Ref) and isinstance(target, Ref):
        pair = (id(source.table), source.name, id(target.table), target.name)
        if pair in seen:  # two types that contain themselves: as far as seen, they fit
            return None
        seen |= {pair}
    source, target = expand(source), expand(target)
    if source is target or isinstance(source, AnyType) or isinstance(target, AnyType):
        return None
    if isinstance(source, Union):
        found = (_fit(m, target, path, seen) for m in source.members)
        return next((reason for reason in found if reason is not None), None)
    if isinstance(target, Union):
        return _fit_one_of(source, target, path, seen)
    if isinstance(source, Null):
        return None if isinstance(target, Null) else _at(path, "may be absent")
    match source, target:
        case Record(), Record():
            return _fit_record(source, target, path, seen)
        case Record(), Map():
            reasons = (_fit(_held(f), target.value, _join(path, f.name), seen) for f in source.fields)
            return next((reason for reason in reasons if reason is not None), None)
        case Map(), Record():
            reasons = (_fit(source.value, _asked(f), _join(path, f.name), seen) for f in target.fields)
            return next((reason for reason in reasons if reason is not None), None)
        case Map(), Map():
            return _fit(source.value, target.value, f"{path}[…]", seen)
        case Object(), Record() | Map() | Object():
            return None  # nothing is known
        case Record() | Map(), Object():
            return None
        case List(), List():
            if _apart(source.min_items, source.max_items, target.min_items, target.max_items):
                return _at(path, "the number of items is never right")
            return _fit(source.item, target.item, f"{path}[]", seen)
    return _fit_scalar(source, target, path)


def _fit_one_of(source: Type, target: Union, path: str, seen: _Seen) -> str | None:
    reasons = []
    for member in target.members:
        reason = _fit(source, member, path, seen)
        if reason is None:
            return None
        if type(expand(member)) is type(source):
            reasons.append(reason)
    if len(reasons) == 1:
        return reasons[0]
    return _at(path, "may be absent") if isinstance(source, Null) else _is_not(source, target, path)


def _fit_record(source: Record, target: Record, path: str, seen: _Seen) -> str | None:
    for f in source.fields:
        if target.get(f.name) is None:
            hint = did_you_mean(f.name, [n for n in target.names() if source.get(n) is None])
            return _at(path, f"{f.name!r} is not a field of {spell(target)}" + (f"; {hint}" if hint else ""))
    for f in target.fields:
        given = source.get(f.name)
        if given is None:
            if f.optional or f.default is not MISSING:
                continue
            return _at(path, f"the field {f.name!r} is missing")
        reason = _fit(_held(given), _asked(f), _join(path, f.name), seen)
        if reason is not None:
            return reason
    return None


def _held(f: Field) -> Type:
    """Return what a field of a value gives: absence too, where it may be left out."""
    return nullable(f.type) if f.optional and f.default is MISSING else f.type


def _asked(f: Field) -> Type:
    """Return what a declared field takes: absence too, where it may be left out."""
    return nullable(f.type) if f.optional or f.default is not MISSING else f.type


def _fit_scalar(source: Type, target: Type, path: str) -> str | None:
    match source, target:
        case Const(), _:
            return None if _const_fits(source, target) else _const_reason(source, target, path)
        case String(), String():
            apart = _apart(source.min, source.max, target.min, target.max)
        case Integer(), Integer() | Number():
            apart = _apart(source.min, source.max, target.min, target.max)
        case Number(), Number():
            apart = _apart(source.min, source.max, target.min, target.max)
        case Enum(), Enum():
            strange = [w for w in source.words if w not in target.words]
            if strange:
                hint = did_you_mean(strange[0], target.words)
                verb = "is" if len(strange) == 1 else "are"
                reason = f"{', '.join(map(repr, strange[:5]))} {verb} not among the words of {spell(target)}"
                return _at(path, reason + (f"; {hint}" if hint else ""))
            return None
        case Enum() | Date() | DateTime(), String():
            return None
        case (Boolean(), Boolean()) | (Date(), Date()) | (DateTime(), DateTime()):
            return None
        case _:
            return _is_not(source, target, path)
    return _at(path, f"{spell(source)} is never {spell(target)}") if apart else None


def _const_fits(const: Const, target: Type) -> bool:
    value = const.value
    match target:
        case Const():
            return value == target.value and isinstance(value, bool) == isinstance(target.value, bool)
        case Boolean():
            return isinstance(value, bool)
        case Integer():
            return isinstance(value, int) and not isinstance(value, bool) and _between(value, target)
        case Number():
            return isinstance(value, int | float) and not isinstance(value, bool) and _between(value, target)
        case String():
            return isinstance(value, str) and _between(len(value), target)
        case Enum():
            return value in target.words
        case Date():
            return isinstance(value, str) and is_date(value)
        case DateTime():
            return isinstance(value, str) and is_datetime(value)
    return False


def _const_reason(const: Const, target: Type, path: str) -> str:
    hint = did_you_mean(const.value, target.words) if isinstance(target, Enum) and isinstance(const.value, str) else None
    return _is_not(const, target, path) + (f"; {hint}" if hint else "")


def _between(value: float, target: Integer | Number | String) -> bool:
    return (target.min is None or value >= target.min) and (target.max is None or value <= target.max)


def _apart(low: float | None, high: float | None, other_low: float | None, other_high: float | None) -> bool:
    """Whether two ranges have nothing in common."""
    below = high is not None and other_low is not None and high < other_low
    return below or (low is not None and other_high is not None and low > other_high)


def _is_not(source: Type, target: Type, path: str) -> str:
    return _at(path, f"{spell(source)} is not {spell(target)}")


def _at(path: str, reason: str) -> str:
    return f"{path}: {reason}" if path else reason


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
