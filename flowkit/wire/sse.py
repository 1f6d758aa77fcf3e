"""Bytes in any pieces to server-sent events, by the rules of WHATWG. Knows nothing of JSON or of chat."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Largest event in bytes; a chunk of a chat answer has some hundred.
LARGEST = 1024 * 1024

_BOM = b"\xef\xbb\xbf"
# Bytes, not text: str.splitlines would also split at U+2028 and friends, which may stand raw inside JSON strings.
_LINE_END = re.compile(rb"\r\n|\n|\r")


class TooLarge(ValueError):
    """An event is larger than `LARGEST`."""


class Event(NamedTuple):
    """One event: its name (`message` if it has none) and its data lines, joined by LF."""

    name: str
    data: bytes


class Splitter:
    """Takes bytes as they come and gives the events that are complete. Comments and events without data are dropped."""

    def __init__(self) -> None:
        self._begun = False
        self._after_cr = False
        #: The pieces of the line that has not ended yet.
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete.

        Raises:
            TooLarge: an event has more than 1 MiB.
        """
        if not self._begun:
            data = b"".join((*self._rest, data))
            self._rest.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest.append(data)
                return []
            self._begun = True
            data = data.removeprefix(_BOM)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if data.endswith(b"\r"):
            self._after_cr = True
        lines = _LINE_END.split(data) if b"\r" in data else data.split(b"\n")
        last = lines.pop()
        if lines and self._rest:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest.clear()
            self._rest_size = 0
        events: list[Event] = []
        for line in lines:
            self._take(line, events)
        if last:
            self._rest.append(last)
            self._rest_size += len(last)
        if self._size + self._rest_size > LARGEST:
            raise TooLarge(f"an event of the stream has more than {LARGEST // 1024} KiB")
        return events

    def finish(self) -> Event | None:
        """Return what stood at the end without its blank line, if anything; whether it is whole is for the reader to see.

        WHATWG drops it, but real servers close right after their last line.
        """
        events: list[Event] = []
        rest = b"".join(self._rest)
        self._rest.clear()
        self._take(rest if self._begun else rest.removeprefix(_BOM), events)
        self._take(b"", events)
        return events[0] if events else None

    def _take(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._data:
                data = (self._data[0] if len(self._data) == 1 else b"\n".join(self._data)).strip()
                if data:
                    events.append(Event(self._name or "message", data))
                self._data.clear()
                self._size = 0
            self._name = ""
            return
        # Nearly every line, hence first and without the general cut.
        if line.startswith(b"data: "):
            self._keep(line[6:])
            return
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
            return
        if field == b"error":
            # llama.cpp before September 2025 wrote `error: {...}` in place of a data line.
            self._name = "error"
        elif field != b"data":
            return
        self._keep(value)

    def _keep(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value) + 1
        if self._size > LARGEST:
            raise TooLarge(f"an event of the stream has more than {LARGEST // 1024} KiB")
