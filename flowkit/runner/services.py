"""What one run shares among its steps and sub-flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flowkit.chat import Attempt, ChatRequest, Completion
from flowkit.client import Client
from flowkit.config import Resolved
from flowkit.endpoints import Endpoint
from flowkit.errors import RunError
from flowkit.events import Emit
from flowkit.plan import Plan
from flowkit.prices import Tariff

if TYPE_CHECKING:
    from flowkit.runner.spending import Spending

#: Seconds that calls in flight are given to finish after a failure.
GRACE = 10.0
#: Kinds of failure that nothing hides: every other call would fail for the same reason.
FATAL = frozenset({"auth", "quota", "cancelled", "limit", "store", "unknown", "not_recorded"})
#: Seconds for one attempt where neither flow nor configuration says so; reasoning models take minutes.
ATTEMPT_TIMEOUT = 300.0


class Entry(Protocol):
    """One call as it is kept."""

    @property
    def reused(self) -> Completion | None:
        """An answer that was paid before; then nothing is sent."""

    @property
    def replayed(self) -> bool:
        """Whether such an answer counts as if it had been asked for now: tests replay what was recorded."""

    async def sending(self) -> None:
        """Note that a request is about to leave; it leaves when this returns. Raises RunError, and then it does not."""

    def attempted(self, attempt: Attempt) -> None:
        """Note how the request ended."""

    async def answered(self, completion: Completion) -> None:
        """Note the answer; what needs it starts when this returns. Raises RunError."""

    def failed(self, error: RunError) -> None:
        """Note that there is no answer."""

    def cut(self, *, sent: bool) -> None:
        """Note that the run was cut; what was `sent` may have been billed."""

    def anew(self) -> None:
        """Ask although there was an answer that was paid before: it is of no use now."""

    def rejected(self) -> None:
        """Note that the answer was never accepted, so that it is not used again."""


class Ledger(Protocol):
    """Keeps calls, and knows those that were answered before."""

    @property
    def offline(self) -> bool:
        """Whether it answers everything itself, so that no key is needed."""

    async def open(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> Entry:
        """Return the entry of a call. `cache` is what the flow says of the step. Raises RunError."""

    def knows(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> bool:
        """Whether there is an answer that was paid before, if this were asked next."""


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
    ledger: Ledger | None = None
    spending: Spending | None = None
    #: Finds what a model costs, with these parameters; None where nobody said it.
    tariff: Callable[[Resolved, Mapping[str, Any]], Tariff | None] = lambda _resolved, _params: None
    #: Outputs by the path of their step: these are taken as they are, and the steps are not run.
    given: Mapping[str, Any] = field(default_factory=dict)
    #: Nothing is asked and no function is called; a step that would need to is unknown, and so is all that needs it.
    dry: bool = False
