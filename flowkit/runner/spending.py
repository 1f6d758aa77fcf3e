"""Hold a call back until its budget allows it, and give back what it did not take. Knows tasks; what is allowed the budget decides."""

from __future__ import annotations

import asyncio

from flowkit.budget import Budget, Estimate, Reservation, Spent
from flowkit.chat import Attempt, Usage
from flowkit.errors import LimitReached
from flowkit.runner.turn import MAYBE_BILLED


class Spending:
    """A budget, in the time of the event loop, and all who wait for room in it. The runs of a batch wait together: `within` is its own."""

    def __init__(self, budget: Budget, *, within: Spending | None = None) -> None:
        self.budget = budget
        self._waiting: set[asyncio.Future[None]] = set() if within is None else within._waiting

    async def reserve(self, wanted: Estimate) -> Reservation:
        """Return the permission of one request. Raises LimitReached when no further one fits."""
        loop = asyncio.get_running_loop()
        while True:
            said = self.budget.reserve(wanted, loop.time())
            if isinstance(said, Reservation):
                return said
            if isinstance(said, Spent):
                raise LimitReached(said.message)
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    def ended(self, given: Reservation, attempt: Attempt) -> None:
        """Take what a request took. One that the server refused took nothing."""
        if attempt.usage is not None or attempt.outcome in MAYBE_BILLED:
            # An answer that nobody counted is still an answer, from which the next one can learn.
            usage = attempt.usage or (Usage(calls=1) if attempt.outcome == "ok" else None)
            self.budget.settle(given, usage, attempt.cost)
            self._wake()
        else:
            self.release(given)

    def lost(self, given: Reservation) -> None:
        """Take a request that left and was cut: it may have been billed."""
        self.budget.settle(given, None, None)
        self._wake()

    def release(self, given: Reservation) -> None:
        """Take back what never left."""
        self.budget.release(given)
        self._wake()

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
