"""Callers wait here until the limiter of their endpoint lets them in, first come, first served."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from flowkit.errors import ModelError, ModelRateLimited, ModelRejected, ModelTimeout, ModelUnreachable
from flowkit.limits import Limiter, Outcome, Pass, Refused, RetryBudget, Wait
from flowkit.retry import LONGEST

if TYPE_CHECKING:
    from flowkit.endpoints import Endpoint
    from flowkit.wire.allowance import Allowance

#: Code of the errors for calls that were never made, because earlier ones showed that they would fail.
NOT_ATTEMPTED = "not_attempted"

#: Seconds for which nothing is asked after the server refused the key, the account or the model: beyond the rest of a batch, but a
#: service sees in the end that the bill was paid.
STOPPED = 300.0


class Gate:
    """One per endpoint, shared by all callers. The head of the queue watches the limiter, the others wait for their turn."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._limiter = Limiter(
            endpoint.max_parallel,
            requests_per_minute=endpoint.requests_per_minute,
            tokens_per_minute=endpoint.tokens_per_minute,
        )
        self._budget = RetryBudget()
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()
        self._retry_turn = asyncio.Lock()
        self._retry_freed = asyncio.Event()
        self._now = asyncio.get_running_loop().time
        self._refusal: Callable[[], ModelError] | None = None
        self._refused_until = 0.0
        self._halted = asyncio.Event()
        #: Whether the server ever gave an answer, so that it knows the model.
        self._proven = False

    @property
    def limiter(self) -> Limiter:
        """The state, for those who show it."""
        return self._limiter

    def want(self, change: int) -> None:
        """Note that a caller came (1) or went (-1), waiting included."""
        self._budget.wanted += change

    @property
    def stopped(self) -> bool:
        """Whether nothing is asked now, because the server would refuse every call."""
        if self._refusal is not None and self._now() >= self._refused_until:
            self._refusal = None
            self._halted.clear()
        return self._refusal is not None

    async def enter(self, deadline: float | None, *, tokens: int = 0) -> Pass:
        """Wait for a permission. `tokens` is what the call will take, at a guess.

        Raises:
            ModelRejected: the server refused the key, the account or the model, so that it would refuse this call too.
            ModelUnreachable: the server has failed too often, so that it is left alone for now.
            ModelRateLimited: it asked for a wait beyond what is waited, or beyond the deadline.
            ModelTimeout: the deadline passed in the queue.
        """
        self._raise_if_stopped()
        if not self._turn.locked():
            said = self._limiter.begin(self._now(), tokens=tokens)
            if isinstance(said, Pass):
                return said
        try:
            async with asyncio.timeout_at(deadline), self._turn:
                return await self._wait(deadline, tokens)
        except TimeoutError:
            raise ModelTimeout("the time of the step ended while the call waited for its turn", retryable=False) from None

    def leave(self, given: Pass, outcome: Outcome, *, retry_after: float | None = None, tokens: int = 0) -> None:
        """Give the permission back and say how the call ended."""
        self._limiter.end(given, outcome, self._now(), retry_after=retry_after, tokens=tokens)
        self._freed.set()

    def hear(self, given: Pass, left: Allowance) -> None:
        """Note what an answer said about the limits of the server."""
        self._limiter.hear(given, left, self._now())

    def learn(self, error: ModelError | None) -> None:
        """Note what came of a call. An error that would meet every call stops those that wait, and those of the next minutes.

        A 403 may be about one prompt, and a 404 of a server that has answered before about one parameter.
        """
        if error is None:
            self._proven = True
            return
        hopeless = error.kind == "quota" or (error.kind == "auth" and error.status != 403)
        if hopeless or (error.kind == "not_found" and not self._proven):
            message = f"not attempted: an earlier call was refused: {error.message}"
            self._refusal = partial(ModelRejected, message, kind=error.kind, status=error.status, code=NOT_ATTEMPTED)
            self._refused_until = self._now() + STOPPED
            self._halted.set()
            self._retry_freed.set()

    async def rest(self, seconds: float) -> None:
        """Wait before a retry; no longer than there is hope."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._halted.wait()

    async def begin_retry(self, deadline: float | None) -> bool:
        """Wait until the budget has room for one more retry; False if the deadline comes first or the server is left alone."""
        if not self._retry_turn.locked() and self._budget.begin():
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline), self._retry_turn:
                while self._limiter.breaker.shut_for(self._now()) == 0 and not self.stopped:
                    self._retry_freed.clear()
                    if self._budget.begin():
                        return True
                    await self._retry_freed.wait()
        return False

    def end_retry(self) -> None:
        """Give the room in the budget back."""
        self._budget.end()
        self._retry_freed.set()

    def _raise_if_stopped(self) -> None:
        if self.stopped and self._refusal is not None:
            raise self._refusal()

    async def _wait(self, deadline: float | None, tokens: int) -> Pass:
        while True:
            self._raise_if_stopped()
            self._freed.clear()
            said = self._limiter.begin(self._now(), tokens=tokens)
            if isinstance(said, Pass):
                return said
            if isinstance(said, Refused):
                raise ModelUnreachable(
                    f"not attempted: the server failed at least half of the last calls; it is asked again in {said.seconds:.0f} s",
                    code=NOT_ATTEMPTED,
                    retryable=False,
                )
            await self._sleep(said, deadline)

    async def _sleep(self, said: Wait, deadline: float | None) -> None:
        if said.why == "blocked" and (said.seconds > LONGEST or (deadline is not None and self._now() + said.seconds > deadline)):
            raise ModelRateLimited(
                f"not attempted: the server asked for a wait of another {said.seconds:.0f} s",
                code=NOT_ATTEMPTED,
                retry_after=said.seconds,
                retryable=False,
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(None if said.seconds == math.inf else said.seconds):
                await self._freed.wait()
