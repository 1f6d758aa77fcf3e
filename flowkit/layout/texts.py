"""Turn a scalar as it is written into lines that stand at any indentation and keep its text. Knows the styles of YAML."""

from __future__ import annotations

import re
from typing import Any

from flowkit.layout.pieces import Leaf

_HEADER = re.compile(r"([|>])(?:([-+])?([1-9])?|([1-9])([-+]))([ \t]+#.*)?[ \t]*$")
#: Double quotes that need no escapes but these read the same as a block of text.
_SIMPLE = re.compile(r'"(?:[^"\\]|\\[n"\\])*"')


def folded(written: str, style: str | None) -> tuple[str, ...]:
    """Return the lines of a plain or quoted scalar; blanks around its line breaks mean nothing."""
    first, *more = written.split("\n")
    if not more:
        return (first,)
    middle = [_stripped(line, style) for line in more[:-1]]
    return (_stripped("x" + first, style)[1:], *middle, more[-1].lstrip(" \t"))


def _stripped(line: str, style: str | None) -> str:
    """Strip the blanks around a line, but for one that a backslash makes part of the text."""
    line = line.lstrip(" \t")
    bare = line.rstrip(" \t")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return line if style == '"' and backslashes % 2 and bare != line else bare


def block(lines: list[str], token: Any, *, ends: bool) -> tuple[Leaf, int]:
    """Return a block of text, and the number of its last line. `ends`: the file ends with a line break."""
    row, text = token.start_mark.line, token.value
    found = _HEADER.match(lines[row], token.start_mark.column)
    assert found is not None, lines[row]
    style, chomp_first, digit, digit_first, chomp, remark = found.groups("")
    chomp = chomp or chomp_first
    end = token.end_mark.line + (token.end_mark.column > 0)
    content = lines[row + 1 : end]
    indent = _indent(content, text)
    content = [line[indent:] for line in content]
    if not ends and end == len(lines) and not text.endswith("\n"):
        chomp = "-"  # no line break ends the last line, and now one will
    if chomp != "+":
        while content and not content[-1]:
            content.pop()
    header = f"{style}{'2' if digit or digit_first else ''}{chomp}{remark.rstrip()}"
    return Leaf("block", (header, *content), keeps=chomp == "+"), row + len(content)


def _indent(content: list[str], text: str) -> int:
    """Return the indentation of a block from its first line with text, which may begin with blanks of its own."""
    stripped = text.lstrip("\n")
    if not stripped:  # nothing but line breaks
        return max(map(len, content), default=0)
    return _margin(content[len(text) - len(stripped)]) - _margin(stripped)


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def unescaped(written: str, text: str) -> Leaf | None:
    r"""Return a text in double quotes as a block if it has several lines by `\n` and reads exactly the same there."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 2 or "\t" in text or not lines[0].strip() or not lines[-1].strip() or not _SIMPLE.fullmatch(written):
        return None
    if "\n" in written or lines[0].startswith(" ") or any(line != line.rstrip() for line in lines):
        return None
    return Leaf("block", ("|" if text.endswith("\n") else "|-", *lines))
