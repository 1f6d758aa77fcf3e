"""One call: what is sent, what comes back, what stands in for a server."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
import zlib
from typing import Any

import pytest
from calling import FAST, KEY, ONCE, SHAPE, Asked, ask, endpoint, question, run
from fault_server import DONE, Exchange, FaultServer, answering, chunk, completion, error, reset, silent, streaming, well
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.chat import ChatRequest
from flowkit.client import Client
from flowkit.client.seam import TABLE, translate
from flowkit.errors import ModelError, ModelRejected
from flowkit.retry import Policy
from flowkit.wire.response import Response


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


def test_stream_that_breaks_after_its_end_is_whole() -> None:
    asked, _ = run(streaming(chunk("Hi", "stop"), 0.02, then=reset), question(stream=True))
    assert asked.completion is not None


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


def test_policy_says_on_what_is_tried_again() -> None:
    _, server = run(answering(500), policy=Policy(on=frozenset({"timeout"})))
    assert len(server.requests) == 1


def test_quota_is_no_rate_limit() -> None:
    asked, server = run(answering(429, error("You exceeded", code="insufficient_quota")))
    assert asked.error is not None
    assert asked.error.kind == "quota"
    assert len(server.requests) == 1


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


def test_a_million_small_pieces_take_linear_time() -> None:
    piece = chunk("x")
    response = Response(200, {"content-type": "text/event-stream"}, [piece * 500] * 100 + [chunk(finish="stop"), DONE])
    started = time.perf_counter()
    asked = respond(response, request=question(stream=True), timeout=60)
    assert asked.completion is not None
    assert len(asked.completion.text) == 50_000
    assert time.perf_counter() - started < 10


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([chunk("a"), DONE, completion(), b"data: ", b"\n\n"])), max_size=8),
    st.sampled_from([200, 201, 204, 302, 400, 404, 429, 500, 999]),
    st.dictionaries(
        st.sampled_from(["content-type", "content-encoding", "retry-after", "location", "x-ratelimit-remaining-requests"]),
        st.one_of(st.text(max_size=10), st.sampled_from(["gzip", "deflate", "text/event-stream", "9" * 30])),
    ),
    st.booleans(),
)
@settings(deadline=1000)
def test_any_answer_gives_a_completion_or_a_model_error(pieces: list[bytes], status: int, headers: dict[str, str], stream: bool) -> None:
    """Within a second, and all that it says can be written."""
    asked = respond(Response(status, headers, pieces), request=question(stream=stream), policy=ONCE)
    assert (asked.completion is None) != (asked.error is None)
    (repr(asked.completion) + str(asked.error) + repr(asked.attempts)).encode()
