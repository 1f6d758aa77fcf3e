"""Send one question: take its answer from the record, or keep to the budget, note each request before it leaves, and note what came."""

from __future__ import annotations

import asyncio

from flowkit.budget import Reservation, estimate
from flowkit.chat import Attempt, ChatRequest, Completion, Usage
from flowkit.config import Resolved
from flowkit.errors import RunError
from flowkit.retry import Policy
from flowkit.runner.services import Entry
from flowkit.runner.turn import Turn


class Sending:
    """One question of a turn on its way. `entry` is its place in the record, None where nothing is kept."""

    def __init__(self, resolved: Resolved, request: ChatRequest, turn: Turn) -> None:
        self.entry: Entry | None = None
        self._resolved = resolved
        self._request = request
        self._turn = turn
        self._reserved: Reservation | None = None

    @property
    def reused(self) -> bool:
        """Whether the answer was paid before."""
        return self.entry is not None and self.entry.reused is not None and not self.entry.replayed

    def knows(self, request: ChatRequest, *, cache: bool | float | None) -> bool:
        """Whether what would be asked next was answered before too."""
        ledger = self._turn.services.ledger
        return ledger is not None and ledger.knows(self._resolved.endpoint, request, cache=cache)

    def _take(self, known: Completion, *, replayed: bool) -> Completion:
        """Use an answer that is there already."""
        turn = self._turn
        turn.take(known, counted=replayed)
        if replayed:
            turn.usage += known.usage if known.usage is not None else Usage(calls=1)
            turn.attempted(turn.priced(Attempt(1, self._resolved.endpoint.name, "ok", 0.0, usage=known.usage)), None)
        return known

    async def answer(
        self, *, cache: bool | float | None, policy: Policy, attempt_timeout: float, deadline: float | None, anew: bool = False
    ) -> Completion:
        """Return the answer; `anew`: that of a server, after one that was paid before was of no use.

        Raises:
            RunError: there is none, or the turn was halted; what is under way when the run is cut is noted.
        """
        turn, services = self._turn, self._turn.services
        turn.go_on()
        turn.waiting = asyncio.current_task()
        try:
            if anew and self.entry is not None:
                self.entry.anew()
                turn.reused -= 1
            elif services.ledger is not None:
                self.entry = await services.ledger.open(self._resolved.endpoint, self._request, cache=cache)
                if self.entry.reused is not None:
                    return self._take(self.entry.reused, replayed=self.entry.replayed)
            completion = await services.client.complete(
                self._resolved.endpoint,
                self._request,
                policy=policy,
                attempt_timeout=attempt_timeout,
                total_deadline=deadline,
                on_delta=turn.delta if services.stream else None,
                on_attempt=self._attempted,
                on_send=self._leaving,
            )
            # It was paid for, also if it cannot be noted.
            turn.usage += completion.usage if completion.usage is not None else Usage(calls=1)
            if self.entry is not None:
                await self.entry.answered(completion)
        except RunError as e:
            self._settle(sent=turn.sent is not None)
            if self.entry is not None:
                self.entry.failed(e)
            raise
        except asyncio.CancelledError:
            self._settle(sent=turn.sent is not None)
            if self.entry is not None:
                self.entry.cut(sent=turn.sent is not None)
            turn.cut()
            raise
        finally:
            turn.waiting = None
        return completion

    async def _leaving(self) -> None:
        services = self._turn.services
        if services.spending is not None:
            wanted = estimate(self._resolved.endpoint.name, self._request, self._turn.tariff)
            self._reserved = await services.spending.reserve(wanted)
        if self.entry is not None:
            await self.entry.sending()
        self._turn.sending()

    def _attempted(self, attempt: Attempt, delay: float | None) -> None:
        attempt = self._turn.priced(attempt)
        if self._reserved is not None and self._turn.services.spending is not None:
            self._turn.services.spending.ended(self._reserved, attempt)
            self._reserved = None
        if self.entry is not None:
            self.entry.attempted(attempt)
        self._turn.attempted(attempt, delay)

    def _settle(self, *, sent: bool) -> None:
        spending = self._turn.services.spending
        if self._reserved is not None and spending is not None:
            if sent:
                spending.lost(self._reserved)
            else:
                spending.release(self._reserved)
            self._reserved = None
