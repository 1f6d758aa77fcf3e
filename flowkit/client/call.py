"""One question until it has an answer: attempts, waits between them, steps down. Knows time, but neither sockets nor HTTP libraries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from flowkit.chat import STRUCTURED, Attempt, ChatRequest, Completion, Usage
from flowkit.client.pieces import pieces
from flowkit.client.route import Route, Try
from flowkit.client.seam import translate
from flowkit.errors import ModelError, ModelRateLimited, ModelTimeout
from flowkit.limits import Outcome, Pass
from flowkit.retry import Policy, TooLong, retry_after, should_retry
from flowkit.wire.faults import LOOKED_AT, fault, refuses_structured
from flowkit.wire.reply import Reader, usable
from flowkit.wire.request import encode
from flowkit.wire.response import Response

#: Kinds of failure that say something about the server's health; all others are answers.
_FAILURES = frozenset({"server", "timeout", "connection", "stream_truncated", "bad_response", "provider_error"})
#: Seconds that a finished stream has to close, so that its connection can be used again.
_LINGER = 0.25
#: Longest time in seconds for which an endpoint is left alone on its own word, however long that is.
_LONGEST_BLOCK = 3600.0


class Sender(Protocol):
    """What a call needs of the client."""

    @property
    def foreign(self) -> tuple[type[Exception], ...]:
        """The exceptions that a connection may raise, to be translated."""

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""

    async def send(self, route: Route, request: ChatRequest, body: bytes) -> Response:
        """Send one request, and return its answer when the head is there."""


class Call:
    """One `complete`, from the first attempt to the last."""

    def __init__(
        self,
        sender: Sender,
        route: Route,
        request: ChatRequest,
        policy: Policy,
        attempt_timeout: float,
        deadline: float | None,
        on_delta: Callable[[str], None] | None,
        on_attempt: Callable[[Attempt, float | None], None] | None,
        on_send: Callable[[], None] | None,
    ) -> None:
        self._sender = sender
        self._route = route
        self._request = request
        self._policy = policy
        self._attempt_timeout = attempt_timeout
        self._deadline = deadline
        self._on_delta = on_delta
        self._on_attempt = on_attempt
        self._on_send = on_send
        self._now = asyncio.get_running_loop().time
        self._typed = request.shape is not None
        self._automatic = self._typed and request.structured is None and route.endpoint.structured == "auto"
        self._number = 0
        #: Attempts that count for the policy: a step down to a weaker form of typed answers does not.
        self._counted = 0
        self._since = self._now()
        self._spent: Usage | None = None
        self._retrying = False

    async def answer(self) -> Completion:
        """Attempt until there is an answer, or raise the last error."""
        request, body = self._encode()
        last: ModelError | None = None
        try:
            while True:
                given = await self._enter(last)
                trying = Try(self._now())
                last = await self._attempt(trying, given, request, body)
                self._release_retry()
                if last is None:
                    self._report(trying, request, None, None)
                    return self._total(trying)
                if self._steps_down(last, request):
                    self._report(trying, request, last, 0.0)
                    self._since = self._now()
                    request, body = self._encode()
                    continue
                delay = await self._delay(last, trying)
                self._report(trying, request, last, delay)
                if delay is None:
                    if trying.completion is None:
                        raise last
                    return self._total(trying)
                if trying.completion is not None:
                    self._spent = (self._spent or Usage()) + (trying.completion.usage or Usage(calls=1))
                self._since = self._now()
                await asyncio.sleep(delay)
        finally:
            self._release_retry()

    # -- one attempt -------------------------------------------------------------------------------------------

    async def _enter(self, last: ModelError | None) -> Pass:
        try:
            return await self._route.gate.enter(self._deadline)
        except ModelError:
            if last is not None:
                # That the server is left alone now says less than what it said.
                raise last from None
            raise

    async def _attempt(self, trying: Try, given: Pass, request: ChatRequest, body: bytes) -> ModelError | None:
        """Make one request; return what is wrong with it. A completion that is of no use is kept beside its error."""
        self._number += 1
        outcome: Outcome = "unknown"
        block: float | None = None
        limit = trying.started + self._attempt_timeout
        cut = self._deadline is not None and self._deadline < limit
        error: ModelError | None = None
        try:
            async with asyncio.timeout_at(self._deadline if cut else limit):
                trying.completion = await self._once(trying, request, body)
            usable(trying.completion, typed=self._typed)
        except TimeoutError:
            words = "the time of the step ended" if cut else f"timed out: no complete answer within {self._attempt_timeout:g} s"
            error = ModelTimeout(words, retryable=not cut, text=trying.reader.text if trying.reader else "")
        except ModelError as found:
            error = found
        finally:
            trying.ended = self._now()
            tokens = 0
            if trying.completion is not None or error is not None:
                outcome = _outcome(error, cut=cut)
            if error is not None and trying.wait is not None and error.kind != "quota":
                block = min(trying.wait.seconds, _LONGEST_BLOCK) if isinstance(trying.wait, TooLong) else trying.wait
            if trying.completion is not None and (usage := trying.completion.usage) is not None:
                tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
            self._route.gate.leave(given, outcome, retry_after=block, tokens=tokens)
        return error

    async def _once(self, trying: Try, request: ChatRequest, body: bytes) -> Completion:
        sender = self._sender
        if self._on_send is not None:
            self._on_send()
        try:
            response = await sender.send(self._route, request, body)
        except sender.foreign as error:
            raise translate(error) from None
        async with aclosing(pieces(response, sender.foreign)) as arriving:
            if not 200 <= response.status < 300:
                raise await self._fault(trying, response, arriving)
            reader = trying.reader = Reader(request.stream, response.headers.get("content-type", ""), hide=self._route.hide)
            try:
                async for piece in arriving:
                    self._show(trying, reader.feed(piece))
                    if reader.done:
                        await _linger(arriving)
                        break
            except ModelError as error:
                # A connection may break once all has been said.
                if error.kind != "connection" or not reader.complete:
                    error.text = error.text or reader.text
                    raise
        completion, rest = reader.conclude()
        self._show(trying, rest)
        return completion

    async def _fault(self, trying: Try, response: Response, arriving: AsyncIterator[bytes]) -> ModelError:
        body = b""
        with suppress(ModelError):
            # What it says even if it breaks off while saying it: the status is enough.
            async for piece in arriving:
                body += piece
                if len(body) >= LOOKED_AT:
                    break
        now = datetime.now(UTC)
        trying.override = should_retry(response.headers)
        wait = trying.wait = retry_after(response.headers, now=now)
        error = fault(
            response.status,
            response.headers,
            body,
            retry_after=wait.seconds if isinstance(wait, TooLong) else wait,
            hide=self._route.hide,
        )
        if isinstance(wait, TooLong) and error.retryable:
            when = f", at {wait.retry_at:%Y-%m-%d %H:%M:%S} UTC" if wait.retry_at else ""
            return ModelRateLimited(
                f"{error.message}; the server asks to wait {wait.seconds:.0f} s{when}, longer than is waited",
                status=error.status,
                code=error.code,
                retry_after=wait.seconds,
            )
        return error

    def _show(self, trying: Try, texts: list[str]) -> None:
        if texts and trying.first is None:
            trying.first = self._now()
        if self._on_delta is not None:
            for text in texts:
                self._on_delta(text)

    # -- between attempts --------------------------------------------------------------------------------------

    async def _delay(self, error: ModelError, trying: Try) -> float | None:
        """Seconds until the next attempt, with room in the budget of retries taken for it; None to give up."""
        self._counted += 1
        again = error.retryable and self._policy.covers(error.kind)
        if trying.override is not None and not isinstance(trying.wait, TooLong):
            again = trying.override
        if error.code == "dns" and self._counted > 1:
            again = False
        if not again:
            return None
        wait = None if isinstance(trying.wait, TooLong) else trying.wait
        delay = self._policy.delay(self._counted, retry_after=wait, jitter=self._sender.jitter())
        if delay is None or (self._deadline is not None and self._now() + delay >= self._deadline):
            return None
        if error.kind != "rate_limit":
            # Of a server that asks to slow down the limiter takes care; the budget is for those that fail.
            if not await self._route.gate.begin_retry(self._deadline):
                return None
            self._retrying = True
        return delay

    def _release_retry(self) -> None:
        if self._retrying:
            self._retrying = False
            self._route.gate.end_retry()

    def _steps_down(self, error: ModelError, request: ChatRequest) -> bool:
        """Whether the server refused the form of typed answers and there is a weaker one, which is then remembered for all calls."""
        if not self._automatic or request.structured is None or not refuses_structured(error):
            return False
        at = STRUCTURED.index(request.structured) + 1
        if at == len(STRUCTURED):
            return False
        learned = self._route.learned
        learned.structured = max(learned.structured, STRUCTURED[at], key=STRUCTURED.index)
        return True

    def _encode(self) -> tuple[ChatRequest, bytes]:
        endpoint, request = self._route.endpoint, self._request
        if self._typed and request.structured is None:
            form = self._route.learned.structured if endpoint.structured == "auto" else endpoint.structured
            request = replace(request, structured=form)
        return request, encode(request, max_tokens_key=endpoint.max_tokens_key, stream_usage=endpoint.stream_usage)

    def _total(self, trying: Try) -> Completion:
        """The completion, with what earlier answers of this call used, and without secrets that the server may have echoed."""
        completion = trying.completion
        assert completion is not None, "only asked for when there is one"
        text = self._route.hide(completion.text)
        if text != completion.text:
            completion = replace(completion, text=text, warnings=(*completion.warnings, "a secret was taken out of the text"))
        if self._spent is not None:
            completion = replace(completion, usage=self._spent + (completion.usage or Usage(calls=1)))
        return completion

    def _report(self, trying: Try, request: ChatRequest, error: ModelError | None, delay: float | None) -> None:
        if self._on_attempt is None:
            return
        attempt = Attempt(
            number=self._number,
            model=self._route.endpoint.name,
            outcome="ok" if error is None else error.kind,
            seconds=trying.ended - trying.started,
            message="" if error is None else self._route.hide(error.message),
            status=None if error is None else error.status,
            waited=trying.started - self._since,
            first_token=None if trying.first is None or not request.stream else trying.first - trying.started,
            structured=request.structured,
        )
        self._on_attempt(attempt, delay)


def _outcome(error: ModelError | None, *, cut: bool) -> Outcome:
    """How a call ended, for the limiter. A timeout that the step's own end brought says nothing about the server."""
    if error is None:
        return "answered"
    if error.kind == "rate_limit":
        return "limited"
    if error.kind == "timeout" and cut:
        return "unknown"
    return "failed" if error.kind in _FAILURES else "answered"


async def _linger(arriving: AsyncIterator[bytes]) -> None:
    """Let a finished stream close by itself for a moment, so that its connection can be used again. Nothing that comes counts."""
    with suppress(TimeoutError, ModelError):
        async with asyncio.timeout(_LINGER):
            async for _ in arriving:
                pass
