"""Pieces of one answer to a Completion: text, reasoning, tool calls, finish, usage. Knows JSON data, not how it came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from typing import Any

from flowkit.chat import Completion, FinishReason, ToolCall, Usage
from flowkit.wire.decode import scrub

#: Words that servers say, in lower case, and what they mean. The set is open: others are `unknown` and noted.
FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "error": "error",
    "abort": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}

_SPECIFIED = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})

#: Bytes that the text of one answer may have, reasoning and arguments included.
LARGEST = 16 * 1024 * 1024
#: Characters of JSON, and depth of it, that unknown keys of the tool calls of one answer may have.
LARGEST_EXTRA = 512 * 1024
DEEPEST_EXTRA = 32

#: What the protocol says of a tool call; other keys are the server's own.
_CALL_KEYS = frozenset({"index", "id", "type", "function", "custom"})

_OPEN, _CLOSE = "<think>", "</think>"


class BadShape(ValueError):
    """A field of the answer has a type that cannot be read."""


class TooLarge(ValueError):
    """The answer is longer than `LARGEST`."""


class Thoughts:
    """Takes a leading `<think>…</think>` out of a text that comes in pieces; some servers leave it in the content."""

    def __init__(self) -> None:
        #: Whether the text began with `<think>`.
        self.found = False
        #: Whether the text proper has begun, so that nothing is held back any more.
        self.past = False
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """Return what of the text so far is sure to be (text, reasoning)."""
        if self.past:
            return piece, ""
        self._held += piece
        if not self.found:
            start = self._held.lstrip()
            if len(start) < len(_OPEN) and _OPEN.startswith(start):
                return "", ""
            if not start.startswith(_OPEN):
                return self._let_go(), ""
            self.found = True
            self._held = start[len(_OPEN) :]
        thought, closed, text = self._held.partition(_CLOSE)
        if closed:
            self._held = text.lstrip()
            # Blank lines between thought and text belong to neither; they may still be on their way.
            self.past = bool(self._held)
            if self.past:
                return self._let_go(), thought
            self._held = _CLOSE
            return "", thought
        sure = len(self._held) - len(_CLOSE)
        if sure <= 0:
            return "", ""
        thought, self._held = self._held[:sure], self._held[sure:]
        return "", thought

    def finish(self) -> tuple[str, str]:
        """Return what was still held back."""
        if self.past:
            return "", ""
        held = self._let_go()
        if not self.found:
            return held, ""
        return "", held.removeprefix(_CLOSE)

    def _let_go(self) -> str:
        held, self._held, self.past = self._held, "", True
        return held


class Gathering:
    """One answer while it comes. `add` takes a message or a delta; both are the same to it."""

    def __init__(self) -> None:
        self.finish_raw: str | None = None
        self.model: str | None = None
        self.id: str | None = None
        self.usage: Usage | None = None
        self._text = StringIO()
        self._reasoning = StringIO()
        self._refusal = StringIO()
        self._size = 0
        self._extra_size = 0
        self._thoughts = Thoughts()
        self._calls: list[_Call] = []
        self._warnings: dict[str, None] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return scrub(self._text.getvalue())

    def warn(self, what: str) -> None:
        """Note once what was odd but tolerated."""
        self._warnings[what] = None

    def head(self, data: Mapping[str, Any]) -> None:
        """Take what stands around the choices: id, model and usage."""
        name = data.get("id")
        if name != self.id and isinstance(name, str) and name:
            if self.id is not None:
                self.warn("the id changed within the stream")
            self.id = name
        model = data.get("model")
        if model != self.model and isinstance(model, str) and model:
            self.model = model
        usage = data.get("usage")
        if usage is None and "x_groq" in data and isinstance(nested := data["x_groq"], dict):
            usage = nested.get("usage")
        if isinstance(usage, dict):
            self.usage = _usage(usage)

    def end(self, reason: Any) -> None:
        """Take a finish_reason; null, empty and the word "null" say nothing."""
        if isinstance(reason, str) and reason and reason != "null":
            self.finish_raw = scrub(reason)

    def add(self, message: Mapping[str, Any]) -> str:
        """Take a message or delta, and return the text in it that is sure to be the answer's.

        Raises:
            BadShape, TooLarge
        """
        content = message.get("content")
        if len(message) == 1 and type(content) is str and self._thoughts.past and self.finish_raw is None:
            # One more piece of text and nothing else: nearly every delta.
            self._keep(self._text, content)
            return content if content.isascii() else scrub(content)
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(content, list):
            content, thinking = _from_parts(content)
            reasoning = reasoning or thinking
        elif content is not None and not isinstance(content, str):
            raise BadShape(f"content is {_name(content)}, not text")
        shown = ""
        if content:
            if self.finish_raw is not None:
                self.warn("text came after finish_reason")
            shown, thought = self._thoughts.feed(content)
            self._keep(self._text, shown)
            self._keep(self._reasoning, thought)
        if isinstance(reasoning, str) and reasoning:
            self._keep(self._reasoning, reasoning)
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._keep(self._refusal, refusal)
        calls = message.get("tool_calls")
        if calls:
            self._take_calls(calls)
        legacy = message.get("function_call")
        if isinstance(legacy, dict):
            self._take_calls([{"index": 0, "function": legacy}])
        return scrub(shown) if shown else ""

    def completion(self) -> tuple[Completion, str]:
        """Return the whole answer, and the last piece of text if some was held back."""
        held, thought = self._thoughts.finish()
        self._keep(self._text, held)
        self._keep(self._reasoning, thought)
        if self._thoughts.found:
            self.warn("took <think> at the start as reasoning")
        calls = tuple(call.whole() for call in self._calls)
        finish: FinishReason = "unknown"
        if self.finish_raw is None:
            self.warn("finish_reason missing")
        else:
            finish = FINISH.get(self.finish_raw.lower(), "unknown")
            if self.finish_raw not in _SPECIFIED:
                word = repr(self.finish_raw) if len(self.finish_raw) <= 40 else "a long text"
                self.warn(f"finish_reason unknown to the protocol: {word}, taken as {finish!r}")
        if calls and finish in ("stop", "unknown"):
            # gpt-4o itself says `stop` beside tool calls, now and then.
            finish = "tool_calls"
        if finish == "length":
            self.warn("truncated: the answer was cut at the token limit")
        if "\ufffd" in (text := self.text):
            self.warn("replacement: the text holds U+FFFD in place of what was not readable")
        done = Completion(
            text,
            finish,
            finish_raw=self.finish_raw,
            model=self.model,
            usage=self.usage,
            reasoning=scrub(self._reasoning.getvalue()),
            refusal=scrub(self._refusal.getvalue()) or None,
            tool_calls=calls,
            id=self.id,
            warnings=tuple(self._warnings),
        )
        return done, scrub(held)

    def _keep(self, where: StringIO, piece: str) -> None:
        if piece:
            self._size += len(piece) if piece.isascii() else len(piece.encode("utf-8", "surrogatepass"))
            if self._size > LARGEST:
                raise TooLarge(f"the answer has more than {LARGEST // 1024 // 1024} MiB")
            where.write(piece)

    def _take_calls(self, calls: Any) -> None:
        if not isinstance(calls, list):
            raise BadShape(f"tool_calls is {_name(calls)}, not a list")
        for piece in calls:
            if not isinstance(piece, dict):
                raise BadShape(f"a tool call is {_name(piece)}, not an object")
            inner = piece.get("function") or piece.get("custom")
            inner = inner if isinstance(inner, dict) else {}
            name, arguments = inner.get("name"), inner.get("arguments", inner.get("input"))
            call = self._call(piece.get("index"), _word(piece.get("id")), _word(name))
            if isinstance(arguments, dict | list):
                arguments = _written(arguments)
            if isinstance(arguments, str):
                self._keep(call.arguments, arguments)
            for key, value in piece.items():
                if key not in _CALL_KEYS and value is not None:
                    self._take_extra(call, scrub(key), value)

    def _take_extra(self, call: _Call, key: str, value: Any) -> None:
        """Keep an unknown key of a tool call; what cannot be sent back is left out, since no answer fails for it."""
        try:
            written = scrub(json.dumps(value, ensure_ascii=False, allow_nan=False)) if _shallow(value, DEEPEST_EXTRA) else None
        except ValueError:
            written = None
        before = len(key) + len(call.extra[key]) if key in call.extra else 0
        if written is None or (size := self._extra_size - before + len(key) + len(written)) > LARGEST_EXTRA:
            self.warn("left out an unknown key of a tool call: too large, too deep or no JSON")
        else:
            call.extra[key], self._extra_size = written, size

    def _call(self, index: Any, name: str, function: str) -> _Call:
        """Find the call that a fragment goes on, or begin one.

        Servers leave the index out (Gemini) or use 0 for every call (LiteLLM before Ollama): a new id is a new call, and so is a
        name without id or index.
        """
        found = None
        if name:
            found = next((call for call in self._calls if call.id == name), None)
            if found is None and index is not None:
                found = next((call for call in self._calls if call.index == index and not call.id), None)
        elif index is not None:
            found = next((call for call in reversed(self._calls) if call.index == index), None)
        elif not function and self._calls:
            found = self._calls[-1]
        if found is None:
            found = _Call(index)
            self._calls.append(found)
        found.id = found.id or name
        found.name = found.name or function
        return found


class _Call:
    def __init__(self, index: Any) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments = StringIO()
        #: Unknown keys, each with its last value as JSON.
        self.extra: dict[str, str] = {}

    def whole(self) -> ToolCall:
        extra = {key: json.loads(value) for key, value in self.extra.items()}
        return ToolCall(scrub(self.id), scrub(self.name), scrub(self.arguments.getvalue()), extra)


def _from_parts(parts: list[Any]) -> tuple[str, str]:
    """Text and reasoning of content that is a list (Mistral): `text` parts, and `thinking` parts that hold parts again."""
    text, reasoning = [], []
    for part in parts:
        if isinstance(part, str):
            text.append(part)
        elif not isinstance(part, dict):
            raise BadShape(f"a part of the content is {_name(part)}, not an object")
        elif isinstance(thinking := part.get("thinking"), list):
            reasoning += [t for p in thinking if isinstance(p, dict) and isinstance(t := p.get("text"), str)]
        elif isinstance(thinking, str):
            reasoning.append(thinking)
        elif isinstance(piece := part.get("text"), str):
            text.append(piece)
    return "".join(text), "".join(reasoning)


def _shallow(value: Any, most: int) -> bool:
    """Whether lists and objects stand in each other at most so many times."""
    if isinstance(value, dict):
        return most > 0 and all(_shallow(item, most - 1) for item in value.values())
    return most > 0 and all(_shallow(item, most - 1) for item in value) if isinstance(value, list) else True


def _written(arguments: Any) -> str:
    """Arguments that came as data in place of text."""
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:
        raise BadShape("the arguments of a tool call are nested too deeply") from None


def _usage(data: dict[str, Any]) -> Usage:
    inputs, outputs = data.get("prompt_tokens_details"), data.get("completion_tokens_details")
    return Usage(
        input_tokens=_count(data.get("prompt_tokens")),
        output_tokens=_count(data.get("completion_tokens")),
        cached_tokens=_count(inputs.get("cached_tokens")) if isinstance(inputs, dict) else None,
        reasoning_tokens=_count(outputs.get("reasoning_tokens")) if isinstance(outputs, dict) else None,
        calls=1,
    )


def _count(value: Any) -> int | None:
    """A number of tokens, or None for what cannot be one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
