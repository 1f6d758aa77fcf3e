"""Turn pieces into the text of a file: what the canonical layout looks like. Knows nothing of flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit.layout.pieces import Block, Brackets, Item, Leaf

if TYPE_CHECKING:
    from flowkit.layout.pieces import Mark, Pieces, Rows

_STEP = 2


def write(pieces: Pieces) -> str:
    """Return the text of a file, which ends with one line break."""
    writer = _Writer()
    writer.rows(pieces.prologue, 0)
    if pieces.start:
        writer.line(pieces.start)
    writer.root(pieces.root)
    if pieces.end:
        writer.line(pieces.end)
    writer.rows(pieces.epilogue, 0)
    return writer.text()


class _Writer:
    """Lines so far. `lead` is what the next line begins with in the place of its indentation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.lead: str | None = None
        #: Blank lines here would be part of the text above: it ends with `|+`.
        self.open = False

    def text(self) -> str:
        while not self.open and self.lines and not self.lines[-1]:
            self.lines.pop()
        return "\n".join(self.lines) + "\n"

    def line(self, text: str) -> None:
        self.lines.append(text)
        self.open = False

    def blank(self) -> None:
        if self.lines and self.lines[-1] and not self.open:
            self.lines.append("")

    def rows(self, rows: Rows, indent: int) -> None:
        for row in rows:
            if row:
                self.line(" " * indent + row)
            else:
                self.blank()

    # -- blocks --------------------------------------------------------------------------------------------

    def root(self, root: Item) -> None:
        """Write the value of a file. A blank line stands above and below each section: a key with a block."""
        if root.anchor or root.remark:
            self.line(f"{root.anchor}{root.remark or ''}".lstrip())
        self.rows(root.between, 0)
        if not isinstance(root.value, Block):
            self.value(root.value, "", -_STEP)
            return
        section = False
        for number, item in enumerate(root.value.items):
            above, section = section, item.key is not None and isinstance(item.value, Block)
            if number and (above or section):
                self.blank()
            self.item(item, 0, first=False)
        self.rows(root.value.foot, 0)

    def block(self, block: Block, indent: int) -> None:
        for number, item in enumerate(block.items):
            self.item(item, indent, first=number == 0)
        self.rows(block.foot, indent)

    def item(self, item: Item, indent: int, *, first: bool) -> None:
        self.rows(_without_blank(item.above) if first else item.above, indent)
        lead, self.lead = " " * indent if self.lead is None else self.lead, None
        value = item.value
        if isinstance(value, Block) and item.key is None and not (item.anchor or item.remark or item.between or _begins_above(value)):
            self.lead = f"{lead}- "
            self.block(value, indent + _STEP)
            return
        head = lead + ("-" if item.key is None else f"{item.key}:") + (f" {item.anchor}" if item.anchor else "")
        if value is None or isinstance(value, Block) or item.remark or item.between or _stays_below(item):
            self.line(head + str(item.remark or ""))
            self.rows(item.between, indent + _STEP)
            head = " " * (indent + _STEP)
        else:
            head += " "
        if isinstance(value, Block):
            self.block(value, indent + _STEP)
        else:
            self.value(value, head, indent)

    def value(self, value: Brackets | Leaf | None, head: str, indent: int) -> None:
        """Write a value behind `head`; its further lines stand deeper than its key, which stands at `indent`."""
        if value is None:
            return
        within = indent + _STEP
        lines = _bracket_lines(value.marks, within) if isinstance(value, Brackets) else _deeper(value.lines, within)
        self.line(head + lines[0])
        self.lines += lines[1:]
        if isinstance(value, Leaf):
            self.open = value.keeps
        self.lines[-1] += str(value.remark or "")


def _without_blank(rows: Rows) -> Rows:
    return rows[1:] if rows and not rows[0] else rows


def _begins_above(block: Block) -> bool:
    """Whether comments stand above the first item of a block, so that it cannot begin behind a `-`."""
    return any(block.items[0].above)


def _stays_below(item: Item) -> bool:
    """Whether a text begins below its key, as its author wrote it to keep the line short."""
    return item.below and item.key is not None and not (isinstance(item.value, Leaf) and item.value.kind == "block")


def _deeper(lines: tuple[str, ...], indent: int) -> list[str]:
    return [lines[0], *(" " * indent + line if line else "" for line in lines[1:])]


def _bracket_lines(marks: tuple[Mark, ...], indent: int) -> list[str]:
    """Return a mapping or list in brackets in the lines of its author, each indented by its depth."""
    parts: list[str] = []
    depth = 0
    before: Mark | None = None
    for mark in marks:
        depth -= mark.kind == "close"
        if mark.breaks:
            parts.append("\n\n" if mark.breaks > 1 else "\n")
            parts.append(" " * (indent + _STEP * depth))
        elif before is not None:
            parts.append(_gap(before, mark))
        parts.append("\n".join(_deeper(mark.lines, indent + _STEP * (depth + 1))))
        depth += mark.kind == "open"
        before = mark
    return "".join(parts).split("\n")


def _gap(before: Mark, mark: Mark) -> str:
    if mark.kind == "comment":
        return mark.gap
    # Behind a colon and an anchor a blank is what ends them.
    close = before.kind == "open" or mark.kind in {"comma", "colon"} or (mark.kind == "close" and before.kind != "colon")
    return "" if close and before.kind != "property" else " "
