"""Decide how many calls an endpoint may have now. Knows no task and no clock: times are arguments, in seconds of any one clock.

closed ──half of the last 20 calls failed──► open ──30 s──► probing ──3 answered──► closed
                                              ▲                │
                                              └──one failed────┘
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

#: How a call ended, as far as limits care: it was answered (an error that blames the request counts), the server asked to slow
#: down, the server failed, or nothing can be said (cancelled).
Outcome = Literal["answered", "limited", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: ask again after so many seconds (infinity: when another call ends)."""

    seconds: float
    why: Literal["full", "blocked", "rate"]


@dataclass(frozen=True, slots=True)
class Refused:
    """Not at all: the breaker is open for so many seconds."""

    seconds: float


class Breaker:
    """Stops asking a server that fails: after 20 calls of which half failed, for 30 s, then lets 3 probes through."""

    calls = 20
    share = 0.5
    rest = 30.0
    probes = 3

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=self.calls)
        self._until: float | None = None
        self._probing = 0
        self._passed = 0

    def shut_for(self, now: float) -> float:
        """Seconds until a call may pass; 0 if it may now."""
        if self._until is None:
            return 0.0
        if now < self._until:
            return self._until - now
        return 0.0 if self._probing + self._passed < self.probes else self.rest

    def begin(self) -> bool:
        """Note that a call passes; return whether it is a probe."""
        if self._until is None:
            return False
        self._probing += 1
        return True

    def end(self, outcome: Outcome, now: float, *, probe: bool) -> None:
        """Note how a call ended."""
        if probe:
            self._end_probe(outcome, now)
        elif self._until is None and outcome != "unknown":
            self._recent.append(outcome == "failed")
            if len(self._recent) == self.calls and sum(self._recent) >= self.calls * self.share:
                self._open(now)

    def _end_probe(self, outcome: Outcome, now: float) -> None:
        self._probing = max(0, self._probing - 1)
        if self._until is None or now < self._until:
            return
        if outcome == "failed":
            self._open(now)
        elif outcome != "unknown":
            self._passed += 1
            if self._passed >= self.probes:
                self._until = None
                self._recent.clear()

    def _open(self, now: float) -> None:
        self._until = now + self.rest
        self._probing = self._passed = 0
        self._recent.clear()


class Pace:
    """Requests and tokens per minute. Tokens are known only afterwards, so a call is let in while none are owed."""

    #: Seconds' worth of requests that may go at once.
    burst = 1.0

    def __init__(self, requests: int | None, tokens: int | None) -> None:
        self._every = 60.0 / requests if requests else 0.0
        self._next = -math.inf
        self._rate = tokens / 60.0 if tokens else 0.0
        self._allowance = float(tokens or 0)
        self._most = float(tokens or 0)
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until the next request fits."""
        wait = max(0.0, self._next - now) if self._every else 0.0
        if self._rate:
            self._refill(now)
            if self._allowance <= 0:
                wait = max(wait, (1.0 - self._allowance) / self._rate)
        return wait

    def begin(self, now: float) -> None:
        """Note that a request goes."""
        if self._every:
            self._next = max(self._next, now - self.burst) + self._every

    def spend(self, tokens: int, now: float) -> None:
        """Note how many tokens an answer took."""
        if self._rate:
            self._refill(now)
            self._allowance -= tokens

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._allowance = min(self._most, self._allowance + (now - self._at) * self._rate)
        self._at = now


@dataclass(slots=True)
class Pass:
    """The permission of one call; give it back to `Limiter.end`."""

    since: float
    probe: bool


class Limiter:
    """How many calls may be under way: at most `most`, halved when the server says 429, grown again on success.

    After a halving the limit climbs back fast to just below where the server objected, then feels its way up slowly: one burst of
    429 costs little, and the next one is far.
    """

    def __init__(self, most: int, *, requests_per_minute: int | None = None, tokens_per_minute: int | None = None) -> None:
        self.most = max(1, most)
        self.limit = float(self.most)
        self.under_way = 0
        self.blocked_until = -math.inf
        self.breaker = Breaker()
        self.pace = Pace(requests_per_minute, tokens_per_minute)
        self._paced = bool(requests_per_minute or tokens_per_minute)
        self._objected = math.inf
        self._halved_at = -math.inf

    def begin(self, now: float) -> Pass | Wait | Refused:
        """Let a call begin, or say how long it has to wait, or that it need not try."""
        if (shut := self.breaker.shut_for(now)) > 0:
            return Refused(shut)
        if now < self.blocked_until:
            return Wait(self.blocked_until - now, "blocked")
        if self.under_way >= int(self.limit):
            return Wait(math.inf, "full")
        if self._paced and (wait := self.pace.wait(now)) > 0:
            return Wait(wait, "rate")
        self.under_way += 1
        if self._paced:
            self.pace.begin(now)
        return Pass(now, self.breaker.begin())

    def end(self, given: Pass, outcome: Outcome, now: float, *, retry_after: float | None = None, tokens: int = 0) -> None:
        """Note how a call ended. `retry_after` in seconds holds back all calls, not only this one."""
        self.under_way -= 1
        self.breaker.end(outcome, now, probe=given.probe)
        if tokens and self._paced:
            self.pace.spend(tokens, now)
        if retry_after is not None:
            self.blocked_until = max(self.blocked_until, now + retry_after)
        if outcome == "limited":
            # One burst of 429s is one objection: calls sent before the last halving say nothing new.
            if given.since >= self._halved_at:
                self._objected = self.limit
                self.limit = max(1.0, self.limit / 2)
                self._halved_at = now
        elif outcome == "answered" and self.limit < self.most:
            self._grow()

    def _grow(self) -> None:
        if self.limit > self._objected + 1.0:
            # The server has taken more than it once refused: it has grown, and the old mark says nothing.
            self._objected = math.inf
        if self.limit >= self._objected - 1.0:
            self.limit = min(self.most, self.limit + 0.1 / self.limit)
        else:
            self.limit = max(self.limit, min(self.most, self.limit + 1.0, self._objected - 1.0))


class RetryBudget:
    """Keeps retries from multiplying an outage: at most a fifth of the calls that are wanted now, and at least 3, may be retries."""

    share = 0.2
    least = 3

    def __init__(self) -> None:
        self.wanted = 0
        self.retrying = 0

    def begin(self) -> bool:
        """Let one retry begin, if there is room."""
        if self.retrying >= max(self.least, int(self.share * self.wanted)):
            return False
        self.retrying += 1
        return True

    def end(self) -> None:
        """Note that a retry ended."""
        self.retrying -= 1
