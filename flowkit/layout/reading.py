"""Turn the text of a YAML file into pieces, with each comment at what it is about. Knows the tokens of PyYAML, nothing of flows.

The text was read by `source` before, so it is one document without tags, and no deeper than that allows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from yaml import tokens as tk

from flowkit.layout import texts
from flowkit.layout.pieces import Block, Brackets, Item, Leaf, Mark, Pieces, Remark, Rows
from flowkit.source.reading import READER

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMENT = re.compile(r"#[^\n]*")
#: What stays at the head of the file though a key below it moves.
_MODELINE = re.compile(r"# *(?:yaml-language-server:|vim?:|-\*-)")
_OPENING = (tk.FlowMappingStartToken, tk.FlowSequenceStartToken)
_CLOSING = (tk.FlowMappingEndToken, tk.FlowSequenceEndToken)
_KINDS: dict[type, Any] = {
    **dict.fromkeys(_OPENING, "open"),
    **dict.fromkeys(_CLOSING, "close"),
    tk.FlowEntryToken: "comma",
    tk.ValueToken: "colon",
    tk.KeyToken: "property",
    tk.AnchorToken: "property",
}


class _Tokens(Protocol):
    """What is used of a reader of PyYAML."""

    def check_token(self) -> bool: ...
    def get_token(self) -> Any: ...


class Comment(NamedTuple):
    """A comment outside of texts; line and column count from 0. `alone`: nothing but blanks stands before it on its line."""

    text: str
    line: int
    column: int
    gap: str
    alone: bool

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        return self.line, self.column


def tokens(text: str) -> list[Any]:
    """Return the tokens of a text that can be read."""
    reader = cast("_Tokens", READER(text))
    found = []
    while reader.check_token():
        found.append(reader.get_token())
    return found


def comments(text: str, found: list[Any]) -> Iterator[Comment]:
    """Yield the comments between tokens, in order; those in the header of a block of text are part of its token."""
    end = line = 0
    for token in found:
        start = token.start_mark.index
        if start > end:
            gap = text[end:start]
            for match in _COMMENT.finditer(gap):
                at = end + match.start()
                begin = text.rfind("\n", 0, at) + 1
                before = text[begin:at]
                blanks = before[len(before.rstrip(" \t")) :]
                yield Comment(match.group().rstrip(), line + gap.count("\n", 0, match.start()), at - begin, blanks, blanks == before)
        if token.end_mark.index >= end:
            end, line = token.end_mark.index, token.end_mark.line


def read(text: str) -> Pieces:
    """Return the pieces of a file."""
    return _Reading(text).file()


class _Reading:
    """One pass over the tokens, with the comments beside them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.tokens = tokens(text)
        self.at = 1  # behind the start of the stream
        self.comments = list(comments(text, self.tokens))
        self.comment = 0
        #: The line on which the last thing ended that was taken.
        self.last = -1

    @property
    def token(self) -> Any:
        return self.tokens[self.at]

    @property
    def here(self) -> tuple[int, int]:
        return self.token.start_mark.line, self.token.start_mark.column

    def take(self) -> Any:
        token = self.token
        self.at += 1
        if token.end_mark.index > token.start_mark.index:
            self.last = token.end_mark.line
        return token

    def written(self, token: Any) -> str:
        return self.text[token.start_mark.index : token.end_mark.index]

    # -- comments ------------------------------------------------------------------------------------------

    def rows(self, line: int, *, beyond: int = -1) -> Rows:
        """Take the comments above a line, with blank lines before them, as long as they stand right of column `beyond`."""
        rows: Rows = []
        while self.comment < len(self.comments) and (found := self.comments[self.comment]).line < line and found.column > beyond:
            if found.line > self.last + 1:
                rows.append("")
            rows.append(found.text)
            self.last = found.line
            self.comment += 1
        return rows

    def above(self, line: int) -> Rows:
        """Take the comments and blank lines above a line."""
        rows = self.rows(line)
        return [*rows, ""] if line > self.last + 1 else rows

    def remark(self) -> Remark | None:
        """Take the comment that ends the line, if the line ends with the last thing that was taken."""
        if self.comment >= len(self.comments):
            return None
        found = self.comments[self.comment]
        if found.alone or found.line != self.last or found.place > self.here:
            return None
        self.comment += 1
        return Remark(found.text, "  " if "\t" in found.gap else found.gap)

    def foot(self, column: int) -> Rows:
        """Take the comments at the end of a block in that column: those that do not stand as far left as what follows."""
        at = self.at
        while isinstance(self.tokens[at], tk.BlockEndToken):
            at += 1
        follower = self.tokens[at]
        line, beside = follower.start_mark.line, follower.start_mark.column
        if isinstance(follower, (tk.StreamEndToken, tk.DocumentEndToken)):
            line, beside = line + isinstance(follower, tk.StreamEndToken), -1  # the last line may lack its line break
        return self.rows(line, beyond=max(column - 1, beside))

    # -- blocks --------------------------------------------------------------------------------------------

    def file(self) -> Pieces:
        prologue: Rows = []
        start = end = ""
        if isinstance(self.token, tk.DocumentStartToken):
            prologue = self.above(self.token.start_mark.line)
            self.take()
            start = f"---{self.remark() or ''}"
        root = Item(None, [])
        self.value(root, -1)
        if isinstance(self.token, tk.DocumentEndToken):
            root.between += self.rows(self.token.start_mark.line) if root.value is None else []
            self.take()
            end = f"...{self.remark() or ''}"
        pieces = Pieces(prologue, start, root, end, self.rows(len(self.lines)))
        self.settle_head(pieces)
        return pieces

    def settle_head(self, pieces: Pieces) -> None:
        """Give to the file what stands above its first key: up to the last blank line, and lines for editors."""
        if not isinstance(pieces.root.value, Block):
            return
        first = pieces.root.value.items[0]
        stays = max((n for n, row in enumerate(first.above, 1) if not row or _MODELINE.match(row)), default=0)
        pieces.prologue += first.above[:stays]
        first.above = first.above[stays:]

    def value(self, item: Item, column: int) -> None:
        """Read the value of an item whose key or `-` stands in that column."""
        line = self.last
        item.remark = self.remark()
        if isinstance(self.token, tk.AnchorToken):
            item.between += self.rows(self.token.start_mark.line)
            item.anchor = self.written(self.take())
            line = self.last
            if item.remark is None:
                item.remark = self.remark()
        token = self.token
        if isinstance(token, (tk.BlockMappingStartToken, tk.BlockSequenceStartToken, tk.BlockEntryToken)):
            # A list may stand in the column of its key; another `-` there is the next item of the list that is read.
            if not isinstance(token, tk.BlockEntryToken) or item.key is not None:
                item.value = self.block()
            return
        if not isinstance(token, (tk.ScalarToken, tk.AliasToken, *_OPENING)):
            item.between += self.rows(token.start_mark.line, beyond=max(column, token.start_mark.column))
            return
        item.between += self.rows(token.start_mark.line)
        item.below = token.start_mark.line > line >= 0
        item.value = self.brackets() if isinstance(token, _OPENING) else self.leaf()

    def block(self) -> Block:
        column = self.token.start_mark.column
        closed = not isinstance(self.token, tk.BlockEntryToken)
        if closed:
            self.take()
        items = []
        while isinstance(self.token, (tk.BlockEntryToken, tk.KeyToken) if closed else tk.BlockEntryToken):
            items.append(self.entry() if isinstance(self.token, tk.KeyToken) else self.listed())
        block = Block(items, self.foot(column if closed else column + 1))
        if closed:
            self.take()
        return block

    def listed(self) -> Item:
        above = self.above(self.token.start_mark.line)
        item = Item(None, above)
        self.value(item, self.take().start_mark.column)
        return item

    def entry(self) -> Item:
        above = self.above(self.token.start_mark.line)
        column = self.take().start_mark.column
        item = Item("", above)
        begin = self.token.start_mark.index
        while not isinstance(self.token, tk.ScalarToken):  # an anchor of the key
            self.take()
        end = self.take().end_mark.index
        item.key = " ".join(texts.folded(self.text[begin:end], None))  # behind a `?` it may have several lines
        if isinstance(self.token, tk.ValueToken):
            item.between += self.rows(self.token.start_mark.line)  # `? key`, a comment, and `: value` below it
            self.take()
        self.value(item, column)
        return item

    # -- what blocks hold ----------------------------------------------------------------------------------

    def leaf(self) -> Leaf:
        token = self.take()
        if isinstance(token, tk.AliasToken):
            return Leaf("alias", (self.written(token),), self.remark())
        if token.style in {"|", ">"}:
            block, self.last = texts.block(self.lines, token, ends=self.text.endswith("\n"))
            return block
        remark = self.remark()
        written = self.written(token)
        if token.style == '"' and remark is None and (unescaped := texts.unescaped(written, token.value)):
            return unescaped
        return Leaf("plain" if token.plain else "quoted", texts.folded(written, token.style), remark)

    def brackets(self) -> Brackets:
        marks: list[Mark] = []
        depth = 0
        while True:
            self.inner_comments(marks)
            before, token = self.last, self.take()
            kind = _KINDS.get(type(token), "text")
            if written := self.written(token):
                breaks = token.start_mark.line - before if marks else 0
                if kind == "close" and marks[-1].kind == "comma" and not breaks:
                    marks.pop()
                if kind == "close" and marks[-1].kind == "open":
                    breaks = 0
                marks.append(Mark(kind, texts.folded(written, getattr(token, "style", None)), breaks, " "))
            depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
            if not depth:
                return Brackets(tuple(marks), self.remark())

    def inner_comments(self, marks: list[Mark]) -> None:
        """Take the comments before the next token inside brackets."""
        while marks and self.comment < len(self.comments) and (found := self.comments[self.comment]).place < self.here:
            marks.append(Mark("comment", (found.text,), found.line - self.last, "  " if "\t" in found.gap else found.gap))
            self.last = found.line
            self.comment += 1
