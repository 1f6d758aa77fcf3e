"""`flowkit plan`: hits are found, calls are counted, bounds hold, and nothing is ever asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from counting_server import CountingServer

from flowkit.main import cli

FLOW = """\
flowkit: 1
inputs: {topic: string}
defaults: {model: m, params: {max_tokens: 50}}
steps:
  split:
    prompt: "Split {{ inputs.topic }}"
    output: {parts: list(string)}
  draft:
    foreach: steps.split.output.parts
    prompt: "Write about {{ item }}"
  vote:
    prompt: "Judge {{ steps.draft.output }}"
    samples: 2
  merge: {set: "steps.vote.output | join(', ')"}
  last: {prompt: "End with {{ steps.merge.output }}"}
"""


def reply(body: dict[str, Any]) -> str:
    return '{"parts": ["a", "b", "c"]}' if "response_format" in body else f"about {len(body['messages'][-1]['content'])}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.chdir(tmp_path)
    with CountingServer(reply) as server:
        table = f'[providers.p]\nbase_url = "{server.url}"\n[models.m]\nmodel = "p/gpt"\nprice = {{input = 1, output = 2}}\n'
        Path("flowkit.toml").write_text(table)
        Path("a.flow.yaml").write_text(FLOW)
        yield server


def flowkit(*words: str, code: int = 0) -> str:
    found = CliRunner().invoke(cli, words)
    assert found.exit_code == code, found.output
    return found.stdout


def plan(*words: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(flowkit("plan", "a.flow.yaml", *words, "--json"))
    return said


def counted(said: dict[str, Any]) -> dict[str, tuple[int, int, bool]]:
    return {path: (step["hits"], step["calls"], step["open"]) for path, step in said["steps"].items() if step["kind"] == "chat"}


def test_before_the_first_run_only_the_first_step_is_sure(server: CountingServer) -> None:
    """What depends on an answer is open; the first call and its bounds are known; no key, no call."""
    said = plan("-i", "topic=x")
    assert counted(said) == {"split": (0, 1, False), "draft": (0, 0, True), "vote": (0, 0, True), "last": (0, 0, True)}
    assert said["tokens"]["output_at_most"] == 50
    assert 0 < said["cost_at_most"] < 0.001
    assert server.count == 0


def test_what_surely_follows_is_told_from_what_may(server: CountingServer) -> None:
    """A list may be empty and a step may be skipped; what waits for neither asks at least once. A part of a cost is no bound."""
    Path("a.flow.yaml").write_text(
        "flowkit: 1\ndefaults: {model: m, params: {max_tokens: 50}}\nsteps:\n  one: {prompt: One, output: {parts: list(string)}}\n"
        '  two: {prompt: "Two {{ steps.one.output }}"}\n  each: {foreach: steps.one.output.parts, prompt: "{{ item }}"}\n'
        '  three: {when: steps.one.output.parts, prompt: "Three {{ steps.one.output }}"}\n'
        '  last: {prompt: "Last {{ steps.two.output }}"}\n  end: {prompt: "End {{ steps.each.output }}"}\n'
    )
    said = flowkit("plan", "a.flow.yaml")
    rows = {line.split()[0]: line.split(None, 1)[1] for line in said.splitlines() if line.startswith("  ")}
    assert {name: row for name, row in rows.items() if "at least" in row} == dict.fromkeys(
        ["two", "last", "end"], "at least 1 call follows"
    )
    assert "1 call to make; at least 3 calls more in two, last, end; more may follow in " in said
    assert "cost of the calls known so far: at most $" in said


def test_looking_makes_no_record(server: CountingServer) -> None:
    """A plan where nothing was ever run leaves no file behind."""
    plan("-i", "topic=x")
    assert not Path(".flowkit").exists()


def test_after_a_run_all_is_a_hit_and_costs_nothing(server: CountingServer) -> None:
    """The same run again would call nothing."""
    flowkit("run", "a.flow.yaml", "-i", "topic=x")
    made = server.count
    said = plan("-i", "topic=x")
    assert counted(said) == {"split": (1, 0, False), "draft": (3, 0, False), "vote": (2, 0, False), "last": (1, 0, False)}
    assert said["cost_at_most"] == 0.0
    assert server.count == made
    assert "nothing, all of it is in the record" in flowkit("plan", "a.flow.yaml", "-i", "topic=x")


def test_a_changed_step_shows_as_its_calls(server: CountingServer) -> None:
    """After one edit, what stands above is a hit, the step itself is counted whole, samples and all, and what is below is open."""
    flowkit("run", "a.flow.yaml", "-i", "topic=x")
    Path("a.flow.yaml").write_text(FLOW.replace("Judge", "Weigh"))
    said = plan("-i", "topic=x")
    assert counted(said) == {"split": (1, 0, False), "draft": (3, 0, False), "vote": (0, 2, False), "last": (0, 0, True)}
    assert said["open"] == ["last"]
    before = server.count
    flowkit("run", "a.flow.yaml", "-i", "topic=x")
    assert server.count - before == 2  # `last` got what it got before


def test_one_changed_item_is_one_call(server: CountingServer) -> None:
    """Of a `foreach`, only the items that are new are counted."""
    flow = FLOW.replace("steps.split.output.parts", "inputs.parts").replace("{topic: string}", "{topic: string, parts: list(string)}")
    Path("a.flow.yaml").write_text(flow)
    flowkit("run", "a.flow.yaml", "-i", "topic=x", "-i", 'parts:=["a", "b"]')
    assert counted(plan("-i", "topic=x", "-i", 'parts:=["a", "new", "b"]'))["draft"] == (2, 1, False)


def test_fresh_counts_as_if_nothing_were_kept(server: CountingServer) -> None:
    """--fresh of plan is --fresh of run."""
    flowkit("run", "a.flow.yaml", "-i", "topic=x")
    assert counted(plan("-i", "topic=x", "--fresh"))["split"] == (0, 1, False)


def test_an_unpriced_model_is_named(server: CountingServer) -> None:
    """Unknown is unknown, not 0."""
    Path("flowkit.toml").write_text(Path("flowkit.toml").read_text().replace("price", "#"))
    said = plan("-i", "topic=x")
    assert (said["cost_at_most"], said["unpriced"]) == (None, ["p/gpt"])
    assert "there is no price for p/gpt" in flowkit("plan", "a.flow.yaml", "-i", "topic=x")


def test_an_answer_without_a_bound_has_no_upper_cost_but_a_usual_size(server: CountingServer) -> None:
    """What earlier answers took is told beside."""
    Path("a.flow.yaml").write_text(FLOW.replace(", params: {max_tokens: 50}", ""))
    flowkit("run", "a.flow.yaml", "-i", "topic=x")
    said = plan("-i", "topic=y")
    assert said["cost_at_most"] is None
    assert said["steps"]["split"]["usual_output_tokens"] == 5.0
    assert "no upper bound" in flowkit("plan", "a.flow.yaml", "-i", "topic=y")


def test_functions_are_not_called(server: CountingServer) -> None:
    """A function may do anything, so what it gives is unknown before."""
    Path("parts.py").write_text("def boom() -> str:\n    open('called', 'w').close()\n    return 'x'\n")
    Path("a.flow.yaml").write_text('flowkit: 1\nsteps:\n  f: {call: "parts:boom"}\n  a: {model: m, prompt: "{{ steps.f.output }}"}\n')
    assert counted(plan()) == {"a": (0, 0, True)}
    assert not Path("called").exists()


def test_rows_of_data_are_summed(server: CountingServer) -> None:
    """A data file gives the sum over its rows."""
    flowkit("run", "a.flow.yaml", "-i", "topic=x")
    Path("rows.jsonl").write_text('{"topic": "x"}\n{"topic": "y"}\n{"topic": "z"}\n')
    said = plan("--data", "rows.jsonl")
    assert (said["rows"], said["hits"], said["calls"], said["failures"]) == (3, 7, 2, [])


def test_rows_that_would_fail_are_told_by_their_place_and_counted(server: CountingServer) -> None:
    """A row that cannot be read, one that does not fit: each in a line with its file and line, and the code says so."""
    Path("rows.jsonl").write_text('{"topic": "x"}\n\n{"topic": 5}\nnot json\n')
    said = json.loads(flowkit("plan", "a.flow.yaml", "--data", "rows.jsonl", "--json", code=1))
    assert (said["rows"], said["calls"]) == (3, 1)
    assert said["failures"] == [
        "rows.jsonl:3: the inputs of flow 'a' do not fit: topic: must be text, not 5",
        "rows.jsonl:4: not JSON: Expecting value, column 1",
    ]
    text = flowkit("plan", "a.flow.yaml", "--data", "rows.jsonl", code=1)
    assert text.splitlines()[0] == "a: 3 rows of inputs"
    assert [line for line in text.splitlines() if line.startswith("would fail: ")] == [f"would fail: {each}" for each in said["failures"]]


def test_steps_of_a_sub_flow_are_counted_by_their_path(server: CountingServer) -> None:
    """Inside a sub-flow the second step is open until the first is answered."""
    Path("sub.flow.yaml").write_text(
        'flowkit: 1\ninputs: {t: string}\nsteps:\n  one: {model: m, prompt: "1 {{ inputs.t }}"}\n  two: {model: m, prompt: "2 {{ steps.one.output }}"}\n'
    )
    Path("a.flow.yaml").write_text("flowkit: 1\ninputs: {topic: string}\nsteps:\n  s: {uses: sub.flow.yaml, with: {t: inputs.topic}}\n")
    assert counted(plan("-i", "topic=x")) == {"s/one": (0, 1, False), "s/two": (0, 0, True)}
    flowkit("run", "a.flow.yaml", "-i", "topic=x")
    assert counted(plan("-i", "topic=x")) == {"s/one": (1, 0, False), "s/two": (1, 0, False)}
    assert server.count == 2


def test_a_template_that_would_fail_is_told(server: CountingServer) -> None:
    """What would end the run before a call is a failure of the plan, and its exit code that of the run."""
    Path("a.flow.yaml").write_text('flowkit: 1\ninputs: {n: list(integer)}\nsteps:\n  a: {model: m, prompt: "{{ inputs.n[5] }}"}\n')
    found = json.loads(flowkit("plan", "a.flow.yaml", "-i", "n:=[1]", "--json", code=1))
    assert found["calls"] == 0
    assert found["failures"]
