"""Say in few lines how one text became another: words inside a line, lines inside a longer text. Knows no colour and no terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher, unified_diff
from typing import Final, Literal, TypeAlias

#: Words around a change that are shown.
_AROUND: Final = 4
#: Lines around a change that are shown.
_LINES: Final = 1
#: Characters up to which texts are compared word by word; beyond, only their lines are.
_LARGEST: Final = 20_000

#: A piece of a text beside another one.
Piece: TypeAlias = Literal["stayed", "gone", "come"]

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def changed(before: str, after: str) -> list[str]:
    """Return lines that show the change: of one line each `Say [-hello-]{+hi+} to…`, of more lines those with `-` and `+`."""
    if "\n" not in before.strip("\n") and "\n" not in after.strip("\n") and len(before) + len(after) <= _LARGEST:
        return [words(before, after)]
    return lines(before, after)


def words(before: str, after: str) -> str:
    """Return both texts in one, what went in `[-…-]`, what came in `{+…+}`; of what stayed only some words around a change."""
    if before == after:
        return before
    found = pieces(before, after)
    said = []
    for number, (kind, text) in enumerate(found):
        if kind == "stayed":
            said.append(_stayed(_WORDS.findall(text), first=number == 0, last=number == len(found) - 1))
        else:
            said.append(_gone(text) if kind == "gone" else _come(text))
    return "".join(said)


def pieces(before: str, after: str) -> list[tuple[Piece, str]]:
    """Return both texts in one, in pieces of whole words: what stayed, what is gone, what has come."""
    a, b = _WORDS.findall(before), _WORDS.findall(after)
    # Comparing takes the square of the length, and most of a text stays as it was.
    begin = _shared(a, b)
    end = _shared(a[begin:][::-1], b[begin:][::-1])
    found: list[tuple[Piece, str]] = [("stayed", "".join(a[:begin]))]
    for tag, i, j, k, m in SequenceMatcher(None, a[begin : len(a) - end], b[begin : len(b) - end], autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(("stayed", "".join(a[begin + i : begin + j])))
        else:
            found += [("gone", "".join(a[begin + i : begin + j])), ("come", "".join(b[begin + k : begin + m]))]
    found.append(("stayed", "".join(a[len(a) - end :])))
    if not any(kind == "stayed" and text.strip() for kind, text in found):
        found = [("gone", before), ("come", after)]
    return [(kind, text) for kind, text in found if text]


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """Return how many words both begin with."""
    return next((number for number, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def lines(before: str, after: str, names: tuple[str, str] | None = None) -> list[str]:
    """Return a unified diff of two texts; with `names`, below them and with the numbers of lines."""
    found = list(unified_diff(before.split("\n"), after.split("\n"), *(names or ("", "")), n=_LINES, lineterm=""))
    if names:
        return found
    return ["…" if line.startswith("@@") else line for line in found[3:]]  # without names and the first place


def _gone(text: str) -> str:
    return f"[-{text}-]" if text else ""


def _come(text: str) -> str:
    return f"{{+{text}+}}" if text else ""


def _stayed(stayed: Sequence[str], *, first: bool, last: bool) -> str:
    around = 2 * _AROUND  # words and the blanks between them
    if len(stayed) <= 2 * around:
        return "".join(stayed)
    begin = "" if first else "".join(stayed[:around])
    end = "" if last else "".join(stayed[-around:])
    return f"{begin}…{end}"
