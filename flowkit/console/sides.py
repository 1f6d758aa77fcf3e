"""Put two texts side by side, or one above the other, with the words marked that changed. Knows colours, and not what is compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby, zip_longest
from typing import Final, TypeAlias

from flowkit import printable
from flowkit.console.paint import Paint
from flowkit.textdiff import Piece, pieces

#: Columns from which two texts stand side by side.
WIDE: Final = 120
#: Lines around a change that are shown.
AROUND: Final = 2
#: Characters of a line up to which its words are compared.
_LONGEST: Final = 4_000
_WORDS = re.compile(r"\s*\S+|\s+")

#: A line in pieces.
Line: TypeAlias = Sequence[tuple[Piece, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of both texts; None where one of them has none. `gap`: so many lines that are the same stand here unseen."""

    left: Line | None
    right: Line | None
    same: bool = True
    gap: int = 0


def above(before: str, after: str, paint: Paint, *, around: int = AROUND) -> list[str]:
    """Return the lines of both with `-` and `+`, those that changed and some around them."""
    found: list[str] = []
    for same, rows in groupby(_rows(before, after, around), lambda row: row.same):
        if same:
            found += [paint.pale(f"  … {printable.plural(row.gap, 'line')}") if row.gap else f"  {_text(row.left)}" for row in rows]
            continue
        block = list(rows)
        found += [f"{paint.removed('- ')}{_colored(row.left, paint)}" for row in block if row.left is not None]
        found += [f"{paint.added('+ ')}{_colored(row.right, paint)}" for row in block if row.right is not None]
    return [line.rstrip() for line in found]


def beside(before: str, after: str, paint: Paint, *, columns: int, around: int = AROUND) -> list[str]:
    """Return the lines of both in two columns."""
    room = (columns - 3) // 2
    found: list[str] = []
    for row in _rows(before, after, around):
        if row.gap:
            found.append(paint.pale(f"… {printable.plural(row.gap, 'line')}"))
            continue
        mark = "│" if row.same else "<" if row.right is None else ">" if row.left is None else "≠"
        for left, right in zip_longest(_wrapped(row.left, room), _wrapped(row.right, room)):
            filled = " " * (room - printable.width(_text(left)))
            found.append(f"{_colored(left, paint)}{filled} {paint.pale(mark)} {_colored(right, paint)}".rstrip())
    return found


def marked(before: str, after: str, paint: Paint) -> tuple[str, str]:
    """Return two short texts with their other words marked."""
    row = _changed(before, after)
    return _colored(row.left, paint), _colored(row.right, paint)


# -- rows --------------------------------------------------------------------------------------------------


def _rows(before: str, after: str, around: int) -> Iterator[Row]:
    """Yield lines of both texts beside each other, without those that are far from a change."""
    rows = [*_all_rows(_lines(before), _lines(after))]
    near = {at + step for at, row in enumerate(rows) if not row.same for step in range(-around, around + 1)}
    hidden = 0
    for at, row in enumerate(rows):
        if at not in near:
            hidden += 1
            continue
        if hidden:
            yield Row(None, None, gap=hidden)
            hidden = 0
        yield row
    if hidden:
        yield Row(None, None, gap=hidden)


def _lines(text: str) -> list[str]:
    return [line.expandtabs(4) for line in printable.block(text).removesuffix("\n").split("\n")]


def _all_rows(before: list[str], after: list[str]) -> Iterator[Row]:
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for old, new in zip_longest(before[a:b], after[c:d]):
            if kind == "equal":
                line: Line = [("stayed", old)]
                yield Row(line, line)
            else:
                yield _changed(old, new)


def _changed(old: str | None, new: str | None) -> Row:
    if old is None or new is None or len(old) + len(new) > _LONGEST:
        return Row(None if old is None else [("gone", old)], None if new is None else [("come", new)], same=False)
    found = pieces(old, new)
    left = [(kind, text) for kind, text in found if kind != "come"]
    return Row(left, [(kind, text) for kind, text in found if kind != "gone"], same=False)


def _wrapped(line: Line | None, room: int) -> list[Line]:
    """Return a line as lines that fit, parted at blanks where there are some."""
    found: list[list[tuple[Piece, str]]] = [[]]
    taken = 0
    for kind, text in line or ():
        for word in _WORDS.findall(text):
            rest = word
            if taken and taken + printable.width(rest) > room:
                found.append([])
                taken, rest = 0, rest.lstrip()
            while printable.width(rest) > room:
                part = printable.clip(rest, room, ellipsis="")
                found[-1].append((kind, part))
                found.append([])
                rest = rest[len(part) :]
            found[-1].append((kind, rest))
            taken += printable.width(rest)
    return list(found)


def _text(line: Line | None) -> str:
    return "".join(text for _, text in line or ())


def _colored(line: Line | None, paint: Paint) -> str:
    """Return a line with the words marked that the other one lacks; a line that is wholly another needs no marks."""
    if line is None or all(kind == "stayed" for kind, _ in line):
        return _text(line)
    if len(line) == 1:
        (kind, text) = line[0]
        return paint.removed(text) if kind == "gone" else paint.added(text)
    return "".join(text if kind == "stayed" else paint.gone(text) if kind == "gone" else paint.come(text) for kind, text in line)
