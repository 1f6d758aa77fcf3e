"""Read the beginning of a typed answer while it comes: text in pieces to the value as far as it is known. Knows no type and no wire.

Where an answer stands:

    start ──`<think>`──► thinking ──`</think>`──► before ──`{` or `[`──► inside ──closed──► done
      └──anything else────────────────────────────►┘  ▲                    │
                                                      └──no JSON after all─┘

What is shown is a part of what the model writes, not yet checked: strings as far as they came, numbers and literals only when they are
complete, so that a reader never sees 1 where 12 was meant.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic_core import from_json

#: Characters up to which each piece is looked at; from there on the text must have grown by a share, so that a long answer costs little.
_EAGER = 4096
_SHARE = 32
#: How often JSON is tried to begin, as when a finished answer is read.
_STARTS = 20

_THINKING = {"<think>": "</think>", "<thinking>": "</thinking>"}
_MARK = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)
#: What numbers and literals are made of.
_LOOSE = "0123456789+-.eEtrufalsn"


class Partial:
    """One typed answer that comes in pieces. `wrapped`: the value was asked for under the key `value`."""

    def __init__(self, *, wrapped: bool) -> None:
        self._wrapped = wrapped
        self._openings = re.compile(r"[{\[]" if wrapped else r"\{")
        self._place: Literal["start", "thinking", "before", "inside", "done"] = "start"
        self._head = ""
        self._end_of_thought = ""
        self._starts = 0
        self._pieces: list[str] = []
        self._size = self._read = 0
        self._depth = 0
        self._in_string = self._escaped = False
        #: What is known; None while nothing is.
        self.value: Any = None

    def feed(self, piece: str) -> Any:
        """Take a piece and return what is known now, None while nothing is. A returned value does not change any more."""
        rest = piece
        while rest and self._place != "done":
            match self._place:
                case "start":
                    rest = self._begin(rest)
                case "thinking":
                    rest = self._think(rest)
                case "before":
                    rest = self._search(rest)
                case "inside":
                    rest = self._go_on(rest)
        return self.value

    def _begin(self, piece: str) -> str:
        self._head = head = (self._head + piece).lstrip()
        for opened, closed in _THINKING.items():
            if head.startswith(opened):
                self._place, self._head, self._end_of_thought = "thinking", "", closed
                return head[len(opened) :]
        if any(opened.startswith(head) for opened in _THINKING):
            return ""  # too short to tell
        self._place, self._head = "before", ""
        return head

    def _think(self, piece: str) -> str:
        thought, closed, rest = (self._head + piece).partition(self._end_of_thought)
        if not closed:
            self._head = thought[-len(self._end_of_thought) :]
            return ""
        self._place, self._head = "before", ""
        return rest

    def _search(self, piece: str) -> str:
        if (found := self._openings.search(piece)) is None:
            return ""
        self._starts += 1
        self._place = "inside" if self._starts <= _STARTS else "done"
        return piece[found.start() :]

    def _go_on(self, piece: str) -> str:
        end = self._scan(piece)
        closed = end is not None
        self._pieces.append(piece if end is None else piece[:end])
        self._size += len(piece) if end is None else end
        if not closed and self._size - self._read < (self._read - _EAGER) // _SHARE:
            return ""
        text = "".join(self._pieces)
        self._pieces = [text]
        self._read = self._size
        # What stands loose at the end may go on: 12 may be the beginning of 123.
        known = text if closed or self._in_string else text.rstrip(_LOOSE)
        raw = known.encode(errors="surrogatepass")
        try:
            data = from_json(raw, allow_partial="off" if closed else "trailing-strings", allow_inf_nan=False)
        except ValueError:  # no JSON, or too deep
            return self._give_up(text) + ("" if end is None else piece[end:])
        self._place = "done" if closed else "inside"
        self.value = self._unwrapped(data, closed=closed)
        return ""

    def _scan(self, piece: str) -> int | None:
        """Count brackets outside of strings; return where the value ends in this piece, None when it does not."""
        for mark in _MARK.finditer(piece, 1 if self._escaped else 0):
            sign = mark[0]
            if sign == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += (sign in "{[") - (sign in "}]")
                if self._depth == 0:
                    return mark.end()
        self._escaped = bool(piece) and _ends_escaping(piece, escaped=self._escaped)
        return None

    def _give_up(self, text: str) -> str:
        """Keep what was shown of a value that broke; where nothing was, look for another beginning after this one."""
        if self.value:
            self._place = "done"
            return ""
        self._place, self.value = "before", None
        self._pieces, self._size, self._read = [], 0, 0
        self._depth, self._in_string, self._escaped = 0, False, False
        return text[1:]

    def _unwrapped(self, data: Any, *, closed: bool) -> Any:
        if self._wrapped and isinstance(data, dict):
            if "value" in data:
                return data["value"]
            return data if data or closed else None
        return data


def _ends_escaping(piece: str, *, escaped: bool) -> bool:
    """Whether the next character belongs to a backslash at the end of this piece."""
    backslashes = len(piece) - len(piece.rstrip("\\"))
    return (backslashes - (escaped and backslashes == len(piece))) % 2 == 1
