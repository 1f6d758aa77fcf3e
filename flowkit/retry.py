"""Decide whether and when a failed call is made again. Knows no clock, no task and no randomness: these are arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

#: The words of `retry.on` where the flow does not say. `invalid_output` is a re-ask, which its caller counts.
RETRIED = frozenset({"rate_limit", "server", "timeout", "connection", "invalid_output"})

#: Kinds of failure that a broader word of `retry.on` covers as well.
COVERED_BY: Mapping[str, str] = {
    "stream_truncated": "connection",
    "bad_response": "server",
    "provider_error": "server",
    "empty_response": "server",
}

#: Longest wait that a server may ask for, in seconds; openai-python uses the same.
LONGEST = 120.0

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TooLong:
    """The server asks for a longer wait than is waited; `retry_at` is when it may be asked again, None beyond the calendar."""

    seconds: float
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and on what a call is made again. Times in seconds; `attempts` counts the first one."""

    attempts: int = 3
    on: frozenset[str] = RETRIED
    initial: float = 0.5
    factor: float = 2.0
    max: float = 8.0

    def covers(self, kind: str) -> bool:
        """Whether a failure of this kind is tried again at all."""
        return kind in self.on or COVERED_BY.get(kind) in self.on

    def delay(self, attempt: int, *, retry_after: float | None, jitter: float) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) failed, or None to give up.

        `jitter` is a random number from 0 to 1. Without a word from the server the wait is anything up to
        `initial * factor ** (attempt - 1)` (full jitter); with one, up to a quarter more, but never less.
        """
        if attempt >= self.attempts:
            return None
        if retry_after is not None:
            return retry_after + jitter * min(0.25 * retry_after, 5.0)
        try:
            longest = min(self.initial * self.factor ** (attempt - 1), self.max)
        except OverflowError:
            longest = self.max
        return jitter * longest


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | TooLong | None:
    """Read how long the server asks to wait, from headers with names in lower case.

    In the order of openai-python: `retry-after-ms`, `retry-after` in seconds, `retry-after` as a date. What makes no sense, or
    lies in the past, is as if not said: None.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        seconds = _number(value) * unit if _NUMBER.fullmatch(value) else None
        if seconds is None and name == "retry-after":
            seconds = _until(value, now)
        if seconds is not None and seconds > 0:
            return seconds if seconds <= LONGEST else TooLong(seconds, _later(now, seconds))
    return None


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Read the server's own verdict, `x-should-retry`, which stands above its status; None if there is none."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _number(text: str) -> float:
    try:
        return float(text)
    except OverflowError:
        return math.inf


def _until(value: str, now: datetime) -> float | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return (date - now).total_seconds()


def _later(now: datetime, seconds: float) -> datetime | None:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return None
