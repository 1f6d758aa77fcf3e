"""Answers as bytes, and what the reader makes of them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from flowkit.chat import Completion
from flowkit.wire.reply import Reader


def read(pieces: list[bytes], *, stream: bool = True, content_type: str = "text/event-stream") -> tuple[Completion, list[str]]:
    reader = Reader(stream=stream, content_type=content_type)
    shown: list[str] = []
    for piece in pieces:
        shown += reader.feed(piece)
    completion, last = reader.conclude()
    return completion, shown + last


def cut(data: bytes, how: Any) -> list[bytes]:
    if how == "whole":
        return [data]
    if how == "bytes":
        return [data[i : i + 1] for i in range(len(data))]
    offsets = [0, *how, len(data)]
    return [data[a:b] for a, b in pairwise(offsets)]


def events(*chunks: Any, done: bool = True) -> bytes:
    lines = [b"data: " + (c if isinstance(c, bytes) else json.dumps(c).encode()) + b"\n\n" for c in chunks]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def delta(finish: Any = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def stream(*chunks: Any, done: bool = True) -> Completion:
    return read([events(*chunks, done=done)])[0]


def body(**message: Any) -> Completion:
    data = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return read([json.dumps(data).encode()], stream=False, content_type="application/json")[0]


def call(**fields: Any) -> dict[str, Any]:
    return delta(tool_calls=[fields])
