"""Find the tags of a Jinja template and how deep each place lies in blocks, without reading expressions. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: What opens a block that an `end…` closes; `set` does so only without `=`.
_BLOCKS = frozenset({"for", "if", "macro", "call", "filter", "block", "with", "autoescape", "trans"})
_TOKEN = re.compile(
    r"\{#.*?#\}"
    r"|\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}"
    r"|\{%[-+]?\s*(?P<name>\w+)(?P<rest>(?:'[^']*'|\"[^\"]*\"|[^'\"])*?)[-+]?%\}"
    r"|\{\{(?:'[^']*'|\"[^\"]*\"|[^'\"])*?\}\}",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Tag:
    """`{% name rest %}`, from `start` to `end` of the text, and how many blocks are open before it."""

    name: str
    rest: str
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block with the tag that opens it, those such as `else` that divide it, and the one that closes it."""

    opening: Tag
    between: tuple[Tag, ...]
    closing: Tag

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.opening.start

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.closing.end


def tags(text: str) -> list[Tag]:
    """Return the tags of a template in their order; comments, raw text and prints are passed over."""
    found: list[Tag] = []
    depth = 0
    for match in _TOKEN.finditer(text):
        name = match["name"]
        if not name:
            continue
        rest = match["rest"].strip()
        if name.startswith("end"):
            depth = max(depth - 1, 0)
        found.append(Tag(name, rest, match.start(), match.end(), depth))
        if name in _BLOCKS or (name == "set" and "=" not in rest):
            depth += 1
    return found


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks that lie in no other."""
    opening: Tag | None = None
    between: list[Tag] = []
    for tag in tags(text):
        if tag.depth == 0 and tag.name.startswith("end"):
            if opening is not None:
                yield Block(opening, tuple(between), tag)
            opening = None
        elif tag.depth == 0 and (tag.name in _BLOCKS or (tag.name == "set" and "=" not in tag.rest)):
            opening, between = tag, []
        elif tag.depth == 1 and opening is not None and tag.name in {"else", "elif"}:
            between.append(tag)


def hidden(text: str) -> list[tuple[int, int]]:
    """Return where no line of the template is text of its own: comments, raw text, prints and tags."""
    return [match.span() for match in _TOKEN.finditer(text)]
