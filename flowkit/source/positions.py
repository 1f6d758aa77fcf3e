"""Find where each character of a scalar's text stands in its file. Knows how YAML spells texts, not what they mean."""

from __future__ import annotations

from typing import TypeAlias

Position: TypeAlias = tuple[int, int]

#: Characters that an escape in double quotes takes, by the letter after the backslash; every other takes two.
_ESCAPE_WIDTH = {"x": 4, "u": 6, "U": 10}


def positions(text: str, style: str, lines: tuple[str, ...], start: Position) -> list[Position]:
    """Return line and column (1-based) of each character of `text`, and of its end, for a scalar that begins at `start`.

    A folded line break stands where the line ends, an escape at its backslash.
    """
    if not text:
        return [start]
    row, column = start[0] - 1, start[1] - 1
    if style == "plain":
        found = _plain(len(text), lines, row, column)
    elif style in {"single", "double"}:
        found = _quoted(lines, row, column)
    else:
        found = _block(text, lines, row, folded=style == "folded")
    return found[: len(text) + 1]


def _plain(length: int, lines: tuple[str, ...], row: int, column: int) -> list[Position]:
    found: list[Position] = []
    while True:
        content = len(lines[row].rstrip(" \t")) - column
        taken = min(content, length - len(found))
        found += [(row + 1, column + i + 1) for i in range(taken)]
        if len(found) >= length:
            return [*found, (row + 1, column + taken + 1)]
        row, column, breaks = _fold(lines, row)
        found += breaks[1:] or breaks


def _fold(lines: tuple[str, ...], row: int) -> tuple[int, int, list[Position]]:
    """Return the next row with text, where it begins, and the line breaks on the way there, each at the end of its line."""
    breaks = [(row + 1, len(lines[row].rstrip(" \t")) + 1)]
    row += 1
    while not (rest := lines[row].lstrip(" \t")):
        breaks.append((row + 1, len(lines[row]) + 1))
        row += 1
    return row, len(lines[row]) - len(rest), breaks


def _quoted(lines: tuple[str, ...], row: int, column: int) -> list[Position]:
    quote = lines[row][column]
    column += 1
    found: list[Position] = []
    while True:
        line = lines[row]
        blanks = 0
        while column < len(line):
            char = line[column]
            width = 1
            if char == quote:
                if quote == '"' or line[column + 1 : column + 2] != "'":
                    return [*found, (row + 1, column + 1)]
                width = 2
            elif char == "\\" and quote == '"':
                if column + 1 == len(line):
                    break
                width = _ESCAPE_WIDTH.get(line[column + 1], 2)
            blanks = blanks + 1 if char in " \t" else 0
            found.append((row + 1, column + 1))
            column += width
        joined = column < len(line)  # a backslash at the end of the line
        if blanks and not joined:
            del found[-blanks:]
        row, column, breaks = _fold(lines, row)
        found += breaks[1:] if joined else breaks[1:] or breaks


def _block(text: str, lines: tuple[str, ...], row: int, *, folded: bool) -> list[Position]:
    """Walk the lines below the indicator in `row` as the YAML scanner does, so that folding and chomping agree with `text`."""
    row += 1
    stripped = text.lstrip("\n")
    first = row + len(text) - len(stripped)
    indent = 0
    if stripped:  # else nothing but line breaks: every line is shorter than any indentation
        indent = _margin(lines[first]) - _margin(stripped)
    found: list[Position] = [(row + i + 1, len(lines[row + i]) + 1) for i in range(first - row)]
    row = first
    ended: list[Position] = []  # the break that ended the last line with text, then those of the empty lines below it
    after_blank = False
    while len(found) < len(text) and row < len(lines) and not lines[row][:indent].strip(" "):
        line = lines[row]
        begins_blank = line[indent : indent + 1] in {" ", "\t"}
        if folded and ended and not after_blank and not begins_blank:
            found += ended[1:] or ended
        else:
            found += ended
        after_blank = begins_blank
        found += [(row + 1, i + 1) for i in range(indent, len(line))]
        ended = [(row + 1, len(line) + 1)]
        row += 1
        while row < len(lines) and len(lines[row]) <= indent and not lines[row].strip(" "):
            ended.append((row + 1, len(lines[row]) + 1))
            row += 1
    found = (found + ended)[: len(text)]
    line_number, column = found[-1]
    return [*found, (line_number, column + 1)]


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
