"""Turn text into a tree of nodes, or into problems. Knows YAML and its dangers, nothing of flows.

The events of PyYAML are walked with a stack of our own, so that no input can exhaust the call stack, and counted on the way, so
that an alias cannot multiply. The reader of libyaml is used where PyYAML has it; the one in Python reads the same files, ten
times slower, except that it wants quotes around a key such as `name?` inside braces, and no tab at the end of a line.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import yaml
from yaml import events as ev

from flowkit.source import keys, syntax
from flowkit.source.decoding import decode
from flowkit.source.scalars import NumberTooLong, value_of
from flowkit.source.tree import Document, Entry, Mapping, Node, Scalar, Sequence, SourceFile, Style

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowkit.errors import Problems

#: Mappings and lists inside each other, aliases counted as what they stand for.
DEEPEST = 40
#: Nodes that aliases may add to those that are written.
MOST_ALIASED = 20_000
#: Nodes that may be written: 10,000 steps with all that they hold.
MOST_NODES = 400_000
MOST_PROBLEMS = 200


class _Events(Protocol):
    """What is used of a reader of PyYAML."""

    def check_event(self) -> bool: ...
    def get_event(self) -> Any: ...


READER: Callable[[str], _Events] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STYLES: dict[str | None, Style] = {None: "plain", "": "plain", "'": "single", '"': "double", "|": "literal", ">": "folded"}
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+")
#: What is left of a line, unless it is blank or a comment.
_TEXT = re.compile(r"[ \t]*(?P<text>[^ \t#])")
_TAG = re.compile(r"![^\s,\[\]{}]*")


def parse(text: bytes | str, *, path: Path, shown: str, problems: Problems) -> Document:
    """Read a YAML file; every mistake is added to `problems`, and `root` is None when nothing can be read."""
    decoded, file = decode(text, path=path, shown=shown, problems=problems)
    if decoded is None:
        return Document(None, file, complete=False)
    return Reading(file, problems).read(decoded, READER)


class _Stop(Exception):
    """The file cannot be read any further; the problem is already reported."""


class _Frame:
    """A mapping or list that is still open."""

    __slots__ = ("anchor", "block", "column", "height", "items", "key", "line", "muted", "named", "refused", "size", "wants_key")

    def __init__(self, *, mapping: bool, line: int, column: int, block: bool, muted: bool) -> None:
        self.named: dict[str, Entry] | None = {} if mapping else None
        self.items: list[Node] = []
        self.line, self.column, self.block = line, column, block
        #: Nothing is reported inside: it lies in something that is already refused.
        self.muted = muted
        #: Not to be put into the tree.
        self.refused = muted
        self.wants_key = mapping
        #: The key whose value comes next; None when that entry is refused.
        self.key: Scalar | None = None
        self.anchor: str | None = None
        #: Nodes in it, and levels below it, aliases counted as what they stand for.
        self.size, self.height = 1, 1


class Reading:
    """One pass over the events of a file."""

    def __init__(self, file: SourceFile, problems: Problems) -> None:
        self.file = file
        self.problems = problems
        self.stack: list[_Frame] = []
        #: Node, size and height by anchor; None while the node is open.
        self.anchors: dict[str, tuple[Node | None, int, int] | None] = {}
        self.root: Node | None = None
        self.complete = True
        #: Line of the last text that begins with braces and is not quoted: what else is wrong there follows from it.
        self.braces = 0
        self.reported = 0
        self.written = 0
        self.aliased = 0
        #: Where the last thing ended, as (line, column) from 1.
        self.end = (1, 1)

    def read(self, text: str, reader: Callable[[str], _Events]) -> Document:
        """Read the text of the file with a reader of PyYAML."""
        try:
            self.no_directive()
            self.walk(reader(text))
        except _Stop:
            return Document(None, self.file, complete=False)
        except yaml.MarkedYAMLError as error:
            if not self.muted and self.braces != syntax.line_of(error, self.file):
                syntax.report(error, self.file, self.problems)
            return Document(None, self.file, complete=False)
        empty = self.root is None or (isinstance(self.root, Scalar) and self.root.value is None)
        if empty and self.complete:
            self.problems.error("empty-file", self.file.place(1, 1), "the file is empty", "a flow begins with 'flowkit: 1'")
            return Document(None, self.file, complete=False)
        return Document(self.root, self.file, self.complete)

    def walk(self, reader: _Events) -> None:
        while reader.check_event():
            event = reader.get_event()
            kind = type(event)
            if kind is ev.ScalarEvent:
                self.scalar(event)
            elif kind is ev.MappingStartEvent or kind is ev.SequenceStartEvent:
                self.open(event)
            elif kind is ev.MappingEndEvent or kind is ev.SequenceEndEvent:
                self.close(event)
            elif kind is ev.AliasEvent:
                self.alias(event)
            elif kind is ev.DocumentEndEvent:
                # Not from the reader: each %TAG of a second document costs it time in proportion to those before.
                self.nothing_follows(*_position(event.end_mark))
                return

    # -- what events become --------------------------------------------------------------------------------

    def scalar(self, event: ev.ScalarEvent) -> None:
        line, column = _position(event.start_mark)
        self.end = _position(event.end_mark)
        self.count()
        if event.tag is not None:
            self.refuse_tag(line, column)
            self.put(None, anchor=event.anchor)
            return
        if event.anchor is not None:
            line, column = self.behind_anchor(line, column)
            if event.value == "" and event.style in {None, ""}:
                line, column = self.end
        style = _STYLES[event.style]
        text: str = event.value
        value: str | int | float | bool | None = text
        if style == "plain":
            try:
                value = value_of(text)
            except NumberTooLong:
                self.problem("number-too-long", (line, column), f"a number of {len(text)} digits", "quote it if it is text")
                self.put(None, anchor=event.anchor)
                return
        elif style == "double" and not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            message = "this text holds an escape for half of a character"
            self.problem("lone-surrogate", (line, column), message, syntax.WHOLE_CHARACTER)
            self.put(None, anchor=event.anchor)
            return
        self.put(Scalar(value, text, style, self.file, line, column, *self.end), anchor=event.anchor)

    def open(self, event: ev.CollectionStartEvent) -> None:
        self.count()
        mapping = type(event) is ev.MappingStartEvent
        line, column = _position(event.start_mark)
        parent = self.stack[-1] if self.stack else None
        muted = parent is not None and parent.muted
        if event.tag is not None:
            self.refuse_tag(line, column)
        if event.anchor is not None:
            line, column = self.behind_anchor(line, column)
        frame = _Frame(mapping=mapping, line=line, column=column, block=not event.flow_style, muted=muted or event.tag is not None)
        frame.anchor = event.anchor
        if event.anchor is not None:
            self.declare(event.anchor, (line, column))
            self.anchors[event.anchor] = None
        if parent is not None and parent.wants_key:
            frame.muted = frame.refused = True
            self.refuse_collection_as_key(parent, frame)
        self.stack.append(frame)
        if len(self.stack) > DEEPEST:
            self.too_deep((line, column))

    def close(self, event: ev.CollectionEndEvent) -> None:
        frame = self.stack.pop()
        if not frame.block:
            self.end = _position(event.end_mark)
        node: Node | None
        if frame.refused:
            node = None
        elif frame.named is not None:
            node = Mapping(frame.named, self.file, frame.line, frame.column, *self.end)
        else:
            node = Sequence(tuple(frame.items), self.file, frame.line, frame.column, *self.end)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (node, frame.size, frame.height)
        self.add(node, frame.size, frame.height)

    def alias(self, event: ev.AliasEvent) -> None:
        name = str(event.anchor)
        at = _position(event.start_mark)
        self.end = _position(event.end_mark)
        self.count()
        if self.stack and self.stack[-1].named is not None and self.stack[-1].wants_key:
            self.problem("key-not-text", at, f"the alias '*{name}' is used as a key", "write the key out")
            self.add(None)
            return
        if name not in self.anchors:
            near = get_close_matches(name, self.anchors, 1)
            hint = f"did you mean '*{near[0]}'?" if near else f"write &{name} before the value that is meant; if it is text, {syntax.QUOTE}"
            self.problem("unknown-alias", at, f"'*{name}' is the alias of an anchor that does not stand above", hint, len(name) + 1)
            self.add(None)
            return
        known = self.anchors[name]
        if known is None:
            message = f"'*{name}' stands inside the value that it repeats, which would have no end"
            self.problem("recursive-alias", at, message, "write the value out", len(name) + 1)
            self.add(None)
            return
        node, size, height = known
        self.aliased += size
        if self.aliased > MOST_ALIASED:
            message = f"aliases make this file larger than {MOST_ALIASED:,} nodes"
            self.stop("too-many-aliases", at, message, "write fewer aliases of aliases")
        if len(self.stack) + height > DEEPEST:
            self.too_deep(at)
        self.add(node, size, height)

    # -- where they go -------------------------------------------------------------------------------------

    def put(self, node: Scalar | None, *, anchor: str | None) -> None:
        """Put a scalar, or None for a refused one, where it belongs."""
        if anchor is not None:
            self.declare(anchor, (node.line, node.column) if node else self.end)
            self.anchors[anchor] = (node, 1, 0)
        self.add(node)

    def add(self, node: Node | None, size: int = 1, height: int = 0) -> None:
        if node is None:
            self.complete = False
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if frame.named is None:
            if node is not None:
                frame.items.append(node)
        elif frame.wants_key:
            frame.key = self.checked_key(node, frame)
            frame.wants_key = False
        else:
            if frame.key is not None and node is not None:
                frame.named[frame.key.text] = Entry(frame.key, node)
            frame.key, frame.wants_key = None, True

    def checked_key(self, node: Node | None, frame: _Frame) -> Scalar | None:
        """Return the key, or None when its entry is refused."""
        if not isinstance(node, Scalar) or frame.muted:
            return None
        wrong = keys.mistake(node, frame.named or {})
        if wrong is None:
            return node
        self.problem(wrong.code, (node.line, node.column), wrong.message, wrong.hint, len(node.text))
        return wrong.instead

    # -- what is refused -----------------------------------------------------------------------------------

    def problem(self, code: str, at: tuple[int, int], message: str, hint: str, width: int = 1) -> None:
        self.complete = False
        if self.muted:
            return
        self.problems.error(code, self.file.place(at[0], at[1], at[1] + max(width, 1)), message, hint)
        self.reported += 1
        if self.reported > MOST_PROBLEMS:
            self.stop("too-many-problems", at, f"more than {MOST_PROBLEMS} problems; the rest is not read", "repair these first")

    def stop(self, code: str, at: tuple[int, int], message: str, hint: str) -> NoReturn:
        if not self.muted:
            self.problems.error(code, self.file.place(*at), message, hint)
        raise _Stop

    @property
    def muted(self) -> bool:
        """Whether what is read now lies in something that is already refused."""
        return bool(self.stack) and self.stack[-1].muted

    def no_directive(self) -> None:
        for number, line in enumerate(self.file.lines, 1):
            if line.startswith("%"):
                self.stop("yaml-directive", (number, 1), "YAML directives are not part of a flow file", "delete the line")
            if line.strip() and not line.lstrip().startswith("#"):
                return

    def count(self) -> None:
        self.written += 1
        if self.written > MOST_NODES:
            hint = "keep data in files of their own, or split the flow"
            self.stop("too-many-nodes", self.end, f"the file holds more than {MOST_NODES:,} nodes", hint)

    def too_deep(self, at: tuple[int, int]) -> NoReturn:
        message = f"mappings and lists stand inside each other more than {DEEPEST} levels deep"
        self.stop("too-deep", at, message, "flatten it, or keep it in a file of its own")

    def declare(self, anchor: str, at: tuple[int, int]) -> None:
        if anchor in self.anchors:
            message = f"the anchor '&{anchor}' is set a second time"
            self.problem("duplicate-anchor", at, message, "give each anchor a name of its own")

    def refuse_tag(self, line: int, column: int) -> None:
        found = _TAG.search(self.file.lines[line - 1], column - 1)
        tag = found.group() if found else "!"
        at = found.start() + 1 if found else column
        hint = f"write plain values; environment, files and code are reached by other keys. If it is text, {syntax.QUOTE}"
        self.problem("yaml-tag", (line, at), f"the tag {tag!r} is not part of a flow file", hint, len(tag))

    def refuse_collection_as_key(self, parent: _Frame, frame: _Frame) -> None:
        if parent.muted:
            return
        line = self.file.lines[parent.line - 1]
        if not parent.block and (parent.line, parent.column + 1) == (frame.line, frame.column):
            value = line[parent.column - 1 :].rstrip()
            if len(self.stack) > 1 and not self.stack[-2].block:
                value = value[: value.find("}}") + 2] or value
            message = "a text that begins with '{{' must be quoted: YAML reads a brace as the start of a mapping"
            self.problem("unquoted-text", (parent.line, parent.column), message, syntax.quoting(value), len(value))
            parent.muted = parent.refused = True
            self.braces = parent.line
            return
        message = "a mapping or list is used as a key; a key must be text"
        self.problem("key-not-text", (frame.line, frame.column), message, "write 'name: value'; if it is text, " + syntax.QUOTE)

    # -- places --------------------------------------------------------------------------------------------

    def behind_anchor(self, line: int, column: int) -> tuple[int, int]:
        """Return where the value begins whose event begins with its anchor."""
        lines = self.file.lines
        row = line - 1
        found = _ANCHOR.match(lines[row], column - 1)
        at = found.end() if found else column - 1
        while row < len(lines):
            if (text := _TEXT.match(lines[row], at)) is not None:
                return row + 1, text.start("text") + 1
            row, at = row + 1, 0
        return line, column

    def nothing_follows(self, last: int, column: int) -> None:
        for number, line in enumerate(self.file.lines[last - 1 :], last):
            begin = column - 1 if number == last else 0
            rest = line[begin:].strip()
            if not rest or rest.startswith("#") or rest == "...":
                continue
            if begin == 0 and rest.startswith(("---", "%")):
                self.stop("many-documents", (number, 1), "a second YAML document begins here", "keep one flow in each file")
            where = (number, line.index(rest, begin) + 1)
            self.stop("yaml-syntax", where, "this stands after the end of the document", "delete it; if all is one text, " + syntax.QUOTE)


def _position(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1
