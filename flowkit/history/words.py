"""The words in which people read history, on a screen or on a page: states, times, what was spent. Pure; `now` is given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from flowkit import printable
from flowkit.history.tree import Spent, went_on
from flowkit.money import money
from flowkit.store import AttemptRow, CallRow, RunRow

#: Digits of a revision and of a fingerprint that people read.
SHORT: Final = 10

#: Seconds of waiting that are worth a word.
WAIT: Final = 0.05
SIGNS: Final = {"succeeded": "✓", "failed": "✗", "skipped": "-", "running": "…", "interrupted": "■"}
#: The least amount that is worth a number.
_SMALLEST: Final = Decimal("0.0001")
#: Seconds below which milliseconds say more.
_SHORT: Final = 0.0995
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def sign(status: str) -> str:
    """Return the sign of a state."""
    return SIGNS.get(status, "?")


def clock(seconds: float) -> str:
    """Return a time as people here write it."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a clock that was far off
        return "?"


def ago(seconds: float, now: float) -> str:
    """Return how long ago a time was; beyond a month, and in the future, its date."""
    past = now - seconds
    if past < -_MINUTE or past > 30 * _DAY:
        return clock(seconds)[:10]
    if past < _MINUTE:
        return f"{max(int(past), 0)}s ago"
    if past < _HOUR:
        return f"{int(past // _MINUTE)}m ago"
    if past < _DAY:
        return f"{int(past // _HOUR)}h ago"
    return f"{int(past // _DAY)}d ago"


def took(seconds: float) -> str:
    """Return a length of time, a short one in milliseconds."""
    return printable.seconds(seconds) if seconds >= _SHORT else f"{seconds * 1000:.0f} ms"


def revision(row: RunRow) -> str:
    """Return the revision of a run, with a sign where its files had changes that were not committed."""
    if row.revision is None:
        return ""
    return printable.line(row.revision)[:SHORT] + ("+" if row.dirty else "")


def tokens(spent: Spent) -> str:
    """Return tokens in and out, nothing where nobody counted."""
    if spent.input_tokens is None and spent.output_tokens is None:
        return ""
    return f"{printable.count(spent.input_tokens or 0)} tokens in, {printable.count(spent.output_tokens or 0)} out"


def cost(spent: Spent, *, brief: bool = False) -> str:
    """Return the cost; nothing where nothing was paid for, since it was simulated or nothing was asked."""
    if spent.cost is None or not (spent.calls or spent.maybe_billed or spent.cost.known):
        return ""
    if not brief:
        return str(spent.cost) if spent.cost.total is not None or spent.cost.known >= _SMALLEST else "cost unknown"
    if spent.cost.total is not None:
        return money(spent.cost.total)
    return f"at least {money(spent.cost.known)}" if spent.cost.known >= _SMALLEST else money(None)


def spent(found: Spent) -> str:
    """Return in words what was used."""
    said = [printable.plural(found.calls, "call")] if found.calls or not (found.reused or found.maybe_billed) else []
    said += [f"{found.reused} reused"] if found.reused else []
    said += [each for each in (tokens(found), cost(found)) if each]
    said += [f"{found.maybe_billed} maybe billed without an answer"] if found.maybe_billed else []
    return ", ".join(said)


def reuse(call: CallRow) -> str:
    """Return in words where a reused answer is from, nothing for one that was asked for."""
    if call.state != "reused":
        return ""
    if went_on(call):
        return "answered before this run went on"
    return f"the answer of run {(call.source or '').partition(':')[0][:8]} was used again, nothing was sent"


def attempt(row: AttemptRow) -> str:
    """Return one request in words."""
    outcome = {"sent": "sent, and nothing is known of it: maybe billed", "cancelled": "cut short: maybe billed", "unsent": "never left"}
    said = outcome.get(row.outcome, row.outcome)
    said += f" {row.status}" if row.status is not None and row.outcome != "ok" else ""
    said += f" in {took(row.seconds)}" if row.seconds is not None else ""
    said += f", waited {took(row.waited)} before" if row.waited >= WAIT else ""
    said += f", first token after {took(row.first_token)}" if row.first_token is not None else ""
    said += f", as {row.structured}" if row.structured not in {None, "json_schema"} else ""
    message = printable.line(row.message)
    return f"{row.number}. {said}{f': {message}' if message and row.outcome not in outcome else ''}"


def tool(said: Mapping[str, object]) -> str:
    """Return a call of a tool in words."""
    called = f"{said.get('name', '')}({printable.json_text(said.get('arguments'))})"
    error = said.get("error")
    return f"{called} failed: {error}" if error else f"{called} → {said.get('result', '')}"
