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

from flowkit.retry import LONGEST
from flowkit.wire.allowance import Allowance

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
    """Requests and tokens per minute, as the configuration allows.

    What a call takes is known only afterwards, so a guess is taken off first and put right later; a call is let in while no tokens
    are owed.
    """

    #: Seconds' worth of requests or tokens that may go at once.
    burst = 1.0

    def __init__(self, requests: int | None, tokens: int | None) -> None:
        self._every = 60.0 / requests if requests else 0.0
        self._next = -math.inf
        self._rate = tokens / 60.0 if tokens else 0.0
        self._left = self._rate * self.burst
        self._at = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next request fits."""
        wait = max(0.0, self._next - now) if self._every else 0.0
        if self._rate:
            self._refill(now)
            if self._left <= 0:
                wait = max(wait, (1.0 - self._left) / self._rate)
        return wait

    def begin(self, now: float, tokens: float) -> None:
        """Note that a request goes, and how many tokens it will take, as far as one can guess."""
        if self._every:
            self._next = max(self._next, now - self.burst) + self._every
        if self._rate:
            self._left -= tokens

    def spend(self, tokens: float, now: float) -> None:
        """Note how many tokens more than guessed an answer took; fewer are given back."""
        if self._rate:
            self._refill(now)
            self._left -= tokens

    def _refill(self, now: float) -> None:
        if self._at > -math.inf:
            self._left = min(self._rate * self.burst, self._left + (now - self._at) * self._rate)
        self._at = now


class Throttle:
    """Requests per second that a server was seen to take: counts once asking fewer at a time does not help.

    A server that counts requests by the second refuses even one caller at a time if its answers are quick.
    """

    #: What was answered of late may tell of few questions rather than of a slow server, so the rate never falls below this.
    least = 0.25

    def __init__(self) -> None:
        self.rate = math.inf
        self._objected = math.inf
        self._next = -math.inf
        self._answered: deque[float] = deque(maxlen=16)

    def wait(self, now: float) -> float:
        """Seconds until the next request fits."""
        return max(0.0, self._next - now)

    def begin(self, now: float) -> None:
        """Note that a request goes."""
        if self.rate < math.inf:
            self._next = max(self._next, now) + 1.0 / self.rate

    def answered(self, now: float) -> None:
        """Note an answer: the rate grows, slowly where the server once objected, and is forgotten far above."""
        self._answered.append(now)
        if self.rate < math.inf:
            self.rate *= 1.01 if self.rate < 0.95 * self._objected else 1.002
            if self.rate > 4 * self._objected:
                self.rate = math.inf

    def objected(self, now: float) -> None:
        """Note that the server asked to slow down although little was under way."""
        seen = (len(self._answered) - 1) / max(now - self._answered[0], 0.001) if len(self._answered) > 1 else 1.0
        self._objected = max(self.least, min(self.rate, seen))
        self.rate = max(self.least, 0.85 * self._objected)
        self._next = max(self._next, now + 1.0 / self.rate)


class Room:
    """Calls that the server's own count (`x-ratelimit-*`) leaves until it begins anew. The newest word of the server counts."""

    def __init__(self) -> None:
        self._left = math.inf
        self._until = -math.inf
        self._number = -1

    def wait(self, now: float, number: int) -> float:
        """Seconds until call `number` fits."""
        if now >= self._until or number - self._number <= self._left:
            return 0.0
        return self._until - now

    def hear(self, allowance: Allowance, number: int, now: float, tokens: float) -> None:
        """Note what the answer to call `number` said; a call takes `tokens`, as far as one can guess.

        Calls that began later are taken off, whether or not the server had counted them already.
        """
        if number < self._number:
            return
        rooms = [(allowance.requests, allowance.requests_reset)]
        if allowance.tokens is not None:
            rooms.append((int(allowance.tokens / max(tokens, 1.0)), allowance.tokens_reset))
        known = [(left, reset) for left, reset in rooms if left is not None and reset is not None and 0 < reset <= LONGEST]
        if known:
            self._left, reset = min(known)
            self._until = now + reset
            self._number = number


@dataclass(slots=True)
class Pass:
    """The permission of one call; give it back to `Limiter.end`."""

    since: float
    probe: bool
    number: int = 0
    #: Tokens that were taken off for it.
    tokens: float = 0.0


class Limiter:
    """How many calls may be under way: at most `most`, halved when the server says 429, grown again on success.

    After a halving the limit climbs back fast to just below where the server objected, then feels its way up slowly: one burst of
    429 costs little, and the next one is far. How far is measured by what the last one cost.
    """

    #: Answers, and times the wait that the last objection cost, before the limit rises to where the server objected.
    patience = 40
    patient = 30.0

    def __init__(self, most: int, *, requests_per_minute: int | None = None, tokens_per_minute: int | None = None) -> None:
        self.most = max(1, most)
        self.limit = float(self.most)
        self.under_way = 0
        self.blocked_until = -math.inf
        self.breaker = Breaker()
        self.pace = Pace(requests_per_minute, tokens_per_minute)
        self.throttle = Throttle()
        self.room = Room()
        self._paced = bool(requests_per_minute or tokens_per_minute)
        self._begun = 0
        #: Tokens of a usual call; 0 while none has ended.
        self._usual = 0.0
        self._objected = math.inf
        #: What the server has taken for a while without a word.
        self._proven = 1.0
        self._halved_at = -math.inf
        self._quiet_until = -math.inf
        self._answers = 0

    def begin(self, now: float, *, tokens: int = 0) -> Pass | Wait | Refused:
        """Let a call begin, or say how long it has to wait, or that it need not try. `tokens` is what it will take at a guess."""
        if (shut := self.breaker.shut_for(now)) > 0:
            return Refused(shut)
        if now < self.blocked_until:
            return Wait(self.blocked_until - now, "blocked")
        if self.under_way >= int(self.limit):
            return Wait(math.inf, "full")
        wait = max(self.throttle.wait(now), self.room.wait(now, self._begun + 1), self.pace.wait(now) if self._paced else 0.0)
        if wait > 0:
            return Wait(wait, "rate")
        guess = self._usual or float(tokens)
        self.under_way += 1
        self._begun += 1
        self.throttle.begin(now)
        if self._paced:
            self.pace.begin(now, guess)
        return Pass(now, self.breaker.begin(), self._begun, guess)

    def hear(self, given: Pass, allowance: Allowance, now: float) -> None:
        """Note what the head of an answer says is left."""
        self.room.hear(allowance, given.number, now, self._usual or given.tokens)

    def end(self, given: Pass, outcome: Outcome, now: float, *, retry_after: float | None = None, tokens: int = 0) -> None:
        """Note how a call ended. `retry_after` in seconds holds back all calls, not only this one."""
        self.under_way -= 1
        self.breaker.end(outcome, now, probe=given.probe)
        if tokens:
            self._usual = 0.9 * self._usual + 0.1 * tokens if self._usual else float(tokens)
        if self._paced and outcome != "unknown":
            # Nobody knows what a cancelled call took, so its guess stands; what the server refused or failed took nothing.
            self.pace.spend(tokens - given.tokens, now)
        if retry_after is not None:
            self.blocked_until = max(self.blocked_until, now + retry_after)
        if outcome == "limited":
            # One burst of 429s is one objection: calls sent before the last halving say nothing new.
            if given.since >= self._halved_at:
                self._object(now, retry_after or 0.0)
        elif outcome == "answered":
            self.throttle.answered(now)
            self._answers += 1
            if self.limit < self.most:
                self._grow(now)

    def _object(self, now: float, cost: float) -> None:
        if self.limit < 3.0 or self.throttle.rate < math.inf:
            self.throttle.objected(now)
        self._objected = self.limit
        if self.limit >= 2.0:
            self.limit /= 2
        self._proven = min(self._proven, max(1.0, self._objected - 1.0))
        self._halved_at = now
        self._quiet_until = now + self.patient * cost
        self._answers = 0

    def _grow(self, now: float) -> None:
        if self._answers >= self.patience:
            self._proven = max(self._proven, self.limit)
        if self.limit < self._proven:
            self.limit = min(self._proven, self.limit + 1.0)
        elif self.limit < self._objected - 1.0:
            self.limit = min(self.most, self._objected - 1.0, self.limit + 1.0 / self.limit)
        elif self._answers >= self.patience and now >= self._quiet_until:
            self.limit = min(self.most, self.limit + 0.1 / self.limit)
            if self.limit > self._objected + 1.0:
                # The server has taken more than it once refused: it has grown, and the old mark says nothing.
                self._objected = math.inf


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
