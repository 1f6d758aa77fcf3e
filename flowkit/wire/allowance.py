"""What `x-ratelimit-*` headers say is left, to numbers. They are information only: what makes no sense is as if not said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:ms|s|m|h|d))+", re.ASCII)
_PART = re.compile(r"([0-9.]+)(ms|s|m|h|d)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Requests and tokens that are left, and the seconds until the count begins anew; None where the server does not say."""

    requests: int | None = None
    requests_reset: float | None = None
    tokens: int | None = None
    tokens_reset: float | None = None


def allowance(headers: Mapping[str, str]) -> Allowance | None:
    """Read the headers of an answer, names in lower case; None if they say nothing of limits."""
    requests, tokens = headers.get("x-ratelimit-remaining-requests"), headers.get("x-ratelimit-remaining-tokens")
    if requests is None and tokens is None:
        return None
    return Allowance(
        _count(requests),
        _seconds(headers.get("x-ratelimit-reset-requests")),
        _count(tokens),
        _seconds(headers.get("x-ratelimit-reset-tokens")),
    )


def _count(text: str | None) -> int | None:
    """A number that is left; Azure says -1 where it does not know."""
    text = (text or "").strip()
    return int(float(text)) if _NUMBER.fullmatch(text) else None


def _seconds(text: str | None) -> float | None:
    """A duration as servers write it: `12ms`, `1s`, `6m0s`, or plain seconds (Azure)."""
    text = (text or "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
