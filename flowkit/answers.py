"""Turn the text of a reply into a typed value, and what is wrong with it into a text that asks again. Knows no model, no wire.

The ladder: the whole text as JSON; a bare word or trailing commas; a fenced block; the first complete JSON value in the text. On each rung
fields that were not asked for are left out, JSON in a JSON string is unpacked, and the key `value`, under which servers are asked for what
is no record, is taken off. Whatever was done is said in `repairs`. Nothing is converted: `"3"` for an integer is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from flowkit.types.algebra import AnyType, Boolean, Date, DateTime, Enum, Integer, List, Map, Number, Object, Record, String, Type, members
from flowkit.types.dates import is_date, is_datetime
from flowkit.types.validators import FieldError, Invalid, Validator
from flowkit.types.wording import describe, show


@dataclass(frozen=True, slots=True)
class Answer:
    """A typed value that was read from a reply, and in words what had to be done to read it."""

    value: Any
    repairs: tuple[str, ...] = ()


def read(text: str, validator: Validator, *, wrapped: bool) -> Answer:
    """Read a reply. `wrapped` says that the value was asked for under the key `value`. Raises Invalid.

    Where the type is text, the reply itself is the value.
    """
    kinds = tuple(members(validator.type))
    if len(kinds) == 1 and isinstance(kinds[0], String):
        return Answer(validator.value(text))
    if not wrapped:
        try:
            return Answer(validator.json(text))
        except Invalid:
            pass  # the ladder finds the same mistakes, and perhaps a way
    return _Ladder(validator, kinds, wrapped=wrapped).climb(text)


def reask(errors: Sequence[FieldError]) -> str:
    """Return the text that tells a model what is wrong with its answer, at most ten places of it."""
    lines = [f"- {e.path}: {e.message}" if e.path else f"- the answer {e.message}" for e in errors[:10]]
    if len(errors) > 10:
        lines.append(f"- and {len(errors) - 10} more")
    places = "\n".join(lines)
    return f"Your answer does not have the form that was asked for:\n{places}\nGive the whole answer again, corrected, and nothing else."


#: Stands for data that could not be read.
_BROKEN = object()

_MARKS = "`*\"' \n\t"
_THINKING = re.compile(r"\s*<(think|thinking)>.*?</\1>", re.DOTALL)
_FENCE = re.compile(r"\s*(`{3,}|~{3,})[^`]*")
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL)
_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+")|,(?=\s*[}\]])', re.DOTALL)
_STARTS = 20  # how often a JSON value is tried to begin in prose


class _Ladder:
    """Reads a reply of which the whole is not simply right."""

    def __init__(self, validator: Validator, kinds: tuple[Type, ...], *, wrapped: bool) -> None:
        self.validator = validator
        self.kinds = kinds
        self.wrapped = wrapped
        #: Text of any kind is a value: prose is then not searched for JSON.
        self.takes_text = any(isinstance(k, String | AnyType) for k in kinds)

    def climb(self, text: str) -> Answer:
        notes: tuple[str, ...] = ()
        if thought := _THINKING.match(text):
            text, notes = text[thought.end() :], ("left out the thinking before the answer",)
        text = text.strip().removeprefix("\ufeff").lstrip()
        failed: Invalid | None = None
        for rung in (self.whole, self.bare, self.without_commas, self.fenced, self.inside, self.text):
            for data, note in rung(text):
                accept = self.check if rung in (self.bare, self.text) else self.accept
                try:
                    return accept(data, (*notes, note) if note else notes)
                except Invalid as error:
                    failed = failed or error
                    if rung == self.whole and isinstance(data, dict | list):
                        raise
        raise failed or self.not_json(text)

    # -- rungs: each yields data that stands in the text, and how it was found

    def whole(self, text: str) -> Iterator[tuple[Any, str]]:
        data = _parse(text)
        if data is not _BROKEN:
            yield data, ""

    def bare(self, text: str) -> Iterator[tuple[Any, str]]:
        """Yield a word, number or day that stands alone, without the quotes of JSON or in the marks of Markdown."""
        word = text.strip(_MARKS)
        for candidate in dict.fromkeys((text, word, word.removesuffix(".").strip(_MARKS))):
            number = _parse(candidate.lower()) if len(candidate) < 100 and '"' not in text else _BROKEN
            for kind in self.kinds:
                match kind:
                    case Enum():
                        found = candidate in kind.words
                    case Date():
                        found = is_date(candidate)
                    case DateTime():
                        found = is_datetime(candidate)
                    case Boolean():
                        found = isinstance(number, bool)
                    case Integer() | Number():
                        found = isinstance(number, int | float) and not isinstance(number, bool)
                    case _:
                        continue
                if found:
                    yield (number if isinstance(kind, Boolean | Integer | Number) else candidate), "took the bare word"

    def without_commas(self, text: str) -> Iterator[tuple[Any, str]]:
        data = _without_commas(text)
        if data is not _BROKEN:
            yield data, "dropped trailing commas"

    def fenced(self, text: str) -> Iterator[tuple[Any, str]]:
        for block in _fences(text):
            for rung in (self.whole, self.bare, self.without_commas):
                for data, note in rung(block):
                    yield data, "took the fenced block" + (f"; {note}" if note else "")

    def inside(self, text: str) -> Iterator[tuple[Any, str]]:
        if not self.takes_text:
            objects = self.wrapped or any(isinstance(k, Record | Map | Object) for k in self.kinds)
            lists = any(isinstance(k, List) for k in self.kinds)
            yield from _values(text, ("{" if objects else "") + ("[" if lists else ""))

    def text(self, text: str) -> Iterator[tuple[Any, str]]:
        if self.takes_text and _parse(text) is _BROKEN:
            yield text, "took the text itself"

    def not_json(self, text: str) -> Invalid:
        reason = "it is empty"
        try:
            from_json(text.encode(errors="surrogatepass"), allow_inf_nan=False)
        except ValueError as error:
            reason = str(error) if text else reason
        message = f"is not JSON: {reason}; it must be {describe(self.validator.type)}"
        return Invalid((FieldError("", message, show(text), "syntax"),))

    # -- from data to the value

    def accept(self, data: Any, notes: tuple[str, ...]) -> Answer:
        """Check data, with and without its wrapper and its outer quotes. Raises what is wrong with the likeliest reading."""
        failed: Invalid | None = None
        for reading, note in self.readings(data):
            try:
                return self.check(reading, (*notes, *note))
            except Invalid as error:
                failed = failed or error
        assert failed is not None  # there is at least one reading
        raise failed

    def readings(self, data: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
        inner = data["value"] if isinstance(data, dict) and data.keys() == {"value"} else _BROKEN
        if self.wrapped and inner is not _BROKEN:
            yield inner, ()
        unpacked = _parse(data) if isinstance(data, str) and not self.takes_text else _BROKEN
        if isinstance(unpacked, dict | list):
            for reading, note in self.readings(unpacked):
                yield reading, ("unpacked JSON from a JSON string", *note)
        yield data, ("the value stood without its key 'value'",) if self.wrapped else ()
        if not self.wrapped and inner is not _BROKEN:
            yield inner, ("took the value from under the key 'value'",)

    def check(self, data: Any, notes: tuple[str, ...]) -> Answer:
        """Check one reading; fields that were not asked for are left out when nothing else is wrong."""
        dropped: list[str] = []
        while True:
            try:
                value = self.validator.value(data)
            except Invalid as error:
                if any(e.kind != "extra" for e in error.errors):
                    raise
                for e in error.errors:
                    _drop(data, e)
                    dropped.append(e.path)
            else:
                return Answer(value, (*notes, f"left out what was not asked for: {', '.join(dropped)}") if dropped else notes)


def _drop(data: Any, error: FieldError) -> None:
    for part in error.loc[:-1]:
        data = data[part]
    del data[error.loc[-1]]


def _parse(text: str) -> Any:
    try:
        return from_json(text.encode(errors="surrogatepass"), allow_inf_nan=False)
    except ValueError:  # also half surrogates, depth and numbers of 5,000 digits
        return _BROKEN


def _without_commas(text: str) -> Any:
    changed = _COMMA.sub(lambda m: m[1] or "", text)
    return _parse(changed) if changed != text else _BROKEN


def _fences(text: str) -> Iterator[str]:
    """Yield what stands in each fenced block of Markdown that is closed."""
    fence = ""
    block: list[str] = []
    for line in text.split("\n"):
        if not fence:
            opened = _FENCE.fullmatch(line)
            fence = opened[1] if opened else ""
            block = []
        elif line.strip() == fence:
            yield "\n".join(block).strip()
            fence = ""
        else:
            block.append(line)


def _values(text: str, openings: str) -> Iterator[tuple[Any, str]]:
    """Yield the complete JSON values that stand in prose, outermost first, in order."""
    at = 0
    note = "took the first complete JSON value in the text"
    for _ in range(_STARTS):
        starts = [i for i in (text.find(c, at) for c in openings) if i >= 0]
        if not starts:
            return
        at = min(starts)
        end = _closing(text, at)
        data, how = _BROKEN, note
        if end is not None:
            data = _parse(text[at:end])
            if data is _BROKEN:
                data, how = _without_commas(text[at:end]), f"{note}; dropped trailing commas"
        if data is _BROKEN or end is None:
            at += 1
            continue
        yield data, how
        note = "took a later JSON value in the text"
        at = end


def _closing(text: str, start: int) -> int | None:
    """Return where the bracket at `start` is closed, counting brackets outside of strings."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
            if depth == 0:
                return token.end()
    return None
