"""Turn a type as other languages write it into our words. Knows no names of a flow; whether the result is a type, `grammar` says."""

from __future__ import annotations

import re
from collections.abc import Callable

#: Words of Python, TypeScript, JSON Schema and SQL for what the grammar calls otherwise.
WORDS = {
    "str": "string",
    "text": "string",
    "char": "string",
    "varchar": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "numeric": "number",
    "real": "number",
    "bool": "boolean",
    "none": "null",
    "nonetype": "null",
    "nil": "null",
    "undefined": "null",
    "dict": "object",
    "struct": "object",
    "json": "any",
    "unknown": "any",
    "time": "datetime",
    "timestamp": "datetime",
    "date-time": "datetime",
    "day": "date",
    "messages": "list(Message)",
}
_OWN = {"string", "integer", "number", "boolean", "date", "datetime", "any", "object", "null", "list", "map", "enum"}

_LISTS = r"list|array|sequence|iterable|set|tuple|vector"
_MAPS = r"dict|map|mapping|record"
_INNER = r"((?:[^\[\]<>()]|\([^()]*\))*)"


def _words(match: re.Match[str]) -> str:
    words = [w.strip().strip("'\"`").strip() for w in re.split(r"[,|/]", match[1])]
    return "enum(" + " | ".join(words) + ")" if all(words) else match[0]


_REWRITES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), by)
    for pattern, by in (
        (rf"\b(?:{_MAPS})\s*[\[<(]\s*(?:str|string|text)\s*,\s*{_INNER}[\]>)]", r"map(\1)"),
        (rf"\b(?:{_LISTS})\s*\[\s*\]", "list(any)"),
        (rf"\b(?:{_LISTS})\s*[\[<]{_INNER}[\]>]", r"list(\1)"),
        (rf"\b(?:array|sequence|set|vector)\s*\({_INNER}\)", r"list(\1)"),
        (rf"\b(?:{_LISTS})\s+of\s+(\w+?)s?\b", r"list(\1)"),
        (rf"\boptional\s*[\[<(]{_INNER}[\]>)]", r"\1 | null"),
        (r"\boptional\s+(\w+)", r"\1 | null"),
        (rf"\b(?:literal|enum|choice|oneof|one_of)\s*[\[<(]{_INNER}[\]>)]", _words),
        (rf"\b(?:union|anyof)\s*[\[<]{_INNER}[\]>]", lambda m: " | ".join(p.strip() for p in m[1].split(","))),
        (r"\(([^()]*\|[^()]*)\)\s*\[\s*\]", r"list(\1)"),
        (r"([\w-]+(?:\([^()]*\))?)\s*\[\s*\]", r"list(\1)"),
        (r"^\s*\[\s*([\w-]+(?:\([^()]*\))?)\s*\]", r"list(\1)"),
        (r"([\w-]+(?:\([^()]*\))?)\s*\?(?=\s*(?:$|[,|)]))", r"\1 | null"),
        (rf"\b(?:{_LISTS})\s*(?=$|[,|)])(?!\()", "list(any)"),
        (r"\b(?:map|mapping)\s*(?=$|[,|)])(?!\()", "object"),
    )
)


def rewrite(text: str) -> str:
    """Return the text with foreign spellings replaced; the same text when there are none."""
    for _ in range(6):  # a foreign spelling inside another
        before = text
        for pattern, by in _REWRITES:
            text = pattern.sub(by, text)
        text = re.sub(r"(?<![\w'\"-])[A-Za-z][\w-]*(?![\w'\"-])", _own_word, text)
        if text == before or len(text) > 2_000:
            break
    return text


def _own_word(match: re.Match[str]) -> str:
    word = match[0]
    lowered = word.lower()
    if lowered in _OWN:
        return lowered
    return WORDS.get(lowered, word)


_PAIR = re.compile(r"\s*[\[(]?\s*(-?[\d.]*\d)\s*(?:\.{3}=?|\.\.=|\.\.<|\u2013|\u2014|-|,|;|:|to|bis)\s*(-?\d[\d.]*?)\s*[\])]?\s*")
_LOW = re.compile(r"\s*(?:>=|≥|min(?:imum)?\s*[:=]?|at least|from)\s*(-?[\d.]*\d)\s*", re.IGNORECASE)
_HIGH = re.compile(r"\s*(?:<=|≤|max(?:imum)?\s*[:=]?|at most|up to)\s*(-?[\d.]*\d)\s*", re.IGNORECASE)
_ONE = re.compile(r"\s*(\d+)\s*")


def range_hint(content: str) -> str:
    """Say how the range that stands in these parentheses is written."""
    if m := _PAIR.fullmatch(content):
        return f"write ({m[1]}..{m[2]})"
    if m := _LOW.fullmatch(content):
        return f"write ({m[1]}..)"
    if m := _HIGH.fullmatch(content):
        return f"write (..{m[1]})"
    if m := _ONE.fullmatch(content):
        return f"write (..{m[1]}) for at most {m[1]}, ({m[1]}..{m[1]}) for exactly {m[1]}"
    return "a range is (1..5), (0..) or (..280), both ends included; a description follows a comma"
