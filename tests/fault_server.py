"""A server of raw bytes that does what it is told, on loopback, with a ledger of what it was asked.

A script is an async function that gets each `Exchange` in turn: it may send any bytes, wait, reset or close.
Every body that arrives has to hold to the published description of chat completions, where that is at hand.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from described import wrong_in_shape


@dataclass
class Exchange:
    """One request as it arrived, and the means to answer it."""

    number: int
    #: How many requests came before on the same connection.
    reuse: int
    path: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: FaultServer
    keep: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"", *, keep: bool = False, **headers: str) -> None:
        """A whole answer with a length. Underscores in names become dashes."""
        lines = {"content-type": "application/json", "content-length": str(len(body))} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        await self.send(head.encode("latin-1") + body)
        self.keep = keep

    async def begin_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")

    def reset(self) -> None:
        """Break the connection with RST."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_closed(self) -> None:
        """Wait until the client hangs up."""
        while await self.reader.read(1024):
            pass
        self.server.hung_up.set()


Script = Callable[[Exchange], Awaitable[None]]


@dataclass
class FaultServer:
    """Use as `async with FaultServer(script) as server`."""

    script: Script
    tls: ssl.SSLContext | None = None
    requests: list[Exchange] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def base_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Only now: the first look takes long, and tests measure what they do inside.
        if error is None:
            wrong = {said for exchange in self.requests if exchange.body for said in wrong_in_shape(exchange.body)}
            assert not wrong, f"requests that are not as described: {sorted(wrong)}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        reuse = 0
        try:
            while (exchange := await self._read(reader, writer, reuse)) is not None:
                self.requests.append(exchange)
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    await self.script(exchange)
                finally:
                    self.in_flight -= 1
                if not exchange.keep:
                    break
                reuse += 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reuse: int) -> Exchange | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Exchange(len(self.requests), reuse, first.split()[1], headers, body, reader, writer, self)


def completion(text: str = "Hello", **extra: Any) -> bytes:
    """The body of an ordinary answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return json.dumps({"id": "1", "model": "m", "choices": [choice | extra], "usage": usage}).encode()


def chunk(text: str = "", finish: str | None = None) -> bytes:
    """One event of a stream."""
    delta = {"content": text} if text else {}
    return b"data: " + json.dumps({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def error(message: str = "no", **fields: Any) -> bytes:
    """The body of an ordinary error."""
    return json.dumps({"error": {"message": message, "type": None, "param": None, "code": None} | fields}).encode()


# -- scripts ------------------------------------------------------------------------------------------------------


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


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def close(exchange: Exchange) -> None:
    exchange.writer.close()


async def silent(exchange: Exchange) -> None:
    await exchange.until_closed()


def raw(head: bytes, body: bytes = b"") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head + b"\r\n\r\n" + body)

    return script
