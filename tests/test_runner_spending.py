"""Limits of a run against a server that counts: concurrency never overshoots, and what was paid is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from counting_server import CountingServer

from flowkit.main import cli

FLOW = """\
flowkit: 1
inputs: {n: integer}
defaults: {model: m, params: {max_tokens: 5}}
steps:
  each:
    foreach: range(inputs.n)
    prompt: "Say {{ item }}"
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.chdir(tmp_path)
    with CountingServer(usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}) as server:
        table = (
            f'[providers.p]\nbase_url = "{server.url}"\n[models.m]\nmodel = "p/gpt"\nmax_parallel = 32\nprice = {{input = 1, output = 1}}\n'
        )
        Path("flowkit.toml").write_text(table)
        Path("a.flow.yaml").write_text(FLOW)
        yield server


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["run", "a.flow.yaml", "-i", "n=40", *words])


def outcome(found: Result) -> Any:
    return json.loads(found.stdout)["error"]


def test_calls_are_counted_before_they_are_made(server: CountingServer) -> None:
    """Forty items want to ask at once; ten may."""
    found = run("--max-calls", "10", "--json")
    assert (found.exit_code, server.count) == (4, 10)
    assert outcome(found)["kind"] == "limit"
    assert "may make 10 calls" in outcome(found)["message"]


def test_a_run_that_a_limit_stopped_goes_on_from_there(server: CountingServer) -> None:
    """Each further run of the same limit pays for ten more; nothing is paid twice."""
    for _ in range(3):
        assert run("--max-calls", "10").exit_code == 4
    assert run("--max-calls", "10").exit_code == 0
    assert server.count == 40
    assert len({body["messages"][0]["content"] for body in server.bodies}) == 40


def test_limits_of_the_file_hold_and_the_command_line_counts_more(server: CountingServer) -> None:
    """`limits:` is what a run may use; a person may say otherwise for one run."""
    Path("a.flow.yaml").write_text(FLOW + "limits: {calls: 3}\n")
    assert run().exit_code == 4
    assert server.count == 3
    assert run("--max-calls", "40").exit_code == 0
    assert server.count == 40


def test_tokens_never_go_beyond_the_limit(server: CountingServer) -> None:
    """Each call says how long its answer may be, so that the sum of what the server counted stays below."""
    assert run("--max-tokens", "200").exit_code == 4
    assert 0 < server.count * 10 <= 200


def test_cost_never_goes_beyond_the_limit(server: CountingServer) -> None:
    """The same in dollars: a call costs 10 millionths here."""
    found = run("--max-cost", "0.0001", "--json")
    assert found.exit_code == 4
    assert 0 < server.count <= 10
    assert json.loads(found.stdout)["cost"] <= 0.0001


def test_without_every_price_a_cost_limit_is_refused_before_the_first_call(server: CountingServer) -> None:
    """What cannot be kept is not promised, also where only the last step has no price."""
    Path("flowkit.toml").write_text(Path("flowkit.toml").read_text() + '[models.other]\nmodel = "p/gpt-2"\n')
    Path("a.flow.yaml").write_text(FLOW + '  last: {model: other, prompt: "{{ steps.each.output }}"}\n')
    found = run("--max-cost", "1")
    assert (found.exit_code, server.count) == (2, 0)
    assert "that of p/gpt-2 is unknown" in found.stderr
    Path("a.flow.yaml").write_text(FLOW + '  last: {model: other, prompt: "{{ steps.each.output }}"}\nlimits: {cost: 1}\n')
    assert (run().exit_code, server.count) == (2, 0)


def test_a_simulated_run_costs_nothing(server: CountingServer) -> None:
    """So that a limit can be tried."""
    assert run("--max-cost", "1", "--simulate").exit_code == 0
    assert server.count == 0


def test_answers_of_the_record_use_no_budget(server: CountingServer) -> None:
    """What is free is not counted."""
    assert run().exit_code == 0
    assert run("--max-calls", "1").exit_code == 0
    assert server.count == 40


def test_time_that_is_over_starts_nothing_new(server: CountingServer) -> None:
    """`--max-seconds` ends the run as a limit; what was in flight is kept."""
    server.delay = 0.2
    Path("flowkit.toml").write_text(Path("flowkit.toml").read_text().replace("max_parallel = 32", "max_parallel = 1"))
    found = run("--max-seconds", "0.5", "--json")
    assert (found.exit_code, outcome(found)["kind"]) == (4, "limit")
    assert server.count < 10
    server.delay = 0.0
    assert run().exit_code == 0
    assert server.count == 40


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much"])
def test_an_amount_that_is_none_is_refused(server: CountingServer, value: str) -> None:
    """Before anything is called."""
    assert run("--max-cost", value).exit_code == 2
    assert server.count == 0
