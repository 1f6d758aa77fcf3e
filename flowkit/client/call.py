"""One question until it has an answer: attempts, waits between them, steps down. Knows time, but neither sockets nor HTTP libraries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from flowkit.chat import STRUCTURED, Attempt, ChatRequest, Completion, Usage
from flowkit.client.exchange import Exchange, Sender
from flowkit.client.route import Route
from flowkit.errors import ModelError, ModelTimeout
from flowkit.limits import Outcome, Pass
from flowkit.retry import Policy, TooLong
from flowkit.wire.faults import refuses_structured
from flowkit.wire.reply import usable
from flowkit.wire.request import encode

#: Kinds of failure that say something about the server's health; all others are answers.
_FAILURES = frozenset({"server", "timeout", "connection", "stream_truncated", "bad_response", "provider_error"})
#: Code of the timeout that the step's own end brought.
_CUT = "step_ended"
#: For a first guess of what a request takes of `tokens_per_minute`.
_BYTES_PER_TOKEN = 4
#: Longest time in seconds for which an endpoint is left alone on its own word, however long that is.
_LONGEST_BLOCK = 3600.0


class Caller(Sender, Protocol):
    """What a call needs of the client."""

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""


class Call:
    """One `complete`, from the first attempt to the last."""

    def __init__(
        self,
        caller: Caller,
        route: Route,
        request: ChatRequest,
        *,
        policy: Policy,
        attempt_timeout: float,
        deadline: float | None,
        idle: float,
        on_delta: Callable[[str], None] | None,
        on_attempt: Callable[[Attempt, float | None], None] | None,
        on_send: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._caller = caller
        self._route = route
        self._request = request
        self._policy = policy
        self._attempt_timeout = attempt_timeout
        self._deadline = deadline
        self._idle = idle
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
                given = await self._enter(last, body)
                exchange = Exchange(self._caller, self._route, given, request, self._on_delta)
                last = await self._attempt(exchange, given, body)
                self._release_retry()
                if last is None:
                    self._report(exchange, request, None, None)
                    return self._total(exchange)
                if self._steps_down(last, request):
                    self._report(exchange, request, last, 0.0)
                    self._since = self._now()
                    request, body = self._encode()
                    continue
                delay = await self._delay(last, exchange)
                self._report(exchange, request, last, delay)
                if delay is None:
                    if exchange.completion is None:
                        raise last
                    return self._total(exchange)
                if exchange.completion is not None:
                    self._spent = (self._spent or Usage()) + (exchange.completion.usage or Usage(calls=1))
                self._since = self._now()
                await self._route.gate.rest(delay)
        finally:
            self._release_retry()

    # -- one attempt -------------------------------------------------------------------------------------------

    async def _enter(self, last: ModelError | None, body: bytes) -> Pass:
        gate = self._route.gate
        try:
            return await gate.enter(self._deadline, tokens=len(body) // _BYTES_PER_TOKEN)
        except ModelError:
            if last is not None and not gate.stopped:
                # That the server is left alone now says less than what it said.
                raise last from None
            raise

    async def _attempt(self, exchange: Exchange, given: Pass, body: bytes) -> ModelError | None:
        """Make one request; return what is wrong with it. A completion that is of no use is kept beside its error."""
        self._number += 1
        error: ModelError | None = None
        known = False
        try:
            if self._on_send is not None:
                await self._on_send()
                exchange.started = self._now()
            limit = exchange.started + self._attempt_timeout
            cut = self._deadline is not None and self._deadline < limit
            end = self._deadline if cut and self._deadline is not None else limit
            watch = asyncio.timeout_at(end)

            def alive() -> None:
                if self._request.stream:
                    watch.reschedule(min(end, self._now() + self._idle))

            try:
                async with watch:
                    usable(await exchange.run(body, alive), typed=self._typed)
            except TimeoutError:
                error = self._late(exchange, idle=(watch.when() or end) < end, cut=cut)
            except ModelError as found:
                error = found
            known = True
        finally:
            exchange.ended = self._now()
            self._leave(exchange, given, error, known=known)
        return error

    def _late(self, exchange: Exchange, *, idle: bool, cut: bool) -> ModelTimeout:
        if idle:
            return ModelTimeout(f"timed out: the stream stood still for {self._idle:g} s", retryable=True, text=exchange.text)
        if cut:
            return ModelTimeout("the time of the step ended", code=_CUT, text=exchange.text)
        return ModelTimeout(f"timed out: no complete answer within {self._attempt_timeout:g} s", retryable=True, text=exchange.text)

    def _leave(self, exchange: Exchange, given: Pass, error: ModelError | None, *, known: bool) -> None:
        """Tell the gate how the request ended, for all who wait there."""
        gate = self._route.gate
        block: float | None = None
        if error is not None and exchange.wait is not None and error.kind != "quota":
            block = min(exchange.wait.seconds, _LONGEST_BLOCK) if isinstance(exchange.wait, TooLong) else exchange.wait
        if known and exchange.override is not True:
            gate.learn(error)
        tokens = 0
        if (done := exchange.completion) is not None:
            tokens = (done.usage.input_tokens or 0) + (done.usage.output_tokens or 0) if done.usage is not None else 0
            # A server that does not count is not free of charge.
            tokens = tokens or max(round(given.tokens), len(done.text) // _BYTES_PER_TOKEN)
        gate.leave(given, _outcome(error) if known else "unknown", retry_after=block, tokens=tokens)

    # -- between attempts --------------------------------------------------------------------------------------

    async def _delay(self, error: ModelError, exchange: Exchange) -> float | None:
        """Seconds until the next attempt, with room in the budget of retries taken for it; None to give up."""
        self._counted += 1
        again = error.retryable and self._policy.covers(error.kind)
        if exchange.override is not None and not isinstance(exchange.wait, TooLong):
            again = exchange.override
        if error.code == "dns" and self._counted > 1:
            again = False
        if not again:
            return None
        wait = None if isinstance(exchange.wait, TooLong) else exchange.wait
        delay = self._policy.delay(self._counted, retry_after=wait, jitter=self._caller.jitter())
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
        body = encode(
            request,
            max_tokens_key=endpoint.max_tokens_key,
            stream_usage=endpoint.stream_usage,
            return_reasoning=endpoint.return_reasoning,
        )
        return request, body

    def _total(self, exchange: Exchange) -> Completion:
        """The completion, with what earlier answers of this call used."""
        completion = exchange.completion
        assert completion is not None, "only asked for when there is one"
        if self._spent is not None:
            completion = replace(completion, usage=self._spent + (completion.usage or Usage(calls=1)))
        return completion

    def _report(self, exchange: Exchange, request: ChatRequest, error: ModelError | None, delay: float | None) -> None:
        if self._on_attempt is None:
            return
        attempt = Attempt(
            number=self._number,
            model=self._route.endpoint.name,
            outcome="ok" if error is None else error.kind,
            seconds=exchange.ended - exchange.started,
            message="" if error is None else self._route.hide(error.message),
            status=None if error is None else error.status,
            waited=exchange.started - self._since,
            first_token=None if exchange.first is None or not request.stream else exchange.first - exchange.started,
            structured=request.structured,
            usage=None if exchange.completion is None else exchange.completion.usage,
        )
        self._on_attempt(attempt, delay)


def _outcome(error: ModelError | None) -> Outcome:
    """How a call ended, for the limiter. A timeout that the step's own end brought says nothing about the server."""
    if error is None:
        return "answered"
    if error.kind == "rate_limit":
        return "limited"
    if error.code == _CUT:
        return "unknown"
    return "failed" if error.kind in _FAILURES else "answered"
