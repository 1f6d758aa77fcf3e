"""Ask for several answers of one question at once, and pick one. Knows nothing of what an answer is or how it is got."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from flowkit.errors import RunError
from flowkit.runner.turn import Turn, stopped


async def several(turn: Turn, number: int, at_once: int, answer: Callable[[Turn], Awaitable[Any]]) -> tuple[list[Any], list[Turn]]:
    """Return so many answers in their order, and the turn of each.

    The first that fails ends all others: what they would bring is of no use any more. Raises its RunError.
    """
    turns = [turn.part(at, number) for at in range(number)]
    found: dict[int, Any] = {}
    failures: list[RunError] = []
    left = iter(enumerate(turns))

    async def work_off() -> None:
        while not turn.halted and (given := next(left, None)) is not None:
            at, one = given
            try:
                found[at] = await answer(one)
            except RunError as e:
                e.message = f"sample {at + 1}: {e.message}"
                failures.append(e)
                for task in tasks:
                    if task is not asyncio.current_task():
                        task.cancel()
                return

    tasks = [asyncio.create_task(work_off()) for _ in range(min(number, at_once))]
    try:
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        turn.join()
    if failures:
        raise failures[0]
    for bug in ended:
        if isinstance(bug, BaseException) and not isinstance(bug, asyncio.CancelledError):
            raise bug
    if len(found) < number:
        raise stopped()
    return [found[at] for at in range(number)], turns


def picked(answers: Sequence[Any], pick: Literal["first", "majority"]) -> int:
    """Return the position of the answer that stands for all: the first, or the earliest of those that came most often."""
    if pick == "first":
        return 0
    written = [_canonical(answer) for answer in answers]
    often = Counter(written)
    return max(range(len(answers)), key=lambda at: (often[written[at]], -at))


def _canonical(value: Any) -> str:
    """JSON in one spelling: the order of keys does not count, nor does 1 differ from 1.0."""
    return json.dumps(_whole(value), sort_keys=True, ensure_ascii=False)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
