"""The limiter by tables of times: no task and no clock."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.limits import Breaker, Limiter, Outcome, Pass, Refused, RetryBudget, Wait
from flowkit.wire.allowance import Allowance


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


def test_limit_climbs_to_what_was_proven_at_once_and_beyond_it_slowly() -> None:
    limiter = Limiter(16)
    limiter.end(enter(limiter, 0), "limited", 1)
    for _ in range(300):
        limiter.end(enter(limiter, 2), "answered", 3)
    assert limiter.limit >= 15
    limiter.end(enter(limiter, 4), "limited", 5)
    for _ in range(8):
        limiter.end(enter(limiter, 6), "answered", 7)
    climbed = limiter.limit
    assert climbed >= 14
    limiter.end(enter(limiter, 6), "answered", 7)
    assert climbed <= limiter.limit < climbed + 0.1


def test_the_more_an_objection_cost_the_later_the_next_one_is_risked() -> None:
    limiter = Limiter(8)
    limiter.end(enter(limiter, 0), "limited", 1, retry_after=2)
    for _ in range(500):
        limiter.end(enter(limiter, 5), "answered", 6)
    assert limiter.limit == 7
    for _ in range(500):
        limiter.end(enter(limiter, 1 + 2 * Limiter.patient), "answered", 2 + 2 * Limiter.patient)
    assert limiter.limit == 8


def test_limit_never_falls_below_one() -> None:
    limiter = Limiter(4)
    for minute in range(20):
        limiter.end(enter(limiter, 60 * minute), "limited", 60 * minute + 0.5)
    assert limiter.limit == 1


def test_rate_falls_where_fewer_at_a_time_do_not_help_and_is_forgotten_in_the_end() -> None:
    limiter = Limiter(1)
    for second in range(10):
        limiter.end(enter(limiter, second), "answered", second)
    limiter.end(enter(limiter, 10), "limited", 10)
    said = limiter.begin(10)
    assert isinstance(said, Wait)
    assert said.why == "rate"
    assert 1.0 < said.seconds < 1.5
    now = 20.0
    for _ in range(2000):
        now += 10
        limiter.end(enter(limiter, now), "answered", now)
    assert limiter.throttle.rate == math.inf


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
    for minute in range(0, 6000, 60):
        limiter.end(enter(limiter, minute), "limited", minute)
        limiter.end(enter(limiter, minute + 20), "answered", minute + 20)
        limiter.end(enter(limiter, minute + 40), "unknown", minute + 40)
    enter(limiter, 6000)


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


@pytest.mark.parametrize("per_minute", [6, 60, 600])
def test_requests_per_minute_are_paced(per_minute: int) -> None:
    """In any minute no more than are allowed, but for one second's worth, and hardly fewer."""
    limiter = Limiter(10_000, requests_per_minute=per_minute)
    now = 0.0
    sent: deque[float] = deque()
    while now < 300:
        said = limiter.begin(now)
        if isinstance(said, Pass):
            sent.append(now)
        else:
            assert isinstance(said, Wait)
            assert said.why == "rate"
            now += max(said.seconds, 0.001)
    assert len(sent) >= 5 * per_minute * 0.98
    for first in list(sent):
        assert sum(first <= at < first + 60 for at in sent) <= per_minute + math.ceil(per_minute / 60) + 1
        if first > 5:
            break


@pytest.mark.parametrize("under_way", [1, 16])
def test_tokens_per_minute_are_kept_though_they_are_known_only_afterwards(under_way: int) -> None:
    """Each call takes 500 of 6,000 tokens a minute, and is guessed at 100: over five minutes the server sees no more than allowed."""
    limiter = Limiter(under_way, tokens_per_minute=6000)
    now, spent = 0.0, 0
    running: list[tuple[float, int, Pass]] = []
    for turn in range(100_000):
        said = limiter.begin(now, tokens=100)
        if isinstance(said, Pass):
            heapq.heappush(running, (now + 3.0, turn, said))
            continue
        waits = [now + said.seconds] if isinstance(said, Wait) and said.seconds < math.inf else []
        now = min([*waits, *(end for end, _, _ in running[:1])]) + 0.001
        if now > 300:
            break
        while running and running[0][0] <= now:
            limiter.end(heapq.heappop(running)[2], "answered", now, tokens=500)
            spent += 500
    assert 0.9 * 30_000 <= spent <= 30_000 + 500 * under_way


def test_tokens_beyond_the_guess_are_owed_and_those_of_failed_calls_given_back() -> None:
    limiter = Limiter(10, tokens_per_minute=600)
    limiter.end(enter(limiter, 0), "answered", 0, tokens=100)
    said = limiter.begin(0)
    assert isinstance(said, Wait)
    assert 9 <= said.seconds <= 10
    limiter = Limiter(10, tokens_per_minute=600)
    passed = limiter.begin(0, tokens=500)
    assert isinstance(passed, Pass)
    assert isinstance(limiter.begin(0), Wait)
    limiter.end(passed, "failed", 0)
    enter(limiter, 0)


# -- what the server says of its own limits ------------------------------------------------------------------------


def test_nothing_begins_when_the_server_says_that_nothing_is_left() -> None:
    limiter = Limiter(8)
    first = enter(limiter, 0)
    limiter.hear(first, Allowance(requests=0, requests_reset=3.0), 1)
    limiter.end(first, "answered", 1)
    assert limiter.begin(1) == Wait(3.0, "rate")
    enter(limiter, 4)


def test_no_more_begin_than_the_server_says_are_left() -> None:
    limiter = Limiter(8)
    first, second = enter(limiter, 0), enter(limiter, 0)
    limiter.hear(first, Allowance(requests=3, requests_reset=5.0), 1)
    enter(limiter, 1), enter(limiter, 1)
    assert limiter.begin(1) == Wait(5.0, "rate")
    limiter.hear(second, Allowance(requests=9, requests_reset=5.0), 2)
    enter(limiter, 2)
    limiter.hear(first, Allowance(requests=0, requests_reset=5.0), 2)
    enter(limiter, 2)


def test_tokens_that_are_left_are_counted_in_usual_calls() -> None:
    limiter = Limiter(8)
    limiter.end(enter(limiter, 0), "answered", 0, tokens=400)
    passed = enter(limiter, 0)
    limiter.hear(passed, Allowance(tokens=900, tokens_reset=5.0, requests=100, requests_reset=1.0), 0)
    enter(limiter, 0), enter(limiter, 0)
    assert limiter.begin(0) == Wait(5.0, "rate")


@pytest.mark.parametrize(
    "left", [Allowance(), Allowance(requests=0), Allowance(requests=0, requests_reset=86400), Allowance(requests_reset=5)]
)
def test_word_that_says_too_little_or_too_much_holds_nothing_back(left: Allowance) -> None:
    limiter = Limiter(8)
    limiter.hear(enter(limiter, 0), left, 0)
    enter(limiter, 0)


# -- servers with limits of their own, simulated: a clock of the test ----------------------------------------------


class AtATime:
    """Takes so many calls at a time, each for some 50 ms."""

    def __init__(self, most: int, retry_after: float | None = None) -> None:
        self.most, self.retry_after = most, retry_after
        self.capacity = most / 0.05
        self.busy = 0

    def takes(self, now: float) -> bool:
        if self.busy >= self.most:
            return False
        self.busy += 1
        return True


class TokenBucket:
    """Takes `rate` calls per second, 8 at once after a pause."""

    def __init__(self, rate: float, retry_after: float | None = None) -> None:
        self.capacity, self.retry_after = rate, retry_after
        self.left, self.at, self.busy = 8.0, 0.0, 0

    def takes(self, now: float) -> bool:
        self.left = min(8.0, self.left + (now - self.at) * self.capacity)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        self.busy += 1
        return True


def shares(server: AtATime | TokenBucket, seconds: float = 60.0, warm_up: float = 10.0) -> tuple[float, float]:
    """The share of 429, and the goodput as a share of what the server can take, after the warm-up, with work for ever."""
    jitter = random.Random(1)
    limiter = Limiter(32)
    running: list[tuple[float, int, Pass, bool]] = []
    log: list[bool] = []
    now, turn = 0.0, 0
    while now < seconds:
        said = limiter.begin(now)
        if isinstance(said, Pass):
            taken = server.takes(now)
            turn += 1
            heapq.heappush(running, (now + (0.05 * jitter.uniform(0.8, 1.2) if taken else 0.002), turn, said, taken))
            continue
        now = max(now + 1e-6, min([now + said.seconds, *(end for end, *_ in running[:1])]))
        while running and running[0][0] <= now:
            end, _, passed, taken = heapq.heappop(running)
            server.busy -= taken
            limiter.end(passed, "answered" if taken else "limited", end, retry_after=None if taken else server.retry_after)
            if end > warm_up:
                log.append(taken)
    return log.count(False) / len(log), log.count(True) / (seconds - warm_up) / server.capacity


@pytest.mark.parametrize(
    "server",
    [
        AtATime(8),
        AtATime(8, 0.05),
        AtATime(8, 0.5),
        AtATime(2),
        AtATime(30),
        TokenBucket(8),
        TokenBucket(8, 0.125),
        TokenBucket(40),
        TokenBucket(40, 0.025),
        TokenBucket(400),
    ],
    ids=lambda server: f"{type(server).__name__} {server.capacity:g}/s retry-after {server.retry_after}",
)
def test_limit_of_a_server_is_found(server: AtATime | TokenBucket) -> None:
    """At most 5 % of the answers are 429 after the warm-up, and at least 90 % of what the server can take is done."""
    refused, done = shares(server)
    assert refused <= 0.05
    assert done >= 0.9


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
