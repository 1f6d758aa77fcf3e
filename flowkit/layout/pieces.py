"""What a file is made of for its layout: values as their lines, and every comment and blank line at its owner. Knows no flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

#: Lines of comments as they are written, without indentation; "" is a blank line, or several.
Rows: TypeAlias = list[str]


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment at the end of a line, and the blanks before it, which may align it with others."""

    text: str
    gap: str

    def __str__(self) -> str:
        return self.gap + self.text


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or an alias. `lines` are without indentation, those of a block without that of the block."""

    kind: Literal["plain", "quoted", "block", "alias"]
    lines: tuple[str, ...]
    remark: Remark | None = None
    #: The blank lines at its end belong to its text: `|+`.
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing inside brackets; `breaks` counts the line breaks before it, and `gap` are the blanks before it."""

    kind: Literal["open", "close", "comma", "colon", "property", "text", "comment"]
    lines: tuple[str, ...]
    breaks: int
    gap: str


@dataclass(frozen=True, slots=True)
class Brackets:
    """A mapping or list in brackets, with all that it holds."""

    marks: tuple[Mark, ...]
    remark: Remark | None = None


@dataclass(slots=True)
class Item:
    """A key and its value, or the value behind a `-`."""

    #: As it is written; None behind a `-`.
    key: str | None
    above: Rows
    anchor: str = ""
    #: Behind the key, where the value begins on another line.
    remark: Remark | None = None
    #: Comments between the key and a value below it.
    between: Rows = field(default_factory=list)
    #: The value begins on a line of its own.
    below: bool = False
    value: Block | Brackets | Leaf | None = None


@dataclass(slots=True)
class Block:
    """A mapping or list in lines; `foot` are the comments that stand at its end with its indentation."""

    items: list[Item]
    foot: Rows = field(default_factory=list)

    def named(self, key: str) -> Item | None:
        """Return the item of a key."""
        return next((item for item in self.items if item.key == key), None)


@dataclass(slots=True)
class Pieces:
    """A whole file. `start` and `end` are its markers `---` and `...` where it has them."""

    prologue: Rows
    start: str
    root: Item
    end: str
    epilogue: Rows
