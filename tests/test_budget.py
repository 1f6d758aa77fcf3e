"""The budget by tables and laws: no task and no clock."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.budget import Budget, Estimate, Limits, Reservation, Spent, Used, Wait, estimate
from flowkit.chat import ChatRequest, Message, Shape, Tool, ToolCall, Usage
from flowkit.config import Price
from flowkit.prices import Tariff, cost

#: A token costs a cent, whichever way it goes.
CENTS = Tariff(Price(Decimal(10_000), Decimal(10_000)))
FREE = Tariff(Price(Decimal(0), Decimal(0)))


def start(budget: Budget, wanted: Estimate) -> Reservation:
    given_ = budget.reserve(wanted)
    assert isinstance(given_, Reservation), given_
    return given_


def used(tokens_in: int, tokens_out: int) -> Usage:
    return Usage(tokens_in, tokens_out, calls=1)


def bounded(tokens_in: int = 10, tokens_out: int = 10, tariff: Tariff | None = None) -> Estimate:
    return Estimate("m", tokens_in, tokens_out, tariff)


def unbounded(tokens_in: int = 10, tariff: Tariff | None = None, endpoint: str = "m") -> Estimate:
    return Estimate(endpoint, tokens_in, None, tariff)


# -- one limit ---------------------------------------------------------------------------------------------------


def test_without_limits_everything_starts() -> None:
    budget = Budget(Limits())
    for _ in range(100):
        start(budget, unbounded())
    assert budget.under_way == 100


def test_calls_under_way_count() -> None:
    """The third waits for the first two, since one of them may come back; when both are made, there is nothing to wait for."""
    budget = Budget(Limits(calls=2))
    first, second = start(budget, unbounded()), start(budget, unbounded())
    assert budget.reserve(unbounded()) == Wait(budget)
    budget.release(first)
    third = start(budget, unbounded())
    budget.settle(second, used(1, 1), None)
    budget.settle(third, used(1, 1), None)
    assert budget.reserve(unbounded()) == Spent("calls", "the run may make 2 calls, and 2 are made")


def test_what_a_call_did_not_need_is_there_for_the_next() -> None:
    budget = Budget(Limits(tokens=40))
    first = start(budget, bounded(10, 20))
    assert budget.reserve(bounded(10, 20)) == Wait(budget)
    budget.settle(first, used(5, 5), None)
    second = start(budget, bounded(10, 20))
    budget.settle(second, used(10, 20), None)
    assert budget.reserve(bounded(1, 0)) == Spent("tokens", "the run may use 40 tokens: 40 are used, and the next call may take 1")


def test_a_call_that_would_fill_the_limit_exactly_starts() -> None:
    start(Budget(Limits(calls=1, tokens=20, cost=Decimal("0.20"))), bounded(10, 10, CENTS))


def test_costs_are_held_back_too() -> None:
    budget = Budget(Limits(cost=Decimal("0.50")))
    first = start(budget, bounded(10, 20, CENTS))
    assert budget.reserve(bounded(10, 20, CENTS)) == Wait(budget)
    budget.settle(first, used(10, 19), cost(CENTS, used(10, 19)))
    assert budget.reserve(bounded(10, 20, CENTS)) == Spent(
        "cost", "the run may cost $0.50: $0.29 is spent, and the next call may cost $0.30"
    )


def test_an_unknown_price_is_refused_at_once_under_a_limit_of_cost() -> None:
    """Also while others are under way: it will not be known when they end."""
    budget = Budget(Limits(cost=Decimal(1)))
    start(budget, bounded(tariff=CENTS))
    refused = budget.reserve(Estimate("office/llama", 10, 10, None))
    assert refused == Spent(
        "cost",
        "the price of office/llama is unknown, so that the limit of $1.00 cannot be kept: give it a `price` in flowkit.toml or under "
        "`models` of the flow (the extra `prices` knows those of public servers)",
    )


def test_what_is_free_never_meets_a_limit_of_cost() -> None:
    budget = Budget(Limits(cost=Decimal("0.01")))
    budget.settle(start(budget, bounded(1, 0, CENTS)), used(1, 0), Decimal("0.01"))
    start(budget, bounded(1000, 1000, FREE))
    start(budget, unbounded(1000, FREE))
    start(budget, unbounded(1000, FREE))


def test_seconds_end_at_once() -> None:
    """Time does not come back, so nobody waits for it."""
    budget = Budget(Limits(seconds=60), now=100.0)
    assert budget.deadline == 160.0
    assert isinstance(budget.reserve(bounded(), 159.9), Reservation)
    assert budget.reserve(bounded(), 160.0) == Spent("seconds", "the run may take 60 s, and they are over")


# -- answers without a bound -------------------------------------------------------------------------------------


def test_before_any_answer_such_calls_go_one_at_a_time() -> None:
    budget = Budget(Limits(tokens=1000))
    first = start(budget, unbounded(10))
    assert budget.reserve(unbounded(10)) == Wait(budget)
    assert budget.reserve(bounded(10, 10)) == Wait(budget)
    budget.settle(first, used(10, 100), None)
    for _ in range(5):  # 890 are left, each may take 10 + 150
        start(budget, unbounded(10))
    assert budget.reserve(unbounded(10)) == Wait(budget)


def test_each_model_teaches_for_itself() -> None:
    budget = Budget(Limits(tokens=1000))
    budget.settle(start(budget, unbounded(endpoint="a")), used(10, 10), None)
    start(budget, unbounded(endpoint="a"))
    start(budget, unbounded(endpoint="b"))
    assert budget.reserve(unbounded(endpoint="b")) == Wait(budget)


def test_the_largest_answer_counts_not_the_last() -> None:
    budget = Budget(Limits(tokens=1000))
    for answer in (400, 1):
        budget.settle(start(budget, bounded(0, 400)), used(0, answer), None)
    assert budget_message(budget, unbounded(0)) == "the run may use 1,000 tokens: 401 are used, and the next call may take 600"


def test_the_first_call_starts_if_anything_is_left_beside_its_prompt() -> None:
    start(Budget(Limits(tokens=11)), unbounded(10))
    assert budget_message(Budget(Limits(tokens=10)), unbounded(10)) == (
        "the run may use 10 tokens: 0 are used, and the next call may take 11"
    )


def budget_message(budget: Budget, wanted: Estimate) -> str:
    refused = budget.reserve(wanted)
    assert isinstance(refused, Spent), refused
    return refused.message


def test_without_a_limit_of_tokens_or_cost_nobody_has_to_be_taught() -> None:
    budget = Budget(Limits(calls=10, seconds=5))
    start(budget, unbounded())
    start(budget, unbounded())


def test_a_first_call_that_went_beyond_leaves_nothing() -> None:
    budget = Budget(Limits(tokens=100))
    budget.settle(start(budget, unbounded(10)), used(10, 500), None)
    assert budget_message(budget, bounded(1, 0)) == "the run may use 100 tokens: 510 are used, and the next call may take 1"


# -- what nobody counted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "tokens", "spent"),
    [
        (None, 30, "0.30"),  # died after it left
        (Usage(calls=1), 30, "0.30"),  # answered, not counted
        (Usage(input_tokens=5, calls=1), 25, "0.25"),
        (Usage(output_tokens=5, calls=1), 15, "0.15"),
        (used(5, 5), 10, "0.10"),
    ],
)
def test_what_was_not_counted_counts_as_estimated(usage: Usage | None, tokens: int, spent: str) -> None:
    budget = Budget(Limits(tokens=1000, cost=Decimal(10)))
    budget.settle(start(budget, bounded(10, 20, CENTS)), usage, None)
    assert budget.used == Used(1, tokens, Decimal(spent))


def test_the_cost_that_was_told_counts() -> None:
    budget = Budget(Limits(cost=Decimal(10)))
    budget.settle(start(budget, bounded(10, 20, CENTS)), used(10, 20), Decimal("0.12"))
    assert budget.used.cost == Decimal("0.12")


def test_a_first_call_that_died_teaches_nothing_and_does_not_eat_all_that_is_left() -> None:
    budget = Budget(Limits(tokens=100_000))
    budget.settle(start(budget, unbounded(10)), None, None)
    assert budget.used.tokens == 1010
    start(budget, unbounded(10))
    assert budget.reserve(unbounded(10)) == Wait(budget)


def test_a_server_that_never_counts_does_not_hold_all_to_one_at_a_time_nor_lets_estimates_grow() -> None:
    budget = Budget(Limits(tokens=100_000))
    for _ in range(5):
        budget.settle(start(budget, unbounded(0)), Usage(calls=1), None)
    assert budget.used.tokens == 1000 + 4 * 1500
    start(budget, unbounded(0))
    start(budget, unbounded(0))


def test_a_usage_of_several_requests_counts_them_all() -> None:
    budget = Budget(Limits(calls=10))
    budget.settle(start(budget, bounded()), used(1, 1) + used(1, 1), None)
    assert budget.used.calls == 2


def test_a_reservation_is_given_back_once() -> None:
    budget = Budget(Limits(calls=2))
    given_ = start(budget, bounded())
    budget.release(given_)
    with pytest.raises(KeyError):
        budget.release(given_)
    with pytest.raises(KeyError):
        budget.settle(given_, None, None)
    assert budget.used == Used()


# -- a run within a batch ----------------------------------------------------------------------------------------


def test_a_run_keeps_its_own_limits_and_those_of_its_batch() -> None:
    batch = Budget(Limits(calls=3), name="the batch")
    one, two = Budget(Limits(calls=2), parent=batch), Budget(Limits(calls=2), parent=batch)
    held = [start(one, bounded()), start(one, bounded())]
    assert one.reserve(bounded()) == Wait(one)
    last = start(two, bounded())
    assert two.reserve(bounded()) == Wait(batch)
    assert Budget(Limits(), parent=batch).reserve(bounded()) == Wait(batch)  # a row with nothing under way waits for the other rows
    for given_ in held:
        one.settle(given_, used(1, 1), None)
    two.settle(last, used(1, 1), None)
    assert budget_message(one, bounded()) == "the run may make 2 calls, and 2 are made"
    assert budget_message(two, bounded()) == "the batch may make 3 calls, and 3 are made"
    assert (one.used.calls, two.used.calls, batch.used.calls) == (2, 1, 3)


def test_a_refused_call_holds_nothing_anywhere() -> None:
    batch = Budget(Limits(calls=1))
    run = Budget(Limits(), parent=batch)
    given_ = start(run, bounded())
    assert isinstance(run.reserve(bounded()), Wait)
    assert (run.under_way, batch.under_way) == (1, 1)
    run.release(given_)
    assert (run.under_way, batch.under_way) == (0, 0)


def test_what_one_row_learned_the_next_one_knows() -> None:
    batch = Budget(Limits())
    first = Budget(Limits(tokens=1000), parent=batch)
    first.settle(start(first, unbounded(0)), used(0, 10), None)
    second = Budget(Limits(tokens=1000), parent=batch)
    start(second, unbounded(0))
    start(second, unbounded(0))


def test_the_earlier_end_counts() -> None:
    batch = Budget(Limits(seconds=100), now=0.0, name="the batch")
    assert Budget(Limits(seconds=10), parent=batch, now=50.0).deadline == 60.0
    late = Budget(Limits(seconds=10), parent=batch, now=95.0)
    assert late.deadline == 100.0
    assert late.reserve(bounded(), 101.0) == Spent("seconds", "the batch may take 100 s, and they are over")


# -- laws --------------------------------------------------------------------------------------------------------

tokens = st.integers(0, 50)
tariffs = st.sampled_from([CENTS, FREE, Tariff(Price(Decimal("0.4"), Decimal("1.6"), Decimal(3)))])
limits = st.builds(
    Limits,
    calls=st.none() | st.integers(1, 12),
    tokens=st.none() | st.integers(1, 400),
    cost=st.none() | st.decimals("0.01", 4, places=2),
)


def within(limit: Limits, taken: Used) -> bool:
    return all(
        most is None or got <= most for most, got in ((limit.calls, taken.calls), (limit.tokens, taken.tokens), (limit.cost, taken.cost))
    )


@given(limits, limits, limits, st.data())
def test_no_interleaving_goes_beyond_a_limit(batch_limits: Limits, one: Limits, two: Limits, data: st.DataObject) -> None:
    """When every call keeps its bound, whatever starts, ends, dies or is taken back in whatever order; and nobody waits for nothing."""
    batch = Budget(batch_limits)
    runs = [Budget(one, parent=batch), Budget(two, parent=batch)]
    under_way: list[tuple[Budget, Reservation]] = []
    took: dict[Budget, list[Used]] = {run: [] for run in runs}
    for _ in range(data.draw(st.integers(1, 30))):
        if under_way and data.draw(st.booleans()):
            run, given_ = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            end(run, given_, took[run], data)
        else:
            run = data.draw(st.sampled_from(runs))
            answer = run.reserve(bounded(data.draw(tokens), data.draw(tokens), data.draw(tariffs)))
            if isinstance(answer, Reservation):
                under_way.append((run, answer))
            elif isinstance(answer, Wait):
                assert answer.budget.under_way
                assert answer.budget in (run, batch)
        for run in runs:
            assert within(run.limits, sum(took[run], Used()))
        assert within(batch_limits, sum(took[runs[0]] + took[runs[1]], Used()))
        assert batch.under_way == len(under_way)
        assert batch.used == runs[0].used + runs[1].used


def end(run: Budget, given_: Reservation, took: list[Used], data: st.DataObject) -> None:
    wanted = given_.estimate
    how = data.draw(st.sampled_from(["answered", "died", "uncounted", "refused"]))
    if how == "refused":
        run.release(given_)
        return
    assert wanted.output_tokens is not None
    real = Usage(
        data.draw(st.integers(0, wanted.input_tokens)),
        data.draw(st.integers(0, wanted.output_tokens)),
        data.draw(st.integers(0, wanted.input_tokens)),
        calls=1,
    )
    real_cost = cost(wanted.tariff, real)
    assert real_cost is not None
    took.append(Used(1, (real.input_tokens or 0) + (real.output_tokens or 0), real_cost))
    if how == "answered":
        run.settle(given_, real, real_cost)
    else:  # it was billed, but nobody tells how much
        run.settle(given_, None if how == "died" else Usage(calls=1), None)


@given(limits, st.lists(st.tuples(tokens, st.none() | tokens, st.integers(0, 200), st.booleans()), min_size=1, max_size=25))
def test_whoever_waits_gets_an_answer_once_all_have_ended(limit: Limits, calls: list[tuple[int, int | None, int, bool]]) -> None:
    """Also where answers have no bound and go beyond every guess: when nothing is under way, a call starts or is refused."""
    budget = Budget(limit)
    under_way: list[tuple[Reservation, int, bool]] = []
    for asked, most, real, counted in calls:
        wanted = Estimate("m", asked, most, CENTS)
        answer = budget.reserve(wanted)
        while isinstance(answer, Wait):
            assert under_way, "waits although nothing is under way"
            given_, output, known = under_way.pop(0)
            budget.settle(given_, used(given_.estimate.input_tokens, output) if known else None, None)
            answer = budget.reserve(wanted)
        if isinstance(answer, Spent):
            continue
        under_way.append((answer, real, counted))
        assert limit.calls is None or budget.used.calls + budget.under_way <= limit.calls


# -- the guess of a request --------------------------------------------------------------------------------------


def request(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("m", messages or (Message("user", "x" * 300),), **more)


def test_a_prompt_is_guessed_by_its_bytes() -> None:
    assert estimate("m", request(), None) == Estimate("m", 108)
    assert estimate("m", request(Message("user", "é" * 300)), CENTS) == Estimate("m", 208, None, CENTS)
    asked = Message("assistant", None, (ToolCall("1", "find", "x" * 296),))
    assert estimate("m", request(asked), None) == Estimate("m", 108)


@pytest.mark.parametrize(
    ("params", "bound"),
    [
        ({}, None),
        ({"max_tokens": 20}, 20),
        ({"max_completion_tokens": 30}, 30),
        ({"extra_body": {"max_tokens": 40}}, 40),
        ({"max_tokens": None}, None),
    ],
)
def test_the_longest_answer_is_what_the_request_allows(params: dict[str, Any], bound: int | None) -> None:
    assert estimate("m", request(params=params), None).output_tokens == bound


@pytest.mark.parametrize(
    "more",
    [
        {"tools": (Tool("find", "Find an order.", {"type": "object"}),)},
        {"shape": Shape("Reply", {"type": "object", "properties": {}})},
    ],
)
def test_whatever_else_is_sent_counts_too(more: dict[str, Any]) -> None:
    assert estimate("m", request(**more), None).input_tokens > 108


def test_a_picture_is_not_guessed_by_its_bytes() -> None:
    """A megabyte of base64 is no third of a million tokens."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    found = estimate("m", request(Message("user", ({"type": "text", "text": "x" * 30}, image))), None)
    assert found.input_tokens == 8 + 10 + 1500
