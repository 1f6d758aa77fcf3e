"""Make a value that fits a type: the same for the same seed, and readable. Knows no randomness but its seed."""

from __future__ import annotations

import zlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flowkit.types.algebra import (
    ANY,
    MISSING,
    STRING,
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
)
from flowkit.types.patterns import matching


def sample(type_: Type, *, seed: str) -> Any:
    """Return plain data that fits the type: optional fields are there, lists have two items, alternatives are not null.

    A type inside itself is followed twice. Raises ValueError for a type of which no value can be written down.
    """
    try:
        return _Sampler(seed).value(type_, "", Field("answer", type_))
    except _EndlessError:
        raise ValueError("a type that contains itself with no way out has no values") from None


class _EndlessError(Exception):
    """A type came back to itself where nothing may be left out; whoever can leave something out does."""


_ADJECTIVES = ("bright", "quiet", "early", "plain", "small", "warm", "late", "clear", "round", "green", "brief", "calm")

#: What a text is about, by a word in the name of its field.
_TEXTS: dict[str, tuple[str, ...]] = {
    "language": ("en", "fr", "it", "de"),
    "lang": ("en", "fr", "it", "de"),
    "country": ("Italy", "France", "Japan"),
    "city": ("Rome", "Lyon", "Osaka"),
    "email": ("ada@example.com", "kim@example.com"),
    "url": ("https://example.com/a", "https://example.com/b"),
    "link": ("https://example.com/a", "https://example.com/b"),
    "phone": ("+1 555 0100", "+1 555 0101"),
    "date": ("2026-03-01", "2026-04-02"),
    "author": ("Ada", "Kim", "Noor"),
    "person": ("Ada", "Kim", "Noor"),
    "id": ("A-101", "B-202", "C-303"),
}

_DEPTH = 2  # how often a type may stand inside itself


class _Sampler:
    """Chooses by seed and path, so that a field keeps its value when others come and go."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.above: list[tuple[int, str]] = []

    def choice(self, path: str, n: int) -> int:
        return zlib.crc32(f"{self.seed}|{path}".encode("utf-8", "replace")) % n

    def value(self, type_: Type, path: str, about: Field) -> Any:
        match type_:
            case String():
                return self.text(type_, path, about)
            case Integer():
                return self.integer(type_.min, type_.max, path)
            case Number():
                return self.number(type_, path)
            case Boolean():
                return self.choice(path, 2) == 0
            case Date():
                return (date(2026, 1, 1) + timedelta(days=self.choice(path, 365))).isoformat()
            case DateTime():
                moment = datetime(2026, 1, 1, 8, tzinfo=UTC) + timedelta(minutes=self.choice(path, 365 * 24 * 60))
                return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            case Enum():
                return type_.words[self.choice(path, len(type_.words))]
            case Const():
                return type_.value
            case Null():
                return None
            case List():
                return self.list(type_, path, about)
            case Map():
                return self.map(type_.value, path, about)
            case Object():
                return {"note": self.text(STRING, path, about)}
            case Record():
                return self.record(type_, path)
            case Union():
                return self.one_of(type_, path, about)
            case Ref():
                return self.named(type_, path, about)
            case _:
                return self.text(STRING, path, about)

    # -- containers

    def record(self, record: Record, path: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for f in record.fields:
            inside = f"{path}.{f.name}"
            if f.examples:
                made[f.name] = f.examples[self.choice(inside, len(f.examples))]
                continue
            try:
                made[f.name] = self.value(f.type, inside, f)
            except _EndlessError:
                if f.default is not MISSING:
                    made[f.name] = f.default
                elif not f.optional:
                    raise
        return made

    def list(self, type_: List, path: str, about: Field) -> list[Any]:
        low, high = type_.min_items or 0, type_.max_items
        n = max(low, 2 if high is None else min(2, high))
        try:
            return [self.value(type_.item, f"{path}[{i}]", about) for i in range(n)]
        except _EndlessError:
            if low:
                raise
            return []

    def map(self, value: Type, path: str, about: Field) -> dict[str, Any]:
        try:
            return {key: self.value(value, f"{path}.{key}", about) for key in ("first", "second")}
        except _EndlessError:
            return {}

    def one_of(self, union: Union, path: str, about: Field) -> Any:
        rest = [m for m in union.members if not isinstance(m, Null)]
        start = self.choice(path, len(rest))
        for m in rest[start:] + rest[:start]:
            try:
                return self.value(m, path, about)
            except _EndlessError:
                continue
        if len(rest) < len(union.members):
            return None
        raise _EndlessError

    def named(self, ref: Ref, path: str, about: Field) -> Any:
        key = (id(ref.table), ref.name)
        if self.above.count(key) >= _DEPTH:
            raise _EndlessError
        self.above.append(key)
        try:
            return self.value(ref.table.get(ref.name, ANY), path, about)
        finally:
            self.above.pop()

    # -- numbers

    def integer(self, low: int | None, high: int | None, path: str) -> int:
        if low is None and high is None:
            low, high = 1, 9
        elif low is None:
            assert high is not None
            low = min(1, high) if high >= 0 else high - 8
        if high is None:
            high = low + 8
        return low + self.choice(path, min(high - low + 1, 1_000))

    def number(self, type_: Number, path: str) -> float:
        low, high = type_.min, type_.max
        if low is None:
            low = 0.0 if high is None or high >= 0 else high - 10
        if high is None:
            high = low + 10
        found = round(low + (high - low) * (1 + self.choice(path, 9)) / 10, 2)
        return min(max(found, low), high)

    # -- texts

    def text(self, type_: String, path: str, about: Field) -> str:
        if type_.pattern is not None:
            return matching(type_.pattern, type_.min or 0, type_.max, self.choice(path, 1_000))
        words = about.name.replace("-", "_").lower().split("_")
        known = next((_TEXTS[w] for w in reversed(words) if w in _TEXTS), None)
        if known is not None:
            text = known[self.choice(path, len(known))]
        else:
            text = f"{_ADJECTIVES[self.choice(path, len(_ADJECTIVES))]} {' '.join(w for w in words if w) or 'text'}"
        low = type_.min or 0
        while len(text) < low:
            text = f"{text} {text}"
        end = type_.max if type_.max is not None else max(low, 60)
        return text[:end].rstrip().ljust(low, "s")
