"""Judge the keys of a mapping: text, written once, and made of what a reader can see. Knows nothing of what keys mean."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from flowkit.source.syntax import quoted
from flowkit.source.tree import Entry, Scalar


class Mistake(NamedTuple):
    """Why a key is refused; `instead` is the key to go on with, None to go on without its entry."""

    code: str
    message: str
    hint: str
    instead: Scalar | None = None


def mistake(key: Scalar, named: dict[str, Entry]) -> Mistake | None:
    """Return what is wrong with a key behind the keys in `named`, or None."""
    name = key.text
    if not isinstance(key.value, str):
        what = f"{name!r}, which YAML reads as {_kind(key.value)}" if name else "missing"
        hint = f"quote it, {quoted(name)}" if name else "write a key before the ':'"
        return Mistake("key-not-text", f"a key must be text; this one is {what}", hint)
    if name == "<<" and key.style == "plain":
        hint = "give the anchor to one value and use that value whole, as in 'params: *cold', or write the keys out"
        return Mistake("merge-key", "merge keys '<<' are not part of a flow file", hint)
    if name in named:
        message = f"key {name!r} is written twice in one mapping; the first stands on line {named[name].key.line}"
        return Mistake("duplicate-key", message, "rename or delete one of them")
    if name.isascii() or not (hidden := [char for char in name if _invisible(char)]):
        return None
    shown = ", ".join(f"U+{ord(char):04X}" for char in dict.fromkeys(hidden))
    clean = "".join(char for char in name if char not in hidden)
    instead = None
    # A blank may have been meant as indentation, so that the key belongs elsewhere; what has no width has no such meaning.
    if clean and clean not in named and not any(char.isspace() for char in hidden):
        instead = Scalar(clean, clean, key.style, key.file, key.line, key.column, key.end_line, key.end_column)
    return Mistake("invisible-character", f"this key holds invisible characters: {shown}", f"did you mean {clean!r}?", instead)


def _invisible(char: str) -> bool:
    """Whether a character cannot be seen: format and control characters, and blanks that are not the blank."""
    return char != " " and unicodedata.category(char) in {"Cf", "Zs", "Zl", "Zp", "Cc"}


def _kind(value: float | bool | None) -> str:
    if value is None:
        return "null"
    return "a boolean" if isinstance(value, bool) else "a number"
