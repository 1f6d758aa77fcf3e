"""A question to the bytes of a request body, with only the keys that the flow asked for. Knows no server."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import orjson

from flowkit.chat import ChatRequest, Message, Shape, Tool
from flowkit.errors import ModelRejected
from flowkit.wire.decode import scrub

#: Said to servers that do not hold answers to a schema themselves. OpenAI refuses `json_object` unless a message says "JSON".
INSTRUCTION = "Answer with one JSON object and nothing else: no prose, no code fence. It must be valid against this JSON Schema:\n{schema}"

_LENGTH_KEYS = ("max_tokens", "max_completion_tokens")


def encode(
    request: ChatRequest,
    *,
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None,
    stream_usage: bool = True,
    return_reasoning: bool = False,
) -> bytes:
    """Return the JSON body. Parameters go under their own names, those that are None are left out, `extra_body` is merged in.

    `max_tokens_key` renames the limit of answer tokens to the one that the server knows; `stream_usage` asks for usage in streams.
    `return_reasoning` sends the reasoning back that stood beside tool calls.

    Raises:
        ModelRejected: a parameter is not JSON (NaN, say), so that nothing can be sent.
    """
    params = dict(request.params)
    extra = params.pop("extra_body", None) or {}
    body: dict[str, Any] = {"model": request.model, "messages": [_message(m, return_reasoning) for m in _instructed(request)]}
    for name, value in params.items():
        if value is not None:
            body[max_tokens_key if max_tokens_key and name in _LENGTH_KEYS else name] = value
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.shape is not None and (form := _response_format(request.shape, request.structured)):
        body["response_format"] = form
    if request.stream:
        body["stream"] = True
        if stream_usage:
            body["stream_options"] = {"include_usage": True}
    body.update((name, value) for name, value in extra.items() if name not in ("model", "messages", "stream"))
    if not (_finite(params) and _finite(extra)):
        raise ModelRejected("a parameter is NaN or infinite, which JSON cannot say", kind="bad_request")
    return _dumps(body)


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _response_format(shape: Shape, structured: str | None) -> dict[str, Any] | None:
    if structured == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": shape.name, "schema": shape.schema, "strict": True}}
    if structured == "json_object":
        return {"type": "json_object"}
    return None


def _instructed(request: ChatRequest) -> Sequence[Message]:
    """The messages, with the schema in words at the end of the last system message where no response_format carries it."""
    if request.shape is None or request.structured == "json_schema" or request.structured is None:
        return request.messages
    words = INSTRUCTION.format(schema=json.dumps(_plain(request.shape.schema), ensure_ascii=False))
    messages = list(request.messages)
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if message.role in ("system", "developer"):
            content: str | tuple[Mapping[str, Any], ...]
            if isinstance(message.content, str):
                content = f"{message.content}\n\n{words}"
            else:
                content = (*(message.content or ()), {"type": "text", "text": words})
            messages[at] = replace(message, content=content)
            return messages
    return [Message("system", words), *messages]


def _message(message: Message, return_reasoning: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"role": message.role}
    if isinstance(message.content, str):
        found["content"] = message.content
    elif message.content is not None:
        found["content"] = _parts(message.content)
    if message.tool_calls:
        # Some servers want the key although it says nothing.
        found.setdefault("content", None)
        found["tool_calls"] = [
            {**call.extra, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
        if return_reasoning and message.reasoning:
            found["reasoning_content"] = message.reasoning
    if message.tool_call_id is not None:
        found["tool_call_id"] = message.tool_call_id
    return found


def _parts(parts: tuple[Mapping[str, Any], ...]) -> str | list[Mapping[str, Any]]:
    """Parts as they are, but as one string when all are plain text: several local servers mishandle lists of those."""
    if parts and all(part.keys() == {"type", "text"} and part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return list(parts)


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list | tuple) else True


def _dumps(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, default=_mapping)
    except TypeError:
        pass
    try:
        # What orjson cannot: integers beyond 64 bits, and surrogates, which no server could read.
        return scrub(json.dumps(_plain(body), ensure_ascii=False, allow_nan=False, separators=(",", ":"))).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelRejected(f"the request cannot be written as JSON: {error}", kind="bad_request") from None


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
