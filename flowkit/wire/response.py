"""An HTTP answer as data: what a simulator gives instead of a server. Knows no protocol and no clock."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

JSON = "application/json"
EVENT_STREAM = "text/event-stream"

#: A piece of a body: bytes, or seconds to wait before the next piece, or a failure that breaks the connection here.
Chunk: TypeAlias = bytes | float | BaseException


@dataclass(frozen=True, slots=True)
class Response:
    """Status, headers (names in lower case) and the body in pieces, in the order in which they arrive."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": JSON})
    chunks: Iterable[Chunk] | AsyncIterable[Chunk] = ()

    @property
    def content_type(self) -> str:
        """Media type in lower case, without its parameters; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
