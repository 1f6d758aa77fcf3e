"""Put two values side by side, or one above the other, so that their difference is seen. Pure; knows no test."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Final

from flowkit import printable

#: Columns from which two values stand side by side.
WIDE: Final = 100
#: Lines of a comparison that are shown.
LINES: Final = 60
_RED, _GREEN, _END = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def compared(expected: Any, got: Any, *, columns: int, color: bool = False) -> list[str]:
    """Return the lines that show both values."""
    raw = isinstance(expected, str) and isinstance(got, str) and "\n" in f"{expected}{got}".strip("\n")
    left, right = lines_of(expected, raw=raw), lines_of(got, raw=raw)
    if len(left) == len(right) == 1 and max(map(printable.width, (left[0], right[0]))) <= columns:
        paint = _paint(color)
        return [f"expected  {paint(left[0], _GREEN)}", f"     got  {paint(right[0], _RED)}"]
    return _clipped(_beside(left, right, columns, color) if columns >= WIDE else _above(left, right, color))


def lines_of(value: Any, *, raw: bool = False) -> list[str]:
    """Return a value as lines that a screen may show: text of several lines as it is, all else as JSON. `raw`: any text as it is."""
    if isinstance(value, str) and (raw or "\n" in value.rstrip("\n")):
        return printable.block(value).rstrip("\n").split("\n")
    short = printable.json_text(value)
    return [short] if len(short) <= 60 or not isinstance(value, dict | list) else printable.json_text(value, indent=2).split("\n")


def _paint(color: bool) -> Any:
    return lambda text, code: f"{code}{text}{_END}" if color and text else text


def _beside(left: list[str], right: list[str], columns: int, color: bool) -> list[str]:
    room = (columns - 3) // 2
    left, right = ([piece for line in lines for piece in _wrapped(line, room)] for lines in (left, right))
    paint = _paint(color)

    def row(one: str, mark: str, other: str) -> str:
        filled = " " * max(room - printable.width(one), 0)
        if mark == "│":
            return f"{one}{filled} {mark} {other}".rstrip()
        return f"{paint(one, _GREEN)}{filled} {mark} {paint(other, _RED)}".rstrip()

    found = [row("expected", "│", "got"), f"{'─' * room}─┼─{'─' * room}"]
    for kind, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for one, other in zip_longest(left[a:b], right[c:d], fillvalue=""):
            found.append(row(one, "│" if kind == "equal" else "≠", other))
    return found


def _wrapped(line: str, room: int) -> list[str]:
    """Return a line as pieces that fit: at blanks where there are some."""
    found = []
    line = line.expandtabs(4)
    while printable.width(line) > room:
        at = len(printable.clip(line, room, ellipsis=""))
        at = line.rfind(" ", 1, at) + 1 or at
        found.append(line[:at].rstrip())
        line = line[at:]
    return [*found, line]


def _above(left: list[str], right: list[str], color: bool) -> list[str]:
    paint = _paint(color)
    found = ["- expected", "+ got"]
    for kind, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            found += [f"  {line}" for line in left[a:b]]
            continue
        found += [paint(f"- {line}", _GREEN) for line in left[a:b]]
        found += [paint(f"+ {line}", _RED) for line in right[c:d]]
    return found


def _clipped(lines: list[str]) -> list[str]:
    return lines if len(lines) <= LINES else [*lines[:LINES], f"… {len(lines) - LINES} more lines"]
