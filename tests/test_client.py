"""The client against a server of raw bytes, and against a responder."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import resource
import shutil
import ssl
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fault_server import DONE, Exchange, FaultServer, Script, chunk, completion, error

from flowkit.chat import Attempt, ChatRequest, Completion, Message, Shape
from flowkit.client import Client
from flowkit.client.seam import TABLE, translate
from flowkit.endpoints import Endpoint, Secret
from flowkit.errors import ModelError, ModelRateLimited, ModelRejected, ModelTimeout, ModelUnreachable
from flowkit.retry import Policy
from flowkit.wire.reply import usable
from flowkit.wire.response import Response

KEY = "sk-canary-0123456789abcdef"
FAST = Policy(attempts=3, initial=0.01, max=0.02)
ONCE = Policy(attempts=1)
SHAPE = Shape("answer", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})


def question(**fields: Any) -> ChatRequest:
    return ChatRequest("m", (Message("user", "hi"),), **fields)


def endpoint(base_url: str, **fields: Any) -> Endpoint:
    return Endpoint("fast", base_url, "m", **({"api_key": Secret(KEY)} | fields))


class Asked:
    """What came of one call: the completion or the error, the attempts, the texts shown, the seconds."""

    def __init__(self) -> None:
        self.completion: Completion | None = None
        self.error: ModelError | None = None
        self.attempts: list[tuple[Attempt, float | None]] = []
        self.shown: list[str] = []
        self.seconds = 0.0

    @property
    def kinds(self) -> list[str]:
        return [attempt.outcome for attempt, _ in self.attempts]


async def ask(
    client: Client, where: Endpoint, request: ChatRequest, *, policy: Policy = FAST, timeout: float = 5.0, total: float | None = None
) -> Asked:
    asked = Asked()
    now = asyncio.get_running_loop().time
    started = now()
    try:
        asked.completion = await client.complete(
            where,
            request,
            policy=policy,
            attempt_timeout=timeout,
            total_deadline=None if total is None else started + total,
            on_delta=asked.shown.append,
            on_attempt=lambda attempt, delay: asked.attempts.append((attempt, delay)),
        )
    except ModelError as found:
        asked.error = found
    asked.seconds = now() - started
    if asked.error is not None:
        for text in (str(asked.error), repr(asked.error), asked.error.text, *(a.message for a, _ in asked.attempts)):
            assert KEY not in text
            assert len(text) < 70_000
        assert len(str(asked.error)) < 2000
    return asked


def run(script: Script, request: ChatRequest | None = None, **options: Any) -> tuple[Asked, FaultServer]:
    """One call against a script."""
    fields = options.pop("fields", {})

    async def main() -> tuple[Asked, FaultServer]:
        async with FaultServer(script) as server, Client() as client:
            return await ask(client, endpoint(server.base_url, **fields), request or question(), **options), server

    return asyncio.run(main())


def by_turn(*scripts: Script) -> Script:
    async def script(exchange: Exchange) -> None:
        await scripts[min(exchange.number, len(scripts) - 1)](exchange)

    return script


async def well(exchange: Exchange) -> None:
    await exchange.answer(body=completion(), keep=True)


def answering(status: int, body: bytes = b"", **headers: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, body or error(), keep=False, **headers)

    return script


def streaming(*parts: bytes | float, then: Callable[[Exchange], Awaitable[None]] | None = None) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for part in parts:
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                await exchange.send(part)
        if then is not None:
            await then(exchange)

    return script


# -- what is sent and what comes back ------------------------------------------------------------------------------


def test_one_call_sends_what_the_flow_asked_for_and_no_more() -> None:
    asked, server = run(well, question(params={"temperature": 0, "max_tokens": 5, "top_p": None, "extra_body": {"top_k": 3}}))
    assert asked.completion is not None
    assert asked.completion.text == "Hello"
    sent = server.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.json == {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 5, "top_k": 3}
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["user-agent"].startswith("flowkit/")
    assert set(sent.headers) == {"host", "accept", "accept-encoding", "content-type", "user-agent", "authorization", "content-length"}
    assert asked.kinds == ["ok"]


def test_azure_puts_the_key_and_the_version_where_it_wants_them() -> None:
    _, server = run(well, fields={"api_style": "azure", "api_version": "2024-10-21", "max_tokens_key": "max_completion_tokens"})
    assert server.requests[0].path == "/v1/chat/completions?api-version=2024-10-21"
    assert server.requests[0].headers["api-key"] == KEY
    assert "authorization" not in server.requests[0].headers


def test_server_without_a_key_gets_no_authorization() -> None:
    _, server = run(well, fields={"api_key": None, "headers": {"X-Title": "t"}})
    assert "authorization" not in server.requests[0].headers
    assert server.requests[0].headers["x-title"] == "t"


def test_stream_is_shown_as_it_comes() -> None:
    asked, server = run(streaming(chunk("Hel"), 0.05, chunk("lo"), chunk(finish="stop"), DONE), question(stream=True))
    assert asked.completion is not None
    assert asked.completion.text == "Hello"
    assert asked.shown == ["Hel", "lo"]
    assert server.requests[0].json["stream_options"] == {"include_usage": True}
    first = asked.attempts[0][0].first_token
    assert first is not None
    assert first < asked.attempts[0][0].seconds


def test_body_that_answers_a_stream_request_is_shown_whole() -> None:
    asked, _ = run(well, question(stream=True), fields={"stream_usage": False})
    assert asked.shown == ["Hello"]


def test_connection_is_used_again_after_bodies_and_after_streams() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.json.get("stream"):
            parts = [chunk("Hi"), chunk(finish="stop"), DONE]
            await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for part in parts:
                await exchange.send(b"%x\r\n%s\r\n" % (len(part), part))
            await asyncio.sleep(0.02)
            await exchange.send(b"0\r\n\r\n")
            exchange.keep = True
        else:
            await well(exchange)

    async def main() -> None:
        async with FaultServer(script) as server, Client() as client:
            for stream in (False, True, True, False):
                assert (await ask(client, endpoint(server.base_url), question(stream=stream))).completion
            assert server.connections == 1

    asyncio.run(main())


def test_stream_that_stays_open_after_done_is_not_waited_for() -> None:
    asked, _ = run(streaming(chunk("Hi", "stop"), DONE, then=Exchange.until_closed), question(stream=True))
    assert asked.completion is not None
    assert asked.seconds < 1.5


# -- A1 to A7: connections and time --------------------------------------------------------------------------------


def test_refused_connection_is_tried_three_times_and_names_the_host() -> None:
    async def main() -> Asked:
        async with FaultServer(well) as server:
            address = server.base_url
        async with Client() as client:
            return await ask(client, endpoint(address), question())

    asked = asyncio.run(main())
    assert isinstance(asked.error, ModelUnreachable)
    assert asked.kinds == ["connection"] * 3
    assert "127.0.0.1" in str(asked.error)
    assert [delay is None for _, delay in asked.attempts] == [False, False, True]


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def close(exchange: Exchange) -> None:
    exchange.writer.close()


@pytest.mark.parametrize("script", [reset, close])
def test_connection_that_breaks_before_an_answer_is_tried_again(script: Script) -> None:
    asked, server = run(by_turn(script, well))
    assert asked.completion is not None
    assert asked.kinds == ["connection", "ok"]
    assert len(server.requests) == 2
    assert asked.attempts[0][0].message


@pytest.mark.parametrize("then", [reset, close])
def test_connection_that_breaks_within_an_answer_keeps_the_part_for_the_record(then: Any) -> None:
    asked, _ = run(streaming(chunk("Hel"), 0.02, then=then), question(stream=True), policy=ONCE)
    assert asked.error is not None
    assert asked.error.kind in ("connection", "stream_truncated")
    assert asked.error.retryable
    assert asked.error.text == "Hel"


def test_body_shorter_than_its_length_is_a_broken_connection() -> None:
    asked, _ = run(answering(200, completion()[:40], content_length="4000"), policy=ONCE)
    assert asked.error is not None
    assert asked.error.kind == "connection"


def test_stream_that_breaks_after_its_end_is_whole() -> None:
    asked, _ = run(streaming(chunk("Hi", "stop"), 0.02, then=reset), question(stream=True))
    assert asked.completion is not None


def test_unknown_host_is_tried_again_at_most_once() -> None:
    async def main() -> Asked:
        async with Client() as client:
            return await ask(client, endpoint("http://no-such-host.invalid/v1"), question(), policy=Policy(attempts=5, initial=0.01))

    asked = asyncio.run(main())
    assert isinstance(asked.error, ModelUnreachable)
    assert len(asked.attempts) <= 2


async def silent(exchange: Exchange) -> None:
    await exchange.until_closed()


async def head_only(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    await exchange.until_closed()


async def endless_head(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        await exchange.send(b"x-%d: y\r\n" % number)
        await asyncio.sleep(0.05)


async def drip(exchange: Exchange) -> None:
    await exchange.begin_stream()
    for byte in chunk("x" * 1000):
        await exchange.send(bytes([byte]))
        await asyncio.sleep(0.05)


async def pings(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(b": ping\n\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("script", [silent, head_only, endless_head, drip, pings, streaming(chunk("Hel"), then=silent)])
def test_attempt_ends_at_its_deadline_although_bytes_keep_coming(script: Script) -> None:
    asked, _ = run(script, question(stream=True), policy=ONCE, timeout=0.4)
    assert isinstance(asked.error, ModelTimeout)
    assert asked.kinds == ["timeout"]
    assert 0.35 < asked.seconds < 0.9


def test_step_ends_at_its_deadline_with_all_its_attempts() -> None:
    asked, _ = run(silent, policy=Policy(attempts=9, initial=0.01), timeout=0.3, total=0.7)
    assert isinstance(asked.error, ModelTimeout)
    assert asked.seconds < 1.2
    assert 2 <= len(asked.attempts) <= 3


def test_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    asked, _ = run(answering(429, retry_after="30"), total=1.0)
    assert isinstance(asked.error, ModelRateLimited)
    assert asked.seconds < 0.5


def test_cancelled_call_closes_its_connection() -> None:
    async def main() -> None:
        async with FaultServer(streaming(chunk("Hel"), then=silent)) as server, Client() as client:
            begun = asyncio.Event()
            call = client.complete(
                endpoint(server.base_url), question(stream=True), policy=FAST, attempt_timeout=9, on_delta=lambda _: begun.set()
            )
            task = asyncio.create_task(call)
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.hung_up.wait(), 1)

    asyncio.run(main())


# -- A8 to A19: answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"<html>bad</html>", b"[1]", b"null", b'{"choices": {}}', b"{"])
def test_unreadable_answer_is_tried_again_and_quoted(body: bytes) -> None:
    asked, server = run(answering(200, body or b" "))
    assert asked.error is not None
    assert asked.error.kind == "bad_response"
    assert len(server.requests) == 3


def test_error_within_the_stream_is_tried_again_and_begins_anew() -> None:
    broken = streaming(chunk("Hel"), 0.05, b'data: {"error": {"message": "boom", "code": 502}}\n\n')
    asked, _ = run(by_turn(broken, streaming(chunk("Hello", "stop"), DONE)), question(stream=True))
    assert asked.completion is not None
    assert asked.completion.text == "Hello"
    assert asked.shown == ["Hel", "Hello"]
    assert asked.kinds == ["provider_error", "ok"]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_refusal_by_status_is_not_asked_again(status: int) -> None:
    asked, server = run(answering(status))
    assert isinstance(asked.error, ModelRejected)
    assert asked.error.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_trouble_by_status_is_asked_again(status: int) -> None:
    asked, server = run(by_turn(answering(status), answering(status), well))
    assert asked.completion is not None
    assert len(server.requests) == 3


def test_server_may_overrule_its_status() -> None:
    asked, server = run(by_turn(answering(400, x_should_retry="true"), answering(503, x_should_retry="false")))
    assert asked.error is not None
    assert asked.error.status == 503
    assert len(server.requests) == 2


def test_policy_says_on_what_is_tried_again() -> None:
    _, server = run(answering(500), policy=Policy(on=frozenset({"timeout"})))
    assert len(server.requests) == 1


def test_quota_is_no_rate_limit() -> None:
    asked, server = run(answering(429, error("You exceeded", code="insufficient_quota")))
    assert asked.error is not None
    assert asked.error.kind == "quota"
    assert len(server.requests) == 1


def test_retry_after_is_obeyed() -> None:
    asked, _ = run(by_turn(answering(429, retry_after_ms="300"), well))
    assert asked.completion is not None
    assert 0.3 <= asked.seconds < 0.9
    assert asked.attempts[1][0].waited >= 0.3


def test_retry_after_beyond_two_minutes_is_not_slept() -> None:
    asked, server = run(answering(429, retry_after="86400"))
    assert isinstance(asked.error, ModelRateLimited)
    assert "UTC" in str(asked.error)
    assert asked.error.retry_after == 86400
    assert len(server.requests) == 1


def test_retry_after_holds_back_all_callers_of_the_endpoint() -> None:
    async def main() -> None:
        script = by_turn(answering(429, retry_after="0.5"), well)
        async with FaultServer(script) as server, Client() as client:
            first = asyncio.create_task(ask(client, endpoint(server.base_url), question()))
            while not server.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            other = await ask(client, endpoint(server.base_url), question())
            assert other.seconds > 0.3
            assert (await first).completion

    asyncio.run(main())


def test_empty_answer_is_asked_again_and_costed() -> None:
    asked, _ = run(by_turn(answering(200, completion("")), well))
    assert asked.completion is not None
    assert asked.kinds == ["empty_response", "ok"]
    assert asked.completion.usage is not None
    assert (asked.completion.usage.input_tokens, asked.completion.usage.calls) == (10, 2)


def test_empty_answer_is_returned_when_attempts_are_spent() -> None:
    asked, server = run(answering(200, completion("")))
    assert asked.completion is not None
    assert len(server.requests) == 3
    with pytest.raises(ModelError):
        usable(asked.completion, typed=False)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_answer_that_was_stopped_is_not_asked_again(reason: str) -> None:
    asked, server = run(answering(200, completion("Hel", finish_reason=reason)), question(shape=SHAPE))
    assert asked.completion is not None
    assert asked.completion.finish == reason
    assert len(server.requests) == 1


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def endless_text(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(chunk("x" * 100_000))


async def giant_line(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(b"x" * 65536)


async def huge_body(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{")
    while True:
        await exchange.send(b" " * 65536)


@pytest.mark.parametrize("script", [endless_text, giant_line, huge_body])
def test_endless_answer_ends_at_its_cap(script: Script) -> None:
    run(well)
    before = memory()
    asked, server = run(script, question(stream=True))
    assert asked.error is not None
    assert asked.error.kind == "response_too_large"
    assert len(server.requests) == 1
    assert memory() - before < 60


# -- A20 to A24: HTTP ----------------------------------------------------------------------------------------------


def test_gzip_bomb_ends_at_the_cap() -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(b"\x20" * 1024 * 1024) for _ in range(256)) + squeeze.flush()
    run(well)
    before = memory()
    asked, _ = run(answering(200, bomb, content_encoding="gzip"))
    assert asked.error is not None
    assert asked.error.kind == "response_too_large"
    assert memory() - before < 60


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda b: zlib.compress(b)[2:-4])]
)
def test_compressed_answers_are_read_although_not_asked_for(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    asked, _ = run(answering(200, pack(completion()), content_encoding=encoding))
    assert asked.completion is not None
    assert asked.completion.text == "Hello"


@pytest.mark.parametrize(("encoding", "body"), [("br", b"x"), ("gzip", b"not gzip at all"), ("gzip", gzip.compress(completion())[:40])])
def test_damaged_or_unknown_encoding_is_a_bad_response(encoding: str, body: bytes) -> None:
    asked, _ = run(answering(200, body, content_encoding=encoding), policy=ONCE)
    assert asked.error is not None
    assert asked.error.kind == "bad_response"


def test_redirect_is_not_followed() -> None:
    async def main() -> None:
        async with FaultServer(well) as other:
            there = other.base_url

            async def script(exchange: Exchange) -> None:
                await exchange.answer(307, location=there)

            async with FaultServer(script) as server, Client() as client:
                asked = await ask(client, endpoint(server.base_url), question())
                assert isinstance(asked.error, ModelRejected)
                assert "base_url" in str(asked.error)
                assert len(server.requests) == 1
            assert other.requests == []
            assert other.connections == 0

    asyncio.run(main())


def raw(head: bytes, body: bytes = b"") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head + b"\r\n\r\n" + body)

    return script


@pytest.mark.parametrize(
    "script",
    [
        raw(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4", b"abc"),
        raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000),
        raw(b"HTTP/1.1 999 What\r\ncontent-length: 0"),
        raw(b"SSH-2.0-OpenSSH_9"),
        raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"zz\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nbad header\r\n: x"),
    ],
)
def test_broken_http_is_an_error_of_ours(script: Script) -> None:
    asked, _ = run(script, policy=ONCE, timeout=2)
    assert asked.error is not None
    assert asked.error.kind in ("bad_response", "connection")


def test_old_http_is_read() -> None:
    asked, _ = run(raw(b"HTTP/1.0 200 OK\r\ncontent-type: application/json", completion()))
    assert asked.completion is not None


def test_connection_closed_between_requests_costs_nothing() -> None:
    """The race of keep-alive: a reused connection that dies before its answer is replaced for free."""

    async def script(exchange: Exchange) -> None:
        if exchange.reuse % 2 == 1:
            exchange.reset() if exchange.number % 4 else exchange.writer.close()
            return
        await well(exchange)

    async def main() -> None:
        async with FaultServer(script) as server, Client() as client:
            for _ in range(100):
                asked = await ask(client, endpoint(server.base_url), question(), policy=ONCE)
                assert asked.completion is not None
                assert asked.kinds == ["ok"]
            assert len(server.requests) > 100

    asyncio.run(main())


# -- limits --------------------------------------------------------------------------------------------------------


def test_no_more_calls_are_under_way_than_allowed() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.02)
        await well(exchange)

    async def main() -> None:
        async with FaultServer(slow) as server, Client() as client:
            places = [endpoint(server.base_url, max_parallel=4), Endpoint("alias", server.base_url, "m", Secret(KEY), max_parallel=4)]
            done = await asyncio.gather(*(ask(client, places[i % 2], question()) for i in range(40)))
            assert all(one.completion for one in done)
            assert server.most_in_flight == 4

    asyncio.run(main())


def test_more_than_a_hundred_calls_may_be_under_way() -> None:
    async def main() -> None:
        full = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            if exchange.server.in_flight == 150:
                full.set()
            await full.wait()
            await well(exchange)

        async with FaultServer(script) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=150)
            done = await asyncio.gather(*(ask(client, place, question(), timeout=20) for _ in range(150)))
            assert all(one.completion for one in done)

    asyncio.run(main())


def test_dead_server_is_left_alone() -> None:
    """1,000 rows against a server that always fails make at most 100 requests; the rest is known not to have been attempted."""

    async def main() -> None:
        async with FaultServer(answering(500)) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=64)
            done = await asyncio.gather(*(ask(client, place, question()) for _ in range(1000)))
            assert all(one.error for one in done)
            assert len(server.requests) <= 100
            assert sum(one.error is not None and one.error.code == "not_attempted" for one in done) >= 900

    asyncio.run(main())


def test_limit_of_the_server_is_found() -> None:
    """Against a server that takes 8 at a time, few answers are 429 once its limit is known, and it is kept busy."""

    async def main() -> None:
        busy = 0
        refused: list[bool] = []

        async def script(exchange: Exchange) -> None:
            nonlocal busy
            refused.append(busy >= 8)
            if busy >= 8:
                await exchange.answer(429, error("slow down"), keep=True)
                return
            busy += 1
            try:
                await asyncio.sleep(0.02)
                await well(exchange)
            finally:
                busy -= 1

        async with FaultServer(script) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=32)
            policy = Policy(attempts=20, initial=0.02, max=0.1)
            done = await asyncio.gather(*(ask(client, place, question(), policy=policy, timeout=20) for _ in range(500)))
            assert all(one.completion for one in done)
            later = refused[150:]
            assert sum(later) <= 0.05 * len(later)

    asyncio.run(main())


# -- typed answers: what servers take ------------------------------------------------------------------------------


async def only_prompt(exchange: Exchange) -> None:
    form = exchange.json.get("response_format")
    if form is None:
        await exchange.answer(body=completion("{}"), keep=True)
    elif form["type"] == "json_schema":
        await exchange.answer(
            400, error("Invalid parameter: 'response_format' of type 'json_schema' is not supported", param="response_format")
        )
    else:
        await exchange.answer(400, b"{\"error\":\"'response_format.type' must be 'json_schema' or 'text'\"}")


def test_refused_form_of_typed_answers_steps_down_once_per_model_and_is_recorded() -> None:
    async def main() -> None:
        async with FaultServer(only_prompt) as server, Client() as client:
            first = await ask(client, endpoint(server.base_url), question(shape=SHAPE), policy=ONCE)
            assert first.completion is not None
            assert [a.structured for a, _ in first.attempts] == ["json_schema", "json_object", "prompt"]
            assert first.kinds == ["bad_request", "bad_request", "ok"]
            assert "JSON" in server.requests[1].json["messages"][0]["content"]
            again = await ask(client, endpoint(server.base_url), question(shape=SHAPE), policy=ONCE)
            assert [a.structured for a, _ in again.attempts] == ["prompt"]
            assert len(server.requests) == 4

    asyncio.run(main())


def test_form_that_the_configuration_sets_is_not_left() -> None:
    asked, server = run(only_prompt, question(shape=SHAPE), fields={"structured": "json_schema"})
    assert isinstance(asked.error, ModelRejected)
    assert len(server.requests) == 1


# -- secrets -------------------------------------------------------------------------------------------------------


def test_key_that_the_server_echoes_is_taken_out() -> None:
    padding = "x" * 190
    for body in (error(f"Incorrect API key provided: {KEY}."), f"{padding}{KEY}".encode(), error(code=KEY), f"<p>{KEY}".encode()):
        for status in (401, 200, 500):
            asked, _ = run(answering(status, body), policy=ONCE)
            assert asked.error is not None
            assert KEY[:14] not in str(asked.error)
    asked, _ = run(answering(200, completion(f"your key is {KEY}")))
    assert asked.completion is not None
    assert KEY not in asked.completion.text


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with FaultServer(well) as proxy, FaultServer(well) as server, Client() as client:
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            assert (await ask(client, endpoint(server.base_url), question())).completion
            assert proxy.connections == 0

    asyncio.run(main())


def test_given_proxy_is_used() -> None:
    async def main() -> None:
        async with FaultServer(well) as proxy, Client(proxy=f"http://127.0.0.1:{proxy.port}") as client:
            assert (await ask(client, endpoint("http://models.invalid/v1"), question())).completion
            assert proxy.requests[0].path.startswith("http://models.invalid/v1")

    asyncio.run(main())


# -- the seam of foreign exceptions --------------------------------------------------------------------------------


def test_every_exception_of_httpx_and_aiohttp_has_a_row() -> None:
    import aiohttp
    import httpx
    from aiohttp import http_exceptions

    from flowkit.client.transport import FOREIGN

    def below(kind: type[BaseException]) -> set[type[BaseException]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    kinds = set().union(
        *map(below, [httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, aiohttp.ClientError, http_exceptions.HttpProcessingError])
    )
    for kind in kinds:
        assert issubclass(kind, FOREIGN)
        names = {f"{k.__module__.partition('.')[0].lstrip('_')}.{k.__name__}" for k in kind.__mro__}
        assert any(row.names & names for row in TABLE), kind


def test_every_name_in_the_table_is_an_exception() -> None:
    import importlib

    for row in TABLE:
        for name in row.names:
            module, _, word = name.rpartition(".")
            places = ["aiohttp", "aiohttp.http_exceptions"] if module == "aiohttp" else [module]
            found = [getattr(importlib.import_module(place), word, None) for place in places]
            assert any(isinstance(kind, type) and issubclass(kind, BaseException) for kind in found), name


def test_cause_is_found_behind_what_wraps_it() -> None:
    import httpx

    try:
        raise httpx.ConnectError("x") from ssl.SSLCertVerificationError("self-signed")
    except httpx.ConnectError as found:
        error = translate(found)
    assert (error.kind, error.retryable, error.code) == ("connection", False, "certificate")


@pytest.mark.parametrize(
    "wrapped", [UnicodeDecodeError("utf-8", b"x", 0, 1, "y"), ValueError("x"), RecursionError("x"), zlib.error("x"), TimeoutError()]
)
def test_exceptions_outside_the_tree_of_httpx_are_ours_too(wrapped: Exception) -> None:
    assert isinstance(translate(wrapped), ModelError)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_bad_certificate_is_not_tried_again(tmp_path: Path) -> None:
    """A certificate that is not trusted, or the lack of any TLS, ends the call at once; one that the user trusts serves."""
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem", *names]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def main() -> None:
        async with FaultServer(well, tls=context) as server:
            async with Client() as client:
                asked = await ask(client, endpoint(server.base_url), question())
                assert asked.error is not None
                assert asked.error.code == "certificate"
                assert len(asked.attempts) == 1
            async with Client(ca_file=str(tmp_path / "cert.pem")) as client:
                assert (await ask(client, endpoint(server.base_url), question())).completion
                asked = await ask(client, endpoint(server.base_url.replace("127.0.0.1", "localhost")), question())
                assert asked.error is not None
                assert asked.error.code == "certificate"

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(plain, "127.0.0.1", 0) as listening, Client() as client:
            port = listening.sockets[0].getsockname()[1]
            asked = await ask(client, endpoint(f"https://127.0.0.1:{port}/v1"), question())
            assert asked.error is not None
            assert asked.error.code == "tls"
            assert len(asked.attempts) == 1

    asyncio.run(main())


# -- the responder -------------------------------------------------------------------------------------------------


class Scripted:
    """Answers with one response after the other, or raises."""

    def __init__(self, *responses: Response | BaseException) -> None:
        self.responses = list(responses)
        self.bodies: list[Any] = []

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        self.bodies.append(json.loads(body))
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, BaseException):
            raise response
        return response


def respond(*responses: Response | BaseException, request: ChatRequest | None = None, **options: Any) -> Asked:
    async def main() -> Asked:
        async with Client(Scripted(*responses)) as client:
            return await ask(client, endpoint("http://simulated.invalid/v1"), request or question(), **options)

    return asyncio.run(main())


def test_responder_is_read_as_a_server_is() -> None:
    asked = respond(
        Response(429, {"retry-after": "0.05"}, [error("slow")]),
        ConnectionResetError("gone"),
        Response(200, {"content-type": "text/event-stream"}, [chunk("He"), 0.01, chunk("llo", "stop"), DONE]),
        request=question(stream=True),
    )
    assert asked.completion is not None
    assert asked.shown == ["He", "llo"]
    assert asked.kinds == ["rate_limit", "connection", "ok"]


def test_responder_may_break_off_and_hang() -> None:
    broken = Response(200, {"content-type": "text/event-stream"}, [chunk("He"), ConnectionResetError("gone")])
    assert respond(broken, policy=ONCE).kinds == ["connection"]
    assert respond(TimeoutError(), policy=ONCE).kinds == ["timeout"]
    assert respond(Response(chunks=[9.0, completion()]), policy=ONCE, timeout=0.1).kinds == ["timeout"]


def test_responder_loads_no_network_code() -> None:
    program = """
import asyncio, sys
from flowkit.chat import ChatRequest, Message
from flowkit.client import Client
from flowkit.endpoints import Endpoint
from flowkit.retry import Policy
from flowkit.wire.response import Response
class R:
    async def respond(self, request, body):
        return Response(chunks=[b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'])
async def main():
    async with Client(R()) as client:
        question = ChatRequest("m", (Message("user", "hi"),))
        done = await client.complete(Endpoint("e", "http://x/v1", "m"), question, policy=Policy(), attempt_timeout=1)
        assert done.text == "Hi"
asyncio.run(main())
assert not {"httpx", "aiohttp", "networkx", "jinja2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_errors_of_the_callers_own_functions_stay_what_they_are() -> None:
    async def main() -> None:
        def shown(text: str) -> None:
            raise ValueError("a bug of the caller")

        async with Client(Scripted(Response(chunks=[completion()]))) as client:
            with pytest.raises(ValueError, match="a bug of the caller"):
                await client.complete(endpoint("http://x/v1"), question(), policy=FAST, attempt_timeout=1, on_delta=shown)

    asyncio.run(main())


def test_nothing_is_left_behind() -> None:
    """After many calls of all sorts no task, no connection and no warning remains."""

    async def script(exchange: Exchange) -> None:
        await [well, reset, answering(500), streaming(chunk("He")), answering(404), silent][exchange.number % 6](exchange)

    async def main() -> None:
        async with FaultServer(script) as server:
            async with Client() as client:
                place = endpoint(server.base_url, max_parallel=20)
                await asyncio.gather(*(ask(client, place, question(), policy=ONCE, timeout=0.2) for _ in range(60)))
            await asyncio.sleep(0.05)
            assert server.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


def test_a_million_small_pieces_take_linear_time() -> None:
    piece = chunk("x")
    response = Response(200, {"content-type": "text/event-stream"}, [piece * 500] * 100 + [chunk(finish="stop"), DONE])
    started = time.perf_counter()
    asked = respond(response, request=question(stream=True), timeout=60)
    assert asked.completion is not None
    assert len(asked.completion.text) == 50_000
    assert time.perf_counter() - started < 10
