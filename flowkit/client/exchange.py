"""One request and its answer, from the head to the last piece. Knows what came so far, even when it breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Protocol

from flowkit.chat import ChatRequest, Completion
from flowkit.client.pieces import pieces
from flowkit.client.route import Route
from flowkit.client.seam import translate
from flowkit.endpoints import Veil
from flowkit.errors import ModelError, ModelRateLimited
from flowkit.limits import Pass
from flowkit.retry import TooLong, retry_after, should_retry
from flowkit.wire.allowance import allowance
from flowkit.wire.faults import LOOKED_AT, fault
from flowkit.wire.reply import Reader
from flowkit.wire.response import Response

#: Seconds that a finished stream has to close, so that its connection can be used again.
_LINGER = 0.25


class Sender(Protocol):
    """What an exchange needs of the client."""

    @property
    def foreign(self) -> tuple[type[Exception], ...]:
        """The exceptions that a connection may raise, to be translated."""

    async def send(self, route: Route, request: ChatRequest, body: bytes) -> Response:
        """Send one request, and return its answer when the head is there."""


class Exchange:
    """One request while it is under way. Times are the event loop's."""

    def __init__(self, sender: Sender, route: Route, given: Pass, request: ChatRequest, on_delta: Callable[[str], None] | None) -> None:
        self._sender = sender
        self._route = route
        self._given = given
        self._request = request
        self._on_delta = on_delta
        self._veil = Veil(route.secrets)
        self._now = asyncio.get_running_loop().time
        self._reader: Reader | None = None
        self.started = self.ended = self._now()
        #: When the first piece of text came.
        self.first: float | None = None
        self.completion: Completion | None = None
        #: What the server says about trying again, above its status.
        self.override: bool | None = None
        self.wait: float | TooLong | None = None

    @property
    def text(self) -> str:
        """The text that came, for the record of an answer that broke off."""
        return self._reader.text if self._reader is not None else ""

    async def run(self, body: bytes, alive: Callable[[], None]) -> Completion:
        """Send the request and read the answer. `alive` is called for each piece from the first text on.

        Raises:
            ModelError: there is no whole answer.
        """
        sender = self._sender
        try:
            response = await sender.send(self._route, self._request, body)
        except sender.foreign as error:
            raise translate(error) from None
        if (left := allowance(response.headers)) is not None:
            self._route.gate.hear(self._given, left)
        async with aclosing(pieces(response, sender.foreign)) as arriving:
            if not 200 <= response.status < 300:
                raise await self._fault(response, arriving)
            content_type = response.headers.get("content-type", "")
            reader = self._reader = Reader(stream=self._request.stream, content_type=content_type, hide=self._route.hide)
            try:
                async for piece in arriving:
                    self._show(reader.feed(piece))
                    if self.first is not None:
                        alive()
                    if reader.done:
                        await _linger(arriving)
                        break
            except ModelError as error:
                # A connection may break once all has been said.
                if error.kind != "connection" or not reader.complete:
                    # To copy what is too large would make it larger still.
                    error.text = error.text or (reader.text if error.kind != "response_too_large" else "")
                    raise
        completion, rest = reader.conclude()
        self._show(rest)
        if self._on_delta is not None and (held := self._veil.finish()):
            self._on_delta(held)
        self.completion = self._route.conceal(completion)
        return self.completion

    async def _fault(self, response: Response, arriving: AsyncIterator[bytes]) -> ModelError:
        body = b""
        with suppress(ModelError):
            # What it says even if it breaks off while saying it: the status is enough.
            async for piece in arriving:
                body += piece
                if len(body) >= LOOKED_AT:
                    break
        self.override = should_retry(response.headers)
        wait = self.wait = retry_after(response.headers, now=datetime.now(UTC))
        seconds = wait.seconds if isinstance(wait, TooLong) else wait
        error = fault(response.status, response.headers, body, retry_after=seconds, hide=self._route.hide)
        if isinstance(wait, TooLong) and error.retryable:
            when = f", at {wait.retry_at:%Y-%m-%d %H:%M:%S} UTC" if wait.retry_at else ""
            return ModelRateLimited(
                f"{error.message}; the server asks to wait {wait.seconds:.0f} s{when}, longer than is waited",
                status=error.status,
                code=error.code,
                retry_after=wait.seconds,
            )
        return error

    def _show(self, texts: list[str]) -> None:
        if texts and self.first is None:
            self.first = self._now()
        if self._on_delta is not None:
            for text in texts:
                if sure := self._veil.feed(text):
                    self._on_delta(sure)


async def _linger(arriving: AsyncIterator[bytes]) -> None:
    """Let a finished stream close by itself for a moment, so that its connection can be used again. Nothing that comes counts."""
    with suppress(TimeoutError, ModelError):
        async with asyncio.timeout(_LINGER):
            async for _ in arriving:
                pass
