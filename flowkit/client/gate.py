"""Callers wait here until the limiter of their endpoint lets them in, first come, first served."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from flowkit.errors import ModelRateLimited, ModelTimeout, ModelUnreachable
from flowkit.limits import Limiter, Outcome, Pass, Refused, RetryBudget, Wait
from flowkit.retry import LONGEST

if TYPE_CHECKING:
    from flowkit.endpoints import Endpoint

#: Code of the errors for calls that were never made, because earlier ones showed that they would fail.
NOT_ATTEMPTED = "not_attempted"


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

    @property
    def limiter(self) -> Limiter:
        """The state, for those who show it."""
        return self._limiter

    def want(self, change: int) -> None:
        """Note that a caller came (1) or went (-1), waiting included."""
        self._budget.wanted += change

    async def enter(self, deadline: float | None) -> Pass:
        """Wait for a permission.

        Raises:
            ModelUnreachable: the server has failed too often, so that it is left alone for now.
            ModelRateLimited: it asked for a wait beyond what is waited, or beyond the deadline.
            ModelTimeout: the deadline passed in the queue.
        """
        if not self._turn.locked():
            said = self._limiter.begin(self._now())
            if isinstance(said, Pass):
                return said
        try:
            async with asyncio.timeout_at(deadline), self._turn:
                return await self._wait(deadline)
        except TimeoutError:
            raise ModelTimeout("the time of the step ended while the call waited for its turn", retryable=False) from None

    def leave(self, given: Pass, outcome: Outcome, *, retry_after: float | None = None, tokens: int = 0) -> None:
        """Give the permission back and say how the call ended."""
        self._limiter.end(given, outcome, self._now(), retry_after=retry_after, tokens=tokens)
        self._freed.set()

    async def begin_retry(self, deadline: float | None) -> bool:
        """Wait until the budget has room for one more retry; False if the deadline comes first or the server is left alone."""
        if not self._retry_turn.locked() and self._budget.begin():
            return True
        try:
            async with asyncio.timeout_at(deadline), self._retry_turn:
                while self._limiter.breaker.shut_for(self._now()) == 0:
                    self._retry_freed.clear()
                    if self._budget.begin():
                        return True
                    await self._retry_freed.wait()
        except TimeoutError:
            pass
        return False

    def end_retry(self) -> None:
        """Give the room in the budget back."""
        self._budget.end()
        self._retry_freed.set()

    async def _wait(self, deadline: float | None) -> Pass:
        while True:
            self._freed.clear()
            said = self._limiter.begin(self._now())
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
        try:
            async with asyncio.timeout(None if said.seconds == math.inf else said.seconds):
                await self._freed.wait()
        except TimeoutError:
            pass
