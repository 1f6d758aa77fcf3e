"""Find where a chat history is only written as messages, and turn histories of Prompt flow into lists of messages."""

from __future__ import annotations

from typing import Any

from flowkit.imports import roles, texts
from flowkit.imports.roles import Message, Talk

#: The Python file that turns a history which others read in its old shape into messages.
FILE = "imported_talk.py"
_MODULE = '''\
"""Turn the chat history of Prompt flow into messages."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Message(TypedDict):
    """One message of a talk."""

    role: Literal["user", "assistant"]
    content: str


def messages(turns: list[Any], user: str, assistant: str) -> list[Message]:
    """Return what was said; `user` and `assistant` are paths such as `inputs.question`."""
    said: list[Message] = []
    for turn in turns:
        said.append({"role": "user", "content": _at(turn, user)})
        said.append({"role": "assistant", "content": _at(turn, assistant)})
    return said


def _at(turn: Any, path: str) -> str:
    for key in path.split("."):
        turn = turn[key]
    return turn if isinstance(turn, str) else str(turn)
'''


def module() -> str:
    """Return the text of that file."""
    return _MODULE


def only_talk(text: str, name: str) -> bool:
    """Whether a template reads a variable for nothing but to write a talk as messages."""
    parts = roles.split(text, first="user").parts
    rest = [part.text for part in parts if isinstance(part, Message)]
    return not any(name in texts.reads(piece) for piece in rest) and any(isinstance(p, Talk) and name in p.of for p in parts)


def messages(history: Any, user: str, assistant: str) -> Any:
    """Return a history as messages: pairs at these paths, or messages already. None where it is neither."""
    if not isinstance(history, list):
        return None
    said: list[dict[str, str]] = []
    for turn in history:
        if isinstance(turn, dict) and set(turn) == {"role", "content"}:
            said.append({"role": str(turn["role"]), "content": str(turn["content"])})
            continue
        asked, answered = _at(turn, user), _at(turn, assistant)
        if not user or asked is None or answered is None:
            return None
        said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return said


def _at(turn: Any, path: str) -> str | None:
    for key in path.split("."):
        if not isinstance(turn, dict) or key not in turn:
            return None
        turn = turn[key]
    return turn if isinstance(turn, str) else str(turn)
