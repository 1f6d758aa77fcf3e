"""When and whether a call is made again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.retry import Policy, TooLong, retry_after, should_retry

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
CASES = json.loads((Path(__file__).parent / "corpus/retry_after.json").read_text())["cases"]


def value(text: str) -> str:
    if text == "<past HTTP-date>":
        return format_datetime(NOW - timedelta(hours=1), usegmt=True)
    if text == "<now+3s HTTP-date>":
        return format_datetime(NOW + timedelta(seconds=3), usegmt=True)
    return text


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['header']}: {case['value']}"[:60])
def test_server_is_obeyed_up_to_two_minutes(case: dict[str, Any], jitter: float) -> None:
    wait = retry_after({case["header"]: value(case["value"])}, now=NOW)
    if not case["retry"]:
        assert isinstance(wait, TooLong)
        return
    assert not isinstance(wait, TooLong)
    delay = Policy().delay(1, retry_after=wait, jitter=jitter)
    assert delay is not None
    assert case["wait_s"][0] <= delay <= case["wait_s"][1]


def test_milliseconds_win() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}, now=NOW) == 0.25
    assert retry_after({"retry-after-ms": "x", "retry-after": "9"}, now=NOW) == 9


def test_too_long_says_when() -> None:
    assert retry_after({"retry-after": "86400"}, now=NOW) == TooLong(86400.0, NOW + timedelta(days=1))
    assert retry_after({"retry-after": "120"}, now=NOW) == 120
    assert retry_after({"retry-after": "1e999"}, now=NOW) == TooLong(float("inf"), None)


@given(st.text(max_size=60))
def test_any_header_is_read_without_an_error(text: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait = retry_after({name: text}, now=NOW)
        assert wait is None or isinstance(wait, TooLong) or 0 < wait <= 120


def test_attempts_count_the_first_one() -> None:
    policy = Policy(attempts=3)
    assert policy.delay(2, retry_after=None, jitter=1) is not None
    assert policy.delay(3, retry_after=None, jitter=1) is None
    assert policy.delay(3, retry_after=1.0, jitter=1) is None
    assert Policy(attempts=1).delay(1, retry_after=None, jitter=1) is None


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_doubles_to_eight_seconds_with_full_jitter(attempt: int, jitter: float) -> None:
    delay = Policy(attempts=20_000).delay(attempt, retry_after=None, jitter=jitter)
    assert delay == pytest.approx(jitter * min(0.5 * 2.0 ** min(attempt - 1, 10), 8.0))


def test_thousand_clients_spread_out() -> None:
    """No 100 ms take more than 5 % of the retries, from the third on."""
    delays = [Policy(attempts=9).delay(4, retry_after=None, jitter=i / 1000) or 0.0 for i in range(1000)]
    bins = [int(delay * 10) for delay in delays]
    assert max(map(bins.count, set(bins))) <= 50


def test_broader_words_cover_narrower_kinds() -> None:
    assert Policy().covers("stream_truncated")
    assert Policy().covers("bad_response")
    assert not Policy(on=frozenset({"timeout"})).covers("bad_response")
    assert Policy(on=frozenset({"stream_truncated"})).covers("stream_truncated")
    assert not Policy().covers("auth")


@pytest.mark.parametrize(("said", "verdict"), [("true", True), (" False ", False), ("maybe", None), (None, None)])
def test_servers_own_verdict(said: str | None, verdict: bool | None) -> None:
    assert should_retry({} if said is None else {"x-should-retry": said}) is verdict
