"""Turn a JSONL or CSV file into numbered rows, one at a time. Knows nothing of flows; a line that is no row is told apart, not raised."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from flowkit.errors import InputError

#: Longest row in bytes; the rest of a longer one is passed over without being held.
LARGEST: Final = 16 * 1024 * 1024
#: Lists and mappings inside each other in one row: beyond what any type means, far from what breaks readers.
DEEPEST: Final = 100
#: Name of stdin, which is read as JSONL.
STDIN: Final = "-"
_CHUNK: Final = 256 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")

Form: TypeAlias = Literal["jsonl", "csv"]
#: Returns up to so many bytes, and none at the end.
Read: TypeAlias = Callable[[int], bytes]

_FORMS: Final[Mapping[str, Form]] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `number` counts rows from 1, `line` lines of the file; `digest` covers all of the file up to this row.

    The values of a CSV file are texts, and a cell that is empty is not there.
    """

    number: int
    line: int
    digest: bytes
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that holds no row, and why."""

    number: int
    line: int
    digest: bytes
    message: str


class _Wrong(Exception):
    """What is wrong with the text of a row."""


def form_of(name: str) -> Form:
    """Return how a file is read, by its name. Raises InputError for a form that is known and is none of ours."""
    suffix = Path(name).suffix.lower()
    if suffix == ".json":
        raise InputError(f"{name}: a batch reads JSONL, one object a line\n   hint: jq -c '.[]' {name} > {name}l")
    if suffix in {".xlsx", ".xls", ".parquet", ".tsv", ".gz", ".zip"}:
        raise InputError(f"{name}: a batch reads .jsonl and .csv, not {suffix}; write it in one of these forms first")
    return _FORMS.get(suffix, "jsonl")


def read(data: Read, form: Form) -> Iterator[Row | BadRow]:
    """Yield the rows of a file as they come; blank lines are none. The memory that is held is that of one row.

    Raises:
        InputError: the header of a CSV file cannot be read.
        OSError: the file cannot be read on.
    """
    chain = blake2b(digest_size=16)
    found = records(data, form)
    names: list[str] = []
    if form == "csv":
        # Python's limit is one for all readers: 128 KiB a cell, which one document passes. The size of a row is bounded above.
        csv.field_size_limit(LARGEST)
        line, raw = next(found, (1, b""))
        names = _header(line, raw)
        chain.update(raw if isinstance(raw, bytes) else raw.digest)
    for number, (line, raw) in enumerate(found, start=1):
        chain.update(raw if isinstance(raw, bytes) else raw.digest)
        chain.update(b"\n")
        try:
            if isinstance(raw, TooLong):
                raise _Wrong(f"longer than {LARGEST // 1024**2} MiB")
            text = _text(raw)
            values = _object(text, raw) if form == "jsonl" else _cells(text, names)
        except _Wrong as wrong:
            yield BadRow(number, line, chain.digest(), str(wrong))
        else:
            yield Row(number, line, chain.digest(), values)


# -- lines -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TooLong:
    """Stands for a line that was passed over."""

    digest: bytes


def records(data: Read, form: Form) -> Iterator[tuple[int, bytes | TooLong]]:
    """Yield the number of its first line and the bytes of each row that is not blank, line end taken off."""
    lines = _lines(data)
    if form == "jsonl":
        yield from ((line, raw) for line, raw in lines if isinstance(raw, TooLong) or raw.strip())
        return
    for line, raw in lines:
        if isinstance(raw, TooLong) or raw.count(b'"') % 2 == 0:
            if isinstance(raw, TooLong) or raw.strip():
                yield line, raw
            continue
        yield line, _whole(raw, lines)


def _whole(first: bytes, lines: Iterator[tuple[int, bytes | TooLong]]) -> bytes | TooLong:
    """Return the rest of a row of CSV in which a quoted cell goes on in the next line."""
    parts, size = [first], len(first)
    for _, more in lines:
        if isinstance(more, TooLong) or size + len(more) > LARGEST:
            return TooLong(blake2b(b"\n".join(parts), digest_size=16).digest())
        parts.append(more)
        size += len(more) + 1
        if more.count(b'"') % 2:
            break
    return b"\n".join(parts)


def _lines(data: Read) -> Iterator[tuple[int, bytes | TooLong]]:
    number, rest, first = 0, bytearray(), True
    passed: Any = None  # the digest of a line that is too long, while its end is looked for
    while chunk := data(_CHUNK):
        if first:
            rest += chunk
            if len(rest) < len(_BOM):
                continue
            chunk, rest, first = bytes(rest).removeprefix(_BOM), bytearray(), False
        *whole, last = chunk.split(b"\n")
        for each in whole:
            number += 1
            if passed is not None:
                passed.update(each)
                yield number, TooLong(passed.digest())
                passed = None
                continue
            line = bytes(rest) + each if rest else each
            rest.clear()
            yield number, line.removesuffix(b"\r") if len(line) <= LARGEST else TooLong(blake2b(line, digest_size=16).digest())
        if passed is not None:
            passed.update(last)
        elif len(rest) + len(last) > LARGEST:
            passed = blake2b(rest, digest_size=16)
            passed.update(last)
            rest.clear()
        else:
            rest += last
    if passed is not None:
        yield number + 1, TooLong(passed.digest())
    elif rest:
        yield number + 1, bytes(rest).removesuffix(b"\r")


def _text(raw: bytes) -> str:
    if b"\0" in raw or raw.startswith(_UTF16):
        hint = "; a file in UTF-16 must be saved as UTF-8" if raw.startswith(_UTF16) or raw[1:2] == b"\0" or raw[:1] == b"\0" else ""
        raise _Wrong(f"a NUL byte, which no text holds{hint}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Wrong(f"byte {error.start + 1} is not UTF-8 (0x{raw[error.start]:02x})") from None


# -- JSON --------------------------------------------------------------------------------------------------


def _object(text: str, raw: bytes) -> dict[str, Any]:
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and _depth(text) > DEEPEST:
        raise _Wrong(f"nested deeper than {DEEPEST} levels")
    try:
        found = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _Wrong(f"not JSON: {error.msg}, column {error.colno}") from None
    except ValueError as error:  # an integer of more digits than Python reads
        raise _Wrong(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise _Wrong(f"not an object but {_kind(found)}")
    if b"\\ud" in raw or b"\\uD" in raw:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _Wrong("half of a surrogate pair, which is no character") from None
    return found


_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def _depth(text: str) -> int:
    deepest = depth = 0
    for sign in re.findall(r"[\[\]{}]", _STRINGS.sub("", text)):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Wrong(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def _constant(word: str) -> Any:
    raise _Wrong(f"not JSON: {word} is no number that JSON knows")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_constant)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
    return "a list"


# -- CSV ---------------------------------------------------------------------------------------------------


def _split(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        text = str(error)
        said = "a quote is never closed" if "end of data" in text else "a line end outside of quotes" if "new-line" in text else text
        raise _Wrong(f"not CSV: {said}") from None


def _header(line: int, raw: bytes | TooLong) -> list[str]:
    """Return the names of the columns. Raises InputError."""
    try:
        if isinstance(raw, TooLong):
            raise _Wrong("too long")
        names = [name.strip() for name in _split(_text(raw))] if raw else []
    except _Wrong as wrong:
        raise InputError(f"the header in line {line} cannot be read: {wrong}") from None
    if not names:
        raise InputError("the file is empty: a CSV file begins with a line that names the columns")
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"the header in line {line} names the column {twice!r} twice")
    return names


def _cells(text: str, names: list[str]) -> dict[str, str]:
    cells = _split(text)
    if len(cells) != len(names):
        raise _Wrong(f"{len(cells)} cells, but the header names {len(names)} columns")
    return {name: cell for name, cell in zip(names, cells, strict=True) if cell and name}


def header(data: Read) -> list[str]:
    """Return the columns of a CSV file. Raises InputError."""
    line, raw = next(records(data, "csv"), (1, b""))
    return [name for name in _header(line, raw) if name]


def count(data: Read, form: Form) -> int:
    """Return how many rows a file has, good and bad, without reading what is in them."""
    number = sum(1 for _ in records(data, form))
    return max(number - 1, 0) if form == "csv" else number
