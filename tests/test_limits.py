"""The limiter by tables of times: no task and no clock."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from flowkit.limits import Breaker, Limiter, Outcome, Pass, Refused, RetryBudget, Wait


def enter(limiter: Limiter, now: float = 0.0) -> Pass:
    passed = limiter.begin(now)
    assert isinstance(passed, Pass), passed
    return passed


def test_no_more_than_the_most() -> None:
    limiter = Limiter(2)
    first = enter(limiter)
    enter(limiter)
    assert limiter.begin(0) == Wait(math.inf, "full")
    limiter.end(first, "answered", 1)
    enter(limiter, 1)


def test_burst_of_429_halves_once() -> None:
    limiter = Limiter(16)
    burst = [enter(limiter, 0) for _ in range(16)]
    for passed in burst:
        limiter.end(passed, "limited", 1)
    assert limiter.limit == 8
    limiter.end(enter(limiter, 2), "limited", 3)
    assert limiter.limit == 4


def test_limit_climbs_back_to_just_below_where_the_server_objected_then_slowly() -> None:
    limiter = Limiter(16)
    limiter.end(enter(limiter, 0), "limited", 1)
    for _ in range(7):
        limiter.end(enter(limiter, 2), "answered", 3)
    assert limiter.limit == 15
    limiter.end(enter(limiter, 2), "answered", 3)
    assert 15 < limiter.limit < 15.1
    for _ in range(300):
        limiter.end(enter(limiter, 2), "answered", 3)
    assert limiter.limit == 16


def test_limit_never_falls_below_one() -> None:
    limiter = Limiter(4)
    for second in range(20):
        limiter.end(enter(limiter, second), "limited", second + 0.5)
    assert limiter.limit == 1


def test_retry_after_holds_all_back() -> None:
    limiter = Limiter(4)
    limiter.end(enter(limiter, 0), "limited", 1, retry_after=5)
    assert limiter.begin(2) == Wait(4, "blocked")
    enter(limiter, 6)


def fail(limiter: Limiter, times: int, now: float, outcome: Outcome = "failed") -> None:
    for _ in range(times):
        limiter.end(enter(limiter, now), outcome, now)


def test_breaker_opens_when_half_of_twenty_calls_failed() -> None:
    limiter = Limiter(4)
    fail(limiter, 10, 0, "answered")
    fail(limiter, 9, 0)
    enter(limiter, 0)
    limiter = Limiter(4)
    fail(limiter, 10, 0, "answered")
    fail(limiter, 10, 0)
    assert limiter.begin(1) == Refused(29)


def test_429_and_answers_do_not_open_it() -> None:
    limiter = Limiter(4)
    for second in range(100):
        limiter.end(enter(limiter, second), "limited", second)
        limiter.end(enter(limiter, second), "answered", second)
        limiter.end(enter(limiter, second), "unknown", second)
    enter(limiter, 100)


def test_three_probes_close_it_and_one_failure_opens_it_again() -> None:
    limiter = Limiter(9)
    fail(limiter, 20, 0)
    probes = [enter(limiter, 31) for _ in range(Breaker.probes)]
    assert isinstance(limiter.begin(31), Refused)
    limiter.end(probes[0], "answered", 32)
    limiter.end(probes[1], "failed", 33)
    assert limiter.begin(34) == Refused(29)
    limiter.end(probes[2], "answered", 35)
    assert isinstance(limiter.begin(36), Refused)
    for _ in range(3):
        limiter.end(enter(limiter, 70), "answered", 71)
    fail(limiter, 19, 72)
    enter(limiter, 73)


def test_probe_of_which_nothing_is_known_makes_room_for_another() -> None:
    limiter = Limiter(9)
    fail(limiter, 20, 0)
    for _ in range(5):
        limiter.end(enter(limiter, 31), "unknown", 31)
    enter(limiter, 31)


def test_call_from_before_the_break_does_not_decide_the_probing() -> None:
    limiter = Limiter(40)
    old = enter(limiter, 0)
    fail(limiter, 20, 0)
    limiter.end(old, "failed", 31)
    enter(limiter, 31)


def test_requests_per_minute_are_paced() -> None:
    limiter = Limiter(1000, requests_per_minute=600)
    now, sent = 0.0, 0
    while now < 60:
        said = limiter.begin(now)
        if isinstance(said, Pass):
            sent += 1
        else:
            assert isinstance(said, Wait)
            assert said.why == "rate"
            now += max(said.seconds, 0.001)
    assert 600 <= sent <= 612


def test_tokens_per_minute_are_owed_afterwards() -> None:
    limiter = Limiter(10, tokens_per_minute=600)
    limiter.end(enter(limiter, 0), "answered", 0, tokens=700)
    said = limiter.begin(0)
    assert isinstance(said, Wait)
    assert 10 <= said.seconds < 11
    enter(limiter, said.seconds)


@given(st.lists(st.tuples(st.sampled_from(["begin", "answered", "limited", "failed", "unknown"]), st.floats(0, 20)), max_size=200))
def test_calls_under_way_are_counted_whatever_happens(steps: list[tuple[str, float]]) -> None:
    limiter = Limiter(5, requests_per_minute=120)
    under_way: list[Pass] = []
    now = 0.0
    for what, later in steps:
        now += later
        if what == "begin":
            if isinstance(passed := limiter.begin(now), Pass):
                under_way.append(passed)
        elif under_way:
            limiter.end(under_way.pop(0), what, now)  # type: ignore[arg-type]
        assert limiter.under_way == len(under_way) <= 5
        assert 1 <= limiter.limit <= 5
    for passed in under_way:
        limiter.end(passed, "unknown", now)
    assert isinstance(limiter.begin(now + 1000), Pass)


def test_retries_are_a_fifth_of_what_is_wanted_and_at_least_three() -> None:
    budget = RetryBudget()
    assert [budget.begin() for _ in range(4)] == [True, True, True, False]
    budget.wanted = 50
    assert [budget.begin() for _ in range(8)] == [True] * 7 + [False]
    budget.end()
    assert budget.begin()
