"""Bytes from a server to plain JSON data, whatever a real server may send. Knows no protocol."""

from __future__ import annotations

import json
from typing import Any

import orjson

#: Bytes of an unreadable body that are quoted in a message.
QUOTED = 200

_BOM = b"\xef\xbb\xbf"


def loads(data: bytes, *, lenient: bool = False) -> Any:
    """Parse JSON. What orjson refuses but servers send is read too: lone surrogates, `1e999`, `NaN`, UTF-16, a byte order mark.

    `lenient` replaces bytes that are not UTF-8, as event streams ask. Strings of the result may hold lone surrogates: `scrub` them.

    Raises:
        ValueError: it is no JSON, nests too deeply, or holds a number of more than 4,300 digits.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    text = data.removeprefix(_BOM).decode(json.detect_encoding(data), "replace" if lenient else "strict")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def scrub(text: str) -> str:
    """Make text that can be written: pairs of surrogates become their character, lone ones U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def quote(data: bytes | str) -> str:
    """Quote the beginning of a body for a message: one line, nothing that a terminal would obey."""
    text = data[: QUOTED * 4].decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = text.strip()
    return repr(scrub(text) if len(text) <= QUOTED else scrub(text[:QUOTED]) + "…")
