"""The options of commands that call models: what is kept, what is used again, and what may be spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import wraps
from pathlib import Path
from typing import Any

import click

from flowkit.budget import Limits


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the options say of the record and of limits."""

    fresh: bool = False
    #: Whether a record is kept, or in which folder; by default that of the project of the flow.
    record: bool | Path = True
    limits: Limits = Limits()


def _dollars(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Decimal | None:
    """Read an amount of US dollars."""
    if value is None:
        return None
    try:
        found = Decimal(value.removeprefix("$"))
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found <= 0:
        raise click.BadParameter(f"{value!r} is no amount of US dollars; write it like 0.50")
    return found


_KEEPING = (
    click.option("--fresh", is_flag=True, help="Ask again, also what is in the record."),
    click.option("--no-record", is_flag=True, help="Keep nothing, and use nothing again."),
)
_LIMITS = (
    click.option("--max-cost", callback=_dollars, metavar="USD", help="Spend no more than that (exit code 4); `flowkit resume` goes on."),
    click.option("--max-calls", type=click.IntRange(1), metavar="N", help="Make no more requests than that."),
    click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Use no more tokens than that, sent and answered."),
    click.option("--max-seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Start nothing new after that time."),
)


def keeping(function: Callable[..., int]) -> Callable[..., int]:
    """Declare the options of a `Keeping`, and hand it to the function in their place, as `keeping`."""

    def kept(*args: Any, fresh: bool, no_record: bool, limits: Limits, **others: Any) -> int:
        return function(*args, keeping=Keeping(fresh, not no_record, limits), **others)

    declared = limiting(wraps(function)(kept))
    for declare in reversed(_KEEPING):
        declared = declare(declared)
    return declared


def limiting(function: Callable[..., int]) -> Callable[..., int]:
    """Declare the options of limits alone, and hand them to the function as `limits`."""

    @wraps(function)
    def limited(
        *args: Any, max_cost: Decimal | None, max_calls: int | None, max_tokens: int | None, max_seconds: float | None, **others: Any
    ) -> int:
        return function(*args, limits=Limits(max_calls, max_tokens, max_cost, max_seconds), **others)

    declared: Callable[..., int] = limited
    for declare in reversed(_LIMITS):
        declared = declare(declared)
    return declared
