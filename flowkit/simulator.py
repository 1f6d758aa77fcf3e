"""Answer as a server would, from written replies or by type, in real wire bytes that the same code reads. Knows no clock, no httpx."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from flowkit.replies import Answer, Case, Failure, Replies, Reply, Script, Silence
from flowkit.types.algebra import ANY, STRING, AnyType, Date, DateTime, Enum, String, Type, expand, members
from flowkit.types.samples import sample
from flowkit.types.schemas import SchemaUnsupported, from_json_schema
from flowkit.wire.response import EVENT_STREAM, JSON, Chunk, Response

if TYPE_CHECKING:
    from flowkit.chat import ChatRequest, Message

#: Gives the type of one answer of a step (of one item of a `foreach`), None where it is not known.
Types: TypeAlias = Callable[[str], Type | None] | Mapping[str, Type]

#: Characters in one piece of a stream.
PIECE = 16
#: Questions that are remembered, to know a question that is asked again.
REMEMBERED = 4096

_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
}


class Simulator:
    """A server for one run. It answers in the same way for the same seed, replies and order of calls.

    Of a list of replies, a step without `foreach` takes the next one at each call (rounds and questions asked again included; of
    several samples, each takes the one at its own position, and asked again those behind them); an item of a `foreach` takes the reply
    at its own position at every call, so that the order in which items come does not matter. Where tools are called, each item and each
    sample goes through the list by itself. Cases see the last user message; a question that is asked again because its answer was wrong
    counts as the first.
    """

    def __init__(self, replies: Replies | None = None, types: Types | None = None, seed: str = "", latency: float = 0.0) -> None:
        self._replies = replies or Replies()
        self._types = _by_step(types or {})
        self._seed = seed
        self._latency = latency
        self._calls: dict[tuple[object, ...], int] = {}
        self._questions: dict[bytes, str] = {}
        self._answered = 0

    def learn(self, types: Types) -> None:
        """Take the types of a flow: what a step without a reply answers fits them."""
        self._types = _by_step(types)

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        """Answer one request: as a stream when its body asks for one."""
        sent = json.loads(body)
        answer = self._answer(request)
        self._answered += 1
        match answer:
            case Silence():
                return Response(chunks=self._timed(0.0, [TimeoutError("simulated timeout")]))
            case Failure():
                headers = {"content-type": JSON}
                if answer.status in (408, 409, 429) or answer.status >= 500:
                    headers["retry-after-ms"] = f"{answer.retry_after * 1000:g}"
                return Response(answer.status, headers, self._timed(0.0, [_failure(answer)]))
        text = self._text(answer, request)
        facts = {
            "id": f"simulated-{self._answered}",
            "created": 0,
            "model": request.model,
            "system_fingerprint": "flowkit-simulator",
        }
        usage = _usage(request.messages, text if answer.refusal is None else answer.refusal)
        if not sent.get("stream"):
            return Response(chunks=self._timed(answer.latency, _whole(answer, text, facts, usage)))
        wanted = (sent.get("stream_options") or {}).get("include_usage")
        pieces = list(_stream(answer, text, facts, usage if wanted else None))
        if answer.cut is not None:
            before_finish = len(pieces) - (3 if wanted else 2)
            pieces = [*pieces[: min(answer.cut, before_finish)], *_break(answer)]
        return Response(200, {"content-type": EVENT_STREAM}, self._timed(answer.latency, pieces))

    def _timed(self, latency: float, chunks: list[Chunk]) -> list[Chunk]:
        wait = self._latency + latency
        return [wait, *chunks] if wait > 0 else chunks

    # -- which answer -------------------------------------------------------------------------------------

    def _answer(self, request: ChatRequest) -> Answer:
        script = self._replies.scripts.get(request.step)
        if script and _calls_tools(script):
            # A talk with tools is gone through from its start by each item and each sample.
            return self._talk(script, request)
        if script and script.answers:
            at = self._position(request) if request.item is None else request.item
            return script.answers[min(at, len(script.answers) - 1)]
        if script and (case := self._case(script.cases, request)):
            if len(case.answers) == 1:
                return case.answers[0]
            at = self._count(request.step, request.item, case.pattern)
            return case.answers[min(at, len(case.answers) - 1)]
        return Reply(self._sample(request))

    def _talk(self, script: Script, request: ChatRequest) -> Answer:
        case = self._case(script.cases, request)
        answers = script.answers or (case.answers if case else ())
        if not answers:
            return Reply(self._sample(request))
        at = self._count(request.step, request.item, request.sample, case.pattern if case else None)
        return answers[min(at, len(answers) - 1)]

    def _position(self, request: ChatRequest) -> int:
        """Which call of a step this is. The samples of one answer come first, in their order, then what is asked again."""
        if request.sample is None:
            return self._count(request.step)
        before = self._count(request.step, request.sample, "sample of an answer")
        return request.sample if before == 0 else request.samples + self._count(request.step)

    def _count(self, *what: object) -> int:
        """How often this was asked before."""
        count = self._calls.get(what, 0)
        self._calls[what] = count + 1
        return count

    def _case(self, cases: tuple[Case, ...], request: ChatRequest) -> Case | None:
        said = _last_user_text(request.messages)
        # Asking again adds the wrong answer and what is wrong with it to the messages of this very step.
        first = self._questions.get(_digest(request, request.messages[:-2]), said)
        self._questions[_digest(request, request.messages)] = first
        if len(self._questions) > REMEMBERED:
            del self._questions[next(iter(self._questions))]
        for text in dict.fromkeys((first, said)):
            for case in cases:
                if case.pattern and case.pattern.search(text):
                    return case
        return next((case for case in cases if case.pattern is None), None)

    def _sample(self, request: ChatRequest) -> Any:
        type_ = expand(self._type(request))
        call = self._count(request.step, request.item, "sample")
        if isinstance(type_, String):
            item = "" if request.item is None else f", item {request.item + 1}"
            text = f"Simulated answer of {request.step or 'a step'!r}{item}" + (f", call {call + 1}" if call else "")
            if type_.pattern is None and (type_.min or 0) <= len(text) <= (type_.max or len(text)):
                return text
        return sample(type_, seed=f"{self._seed}:{request.step}:{request.item}:{call}")

    def _type(self, request: ChatRequest) -> Type:
        return self._types(request.step) or _type_of_shape(request)

    # -- what it says -------------------------------------------------------------------------------------

    def _text(self, reply: Reply, request: ChatRequest) -> str:
        """What the model writes: a text as it is, a value as JSON, in the form that the question asks for."""
        value = reply.value
        if reply.calls:
            return str(value)
        type_ = expand(self._type(request))
        if request.shape is None or isinstance(type_, String):
            return value if isinstance(value, str) else reply.written if reply.written is not None else _json(value)
        if isinstance(value, str) and not (request.shape.wrapped and _holds_text(type_, value)):
            return value
        return _json({"value": value} if request.shape.wrapped else value)


def _calls_tools(script: Script) -> bool:
    answers = (*script.answers, *(answer for case in script.cases for answer in case.answers))
    return any(isinstance(answer, Reply) and answer.calls for answer in answers)


def _by_step(types: Types) -> Callable[[str], Type | None]:
    return types.get if isinstance(types, Mapping) else types


def _holds_text(type_: Type, text: str) -> bool:
    """Whether a text is a value of the type, right or wrong; else it is what the model wrote, fences and all."""
    kinds = tuple(members(type_))
    if any(isinstance(kind, String | AnyType) for kind in kinds):
        return True
    return any(isinstance(kind, Enum | Date | DateTime) for kind in kinds) and not text.lstrip().startswith(("{", "```"))


def _type_of_shape(request: ChatRequest) -> Type:
    if request.shape is None:
        return STRING
    schema = dict(request.shape.schema)
    if request.shape.wrapped:
        schema = {**schema.get("properties", {}).get("value", {}), "$defs": schema.get("$defs", {})}
    try:
        return from_json_schema(schema, name=request.shape.name, table={})
    except SchemaUnsupported:
        return ANY


# -- questions ---------------------------------------------------------------------------------------------


def _last_user_text(messages: tuple[Message, ...]) -> str:
    return next((_plain_text(message) for message in reversed(messages) if message.role == "user"), "")


def _plain_text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(str(part["text"]) for part in message.content or () if "text" in part)


def _digest(request: ChatRequest, messages: tuple[Message, ...]) -> bytes:
    return hashlib.blake2b(repr((request.step, request.item, messages)).encode("utf-8", "backslashreplace"), digest_size=16).digest()


# -- bytes -------------------------------------------------------------------------------------------------


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bytes(value: Any) -> bytes:
    # A surrogate in a reply goes out as an escape, as real servers send it.
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _usage(messages: tuple[Message, ...], text: str) -> dict[str, int]:
    """A rough count, the same for the same text: four characters a token."""
    sent = sum(-(-len(_plain_text(message)) // 4) for message in messages) or 1
    answered = -(-len(text) // 4)
    return {"prompt_tokens": sent, "completion_tokens": answered, "total_tokens": sent + answered}


def _failure(failure: Failure) -> bytes:
    kind, code = _ERRORS.get(failure.status, ("server_error" if failure.status >= 500 else "invalid_request_error", None))
    return _bytes({"error": {"message": failure.message, "type": kind, "param": None, "code": failure.code or code}})


def _break(reply: Reply) -> list[Chunk]:
    return [ConnectionResetError("simulated break")] if reply.reset else []


def _calls(reply: Reply, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{facts['id']}_{at}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else _json(given)},
        }
        for at, (name, given) in enumerate(reply.calls, start=1)
    ]


def _whole(reply: Reply, text: str, facts: Mapping[str, Any], usage: Mapping[str, int]) -> list[Chunk]:
    refused = reply.refusal is not None
    silent = refused or (bool(reply.calls) and not text)
    message: dict[str, Any] = {"role": "assistant", "content": None if silent else text, "refusal": reply.refusal}
    if reply.calls:
        message["tool_calls"] = _calls(reply, facts)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
    data = _bytes({**facts, "object": "chat.completion", "choices": [choice], "usage": usage})
    return [data] if reply.cut is None else [data[: len(data) // 2], *_break(reply)]


def _stream(reply: Reply, text: str, facts: Mapping[str, Any], usage: Mapping[str, int] | None) -> Iterator[Chunk]:
    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + _bytes({**facts, "object": "chat.completion.chunk", "choices": choices, **more}) + b"\n\n"

    def delta(said: Mapping[str, Any], finish: str | None = None) -> bytes:
        return event([{"index": 0, "delta": said, "logprobs": None, "finish_reason": finish}])

    name, said = ("content", text) if reply.refusal is None else ("refusal", reply.refusal)
    yield delta({"role": "assistant", "content": ""})
    for start in range(0, len(said), PIECE):
        yield delta({name: said[start : start + PIECE]})
    for at, call in enumerate(_calls(reply, facts)):
        function = call["function"]
        yield delta({"tool_calls": [{"index": at, **call, "function": {"name": function["name"], "arguments": ""}}]})
        for start in range(0, len(function["arguments"]), PIECE):
            yield delta({"tool_calls": [{"index": at, "function": {"arguments": function["arguments"][start : start + PIECE]}}]})
    yield delta({}, reply.finish)
    if usage is not None:
        yield event([], usage=usage)
    yield b"data: [DONE]\n\n"
