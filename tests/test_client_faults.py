"""Every fault of a model server, produced by raw bytes on loopback. The numbers are those of the catalogue of faults; each row states its bar."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import ssl
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from calling import ONCE, SHAPE, Asked, ask, endpoint, question, run
from fault_server import (
    DONE,
    Exchange,
    FaultServer,
    Script,
    answering,
    by_turn,
    chunk,
    close,
    completion,
    error,
    raw,
    reset,
    silent,
    streaming,
    well,
)

from flowkit.chat import ChatRequest
from flowkit.client import Client
from flowkit.errors import ModelRateLimited, ModelRejected, ModelTimeout, ModelUnreachable
from flowkit.retry import Policy
from flowkit.wire.reply import usable

HERE = Path(__file__).parent
CASES = json.loads((HERE / "corpus/retry_after.json").read_text())["cases"]
STREAM = question(stream=True)
#: Seconds by which a deadline may be overshot.
LATE = 0.5


def fails(script: Script, kind: str, *, request: ChatRequest | None = None, requests: int = 1, **options: Any) -> Asked:
    """One call that fails with this kind after so many requests."""
    asked, server = run(script, request, **options)
    assert asked.error is not None, asked.completion
    assert asked.error.kind == kind, asked.error
    assert len(server.requests) == requests
    return asked


# -- A1 to A7: connections and time --------------------------------------------------------------------------------


def test_a01_refused() -> None:
    """3 attempts; the message names the host."""

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


@pytest.mark.parametrize("script", [reset, close])
def test_a01_reset_or_closed_before_an_answer(script: Script) -> None:
    """3 attempts, each of them `connection`; the message names the class, and the next attempt may succeed."""
    asked = fails(script, "connection", requests=3)
    assert "Error" in asked.attempts[0][0].message
    asked, _ = run(by_turn(script, well))
    assert asked.kinds == ["connection", "ok"]


def test_a02_unknown_host() -> None:
    """`connection`, tried again at most once, within 2 s."""

    async def main() -> Asked:
        async with Client() as client:
            return await ask(client, endpoint("http://no-such-host.invalid/v1"), question(), policy=Policy(attempts=5, initial=0.01))

    asked = asyncio.run(main())
    assert isinstance(asked.error, ModelUnreachable)
    assert set(asked.kinds) == {"connection"}
    assert len(asked.attempts) <= 2
    assert asked.seconds <= 2


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl")
    folder = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem", *names]
    subprocess.run(make, cwd=folder, check=True, capture_output=True)
    return folder


def test_a03_tls(certificate: Path) -> None:
    """1 attempt for a certificate that is not trusted, or for another host, or where no TLS is; one that the user trusts serves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def main() -> None:
        async def refused(client: Client, url: str) -> str | None:
            asked = await ask(client, endpoint(url), question())
            assert asked.error is not None
            assert asked.error.kind == "connection"
            assert len(asked.attempts) == 1
            return asked.error.code

        async with FaultServer(well, tls=context) as server:
            async with Client() as client:
                assert await refused(client, server.base_url) == "certificate"
            async with Client(ca_file=str(certificate / "cert.pem")) as client:
                assert (await ask(client, endpoint(server.base_url), question())).completion
                assert await refused(client, server.base_url.replace("127.0.0.1", "localhost")) == "certificate"
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as listening, Client() as client:
            port = listening.sockets[0].getsockname()[1]
            assert await refused(client, f"https://127.0.0.1:{port}/v1") == "tls"

    asyncio.run(main())


def test_a04_never_answers() -> None:
    """`timeout` at the limit of the attempt, late by at most 0.5 s; again by the policy, and all of it ends with the step."""
    asked = fails(silent, "timeout", policy=ONCE, timeout=0.3)
    assert 0.3 <= asked.seconds <= 0.3 + LATE
    asked, _ = run(silent, policy=Policy(attempts=9, initial=0.01), timeout=0.2, total=0.5)
    assert isinstance(asked.error, ModelTimeout)
    assert 2 <= len(asked.attempts) <= 3
    assert asked.seconds <= 0.5 + LATE


async def head_only(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    await exchange.until_closed()


async def endless_head(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        await exchange.send(b"x-%d: y\r\n" % number)
        await asyncio.sleep(0.02)


async def drip(exchange: Exchange) -> None:
    await exchange.begin_stream()
    for byte in chunk("x" * 1000):
        await exchange.send(bytes([byte]))
        await asyncio.sleep(0.02)


async def pings(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(b": ping\n\n")
        await asyncio.sleep(0.02)


async def text_for_ever(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(chunk("x"))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("script", [head_only, endless_head, drip, pings, text_for_ever])
def test_a05_bytes_keep_coming(script: Script) -> None:
    """`timeout` at the deadline although bytes keep coming, late by at most 0.5 s."""
    asked = fails(script, "timeout", request=STREAM, policy=ONCE, timeout=0.3)
    assert 0.3 <= asked.seconds <= 0.3 + LATE
    asked, _ = run(script, STREAM, total=0.3)
    assert isinstance(asked.error, ModelTimeout)
    assert 0.3 <= asked.seconds <= 0.3 + LATE


def test_a06_stall() -> None:
    """A stream that stands still ends at the idle limit, long before the attempt's; the part is kept for the record only."""
    asked = fails(streaming(chunk("Hel"), then=silent), "timeout", request=STREAM, policy=ONCE, timeout=30, idle=0.3)
    assert 0.3 <= asked.seconds <= 0.3 + LATE
    assert asked.error is not None
    assert asked.error.retryable
    assert asked.error.text == "Hel"
    assert "stood still" in str(asked.error)
    asked, _ = run(by_turn(streaming(chunk("Hel"), then=silent), streaming(chunk("Hello", "stop"), DONE)), STREAM, timeout=30, idle=0.2)
    assert asked.completion is not None
    assert asked.completion.text == "Hello"


def test_a06_slow_start_is_no_stall() -> None:
    """Only what has begun can stand still: a model may think before its first word, and an answer in one piece comes when it is done."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.3)
        if exchange.json.get("stream"):
            await streaming(chunk("Hi", "stop"), DONE)(exchange)
        else:
            await well(exchange)

    for request in (question(), STREAM):
        asked, _ = run(slow, request, policy=ONCE, idle=0.1)
        assert asked.completion is not None


@pytest.mark.parametrize("then", [reset, close])
def test_a07_truncated(then: Callable[[Exchange], Awaitable[None]]) -> None:
    """0 truncations accepted: without finish_reason and without [DONE] it is an error, is tried again, and the part is no answer."""
    asked, server = run(streaming(chunk("Hel"), 0.02, then=then), STREAM)
    assert asked.error is not None
    assert asked.error.kind in ("connection", "stream_truncated")
    assert asked.error.text == "Hel"
    assert len(server.requests) == 3


def test_a07_body_shorter_than_its_length() -> None:
    """The same for a body."""
    fails(answering(200, completion()[:40], content_length="4000"), "connection", requests=3)


def test_a07_broken_after_its_end() -> None:
    """A stream that has said that it is done is whole, however its connection ends."""
    asked, _ = run(streaming(chunk("Hi", "stop"), 0.02, then=reset), STREAM)
    assert asked.completion is not None


# -- A8 to A18: answers. The corpora are read whole and in pieces in test_wire_corpus ------------------------------


@pytest.mark.parametrize("cut", [1, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a08_events_in_any_form(end: bytes, cut: int) -> None:
    """Comments, CR, CRLF, a mark, named events, any cut on the wire: the same answer."""
    parts = [
        b"\xef\xbb\xbf: hi",
        b"",
        b"event: message",
        chunk("Hel").strip(),
        b"",
        b":",
        b"retry: 1",
        chunk("lo", "stop").strip(),
        b"",
        b"",
    ]
    data = end.join([*parts, b"data: [DONE]", b"", b""])
    asked, _ = run(streaming(*(data[i : i + cut] for i in range(0, len(data), cut))), STREAM)
    assert asked.completion is not None
    assert asked.completion.text == "Hello"
    assert "".join(asked.shown) == "Hello"


IN_STREAM = [
    b'data: {"error": {"message": "boom", "code": 502}}\n\n',
    b'data: {"error": "boom"}\n\n',
    b'error: {"code": 500, "message": "boom"}\n\n',
    b'event: error\ndata: {"message": "boom"}\n\n',
    b'data: {"error": {"message": "boom", "code": 502}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}\n\n',
    b'data: {"choices": [{"delta": {}, "finish_reason": "error"}]}\n\n',
]


@pytest.mark.parametrize("broken", IN_STREAM)
def test_a09_error_in_mid_stream(broken: bytes) -> None:
    """All forms detected, with [DONE] after them or without; tried again, and nothing of the first try is in the answer."""
    for end in (b"", DONE):
        failing = streaming(chunk("Hel"), broken, end)
        asked, _ = run(by_turn(failing, streaming(chunk("Hello", "stop"), DONE)), STREAM)
        assert asked.completion is not None
        assert asked.completion.text == "Hello"
        assert asked.kinds == ["provider_error", "ok"]


@pytest.mark.parametrize("body", [b" ", b"<html>bad</html>", b"[1]", b"null", b'"x"', b"{", b'{"choices": {}}', b"\x00\xff", b"[" * 50_000])
def test_a10_unreadable(body: bytes) -> None:
    """`bad_response` with the beginning quoted on one line; 3 attempts, 0 tracebacks."""
    asked = fails(answering(200, body), "bad_response", requests=3)
    assert asked.error is not None
    assert str(asked.error).isprintable()
    assert len(str(asked.error)) < 600


@pytest.mark.parametrize(
    ("body", "kind", "requests"),
    [
        (error("boom", code=502), "provider_error", 3),
        (error("boom", code=400), "provider_error", 1),
        (b'{"object": "error", "message": "boom", "code": 500}', "provider_error", 3),
        (b'{"error": "boom"}', "provider_error", 3),
        (b'{"detail": "boom"}', "provider_error", 3),
        (error("slow down", code=429), "rate_limit", 3),
        (error("no credit", code="insufficient_quota"), "quota", 1),
    ],
)
def test_a11_error_with_200(body: bytes, kind: str, requests: int) -> None:
    """An error whatever the status says, and tried again by its own code."""
    fails(answering(200, body), kind, requests=requests)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_a12_refused(status: int) -> None:
    """1 request."""
    kinds = {401: "auth", 402: "quota", 403: "auth", 404: "not_found"}
    asked = fails(answering(status), kinds.get(status, "bad_request"))
    assert isinstance(asked.error, ModelRejected)
    assert asked.error.status == status


@pytest.mark.parametrize("status", [401, 402, 404])
def test_a12_batch(status: int) -> None:
    """A key, an account or a model that is refused ends a batch of 1,000 with at most as many requests as may be under way."""

    async def main() -> None:
        async with FaultServer(answering(status)) as server, Client() as client:
            place = endpoint(server.base_url, max_parallel=8)
            done = await asyncio.gather(*(ask(client, place, question()) for _ in range(1000)))
            assert len({one.error.kind for one in done if one.error}) == 1
            assert all(one.error for one in done)
            assert len(server.requests) <= 8

    asyncio.run(main())


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a13_trouble(status: int) -> None:
    """At most 3 attempts, and the third counts."""
    asked, server = run(by_turn(answering(status), answering(status), well))
    assert asked.completion is not None
    assert len(server.requests) == 3
    _, server = run(answering(status))
    assert len(server.requests) == 3


def test_a13_verdict() -> None:
    """`x-should-retry` stands above the status, in both directions."""
    asked, server = run(by_turn(answering(400, x_should_retry="true"), answering(503, x_should_retry="false")))
    assert asked.error is not None
    assert asked.error.status == 503
    assert len(server.requests) == 2


def test_a14_retry_after_is_obeyed() -> None:
    """Waited for, never less. All 19 forms are read against a clock of the test in test_retry."""
    asked, _ = run(by_turn(answering(429, retry_after_ms="200"), well))
    assert asked.completion is not None
    assert 0.2 <= asked.seconds <= 0.25 + LATE
    assert asked.attempts[1][0].waited >= 0.2


@pytest.mark.parametrize("case", [c for c in CASES if not c["retry"]], ids=lambda case: str(case["value"])[:30])
def test_a14_too_long_is_not_slept(case: dict[str, Any]) -> None:
    """1 request, no sleep; the error says for how long."""
    asked = fails(answering(429, **{case["header"].replace("-", "_"): case["value"]}), "rate_limit")
    assert isinstance(asked.error, ModelRateLimited)
    assert asked.error.retry_after is not None
    assert asked.error.retry_after > 120
    assert asked.seconds < LATE


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"choices": []}', "empty_response"),
        (b'{"choices": null}', "empty_response"),
        (b'{"choices": [{"message": null}]}', "bad_response"),
    ],
)
def test_a15_no_choice(body: bytes, kind: str) -> None:
    """An error of its own, tried again."""
    fails(answering(200, body), kind, requests=3)


def test_a15_empty_text() -> None:
    """Asked again, and what it took is counted; returned as it is when attempts are spent."""
    asked, _ = run(by_turn(answering(200, completion("")), well))
    assert asked.completion is not None
    assert asked.kinds == ["empty_response", "ok"]
    assert asked.completion.usage is not None
    assert (asked.completion.usage.input_tokens, asked.completion.usage.calls) == (10, 2)
    assert [a.usage.input_tokens for a, _ in asked.attempts if a.usage] == [5, 5]
    asked, server = run(answering(200, completion("")))
    assert len(server.requests) == 3
    assert asked.completion is not None
    assert asked.completion.text == ""


def test_a15_tool_calls_are_no_empty_answer() -> None:
    """Content is null beside them."""
    message = {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    asked, server = run(answering(200, completion(message=message, finish_reason="stop")))
    assert asked.completion is not None
    assert asked.completion.finish == "tool_calls"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ({"finish_reason": "length"}, "output_truncated"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"message": {"content": None, "refusal": "I cannot"}}, "refusal"),
    ],
    ids=["a16 length", "a17 filter", "a17 refusal"],
)
def test_a16_a17_stopped(extra: dict[str, Any], kind: str) -> None:
    """1 request; each has a class of its own, seen before anything is parsed."""
    asked, server = run(answering(200, completion("Hel", **extra)), question(shape=SHAPE))
    assert len(server.requests) == 1
    assert asked.kinds == [kind]
    assert asked.completion is not None
    with pytest.raises(Exception, match=r"cut at the token limit|content filter|refused") as caught:
        usable(asked.completion, typed=True)
    assert caught.value.kind == kind  # type: ignore[attr-defined]


# A18, wrong types, is about what is asked next: test_runner_asking (re-asks with path and message, at most three calls, each recorded);
# the repairs before that: test_answers.


# -- A19 and A20: size, measured in a process of its own -----------------------------------------------------------


PROBE = """
import asyncio, re, sys
from pathlib import Path
from flowkit.chat import ChatRequest, Message
from flowkit.client import Client
from flowkit.endpoints import Endpoint
from flowkit.errors import ModelError
from flowkit.retry import Policy
def peak():
    # Not ru_maxrss, which a child inherits from the process that forked it.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
async def main():
    place = Endpoint("e", sys.argv[1], "m")
    ask = ChatRequest("m", (Message("user", "hi"),), stream=True)
    async with Client() as client:
        await client.complete(place, ask, policy=Policy(attempts=1), attempt_timeout=60)
        before = peak()
        try:
            await client.complete(place, ask, policy=Policy(attempts=3), attempt_timeout=60)
        except ModelError as error:
            print(error.kind, peak() - before)
asyncio.run(main())
"""


async def endless_text(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(chunk("x" * 100_000))


async def endless_emoji(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(chunk("\U0001f600" * 20_000))


async def giant_line(exchange: Exchange) -> None:
    await exchange.begin_stream()
    while True:
        await exchange.send(b"x" * 65536)


async def huge_body(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{")
    while True:
        await exchange.send(b" " * 65536)


async def huge_error(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 400 No\r\ncontent-type: application/json\r\n\r\n{")
    while True:
        await exchange.send(b"x" * 65536)


def squeezed(mebibytes: int) -> bytes:
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join(squeeze.compress(b"\x20" * 1024 * 1024) for _ in range(mebibytes)) + squeeze.flush()


async def bomb(exchange: Exchange) -> None:
    await exchange.answer(200, squeezed(512), content_encoding="gzip")


async def bomb_in_one_event(exchange: Exchange) -> None:
    await exchange.answer(200, squeezed(512), content_encoding="gzip", content_type="text/event-stream")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory in /proc")
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (endless_text, "response_too_large"),
        (endless_emoji, "response_too_large"),
        (giant_line, "response_too_large"),
        (huge_body, "response_too_large"),
        (huge_error, "bad_request"),
        (bomb, "response_too_large"),
        (bomb_in_one_event, "response_too_large"),
    ],
    ids=["a19 text", "a19 emoji", "a19 line", "a19 body", "a19 error", "a20 gzip", "a20 gzip event"],
)
def test_a19_a20_memory(script: Script, kind: str) -> None:
    """1 request, and at most 45 MiB more than before, in a process that does nothing else."""

    async def main() -> None:
        first = streaming(chunk("Hi", "stop"), DONE)
        async with FaultServer(by_turn(first, script)) as server:
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", PROBE, server.base_url, stdout=subprocess.PIPE)
            said, _ = await child.communicate()
            word, mebibytes = said.split()
            assert word.decode() == kind
            assert int(mebibytes) <= 45
            assert len(server.requests) == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda b: zlib.compress(b)[2:-4])]
)
def test_a20_compressed_although_not_asked_for(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """Read all the same."""
    asked, _ = run(answering(200, pack(completion()), content_encoding=encoding))
    assert asked.completion is not None
    assert asked.completion.text == "Hello"


@pytest.mark.parametrize(
    ("encoding", "body"), [("br", b"x"), ("gzip", b"not gzip at all"), ("gzip", gzip.compress(completion(), mtime=0)[:40])]
)
def test_a20_damaged_or_unknown_encoding(encoding: str, body: bytes) -> None:
    """`bad_response`."""
    fails(answering(200, body, content_encoding=encoding), "bad_response", requests=3)


# -- A21 to A24: HTTP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a21_redirect(status: int) -> None:
    """Not followed: 0 bytes at the second server, and the message says what to do."""

    async def main() -> None:
        async with FaultServer(well) as other:

            async def script(exchange: Exchange) -> None:
                await exchange.answer(status, location=other.base_url)

            async with FaultServer(script) as server, Client() as client:
                asked = await ask(client, endpoint(server.base_url), question())
                assert isinstance(asked.error, ModelRejected)
                assert "base_url" in str(asked.error)
                assert len(server.requests) == 1
            assert other.connections == 0

    asyncio.run(main())


@pytest.mark.parametrize("text", [rb"a\ud800b", b"a\xffb", rb"a\u0000b", rb"\ud83d"])
def test_a22_characters_that_are_none(text: bytes) -> None:
    """0 Unicode errors: replaced in streams, and a body is read or is a `bad_response`."""
    whole = b'{"choices":[{"message":{"content":"' + text + b'"},"finish_reason":"stop"}]}'
    asked, _ = run(answering(200, whole), policy=ONCE)
    assert asked.completion is not None or asked.kinds == ["bad_response"]
    asked, _ = run(streaming(b'data: {"choices":[{"delta":{"content":"' + text + b'"},"finish_reason":"stop"}]}\n\n'), STREAM)
    assert asked.completion is not None
    assert "".join(asked.shown) == asked.completion.text
    asked.completion.text.encode()


BROKEN = {
    "conflicting lengths": raw(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4", b"abc"),
    "300 KB header": raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000),
    "status 999": raw(b"HTTP/1.1 999 What\r\ncontent-length: 0"),
    "another protocol": raw(b"SSH-2.0-OpenSSH_9"),
    "bad chunk": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"zz\r\n"),
    "bad header": raw(b"HTTP/1.1 200 OK\r\nbad header\r\n: x"),
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN.keys())
def test_a23_broken_http(script: Script) -> None:
    """An error of ours, tried again."""
    asked, _ = run(script, policy=ONCE, timeout=2)
    assert asked.error is not None
    assert asked.error.kind in ("bad_response", "connection")
    assert asked.error.retryable


def test_a23_odd_http() -> None:
    """HTTP/1.0 and doubled harmless headers are read."""
    for head in (
        b"HTTP/1.0 200 OK\r\ncontent-type: application/json",
        b"HTTP/1.1 200 OK\r\nx: 1\r\nx: 2\r\ncontent-type: application/json",
    ):
        asked, _ = run(raw(head, completion()))
        assert asked.completion is not None


def test_a24_keep_alive_race() -> None:
    """0 failed of 1,000 calls, eight at a time, against a server that breaks every second reuse; none counts as a failure of the server."""
    asyncio.run(race(1000))


@pytest.mark.long
def test_a24_keep_alive_race_long() -> None:
    """The same with 10,000."""
    asyncio.run(race(10_000))


async def race(calls: int) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.reuse % 2 == 1:
            exchange.reset() if exchange.number % 4 else exchange.writer.close()
            return
        await well(exchange)

    async with FaultServer(script) as server, Client() as client:
        place = endpoint(server.base_url, max_parallel=8)
        broken = 0
        for _ in range(0, calls, 100):
            for asked in await asyncio.gather(*(ask(client, place, question(), policy=ONCE) for _ in range(100))):
                broken += asked.kinds != ["ok"]
        assert broken == 0
        assert len(server.requests) > calls
        server.requests.clear()
