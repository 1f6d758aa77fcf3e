"""There are no rounds: a step starts the moment its data is there, and not before."""

from __future__ import annotations

import asyncio
from pathlib import Path

from running import load, run, watch

from flowkit.chat import ChatRequest
from flowkit.events import ItemFinished, RunFinished, RunStarted, StepFinished, StepStarted
from flowkit.results import Status
from flowkit.simulator import Simulator
from flowkit.testing import simulate
from flowkit.wire.response import Response

TWO_CHAINS = """
steps:
  slow: {prompt: slow}
  a: {prompt: a}
  b: {prompt: "{{ steps.a.output }}"}
  c: {prompt: "{{ steps.b.output }}"}
  join: {prompt: "{{ steps.slow.output }} {{ steps.c.output }}"}
outputs: {all: steps.join.output}
"""


class Holding(Simulator):
    """Keeps back the answer of one step until another step asks."""

    def __init__(self, hold: str, until: str) -> None:
        super().__init__()
        self.hold, self.until = hold, until
        self.asked: list[str] = []
        self._open = asyncio.Event()

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        self.asked.append(request.step)
        if request.step == self.until:
            self._open.set()
        if request.step == self.hold:
            await asyncio.wait_for(self._open.wait(), 10)
        return await super().respond(request, body)


def test_a_step_starts_the_moment_its_data_is_there(tmp_path: Path) -> None:
    """The end of a whole chain is reached while a step beside it has no answer yet."""
    holding = Holding("slow", until="c")
    run(tmp_path, TWO_CHAINS, holding)
    assert holding.asked == ["slow", "a", "b", "c", "join"]


def test_a_step_waits_for_all_that_it_reads(tmp_path: Path) -> None:
    """The join starts after both of its sources, whichever is last."""
    events = watch(load(tmp_path, TWO_CHAINS))
    at = {(type(e), e.step): i for i, e in enumerate(events) if isinstance(e, StepStarted | StepFinished)}
    for above, below in (("a", "b"), ("b", "c"), ("c", "join"), ("slow", "join")):
        assert at[StepFinished, above] < at[StepStarted, below]


def test_needs_orders_without_data(tmp_path: Path) -> None:
    server = simulate()
    run(tmp_path, "steps:\n  b: {prompt: b, needs: [a]}\n  a: {prompt: a}\n", server)
    assert [r.step for r in server.requests] == ["a", "b"]


def test_a_run_begins_and_ends_with_its_own_events(tmp_path: Path) -> None:
    """The first event lists every step, those of sub-flows too, with what each waits for; the last one holds the run."""
    events = watch(
        load(
            tmp_path,
            "steps:\n  a: {prompt: a}\n  sub: {uses: sub.flow.yaml, with: {x: steps.a.output}}\n",
            sub__flow__yaml="flowkit: 1\ninputs: {x: string}\nsteps:\n  p: {prompt: '{{ inputs.x }}'}\n  q: {prompt: '{{ steps.p.output }}'}\n",
        )
    )
    first, last = events[0], events[-1]
    assert isinstance(first, RunStarted)
    assert dict(first.steps) == {"a": (), "sub": ("a",), "sub/p": (), "sub/q": ("sub/p",)}
    assert isinstance(last, RunFinished)
    assert last.run.status is Status.SUCCEEDED
    assert sum(isinstance(e, RunStarted | RunFinished) for e in events) == 2
    times = [e.at for e in events]
    assert times == sorted(times)


def test_a_skipped_step_starts_and_finishes_too(tmp_path: Path) -> None:
    events = watch(load(tmp_path, "steps:\n  a: {prompt: a, when: 1 > 2}\n"))
    assert [type(e) for e in events[1:-1]] == [StepStarted, StepFinished]
    finished = events[2]
    assert isinstance(finished, StepFinished)
    assert finished.status is Status.SKIPPED


def test_each_item_has_its_event(tmp_path: Path) -> None:
    events = watch(load(tmp_path, "steps:\n  a: {foreach: range(3), prompt: '{{ item }}'}\n"))
    assert [e.items for e in events if isinstance(e, StepStarted)] == [3]
    assert sorted(e.item for e in events if isinstance(e, ItemFinished)) == [0, 1, 2]


def test_a_flow_of_computed_values_alone_runs(tmp_path: Path) -> None:
    found = run(tmp_path, "steps:\n  a: {set: 1 + 1}\n  b: {set: {double: steps.a.output * 2}}\noutputs: {b: steps.b.output.double}\n")
    assert found.outputs == {"b": 4}
    assert found.usage.calls == 0


def test_without_outputs_the_steps_that_nobody_reads_are_the_outputs(tmp_path: Path) -> None:
    found = run(tmp_path, "steps:\n  a: {prompt: a}\n  b: {prompt: '{{ steps.a.output }}'}\n  c: {set: 3}\n", {"b": "B"})
    assert found.outputs == {"b": "B", "c": 3}


def test_many_steps_at_once_go_on_together(tmp_path: Path) -> None:
    """As many calls are under way as the limiter of the endpoint lets in."""

    class Gauge(Simulator):
        now = most = 0

        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.now -= 1
            return await super().respond(request, body)

    gauge = Gauge()
    steps = "".join(f"  s{i}: {{prompt: a}}\n" for i in range(40))
    text = f"steps:\n{steps}"
    (tmp_path / "flowkit.toml").write_text('[models.m]\nmodel = "openai/gpt-test"\nmax_parallel = 7\n')
    run(tmp_path, text, gauge)
    assert gauge.most == 7
