"""What failures do: to the step, to those that read it, to all others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from running import fail, load, part, run, until

from flowkit.chat import ChatRequest
from flowkit.errors import ModelError, OutputError, RenderError, RunError
from flowkit.events import Event, RunFinished
from flowkit.results import Status
from flowkit.simulator import Simulator
from flowkit.testing import error, simulate
from flowkit.wire.response import Response


def test_on_error_skip_leaves_the_output_absent_and_says_why(tmp_path: Path) -> None:
    text = """
    steps:
      a: {prompt: a, on_error: skip}
      b: {set: {kind: "steps.a.error.kind | default('none')", had: steps.a.output is defined, skipped: steps.a.skipped}}
    outputs: {a: steps.a.output, b: steps.b.output}
    """
    found = run(tmp_path, text, {"a": error(400, "no such thing")})
    assert found.outputs == {"a": None, "b": {"kind": "bad_request", "had": False, "skipped": True}}
    assert found.steps["a"].status is Status.SKIPPED
    assert found.steps["a"].error is not None
    assert "no such thing" in found.steps["a"].error.message


def test_on_error_default_stands_in(tmp_path: Path) -> None:
    found = run(tmp_path, "steps:\n  a: {prompt: a, output: {n: integer}, on_error: {default: {n: 7}}}\n", {"a": error(400)})
    assert found.outputs == {"a": {"n": 7}}
    assert (found.steps["a"].status, found.steps["a"].error is not None) == (Status.SUCCEEDED, True)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("on_error", ["skip", "{default: x}"])
def test_a_wrong_key_is_hidden_by_nothing(tmp_path: Path, status: int, on_error: str) -> None:
    """Every other call would fail for the same reason."""
    failed = fail(tmp_path, f"steps:\n  a: {{prompt: a, on_error: {on_error}}}\n", {"a": error(status)})
    assert failed.kind == "auth"


def test_an_exhausted_quota_is_hidden_by_nothing(tmp_path: Path) -> None:
    text = "steps:\n  a: {foreach: range(9), prompt: a, on_error: skip}\n"
    assert fail(tmp_path, text, {"a": error(429, "pay", code="insufficient_quota")}).kind == "quota"


def test_a_template_that_fails_names_its_place(tmp_path: Path) -> None:
    failed = fail(
        tmp_path, "inputs: {xs: list(string)}\nsteps:\n  a:\n    prompt: |\n      one\n      {{ inputs.xs | first }}\n", None, xs=[]
    )
    assert isinstance(failed, RenderError)
    assert failed.step == "a"
    assert "main.flow.yaml:9:" in failed.message


def test_outputs_that_fail_fail_the_run(tmp_path: Path) -> None:
    failed = fail(tmp_path, "inputs: {n: integer}\nsteps:\n  a: {set: inputs.n}\noutputs: {x: 1 // steps.a.output}\n", None, n=0)
    assert failed.message.startswith("outputs: ")
    assert part(failed).steps["a"].status is Status.SUCCEEDED


def test_skips_go_down_a_chain_that_asks_for_it(tmp_path: Path) -> None:
    """`on_skip: skip` skips with what a step reads; a handled read runs."""
    text = """
    inputs: {go: boolean}
    steps:
      a: {prompt: a, when: inputs.go}
      b: {prompt: "{{ steps.a.output }}", on_skip: skip}
      c: {prompt: "{{ steps.b.output }}", on_skip: skip}
      d: {prompt: "{{ steps.c.output | default('nothing') }}"}
    outputs: {c: steps.c.output, d: steps.d.output}
    """
    server = simulate({"d": "end"})
    found = run(tmp_path, text, server, go=False)
    assert [found.steps[s].status for s in "abcd"] == [Status.SKIPPED] * 3 + [Status.SUCCEEDED]
    assert found.outputs == {"c": None, "d": "end"}
    assert server.requests[0].messages[0].content == "nothing"
    assert run(tmp_path, text, None, go=True).usage.calls == 4


def test_after_a_failure_nothing_new_starts_and_what_was_under_way_is_kept(tmp_path: Path) -> None:
    """The first error wins; a call in flight may end, but what waits for it does not begin."""

    class Slow(Simulator):
        failed = asyncio.Event()

        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            if request.step == "slow":
                self.asked = True
                await asyncio.wait_for(self.failed.wait(), 10)
            elif request.step == "bad":
                asyncio.get_running_loop().call_later(0.01, self.failed.set)
                raise ConnectionRefusedError
            return await super().respond(request, body)

    text = """
    steps:
      slow: {prompt: slow}
      bad: {prompt: bad, retry: 1}
      after: {prompt: "{{ steps.slow.output }}"}
      never: {prompt: "{{ steps.bad.output }}"}
    """
    failed = fail(tmp_path, text, Slow())
    assert (failed.step, failed.kind, part(failed).failed) == ("bad", "connection", "bad")
    steps = part(failed).steps
    assert {id_: s.status for id_, s in steps.items()} == {
        "slow": Status.SUCCEEDED,
        "bad": Status.FAILED,
        "after": Status.PENDING,
        "never": Status.PENDING,
    }
    assert steps["slow"].output
    assert part(failed).usage.calls == 1


class Silent(Simulator):
    """Never answers some steps, and counts those who gave up."""

    def __init__(self, *steps: str) -> None:
        super().__init__()
        self.steps = steps
        self.waiting: list[str] = []
        self.left: list[str] = []

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        if request.step not in self.steps:
            await asyncio.sleep(0.01)
            return Response(400, {"content-type": "application/json"}, [b'{"error": {"message": "no"}}'])
        self.waiting.append(request.step)
        try:
            await asyncio.Event().wait()
        finally:
            self.left.append(request.step)
        raise AssertionError("waits for ever")


SUB = "flowkit: 1\ndefaults: {model: openai/m}\nsteps:\n  inner: {prompt: a}\n  next: {prompt: '{{ steps.inner.output }}'}\n"


def test_calls_in_flight_get_a_bounded_time(tmp_path: Path) -> None:
    """After it they are cancelled, in steps, items and sub-flows; nothing is left behind."""
    text = """
    steps:
      slow: {prompt: slow}
      each: {foreach: range(3), prompt: each}
      sub: {uses: sub.flow.yaml}
      bad: {prompt: bad}
    """
    silent = Silent("slow", "each", "sub/inner")
    flow = load(tmp_path, text, silent, sub__flow__yaml=SUB)
    events: list[Event] = []

    async def main() -> set[asyncio.Task[object]]:
        started = flow.start({}, emit=events.append, grace=0.05)
        with pytest.raises(ModelError) as caught:
            await asyncio.wait_for(started.finish(), 10)
        assert caught.value.step == "bad"
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()
    assert sorted(silent.left) == sorted(silent.waiting) == ["each", "each", "each", "slow", "sub/inner"]
    last = events[-1]
    assert isinstance(last, RunFinished)
    steps = last.run.steps
    assert {error.kind for s in ("slow", "each", "sub") if (error := steps[s].error)} == {"cancelled"}
    assert all(steps[s].status is Status.FAILED for s in steps)


def test_a_sub_flow_does_not_go_on_when_the_flow_around_it_failed(tmp_path: Path) -> None:
    """Its call in flight ends; the next one is not made, and its half-done outputs are not taken."""
    failed_at = asyncio.Event()

    class Slow(Simulator):
        asked: list[str] = []  # noqa: RUF012 - one instance

        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            self.asked.append(request.step)
            if request.step == "bad":
                await until(lambda: len(self.asked) == 2)
                asyncio.get_running_loop().call_later(0.01, failed_at.set)
                return Response(400, {"content-type": "application/json"}, [b"{}"])
            await asyncio.wait_for(failed_at.wait(), 10)
            return await super().respond(request, body)

    slow = Slow()
    failed = fail(tmp_path, "steps:\n  sub: {uses: sub.flow.yaml}\n  bad: {prompt: bad}\n", slow, files={"sub__flow__yaml": SUB})
    assert failed.step == "bad"
    assert sorted(slow.asked) == ["bad", "sub/inner"]
    assert part(failed).steps["sub"].error is not None
    assert part(failed).steps["sub"].usage.calls == 1


def test_waits_between_attempts_end_with_the_run(tmp_path: Path) -> None:
    """A call that waits to be made again is given up at once when another step fails."""
    text = "steps:\n  limited: {prompt: a}\n  bad: {prompt: bad, needs: [first]}\n  first: {prompt: f}\n"
    server = simulate({"limited": error(429, "slow", retry_after=60), "bad": error(400)})
    flow = load(tmp_path, text, server)
    (tmp_path / "flowkit.toml").write_text("")

    async def main() -> None:
        with pytest.raises(RunError) as caught:
            await asyncio.wait_for(flow.arun(), 5)
        assert caught.value.run is not None

    # One server that asks to wait holds all of its callers back, so the other steps need a model of their own.
    flow = load(
        tmp_path, text.replace("{prompt: bad", "{model: openai/o, prompt: bad").replace("{prompt: f", "{model: openai/o, prompt: f"), server
    )
    asyncio.run(main())
    assert len(server.asked("limited")) == 1


def test_a_failed_sub_flow_is_skipped_like_any_step(tmp_path: Path) -> None:
    """What it spent is counted; the flow around it goes on."""
    sub = "flowkit: 1\ndefaults: {model: openai/m}\nsteps:\n  one: {prompt: a}\n  two: {prompt: '{{ steps.one.output }}'}\n"
    text = """
    steps:
      sub: {uses: sub.flow.yaml, on_error: skip}
      after: {prompt: "{{ steps.sub.output.two if steps.sub.output else 'without' }}"}
    """
    server = simulate({"sub/two": error(400, "inner trouble"), "after": "done"})
    found = run(tmp_path, text, server, files={"sub__flow__yaml": sub})
    assert found.outputs == {"after": "done"}
    assert found.steps["sub"].status is Status.SKIPPED
    assert found.steps["sub"].error is not None
    assert "inner trouble" in found.steps["sub"].error.message
    assert found.steps["sub"].usage.calls == 1
    assert server.asked("after")[0].messages[-1].content == "without"


def test_a_failure_inside_of_a_sub_flow_names_the_inner_step(tmp_path: Path) -> None:
    failed = fail(tmp_path, "steps:\n  sub: {uses: sub.flow.yaml}\n", {"sub/next": error(404, "gone")}, files={"sub__flow__yaml": SUB})
    assert (failed.step, failed.kind) == ("sub/next", "not_found")
    assert part(failed).steps["sub"].status is Status.FAILED


def test_a_run_can_be_interrupted_with_what_it_has(tmp_path: Path) -> None:
    silent = Silent("a")
    flow = load(tmp_path, "steps:\n  a: {prompt: a}\n  b: {set: 1}\n", silent)

    async def main() -> RunError:
        started = flow.start({}, grace=0.01)
        task = asyncio.create_task(started.finish())
        await until(lambda: bool(silent.waiting))
        started.stop()
        with pytest.raises(RunError) as caught:
            await asyncio.wait_for(task, 10)
        return caught.value

    stopped = asyncio.run(main())
    assert stopped.kind == "cancelled"
    assert part(stopped).steps["b"].output == 1


def test_an_interrupt_before_the_start_starts_nothing(tmp_path: Path) -> None:
    server = simulate()
    flow = load(tmp_path, "steps:\n  a: {prompt: a}\n", server)

    async def main() -> None:
        started = flow.start({})
        started.stop()
        with pytest.raises(RunError, match="interrupted"):
            await started.finish()

    asyncio.run(main())
    assert server.requests == []


@pytest.mark.parametrize("text", ["steps:\n  a: {prompt: a}\n  b: {prompt: b}\n", "steps:\n  a: {foreach: range(3), prompt: a}\n"])
def test_a_bug_ends_the_run_at_once(tmp_path: Path, text: str) -> None:
    """An exception that nobody expects comes out as it is, with nothing left running."""

    class Bug(BaseException):
        pass

    class Broken(Simulator):
        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            if request.step == "b" or request.item:
                await asyncio.Event().wait()
            raise Bug

    flow = load(tmp_path, text, Broken())

    async def main() -> None:
        with pytest.raises((Bug, BaseExceptionGroup)):
            await asyncio.wait_for(flow.arun(), 10)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_cancellation_leaves_no_task(tmp_path: Path) -> None:
    """Cancelled from outside, a run ends all that it began and says so in its last event."""
    text = "steps:\n  a: {prompt: a}\n  each: {foreach: range(5), prompt: a}\n  sub: {foreach: range(2), uses: sub.flow.yaml}\n"
    silent = Silent("a", "each", "sub/inner")
    flow = load(tmp_path, text, silent, sub__flow__yaml=SUB)
    events: list[Event] = []

    async def main() -> None:
        task = asyncio.create_task(flow.start({}, emit=events.append).finish())
        await until(lambda: len(silent.waiting) == 8)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert len(silent.left) == 8
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.run.error is not None
    assert last.run.error.kind == "cancelled"


def test_a_check_that_never_holds_is_an_output_error(tmp_path: Path) -> None:
    failed = fail(tmp_path, "steps:\n  a: {prompt: a, checks: [{expr: \"'x' in output\"}]}\n", {"a": "y"})
    assert isinstance(failed, OutputError)
    assert failed.kind == "check"
