"""Tests that are recorded and replayed: against a real server, then with neither server nor key."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from command_line import child
from counting_server import CountingServer
from suites_files import FLOW

from flowkit.commands.test import command

KEY = "sk-canary-0123456789abcdef"
TESTS = """\
tests:
  - name: one
    inputs: {ticket: It crashes.}
    assert: [{equals: bug, path: kind}, {called: 4}]
  - name: rows
    data: [{ticket: A, id: a}, {ticket: B, id: b}]
    repeat: 2
    assert: [{equals: bug, path: kind}]
  - {name: simulated, inputs: {ticket: x}, replies: replies.yaml, assert: [{equals: bug, path: kind}]}
"""
JUDGE = """\
flowkit: 1
inputs: {text: string}
steps:
  rate: {model: m, prompt: "Rate {{ inputs.text }}", output: {score: "number(0..1)"}}
outputs: steps.rate.output
"""


def reply(body: dict[str, Any]) -> str:
    last = str(body["messages"][-1]["content"])
    if "response_format" not in body:
        return f"First line.\n{last}"
    asked = body["response_format"]["json_schema"]["schema"]["properties"]
    if "score" in asked:
        return json.dumps({"reason": "so it is", "pass": True, "score": 0.9} if "pass" in asked else {"score": 0.9})
    return json.dumps({"kind": "bug", "issues": [{"title": f"On {last}", "severity": 5}, {"title": f"Of {last}", "severity": 1}]})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.delenv("CI", raising=False)
    with CountingServer(reply) as server:
        price = "price = {input = 1000, output = 2000}"
        Path("flowkit.toml").write_text(
            f'[providers.p]\nbase_url = "{server.url}"\napi_key_env = "TEST_KEY"\n'
            f'[models.m]\nmodel = "p/gpt"\n{price}\n[models.judge]\nmodel = "p/gpt"\n{price}\n'
        )
        Path("triage.flow.yaml").write_text(FLOW.replace("openai/m", "m"))
        Path("triage.test.yaml").write_text(TESTS)
        Path("replies.yaml").write_text("extract: {kind: bug, issues: []}\n")
        yield server


def call(*args: str, **env: str | None) -> Result:
    done = CliRunner().invoke(command, list(args), standalone_mode=False, env=env)
    if done.exception is not None:
        raise done.exception
    return done


def runs(*args: str, **env: str | None) -> list[dict[str, Any]]:
    """The tests of `--json`."""
    return json.loads(call(*args, "--json", **env).stdout)["tests"]


def tapes() -> list[str]:
    return sorted(str(path) for path in Path().rglob("cassettes/**/*.yaml"))


def test_what_was_recorded_is_replayed_with_neither_key_nor_server(server: CountingServer) -> None:
    """The same outputs, tokens and cost, each repeat with its own answers, and not one request."""
    done = call("--record")
    assert (done.return_value, server.count) == (0, 20)
    assert done.stdout.startswith("triage.test.yaml ✓✓✓✓")
    assert "recorded 3 cases" in done.stderr
    shutil.rmtree(".flowkit")
    live = runs("--live")
    server.__exit__(None, None, None)
    replayed = runs("--replay", TEST_KEY=None)
    assert [t["status"] for t in replayed] == ["passed"] * 4
    for mine, theirs in zip(replayed, live, strict=True):
        assert [(r["outputs"], r["usage"], r["cost"]) for r in mine["runs"]] == [
            (r["outputs"], r["usage"], r["cost"]) for r in theirs["runs"]
        ]
    assert [r["replayed"] for t in replayed for r in t["runs"]] == [True] * 5 + [False]
    assert "no model was asked, 20 recorded answers replayed" in call("--replay").stdout


def test_each_case_row_and_repeat_has_a_folder_that_reads_well(server: CountingServer) -> None:
    call("--record")
    found = {re.sub(r"-[0-9a-f]{6}/", "/", path) for path in tapes()}
    assert "cassettes/triage.tests/one/extract.yaml" in found
    assert {f"cassettes/triage.tests/rows-{key}/{again}draft.yaml" for key in "ab" for again in ("", "repeat-2/")} <= found
    assert len(found) == 15
    assert not any("simulated" in path for path in found)


def test_nothing_secret_stands_in_a_cassette(server: CountingServer) -> None:
    Path("triage.test.yaml").write_text(f"tests: [{{inputs: {{ticket: {KEY}}}}}]\n")
    call("--record")
    said = "".join(Path(path).read_text() for path in tapes())
    assert KEY not in said
    assert "uthorization" not in said
    assert "***" in said


def test_what_is_in_the_record_is_not_paid_again(server: CountingServer) -> None:
    """Recording twice asks once; repeats stay questions of their own; --fresh asks again."""
    call("--live")
    made = server.count
    done = call("--record")
    assert server.count == made == 20
    assert "no model was asked, 20 answers of the record used again" in done.stdout
    call("--record", "--fresh")
    assert server.count == 2 * made


def test_answers_of_the_record_count_in_assertions_as_when_they_were_paid(server: CountingServer) -> None:
    """A budget of a test holds whether or not its calls were paid before; a latency is not judged then."""
    Path("triage.test.yaml").write_text("tests: [{inputs: {ticket: A}, assert: [{cost: 0.01}, {latency: 60s}, {expr: run.calls == 4}]}]\n")
    first, again = runs("--live")[0]["runs"][0], runs("--live")[0]["runs"][0]
    assert [v["status"] for v in first["assertions"]] == ["failed", "passed", "passed"]
    assert [v["status"] for v in again["assertions"]] == ["failed", "unjudged", "passed"]
    assert (again["reused"], again["cost"], server.count) == (4, first["cost"], 4)


def test_recorded_cases_are_replayed_without_being_told_and_others_asked(server: CountingServer) -> None:
    call("--record", "-k", "one")
    made = server.count
    assert made == 4
    call("--fresh")
    assert server.count == made + 16
    call("--live", "--fresh")
    assert server.count == made + 16 + 20


def test_in_ci_nothing_is_asked_unasked(server: CountingServer) -> None:
    """What is recorded is replayed; of the rest each case is an error that says what to do."""
    call("--record", "-k", "one")
    made = server.count
    found = runs(CI="true", TEST_KEY=None)
    assert [t["status"] for t in found] == ["passed", "error", "error", "passed"]
    error = found[1]["runs"][0]["error"]
    assert error["kind"] == "not_recorded"
    assert (
        "in CI nothing is asked, and nothing is recorded for this case; `flowkit test --record` records it, and --live asks"
        in error["message"]
    )
    assert call(CI="true").return_value == 1
    assert server.count == made
    call("--live", "-k", "rows", CI="true")
    assert server.count > made


def test_a_changed_prompt_is_an_error_that_shows_the_change(server: CountingServer) -> None:
    """Not a failure, and not for want of a server: it names the nearest recorded request."""
    call("--record")
    flow = Path("triage.flow.yaml")
    flow.write_text(flow.read_text().replace('prompt: "Answer:', 'prompt: "Reply to:'))
    done = call("--replay", "-k", "one")
    assert done.return_value == 1
    assert done.stdout.startswith("triage.test.yaml E\n")
    assert re.search(r"no recorded answer at step 'draft': .* the nearest is cassettes/triage.tests/one/draft.yaml, call 1:", done.stdout)
    assert "   -user: Answer: On It crashes.\n   +user: Reply to: On It crashes.\n" in done.stdout


def test_a_miss_is_never_taken_for_an_error_of_the_flow(server: CountingServer) -> None:
    """A test that expects an error, and a step that goes on after one, must not pass for want of a recording."""
    flow = Path("triage.flow.yaml")
    flow.write_text(flow.read_text().replace('    prompt: "Escalate', '    on_error: skip\n    prompt: "Escalate'))
    Path("triage.test.yaml").write_text("tests: [{name: a, inputs: {ticket: A}}, {name: b, inputs: {ticket: A}, error: {}}]\n")
    call("--record", "-k", "::a")
    flow.write_text(flow.read_text().replace("Escalate", "Wake"))
    assert [t["runs"][0]["error"]["kind"] for t in runs("--replay")] == ["not_recorded"] * 2


def test_judges_are_recorded_and_replayed(server: CountingServer) -> None:
    """A flow that judges and a rubric, also where both ask the same thing twice."""
    Path("judge.flow.yaml").write_text(JUDGE)
    Path("triage.test.yaml").write_text(
        "tests:\n  - inputs: {ticket: A}\n    uses: judge.flow.yaml\n    with: {text: \"outputs.note or ''\"}\n"
        "    assert: [{expr: judge.score > 0.5}, {llm-rubric: It is kind., path: note}, {llm-rubric: It is kind., path: note}]\n"
    )
    call("--record")
    names = {re.sub(r"-[0-9a-f]{6}\.", ".", Path(path).name) for path in tapes()}
    assert {"judge-rate.yaml", "llm-rubric-rubric.yaml"} <= names
    server.__exit__(None, None, None)
    (case,) = runs("--replay", TEST_KEY=None)
    assert [v["status"] for v in case["runs"][0]["assertions"]] == ["passed"] * 3
    assert case["runs"][0]["usage"]["calls"] == 7


def test_columns_of_a_matrix_are_recorded_apart(server: CountingServer) -> None:
    Path("triage.test.yaml").write_text("{matrix: {variants: {draft: [base, short]}}, tests: [{name: t, inputs: {ticket: A}}]}\n")
    call("--record")
    drafts = [Path(path).read_text() for path in tapes() if path.endswith("draft.yaml")]
    assert sorted("Shortly" in text for text in drafts) == [False, True]
    assert call("--replay").return_value == 0


def test_a_server_that_failed_leaves_the_recording_as_it_was(server: CountingServer) -> None:
    call("--record", "-k", "one")
    before = {path: Path(path).read_bytes() for path in tapes()}
    server.reply = lambda _: (401, "who are you?")
    done = call("--record", "--fresh", "-k", "one")
    assert done.return_value == 3
    assert "recorded 0 cases; 1 could not be judged and stay as they were" in done.stderr
    assert {path: Path(path).read_bytes() for path in tapes()} == before


def test_what_the_flow_did_after_an_error_is_replayed_too(server: CountingServer) -> None:
    """A model that fell out and the one that stood in, as they were."""
    table = Path("flowkit.toml")
    table.write_text(table.read_text() + '[models.broken]\nmodel = "p/broken"\n')
    flow = Path("triage.flow.yaml")
    flow.write_text(flow.read_text().replace("defaults: {model: m}", "defaults: {model: [broken, m], retry: 1}"))
    Path("triage.test.yaml").write_text("tests: [{inputs: {ticket: A}, assert: [{called: 8}]}]\n")
    server.reply = lambda body: (500, "down") if body["model"] == "broken" else reply(body)
    (recorded,) = runs("--record")
    server.__exit__(None, None, None)
    (replayed,) = runs("--replay", TEST_KEY=None)
    assert replayed["runs"][0]["outputs"] == recorded["runs"][0]["outputs"]


def test_recordings_of_cases_that_are_gone_are_told_and_removed(server: CountingServer) -> None:
    """Only when all of a file is recorded: -k touches what it chose."""
    call("--record")
    tests = Path("triage.test.yaml")
    tests.write_text(TESTS.replace("name: one", "name: first").replace("repeat: 2", "repeat: 1"))
    told = call("--replay", "-k", "rows").stderr
    assert "recorded calls that no test asks for any more: cassettes/triage.tests/one" in told
    assert "repeat-2" in told
    assert Path("cassettes/triage.tests/one").exists()
    told = call("--record", "-k", "first").stderr
    assert "without -k, --tag or an id removes them" in told
    assert Path("cassettes/triage.tests/one").exists()
    assert "removed, for no test asks these any more" in call("--record").stderr
    assert not Path("cassettes/triage.tests/one").exists()
    assert not list(Path("cassettes").rglob("repeat-2"))
    assert "no test asks" not in call("--replay").stderr


def test_a_whole_file_that_is_gone_takes_its_recordings_along(server: CountingServer) -> None:
    call("--record", "-k", "one")
    Path("triage.test.yaml").rename("other.test.yaml")
    Path("other.test.yaml").write_text("flow: triage.flow.yaml\n" + TESTS)
    call("--record")
    assert {path.split("/")[1] for path in tapes()} == {"other.tests"}


def test_recording_only_some_touches_no_others(server: CountingServer) -> None:
    call("--record")
    before = {path: Path(path).stat().st_mtime_ns for path in tapes()}
    server.reply = lambda body: reply(body).replace("On", "Upon")
    call("--record", "--fresh", "triage.test.yaml::rows[a]")
    after = {path: Path(path).stat().st_mtime_ns for path in tapes()}
    changed = {path.split("/")[2] for path in after if after[path] != before.get(path)}
    assert len(changed) == 1
    assert next(iter(changed)).startswith("rows-a")


def test_all_tests_together_keep_to_a_budget(server: CountingServer) -> None:
    """Exit 4, and what was not run is said; what was paid is in the record."""
    done = call("--max-cost", "0.2")
    assert done.return_value == 4
    assert "not run" in done.stdout
    assert "stopped: " in done.stdout
    assert server.count <= 10  # each costs 0.02
    assert call().return_value == 0
    assert server.count == 20  # nothing of the first time was asked again


def test_repeats_wait_for_the_server_together(server: CountingServer) -> None:
    Path("triage.test.yaml").write_text("tests: [{inputs: {ticket: A}, repeat: 5}]\n")
    server.go.clear()
    process = child("test", "--json", env={"TEST_KEY": KEY})
    server.wait_for(5)
    server.go.set()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(json.loads(out)["tests"][0]["runs"]) == 5


def test_an_interrupt_ends_well_and_loses_nothing(server: CountingServer) -> None:
    """What ended is told, exit 130; the answers that came cost nothing the next time."""
    Path("triage.test.yaml").write_text(
        "tests:\n  - {name: sim, inputs: {ticket: x}, replies: replies.yaml}\n  - {name: real, inputs: {ticket: A}}\n"
    )
    server.go.clear()
    process = child("test", env={"TEST_KEY": KEY})
    server.wait_for(1)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "stopping: calls in flight have 5 s to finish" in process.stderr.readline()
    server.go.set()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert "1 passed, 1 not run" in out
    assert "1 call, 10 tokens in, 5 out" in out
    assert "interrupted: " in out
    assert server.count == 1
    assert call().return_value == 0
    assert server.count == 4


def test_a_second_interrupt_ends_at_once(server: CountingServer) -> None:
    server.go.clear()
    process = child("test", "--json", "-k", "one", env={"TEST_KEY": KEY})
    server.wait_for(1)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=5)
    assert process.returncode == 130
    assert json.loads(out)["summary"]["interrupted"] is True


def test_options_that_exclude_each_other_are_refused(server: CountingServer) -> None:
    import click

    for pair in (["--record", "--replay"], ["--live", "--simulate"], ["--accept", "--simulate"], ["--replay", "--fresh"]):
        with pytest.raises(click.UsageError, match="exclude each other"):
            call(*pair)


def test_pytest_records_and_replays_the_same_cassettes(server: CountingServer) -> None:
    """In several processes; what is gone is removed; CI asks nothing."""
    stale = Path("cassettes/triage.tests/gone/x.yaml")
    stale.parent.mkdir(parents=True)
    stale.touch()
    done = run_pytest("--flowkit-record", "-n", "2", TEST_KEY=KEY)
    assert "4 passed" in done
    assert server.count == 20
    assert not stale.parent.exists()
    assert "4 passed" in run_pytest("--flowkit-replay")
    assert "4 passed" in run_pytest(CI="1")
    shutil.rmtree("cassettes")
    said = run_pytest(CI="1")
    assert "1 passed, 3 errors" in said
    assert "nothing is recorded for this case" in said
    assert "exclude each other" in run_pytest("--flowkit-record", "--flowkit-replay")
    assert server.count == 20


def run_pytest(*args: str, **more: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in {"TEST_KEY", "CI"}} | more
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *args],
        check=False,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr
