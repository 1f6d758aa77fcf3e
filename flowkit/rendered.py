"""Say which messages a run would send, as far as that can be known without asking: it runs up to each question. Calls no function.

Answers come from the record; where it has none, from those that are `assumed`; from a simulator where the runtime has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flowkit.chat import ChatRequest, Completion, Message
from flowkit.endpoints import Endpoint
from flowkit.errors import ConfigError, RunError, Unknown
from flowkit.events import Event, StepFinished
from flowkit.flow import Flow
from flowkit.forecast import Taken
from flowkit.lookup import Lookup
from flowkit.plan import ChatWork
from flowkit.results import Run, Status
from flowkit.runner import Entry, Execution, Services
from flowkit.runtime import Runtime
from flowkit.store import Answers

#: One question of a run: the path of its step, the item of a `foreach`, and how often that one was asked before (rounds, tools).
Which: TypeAlias = tuple[str, int | None, int]
#: The same of one of several samples.
Sampled: TypeAlias = tuple[str, int | None, int, int]

_MISSING = "needs an answer that is not in the record"


@dataclass(slots=True)
class Rendered:
    """What one run would say. A step that asks nothing is `skipped`, or `unknown` with the reason."""

    messages: dict[Which, tuple[Message, ...]] = field(default_factory=dict)
    #: Answers that were taken from the record.
    answers: dict[Sampled, Completion] = field(default_factory=dict)
    #: Steps whose answers were assumed.
    assumed: dict[str, None] = field(default_factory=dict)
    skipped: dict[str, None] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    #: Why the run would fail before all was said.
    failure: str | None = None


async def rendered(
    flow: Flow,
    runtime: Runtime,
    inputs: Mapping[str, Any],
    answers: Answers | None,
    clock: Callable[[], float],
    assumed: Mapping[Sampled, Completion] | None = None,
) -> Rendered:
    """Return what a run with these inputs would say. Use it within the runtime.

    Raises:
        InputError: the inputs do not fit.
    """
    found = Rendered()
    run = Run("", flow.name, simulated=runtime.simulated, inputs=flow.validate(inputs))
    lookup = None if answers is None or runtime.simulated else Lookup(answers, clock, "on", run)
    services = Services(
        runtime.client_for(flow.plan),
        runtime.resolve,
        _skipped(found),
        asyncio.get_running_loop().time,
        simulated=run.simulated,
        ledger=_Ledger(found, lookup, assumed or {}, simulated=run.simulated),
        dry=True,
    )
    execution = Execution(flow.plan, run.inputs, services)
    try:
        await execution.run()
    except Unknown:
        pass
    except (RunError, ConfigError) as error:
        found.failure = str(error)
    _explain(found, execution)
    return found


def _skipped(found: Rendered) -> Callable[[Event], None]:
    def read(event: Event) -> None:
        if isinstance(event, StepFinished) and event.status is Status.SKIPPED:
            found.skipped[event.step] = None

    return read


def _explain(found: Rendered, execution: Execution) -> None:
    """Say why nothing is known of the steps that were not reached."""
    asked = {path for path, _, _ in found.messages}
    results, steps = execution.results, execution.plan.steps
    stuck = {
        id_: (r.error.message if r.error else "") for id_, r in results.items() if r.error is not None and r.error.kind == Unknown.kind
    }
    for path, _, step in execution.plan.walk(tools=False):
        if path in asked or path in found.skipped or not isinstance(step.work, ChatWork):
            continue
        outer = path.partition("/")[0]
        if outer in stuck:
            found.unknown[path] = _reason(outer, stuck[outer])
            continue
        above, pending = {outer}, [outer]
        while pending:
            for id_ in steps[pending.pop()].waits:
                if id_ not in above:
                    above.add(id_)
                    pending.append(id_)
        why = [_reason(id_, stuck[id_]) for id_ in steps if id_ in above and id_ in stuck]
        if why:
            found.unknown[path] = "; ".join(why)
        elif results[outer].status is Status.PENDING:
            found.unknown[path] = "the run would fail before it" if found.failure else "it is not reached"


def _reason(step: str, message: str) -> str:
    return f"needs the answer of {step!r}, which is not in the record" if message == _MISSING else f"needs {step!r}: {message}"


class _Ledger:
    """Notes what is asked, and answers what it can."""

    offline = True

    def __init__(self, found: Rendered, lookup: Lookup | None, assumed: Mapping[Sampled, Completion], *, simulated: bool) -> None:
        self._found = found
        self._lookup = lookup
        self._assumed = assumed
        self._simulated = simulated
        self._last: dict[tuple[str, int | None, int], tuple[int, ChatRequest]] = {}

    async def open(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> Entry:
        """Return an answer that is known. Raises Unknown when there is none."""
        known = self._recorded(endpoint, request, cache)
        who = (request.step, request.item, request.sample or 0)
        before = self._last.get(who)
        number = 0 if before is None else before[0] + 1
        if before is None or not _corrects(before[1], request):
            self._last[who] = number, request
            if not request.sample:
                self._found.messages[request.step, request.item, number] = request.messages
        if known is not None:
            self._found.answers[*who, number] = known
        elif (known := self._assumed.get((*who, number))) is not None:
            self._found.assumed[request.step] = None
        elif not self._simulated:
            raise Unknown(_MISSING)
        return Taken(known)

    def knows(self, endpoint: Endpoint, request: ChatRequest, *, cache: bool | float | None) -> bool:
        """Whether there is an answer to what would be asked next."""
        return self._lookup is not None and self._lookup.knows(endpoint, request, self._lookup.rule(cache))

    def _recorded(self, endpoint: Endpoint, request: ChatRequest, cache: bool | float | None) -> Completion | None:
        if self._lookup is None:
            return None
        found = self._lookup.find(self._lookup.question(endpoint, request), self._lookup.rule(cache), request)
        return None if found is None else found[1]


def _corrects(before: ChatRequest, now: ChatRequest) -> bool:
    """Whether a question is the one before, asked again because its answer did not fit: that is no message of the flow."""
    length = len(before.messages)
    if now.messages[:length] != before.messages or len(now.messages) <= length:
        return False
    answer = now.messages[length]
    return answer.role == "assistant" and not answer.tool_calls
