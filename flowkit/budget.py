"""Decide whether a call may start, so that calls under way together cannot go beyond a limit. Knows no task, no clock and no server.

What a call may take is held back before it starts, and put right when it ends:

    used + held by calls under way + what this one may take  <=  limit      or it does not start

A call without a bound of its answer is taken for the largest answer that its model gave so far, and a half more. Before the first answer
such a call holds all that is left, so that it goes alone and teaches the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from flowkit.chat import ChatRequest, Usage
from flowkit.money import money
from flowkit.prices import Tariff

#: For the guess of a prompt's tokens. English takes about 4 bytes for one, other languages and JSON less.
_BYTES_PER_TOKEN = 3
#: What a message takes beside its text, and what an image, a sound or a file is taken for.
_MESSAGE, _PART = 8, 1500
#: What an answer is taken for that nobody counted, before any was counted.
_UNCOUNTED = 1000

Limit = Literal["calls", "tokens", "cost", "seconds"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be used at most; None: no limit. `cost` in US dollars."""

    calls: int | None = None
    tokens: int | None = None
    cost: Decimal | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one call may take. `output_tokens`: the most that it can answer; None when nothing bounds it."""

    #: The model as people call it; answers of the same model teach how long the next one may be.
    endpoint: str
    input_tokens: int
    output_tokens: int | None = None
    tariff: Tariff | None = None


def estimate(endpoint: str, request: ChatRequest, tariff: Tariff | None) -> Estimate:
    """Guess what a request may take: its prompt by the bytes of its text, its answer by the `max_tokens` that it was given, if any."""
    size, tokens = 0, 0
    for message in request.messages:
        tokens += _MESSAGE
        if isinstance(message.content, str):
            size += _bytes(message.content)
        for part in message.content if isinstance(message.content, tuple) else ():
            if part.get("type") == "text":
                size += _bytes(str(part.get("text", "")))
            else:
                tokens += _PART
        size += sum(_bytes(call.name) + _bytes(call.arguments) for call in message.tool_calls)
    for tool in request.tools:
        size += _bytes(tool.name) + _bytes(tool.description) + _bytes(json.dumps(tool.parameters, default=dict))
    if request.shape is not None:
        size += _bytes(json.dumps(request.shape.schema, default=dict))
    extra = request.params.get("extra_body")
    params = {**request.params, **extra} if isinstance(extra, Mapping) else request.params
    bounds = [most for name in ("max_tokens", "max_completion_tokens") if isinstance(most := params.get(name), int)]
    return Estimate(endpoint, tokens + -(-size // _BYTES_PER_TOKEN), max(bounds, default=None), tariff)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Used:
    """What calls took, or may take."""

    calls: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: Used) -> Used:
        return Used(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: Used) -> Used:
        return Used(self.calls - other.calls, self.tokens - other.tokens, self.cost - other.cost)


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """The permission of one call; give it back to `Budget.settle` or `Budget.release`, once."""

    estimate: Estimate
    #: What its answer counts for when nobody counts it.
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: ask again when a call that is under way in `budget` has ended."""

    budget: Budget


@dataclass(frozen=True, slots=True)
class Spent:
    """Not at all: the next call could go beyond a limit, which is said in words. `limit` is the key under `limits`."""

    limit: Limit
    message: str


class Budget:
    """What a run may use; with a `parent`, what a run within a batch may use, whose own limits hold too.

    Calls of all budgets under one parent learn from each other how long answers are. `now` and the other times are seconds of any one
    clock. `name` stands in messages.
    """

    def __init__(self, limits: Limits, *, parent: Budget | None = None, now: float = 0.0, name: str = "the run") -> None:
        self.limits = limits
        self.parent = parent
        self.name = name
        #: What settled calls took; what nobody counted stands here at its estimate.
        self.used = Used()
        self._since = now
        self._under_way: dict[Reservation, Used] = {}
        self._held = Used()
        self._largest: dict[str, int] = {} if parent is None else parent._largest

    @property
    def under_way(self) -> int:
        """How many calls are reserved and not settled."""
        return len(self._under_way)

    @property
    def deadline(self) -> float | None:
        """When the first limit of seconds ends, of this budget or one above it; None without one."""
        ends = [each._since + each.limits.seconds for each in self._chain() if each.limits.seconds is not None]
        return min(ends, default=None)

    def reserve(self, wanted: Estimate, now: float = 0.0) -> Reservation | Wait | Spent:
        """Let a call start, or say that it has to wait for others to end, or that it cannot start at all.

        Where nothing is under way the answer is never Wait.
        """
        output, seen = self._answer(wanted)
        need = _need(wanted, output if seen else 1)
        waiting: Wait | None = None
        for budget in self._chain():
            short = budget._refusal(wanted, need, now)
            if short is None:
                continue
            if not budget._under_way or short.limit == "seconds" or budget._priceless(wanted):
                return short
            waiting = waiting or Wait(budget)
        if waiting is not None:
            return waiting
        given = Reservation(wanted, output)
        for budget in self._chain():
            held = need if seen else budget._rest(need, wanted)
            budget._under_way[given] = held
            budget._held += held
        return given

    def settle(self, given: Reservation, usage: Usage | None, cost: Decimal | None) -> None:
        """Note what a request took: what the server counted and its cost; what is None counts as estimated.

        A request that was cancelled or died after it left may have been billed, so it is settled too: with neither usage nor cost.
        An answer without a count is no such: its usage is `Usage(calls=1)`.

        Raises:
            KeyError: it was settled or released before.
        """
        wanted = given.estimate
        asked = wanted.input_tokens if usage is None or usage.input_tokens is None else usage.input_tokens
        answered = given.output_tokens if usage is None or usage.output_tokens is None else usage.output_tokens
        if usage is not None:
            # What was only estimated teaches nothing where something was counted: estimates would grow out of themselves.
            known = self._largest.setdefault(wanted.endpoint, max(answered, 1))
            if usage.output_tokens is not None:
                self._largest[wanted.endpoint] = max(answered, known)
        if cost is None:
            cost = Decimal(0) if wanted.tariff is None else wanted.tariff.bound(asked, answered)
        took = Used(1 if usage is None else max(usage.calls, 1), asked + answered, cost)
        for budget in self._chain():
            budget._let_go(given)
            budget.used += took

    def release(self, given: Reservation) -> None:
        """Give back all of a request that was not made: it never left, or the server refused it before any work.

        Raises:
            KeyError: it was settled or released before.
        """
        for budget in self._chain():
            budget._let_go(given)

    # -- what a call may take -----------------------------------------------------------------------------------

    def _answer(self, wanted: Estimate) -> tuple[int, bool]:
        """The tokens that an answer is taken for, and whether they rest on anything."""
        if wanted.output_tokens is not None:
            return wanted.output_tokens, True
        limited = any(each.limits.tokens is not None or each.limits.cost is not None for each in self._chain())
        largest = self._largest.get(wanted.endpoint)
        if largest is None:
            return _UNCOUNTED, not limited
        return math.ceil(largest * 1.5), True

    def _rest(self, need: Used, wanted: Estimate) -> Used:
        """All that is left, for a call of which nobody knows what it will take."""
        taken = self.used + self._held
        tokens, cost = self.limits.tokens, self.limits.cost
        free = wanted.tariff is None or wanted.tariff.free
        return Used(
            need.calls,
            need.tokens if tokens is None else tokens - taken.tokens,
            need.cost if cost is None or free else cost - taken.cost,
        )

    # -- one budget of the chain --------------------------------------------------------------------------------

    def _chain(self) -> Iterator[Budget]:
        budget: Budget | None = self
        while budget is not None:
            yield budget
            budget = budget.parent

    def _let_go(self, given: Reservation) -> None:
        self._held -= self._under_way.pop(given)

    def _priceless(self, wanted: Estimate) -> bool:
        return self.limits.cost is not None and wanted.tariff is None

    def _refusal(self, wanted: Estimate, need: Used, now: float) -> Spent | None:
        """Why a call cannot start beside those that are under way; None if it can."""
        limits, used, name = self.limits, self.used, self.name
        if limits.seconds is not None and now - self._since >= limits.seconds:
            return Spent("seconds", f"{name} may take {limits.seconds:g} s, and they are over")
        if self._priceless(wanted):
            return Spent(
                "cost",
                f"the price of {wanted.endpoint} is unknown, so that the limit of {money(limits.cost)} cannot be kept: give it a `price`"
                " in flowkit.toml or under `models` of the flow (the extra `prices` knows those of public servers)",
            )
        together = self.used + self._held + need
        if limits.calls is not None and together.calls > limits.calls:
            return Spent("calls", f"{name} may make {_count(limits.calls, 'call')}, and {used.calls} {_are(used.calls)} made")
        if limits.tokens is not None and together.tokens > limits.tokens:
            begin = f"{name} may use {_count(limits.tokens, 'token')}: {used.tokens:,} {_are(used.tokens)} used"
            return Spent("tokens", f"{begin}, and the next call may take {need.tokens:,}")
        if limits.cost is not None and together.cost > limits.cost:
            begin = f"{name} may cost {money(limits.cost)}: {money(used.cost)} is spent"
            return Spent("cost", f"{begin}, and the next call may cost {money(need.cost)}")
        return None


def _need(wanted: Estimate, output_tokens: int) -> Used:
    tokens = wanted.input_tokens + output_tokens
    return Used(1, tokens, Decimal(0) if wanted.tariff is None else wanted.tariff.bound(wanted.input_tokens, output_tokens))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
