"""The nouns of a chat completion: what is asked, what comes back. Knows nothing of bytes or of HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant", "tool")

#: How a server is asked for a typed answer, strongest first: each step down asks less of the server.
Structured = Literal["json_schema", "json_object", "prompt"]
STRUCTURED: tuple[Structured, ...] = ("json_schema", "json_object", "prompt")

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error", "unknown"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model asks for; `arguments` is text that the model wrote, perhaps not JSON."""

    id: str
    name: str
    arguments: str
    #: What the server wrote beside these: keys that the protocol does not know, as JSON data. Some servers want them back.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. `content` is text, or a tuple of parts as the protocol spells them, or None beside tool calls."""

    role: str
    content: str | tuple[Mapping[str, Any], ...] | None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    #: What the model thought before it asked for tools; sent only to servers that want it back.
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """The declared type of an answer as servers understand it: a name and a strict JSON Schema whose root is an object.

    `wrapped`: the type is no record, so that the answer stands under the one key `value`.
    """

    name: str
    schema: Mapping[str, Any]
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """What the model may call: its arguments are an object that `parameters`, a JSON Schema, describes."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a model. `params` go into the body under their own names; nothing else is ever added."""

    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    shape: Shape | None = None
    structured: Structured | None = None
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    #: Where the question comes from: `step`, or `step/inner` inside a sub-flow; never sent.
    step: str = ""
    #: Position among the items of a `foreach`, from 0; never sent.
    item: int | None = None
    #: Position among the `samples` of one answer, from 0, and how many there are; never sent.
    sample: int | None = None
    samples: int = 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; None where it did not say. `calls` counts requests that were answered."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.output_tokens, other.output_tokens),
            _sum(self.cached_tokens, other.cached_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            self.calls + other.calls,
        )


def _sum(a: int | None, b: int | None) -> int | None:
    if a is None:
        return b
    return a if b is None else a + b


@dataclass(frozen=True, slots=True)
class Completion:
    """One whole answer. `finish` is the mapped reason, `finish_raw` the server's own word."""

    text: str
    finish: FinishReason
    finish_raw: str | None = None
    model: str | None = None
    usage: Usage | None = None
    reasoning: str = ""
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    id: str | None = None
    #: What was odd but tolerated, in words for the record.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as it went: outcome `ok` or the kind of the error. Times in seconds."""

    number: int
    model: str
    outcome: str
    seconds: float
    message: str = ""
    status: int | None = None
    waited: float = 0.0
    #: Seconds until the first piece of a streamed answer.
    first_token: float | None = None
    structured: Structured | None = None
    #: What the answer took, if the server counted; None when there was none.
    usage: Usage | None = None
    #: In US dollars; None where no price is known, or the server did not count.
    cost: Decimal | None = None
