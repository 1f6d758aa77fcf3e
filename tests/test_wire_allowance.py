"""What servers say of their limits is read in every spelling, and never fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.wire.allowance import Allowance, allowance


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("7.66s", 7.66),
        ("59", 59.0),
        ("0", 0.0),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("1x", None),
        ("s", None),
        ("1s2", None),
        ("9" * 40, None),
        ("\u0661s", None),
    ],
)
def test_durations_are_read_as_servers_write_them(said: str, seconds: float | None) -> None:
    found = allowance({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": said})
    assert found is not None
    assert found.requests_reset == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("said", "left"), [("59", 59), ("0", 0), ("149984", 149984), ("12.0", 12), ("-1", None), ("", None), ("many", None)]
)
def test_counts_are_read(said: str, left: int | None) -> None:
    assert allowance({"x-ratelimit-remaining-tokens": said}) == Allowance(tokens=left)


def test_silence_is_none() -> None:
    assert allowance({"x-ratelimit-limit-requests": "60", "retry-after": "1"}) is None


@given(st.text(max_size=40), st.text("0123456789.smhd-", max_size=20))
def test_any_header_is_read_without_an_error(some: str, likely: str) -> None:
    names = ["x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]
    for text in (some, likely):
        allowance(dict.fromkeys(names, text))
