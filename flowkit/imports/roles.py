"""Split a chat template by its lines such as `system:` into messages, and find the loop that writes a talk. Renders nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from flowkit.imports import tags

#: Roles of the other tools, and ours; `function` was the old name of `tool`.
ROLES = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool", "function": "tool", "developer": "developer"}
_HEADER = re.compile(rf"^[ \t]*(?:#[ \t]*)*({'|'.join(ROLES)})[ \t]*(\[[^\]\n]*\])?[ \t]*:[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
#: A line whose role is printed: `{{ item.role }}:`.
_PRINTED_ROLE = re.compile(r"^[ \t]*(?:#[ \t]*)*\{\{-?\s*(\w+)(\.role|\[['\"]role['\"]\])\s*-?\}\}[ \t]*:[ \t]*$", re.MULTILINE)
_FOR = re.compile(r"(\w+)\s+in\s+(.+)", re.DOTALL)
_PRINT = re.compile(r"\{\{-?\s*([\w.]+(?:\[['\"]\w+['\"]\])*)\s*(?:\|\s*(?:trim|safe)\s*)?-?\}\}")
_ROLE_TEST = re.compile(r"(\w+)(?:\.role|\[['\"]role['\"]\])\s*==\s*['\"](\w+)['\"]")
_THREAD = re.compile(r"^[ \t]*!\[thread\](?:\(\w*\))?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Message:
    """A message of one role; `line` is that of the first line of `text`, from 1."""

    role: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Talk:
    """A talk that a loop writes: `of` is what it goes through. Without paths its items are messages, else pairs of two."""

    of: str
    line: int
    user: str = ""
    assistant: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """The messages of a template, and the lines of roles that lie in blocks, so that they stayed text."""

    parts: tuple[Message | Talk, ...]
    inside: tuple[tuple[int, str], ...] = ()
    #: What stands before a role of its own, such as `[name="x"]`, that has no place in a flow.
    attributes: tuple[tuple[int, str], ...] = ()
    #: Whether any role was named at all.
    named: bool = False


@dataclass(slots=True)
class _Cut:
    start: int
    end: int
    role: str = ""
    talk: Talk | None = None
    attributes: str = field(default="")


def split(text: str, *, first: str) -> Split:
    """Split a template; what stands before the first role is a message of the role `first`."""
    cuts = [_Cut(m.start(), m.end(), ROLES[m[1].lower()], attributes=m[2] or "") for m in _HEADER.finditer(text)]
    cuts += [_Cut(m.start(), m.end(), talk=Talk("thread", _line(text, m.start()))) for m in _THREAD.finditer(text)]
    outer = list(tags.blocks(text))
    hidden = tags.hidden(text)
    talks = [(block, talk) for block in outer if (talk := _talk(text, block)) is not None]
    inside = sorted(
        (_line(text, cut.start), text[cut.start : cut.end].strip())
        for cut in cuts
        if any(b.start < cut.start < b.end for b in outer) and not any(b.start < cut.start < b.end for b, _ in talks)
    )
    cuts = [cut for cut in cuts if not any(start < cut.start < end for start, end in hidden)]
    cuts = [cut for cut in cuts if not any(b.start < cut.start < b.end for b in outer)]
    cuts += [_Cut(block.start, block.end, talk=talk) for block, talk in talks]
    parts: list[Message | Talk] = []
    role, begin = first, 0
    for cut in [*sorted(cuts, key=lambda cut: cut.start), _Cut(len(text), len(text))]:
        piece = text[begin : cut.start]
        if piece.strip():
            lead = len(piece) - len(piece.lstrip("\r\n \t"))
            parts.append(Message(role, piece.strip(), _line(text, begin + lead)))
        if cut.talk is not None:
            parts.append(cut.talk)
        role, begin = cut.role or role, cut.end
    attributes = tuple((_line(text, cut.start), cut.attributes) for cut in cuts if cut.attributes)
    named = any(cut.role for cut in cuts) or bool(talks)
    return Split(tuple(parts), tuple(inside), attributes, named)


def has_roles(text: str) -> bool:
    """Whether any line of a text names a role."""
    return _HEADER.search(text) is not None


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _talk(text: str, block: tags.Block) -> Talk | None:
    """Return the talk that a loop writes, if the loop does nothing else."""
    inner = text[block.opening.end : block.closing.start]
    line = _line(text, block.start)
    if block.opening.name == "if" and not block.between:
        # `{% if chat_history %}` around the loop: an empty list gives no messages anyway.
        within = list(tags.blocks(inner))
        if len(within) != 1 or inner[: within[0].start].strip() or inner[within[0].end :].strip():
            return None
        loop = _talk(inner, within[0])
        return Talk(loop.of, line, loop.user, loop.assistant) if loop and loop.of.startswith(block.opening.rest.split()[0]) else None
    head = _FOR.fullmatch(block.opening.rest)
    if block.opening.name != "for" or block.between or head is None:
        return None
    item, of = head[1], head[2].strip()
    return _pairs(inner, item, of, line) or _messages(inner, item, of, line) or _by_role(inner, item, of, line)


def _messages(inner: str, item: str, of: str, line: int) -> Talk | None:
    """`{{ item.role }}:` and `{{ item.content }}`."""
    role = _PRINTED_ROLE.search(inner)
    if role is None or role[1] != item or inner[: role.start()].strip():
        return None
    return Talk(of, line) if _path(inner[role.end() :], item) == "content" else None


def _pairs(inner: str, item: str, of: str, line: int) -> Talk | None:
    """`user:`, `{{ item.inputs.question }}`, `assistant:` and `{{ item.outputs.answer }}`."""
    heads = list(_HEADER.finditer(inner))
    if [ROLES[head[1].lower()] for head in heads] != ["user", "assistant"] or inner[: heads[0].start()].strip():
        return None
    user = _path(inner[heads[0].end() : heads[1].start()], item)
    assistant = _path(inner[heads[1].end() :], item)
    return Talk(of, line, user, assistant) if user and assistant else None


def _by_role(inner: str, item: str, of: str, line: int) -> Talk | None:
    """`{% if item.role == 'user' %}`, `user:` and `{{ item.content }}`, and the same for the other role."""
    choice = list(tags.blocks(inner))
    if len(choice) != 1 or choice[0].opening.name != "if" or inner[: choice[0].start].strip() or inner[choice[0].end :].strip():
        return None
    marks = [choice[0].opening, *choice[0].between, choice[0].closing]
    for before, after in pairwise(marks):
        branch = inner[before.end : after.start]
        head = _HEADER.match(branch.lstrip())
        tested = _ROLE_TEST.fullmatch(before.rest)
        if head is None or (before.name != "else" and (tested is None or tested[1] != item)):
            return None
        if tested is not None and ROLES.get(tested[2]) != ROLES[head[1].lower()]:
            return None
        if _path(branch.lstrip()[head.end() :], item) != "content":
            return None
    return Talk(of, line)


def _path(text: str, item: str) -> str:
    """Return `inputs.question` where a text prints that path of an item and nothing else."""
    found = _PRINT.fullmatch(text.strip())
    if found is None:
        return ""
    path = re.sub(r"\[['\"](\w+)['\"]\]", r".\1", found[1])
    return path.removeprefix(f"{item}.") if path.startswith(f"{item}.") else ""
