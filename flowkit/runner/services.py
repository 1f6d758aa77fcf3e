"""What one run shares among its steps and sub-flows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowkit.client import Client
from flowkit.config import Resolved
from flowkit.events import Emit
from flowkit.plan import Plan

#: Seconds that calls in flight are given to finish after a failure.
GRACE = 10.0
#: Kinds of failure that nothing hides: every other call would fail for the same reason.
FATAL = frozenset({"auth", "quota", "cancelled"})
#: Seconds for one attempt where neither flow nor configuration says so; reasoning models take minutes.
ATTEMPT_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Services:
    """Edges of a run. `models` finds the server behind a model's name; `clock` gives seconds since the run began."""

    client: Client
    models: Callable[[str, Plan], Resolved]
    emit: Emit
    clock: Callable[[], float]
    stream: bool = False
    simulated: bool = False
    grace: float = GRACE
