"""The Python face: load, run, arun, stream, and a Runtime for services."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from running import HEAD, load, write

import flowkit
from flowkit.chat import ChatRequest
from flowkit.errors import ConfigError, FlowError, FlowkitError, InputError, RunError
from flowkit.events import RunFinished, RunStarted, StepDelta, StepFinished
from flowkit.results import Status
from flowkit.simulator import Simulator
from flowkit.testing import error, simulate
from flowkit.wire.response import Response

ECHO = "inputs: {q: string, n: {type: integer, default: 3}}\nsteps:\n  a: {prompt: '{{ inputs.q }} {{ inputs.n }}'}\n"


# -- load --------------------------------------------------------------------------------------------------


def test_load_reports_every_problem(tmp_path: Path) -> None:
    with pytest.raises(FlowError) as caught:
        load(tmp_path, "steps:\n  a: {prompt: '{{ inputs.x }}'}\n  b: {prompt: '{{ steps.nope.output }}'}\n")
    assert len([p for p in caught.value.problems if p.severity == "error"]) == 2
    assert caught.value.exit_code == 2


def test_load_keeps_warnings(tmp_path: Path) -> None:
    flow = load(tmp_path, "inputs: {unused: string}\nsteps:\n  a: {prompt: a}\n")
    assert [p.code for p in flow.warnings] == ["unused-input"]
    assert (flow.name, repr(flow)) == ("main", "<Flow 'main' of 1 steps>")


def test_load_takes_a_runtime_or_its_settings(tmp_path: Path) -> None:
    path = write(tmp_path, "steps:\n  a: {prompt: a}\n")
    with pytest.raises(ConfigError, match="either"):
        flowkit.load(path, runtime=flowkit.Runtime(), simulate=True)


def test_a_flow_with_variants_runs_as_written(tmp_path: Path) -> None:
    """Variants, a cache and limits that are far away change nothing of what is asked."""
    server = simulate()
    text = "limits: {calls: 3}\nsteps:\n  a: {prompt: a, cache: true, variants: {short: {prompt: b}}}\n"
    load(tmp_path, text, server).run()
    assert [r.messages[0].content for r in server.requests] == ["a"]


# -- run ---------------------------------------------------------------------------------------------------


def test_inputs_come_by_name_or_in_a_mapping(tmp_path: Path) -> None:
    server = simulate()
    flow = load(tmp_path, ECHO, server)
    flow.run(q="a")
    flow.run({"q": "b", "n": 4})
    flow.run({"q": "b", "n": 4}, n=5)
    assert [r.messages[0].content for r in server.requests] == ["a 3", "b 4", "b 5"]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "q"),
        ({"q": 5}, "q"),
        ({"q": None}, "q"),
        ({"q": "a", "n": "3"}, "n"),
        ({"q": "a", "n": float("nan")}, "n"),
        ({"q": "a", "n": 2.5}, "n"),
        ({"q": "a", "n": True}, "n"),
        ({"q": "a", "m": 1}, "m"),
        pytest.param({"q": object()}, "q", id="object"),
        ({"q": b"bytes"}, "q"),
        ({"q": "\ud800"}, "q"),
        ({"q": {"deep": "er"}}, "q"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_inputs_that_do_not_fit_are_refused_before_the_first_call(tmp_path: Path, inputs: dict[str, Any], said: str) -> None:
    server = simulate()
    with pytest.raises(InputError) as caught:
        load(tmp_path, ECHO, server).run(inputs)
    assert f"\n  {said}" in str(caught.value)
    assert caught.value.exit_code == 2
    assert server.requests == []


def test_every_input_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, ECHO).run(n="x", extra=1)
    assert all(f"\n  {name}" in str(caught.value) for name in ("q", "n", "extra"))


@pytest.mark.timeout(30)
def test_ten_megabytes_of_input_are_refused(tmp_path: Path) -> None:
    """A text beyond what a template may make fails in the step, not in the server's log."""
    server = simulate()
    flow = load(tmp_path, ECHO, server)
    with pytest.raises((InputError, RunError)):
        flow.run(q="x" * 10_000_000)
    assert server.requests == []


def test_inputs_are_not_changed_by_a_run(tmp_path: Path) -> None:
    given: dict[str, Any] = {"q": "a"}
    run = load(tmp_path, ECHO).run(given)
    assert given == {"q": "a"}
    assert run.inputs == {"q": "a", "n": 3}


def test_a_run_tells_what_it_did(tmp_path: Path) -> None:
    run = load(tmp_path, ECHO, {"a": "answer"}).run(q="q")
    assert (run.flow, run.status, run.simulated, run.error, run.failed) == ("main", Status.SUCCEEDED, True, None, None)
    step = run.steps["a"]
    assert (step.status, step.output, step.model, len(step.attempts), step.cached) == (
        Status.SUCCEEDED,
        "answer",
        "openai/gpt-test",
        1,
        False,
    )
    assert run.usage.calls == 1
    assert run.usage.input_tokens
    assert run.seconds >= (step.seconds or 0) >= 0
    assert [m.role for m in step.messages] == ["user", "assistant"]


def test_a_failed_run_comes_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        load(tmp_path, ECHO, {"a": error(404, "gone")}).run(q="q")
    run = caught.value.run
    assert run is not None
    assert (run.status, run.failed, run.steps["a"].status) == (Status.FAILED, "a", Status.FAILED)
    assert run.error is not None
    assert run.error.kind == "not_found"
    assert str(caught.value).startswith("step 'a': ")


def test_a_running_loop_gets_the_remedy(tmp_path: Path) -> None:
    """In a notebook or a service `run` says what to write instead."""
    flow = load(tmp_path, ECHO)

    async def main() -> None:
        with pytest.raises(FlowkitError, match=r"await flow\.arun"):
            flow.run(q="a")
        assert (await flow.arun(q="a")).status is Status.SUCCEEDED

    asyncio.run(main())


def test_one_flow_runs_in_several_threads_at_once(tmp_path: Path) -> None:
    """Each has an event loop of its own, and nothing is shared between loops."""
    flow = load(tmp_path, ECHO)
    found: list[Status] = []
    threads = [threading.Thread(target=lambda: found.append(flow.run(q="a").status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Status.SUCCEEDED] * 8


def test_a_model_without_a_key_is_refused_before_anything_is_called(tmp_path: Path) -> None:
    path = write(tmp_path, "steps:\n  a: {prompt: a}\n")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        flowkit.load(path, runtime=flowkit.Runtime(env={})).run()


def test_a_step_without_a_model_is_refused_where_it_would_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "main.flow.yaml"
    path.write_text("flowkit: 1\nsteps:\n  a: {prompt: a}\n")
    (tmp_path / "flowkit.toml").touch()
    with pytest.raises(ConfigError):
        flowkit.load(path, runtime=flowkit.Runtime(env={})).run()
    assert flowkit.load(path, simulate=True).run().status is Status.SUCCEEDED


def test_a_simulated_run_can_be_repeated(tmp_path: Path) -> None:
    """Each run has a simulator of its own, so that the second answers as the first did."""
    flow = flowkit.load(write(tmp_path, "steps:\n  a: {prompt: a, output: {n: integer, w: string}}\n"), simulate=True)
    assert flow.run().outputs == flow.run().outputs


def test_two_flows_on_one_simulated_runtime_do_not_mix(tmp_path: Path) -> None:
    """Steps of the same name have the types of their own flow."""
    for name, type_ in (("one", "integer"), ("two", "{text: string}")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, f"steps:\n  a: {{prompt: a, output: {type_}}}\n")

    async def main() -> None:
        async with flowkit.Runtime(simulate=True) as runtime:
            flows = [flowkit.load(tmp_path / name / "main.flow.yaml", runtime=runtime) for name in ("one", "two")]
            one, two = await asyncio.gather(*(flow.arun() for flow in flows))
        assert isinstance(one.outputs["a"], int)
        assert isinstance(two.outputs["a"], dict)

    asyncio.run(main())


# -- stream ------------------------------------------------------------------------------------------------


def test_stream_yields_pieces_and_ends_with_the_run(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        flow = load(tmp_path, ECHO, {"a": "An answer that is longer than one piece."})
        return [event async for event in flow.stream(q="a")]

    events = asyncio.run(main())
    assert isinstance(events[0], RunStarted)
    assert "".join(e.text for e in events if isinstance(e, StepDelta)) == "An answer that is longer than one piece."
    assert isinstance(events[-1], RunFinished)
    assert events[-1].run.outputs == {"a": "An answer that is longer than one piece."}


def test_a_failed_stream_ends_with_its_error(tmp_path: Path) -> None:
    """After the last event."""
    seen: list[Any] = []

    async def main() -> None:
        async for event in load(tmp_path, ECHO, {"a": error(400)}).stream(q="a"):
            seen.append(event)

    with pytest.raises(RunError):
        asyncio.run(main())
    assert isinstance(seen[-1], RunFinished)
    assert [e.status for e in seen if isinstance(e, StepFinished)] == [Status.FAILED]


def test_wrong_inputs_end_a_stream_before_it_begins(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(InputError):
            await anext(aiter(load(tmp_path, ECHO).stream(q=1)))

    asyncio.run(main())


def test_leaving_a_stream_early_ends_the_run(tmp_path: Path) -> None:
    class Endless(Simulator):
        left = False

        async def respond(self, request: ChatRequest, body: bytes) -> Response:
            try:
                await asyncio.Event().wait()
            finally:
                self.left = True
            raise AssertionError("waits for ever")

    endless = Endless()

    async def main() -> None:
        stream = load(tmp_path, ECHO, endless).stream(q="a")
        await anext(stream)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


# -- the package -------------------------------------------------------------------------------------------


def test_all_public_names_are_sorted_and_have_a_home() -> None:
    assert flowkit.__all__ == sorted(flowkit.__all__) == sorted(flowkit._HOMES) == dir(flowkit)
    for name in flowkit.__all__:
        assert getattr(flowkit, name).__module__.startswith("flowkit.")
    with pytest.raises(AttributeError, match="nothing_such"):
        flowkit.nothing_such  # noqa: B018 - the access is what fails


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files("flowkit").joinpath("py.typed").is_file()


def test_importing_the_package_imports_nothing_slow() -> None:
    """Nor does checking a flow load network code."""
    code = "import sys, flowkit; print([m for m in ('httpx', 'aiohttp', 'networkx', 'pydantic', 'jinja2', 'yaml', 'rich') if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(flowkit.__file__).parents[1])},
    )
    assert shown.stdout.strip() == "[]"


def test_a_simulated_run_loads_no_network_code(tmp_path: Path) -> None:
    write(tmp_path, "steps:\n  a: {prompt: a}\n")
    code = "import sys, flowkit; flowkit.load('main.flow.yaml', simulate=True).run(); print([m for m in ('httpx', 'aiohttp') if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(flowkit.__file__).parents[1])},
    )
    assert shown.stdout.strip() == "[]"
    assert HEAD
