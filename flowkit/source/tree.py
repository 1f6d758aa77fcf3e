"""The nodes of a YAML file, each with its place. Knows nothing of flows, and of YAML only what a node looks like."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowkit.errors import Place
from flowkit.source.positions import positions

if TYPE_CHECKING:
    from pathlib import Path

_COMMENT = re.compile(r"[ \t]+#")

Style = Literal["plain", "single", "double", "literal", "folded"]


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """A file as lines without line ends; `shown` is its path as people see it in messages."""

    path: Path
    shown: str
    lines: tuple[str, ...] = field(repr=False)

    def place(self, line: int, column: int, end_column: int | None = None) -> Place:
        """Return the place of the columns `column` to `end_column` (exclusive; None: one character) of a line."""
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Place(self.shown, line, column, column + 1 if end_column is None else end_column, source)

    def span(self, line: int, column: int, end_line: int, end_column: int) -> Place:
        """Return the place of a span, of which only the first line is shown."""
        if line == end_line:
            return self.place(line, column, max(end_column, column + 1))
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Place(self.shown, line, column, max(len(source), column) + 1, source)


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A text, number, boolean or null. Lines and columns are 1-based code points; `end_column` is exclusive.

    `value` follows the core schema of YAML 1.2; `text` is what stands there, whatever the value's type: "1.10" for 1.1.
    """

    value: str | int | float | bool | None
    text: str
    style: Style
    file: SourceFile = field(repr=False)
    line: int
    column: int
    end_line: int
    end_column: int
    #: Line and column of each character of `text`, and of its end; made when first asked for.
    _positions: list[tuple[int, int]] | None = field(default=None, init=False, repr=False)

    @property
    def comment_column(self) -> int:
        """Column of the comment that follows a plain scalar on its last line, 0 if there is none."""
        if self.style != "plain":
            return 0
        # Matched, not searched: a search for each scalar of one long line would take time in proportion to its square.
        found = _COMMENT.match(self.file.lines[self.end_line - 1], self.end_column - 1)
        return found.end() if found else 0

    @property
    def comment(self) -> str | None:
        """The comment, from its `#`, that follows a plain scalar on its last line."""
        column = self.comment_column
        return self.file.lines[self.end_line - 1][column - 1 :].rstrip() if column else None

    def locate(self, offset: int) -> tuple[int, int]:
        """Return line and column of `text[offset]`; `offset` may be `len(text)`."""
        known = self._positions
        if known is None:
            known = positions(self.text, self.style, self.file.lines, (self.line, self.column))
            object.__setattr__(self, "_positions", known)
        return known[min(max(offset, 0), len(known) - 1)]

    def place(self, start: int | None = None, end: int | None = None) -> Place:
        """Return the place of `text[start:end]`, or of the whole scalar; of several lines the first is shown."""
        if start is None:
            return self.file.span(self.line, self.column, self.end_line, self.end_column)
        return self.file.span(*self.locate(start), *self.locate(start + 1 if end is None else end))


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    file: SourceFile = field(repr=False)
    line: int
    column: int
    end_line: int
    end_column: int

    def place(self) -> Place:
        """Return the place of the list, or of its first line."""
        return self.file.span(self.line, self.column, self.end_line, self.end_column)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, which is always a text, and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """A mapping from texts; `named` holds each entry by its key, in the order of the file."""

    named: dict[str, Entry]
    file: SourceFile = field(repr=False)
    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries in the order of the file."""
        return tuple(self.named.values())

    def get(self, name: str) -> Node | None:
        """Return the value under a key, or None."""
        entry = self.named.get(name)
        return entry.value if entry else None

    def key(self, name: str) -> Scalar | None:
        """Return the key itself, for its place."""
        entry = self.named.get(name)
        return entry.key if entry else None

    def place(self) -> Place:
        """Return the place of the mapping, or of its first line."""
        return self.file.span(self.line, self.column, self.end_line, self.end_column)


Node: TypeAlias = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds. `root` is None when nothing could be read.

    `complete` is False when something that is written is not in the tree because a problem was reported about it: then silence
    is better than a report that something is missing or unused.
    """

    root: Node | None
    file: SourceFile
    complete: bool = True


def plain(node: Node) -> Any:
    """Return the data of a node: dict, list, text, number, boolean or None."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {name: plain(entry.value) for name, entry in node.named.items()}
