"""Functions, values and sub-flows as steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import fail, run

from flowkit.errors import CallError, FlowError, OutputError, RenderError
from flowkit.results import Status
from flowkit.testing import simulate

FUNCTIONS = """
from __future__ import annotations
import asyncio, dataclasses, datetime, enum, sys, threading
import pydantic

@dataclasses.dataclass
class Point:
    x: int
    y: int = 2

class Model(pydantic.BaseModel):
    name: str
    points: list[Point]

def plain(n: int) -> int:
    return n + 1

async def later(n: int) -> int:
    await asyncio.sleep(0)
    return n + 1

def dataclass(n: int) -> Point:
    return Point(n)

def model(n: int) -> Model:
    return Model(name="m", points=[Point(n)])

def raising(n: int) -> int:
    raise ValueError("bad number")

async def raising_later(n: int) -> int:
    raise ValueError("bad number")

def stop_iteration(n: int) -> int:
    return next(iter(()))

def leaving(n: int) -> int:
    sys.exit(3)

async def cancelling(n: int) -> int:
    raise asyncio.CancelledError

def wrong(n: int) -> int:
    return "text"

def unserialisable(n: int):
    return object()

def circular(n: int):
    a = []
    a.append(a)
    return a

def not_a_number(n: int):
    return {"x": float("nan")}

def thread(n: int) -> str:
    return threading.current_thread().name

def date(n: int):
    return {"day": datetime.date(2026, 1, n)}

def coroutine(n: int):
    return later(n)

def anything(**given):
    return given
"""


def call(folder: Path, name: str, with_: str = "{n: 1}", more: str = "") -> object:
    text = f"steps:\n  a: {{call: 'fun:{name}', with: {with_}{more}}}\n"
    return run(folder, text, None, files={"fun__py": FUNCTIONS}).outputs["a"]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("plain", 2),
        ("later", 2),
        ("coroutine", 2),
        ("dataclass", {"x": 1, "y": 2}),
        ("model", {"name": "m", "points": [{"x": 1, "y": 2}]}),
        ("date", {"day": "2026-01-01"}),
    ],
)
def test_a_function_gives_plain_data(tmp_path: Path, name: str, output: object) -> None:
    assert call(tmp_path, name) == output


def test_a_plain_function_may_block(tmp_path: Path) -> None:
    """It runs beside the event loop."""
    assert call(tmp_path, "thread") != "MainThread"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raising", "fun:raising raised ValueError: bad number"),
        ("raising_later", "fun:raising_later raised ValueError: bad number"),
        ("stop_iteration", "raised StopIteration"),
        ("leaving", "raised SystemExit: 3"),
        ("cancelling", "was cancelled from within"),
        ("unserialisable", "returned what is no plain data"),
        ("circular", "returned what is no plain data"),
        ("not_a_number", "returned what is no plain data"),
    ],
)
def test_a_function_that_fails_fails_its_step(tmp_path: Path, name: str, said: str) -> None:
    """Whatever it raises, and what cannot be written down."""
    failed = fail(tmp_path, f"steps:\n  a: {{call: 'fun:{name}', with: {{n: 1}}}}\n", None, files={"fun__py": FUNCTIONS})
    assert isinstance(failed, CallError)
    assert (failed.kind, failed.step) == ("call", "a")
    assert said in failed.message


def test_what_a_function_returns_must_have_its_type(tmp_path: Path) -> None:
    failed = fail(tmp_path, "steps:\n  a: {call: 'fun:wrong', with: {n: 1}}\n", None, files={"fun__py": FUNCTIONS})
    assert isinstance(failed, OutputError)
    assert "does not fit its type" in failed.message


def test_a_function_that_fails_may_be_skipped(tmp_path: Path) -> None:
    found = run(tmp_path, "steps:\n  a: {call: 'fun:raising', with: {n: 1}, on_error: skip}\n", None, files={"fun__py": FUNCTIONS})
    assert found.outputs == {"a": None}


def test_with_may_be_a_whole_record(tmp_path: Path) -> None:
    text = "inputs: {n: integer, word: string}\nsteps:\n  a: {call: 'fun:anything', with: inputs}\n"
    assert run(tmp_path, text, None, files={"fun__py": FUNCTIONS}, n=1, word="w").outputs["a"] == {"n": 1, "word": "w"}


@pytest.mark.parametrize("step", ["call: 'fun:anything'", "uses: sub.flow.yaml"])
def test_with_that_is_no_mapping_fails_with_a_word(tmp_path: Path, step: str) -> None:
    files = {"fun__py": FUNCTIONS, "sub__flow__yaml": "flowkit: 1\nsteps: {a: {set: 1}}\n"}
    failed = fail(tmp_path, f"inputs: {{x: any}}\nsteps:\n  a: {{{step}, with: inputs.x}}\n", None, files=files, x=[1])
    assert isinstance(failed, RenderError)
    assert failed.message == "`with` must give a mapping, not list"


def test_functions_run_when_models_are_simulated(tmp_path: Path) -> None:
    found = run(tmp_path, "steps:\n  a: {call: 'fun:plain', with: {n: 4}}\n", None, files={"fun__py": FUNCTIONS})
    assert found.simulated
    assert found.outputs == {"a": 5}


# -- values ------------------------------------------------------------------------------------------------


def test_values_are_computed_from_what_is_there(tmp_path: Path) -> None:
    text = """
    inputs: {xs: list(integer)}
    values: {limit: 3}
    steps:
      a:
        set:
          sum: inputs.xs | sum
          big: inputs.xs | select('gt', values.limit) | list
          fixed: {n: 1, none: null, list: [1, "'two'", "inputs.xs[0]"]}
    """
    assert run(tmp_path, text, None, xs=[1, 5]).outputs["a"] == {
        "sum": 6,
        "big": [5],
        "fixed": {"n": 1, "none": None, "list": [1, "two", 1]},
    }


def test_declared_values_are_held_to_their_type(tmp_path: Path) -> None:
    text = "inputs: {x: any}\nsteps:\n  a: {set: inputs.x, output: integer}\n"
    assert run(tmp_path, text, None, x=3).outputs["a"] == 3
    assert isinstance(fail(tmp_path, text, None, x="3"), OutputError)


def test_values_without_a_type_are_taken_as_they_are(tmp_path: Path) -> None:
    """What the checker inferred is its own knowledge, not a promise of the author."""
    text = "inputs: {xs: list(integer)}\nsteps:\n  a: {set: {first: inputs.xs | first, all: inputs.xs | sort}}\n"
    assert run(tmp_path, text, None, xs=[2, 1]).outputs["a"] == {"first": 2, "all": [1, 2]}


def test_values_do_not_share_what_they_are_made_of(tmp_path: Path) -> None:
    found = run(tmp_path, "inputs: {xs: list(integer)}\nsteps:\n  a: {set: inputs.xs}\n  b: {set: inputs.xs}\n", None, xs=[1])
    found.outputs["a"].append(2)
    assert found.outputs["b"] == [1]
    assert found.inputs == {"xs": [1]}


# -- sub-flows ---------------------------------------------------------------------------------------------

INNER = """
flowkit: 1
defaults: {model: openai/inner}
inputs: {q: string, tone: {type: string, default: dry}, extra?: string}
steps:
  ask: {prompt: "{{ inputs.tone }}: {{ inputs.q }}{% if inputs.extra %} {{ inputs.extra }}{% endif %}"}
outputs: {text: steps.ask.output}
"""


def test_a_sub_flow_has_its_own_inputs_and_defaults(tmp_path: Path) -> None:
    """What is absent is left out, so that its default counts; models and parameters of the flow around it do not reach it."""
    text = """
    inputs: {q: string, tone?: string}
    steps:
      sub: {uses: sub.flow.yaml, with: {q: inputs.q, tone: "inputs.tone | default('dry')"}}
    """
    server = simulate({"sub/ask": "inner answer"})
    found = run(tmp_path, text, server, files={"sub__flow__yaml": INNER}, q="why")
    assert found.outputs == {"sub": {"text": "inner answer"}}
    (request,) = server.requests
    assert (request.step, request.model, request.messages[0].content) == ("sub/ask", "inner", "dry: why")


def test_sub_flows_nest(tmp_path: Path) -> None:
    """Paths grow with each level, and what each spent is counted once, in the step of the outermost flow."""
    middle = "flowkit: 1\ninputs: {q: string}\nsteps:\n  deep: {uses: sub.flow.yaml, with: {q: inputs.q}}\noutputs: {t: steps.deep.output.text}\n"
    server = simulate({"top/deep/ask": "x"})
    found = run(
        tmp_path,
        "steps:\n  top: {uses: middle.flow.yaml, with: {q: \"'hi'\"}}\n",
        server,
        files={"sub__flow__yaml": INNER, "middle__flow__yaml": middle},
    )
    assert found.outputs == {"top": {"t": "x"}}
    assert [r.step for r in server.requests] == ["top/deep/ask"]
    assert list(found.steps) == ["top"]
    assert found.usage.calls == found.steps["top"].usage.calls == 1
    assert len(found.steps["top"].attempts) == 1


def test_inputs_of_a_sub_flow_are_checked_when_it_runs(tmp_path: Path) -> None:
    text = "inputs: {q: any}\nsteps:\n  sub: {uses: sub.flow.yaml, with: {q: inputs.q}}\n"
    failed = fail(tmp_path, text, None, files={"sub__flow__yaml": INNER}, q=5)
    assert isinstance(failed, RenderError)
    assert "sub.flow.yaml do not fit" in failed.message


def test_a_sub_flow_may_be_skipped_by_when(tmp_path: Path) -> None:
    text = "steps:\n  sub: {uses: sub.flow.yaml, with: {q: \"'a'\"}, when: 1 > 2}\noutputs: {t: steps.sub.output.text}\n"
    server = simulate()
    found = run(tmp_path, text, server, files={"sub__flow__yaml": INNER})
    assert found.outputs == {"t": None}
    assert found.steps["sub"].status is Status.SKIPPED
    assert server.requests == []


def test_a_sub_flow_cannot_contain_itself(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="uses itself"):
        run(tmp_path, "steps:\n  a: {uses: main.flow.yaml}\n")
