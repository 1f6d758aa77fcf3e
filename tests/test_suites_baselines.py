"""Baselines: what was accepted stands in git, later runs are compared with it, and a difference is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from counting_server import CountingServer
from hypothesis import given
from hypothesis import strategies as st
from suites_files import FLOW, SAY, suite

from flowkit.chat import Usage
from flowkit.commands.test import command
from flowkit.errors import ConfigError
from flowkit.money import Cost
from flowkit.suites.baselines import Accepted, Baseline, key_of
from flowkit.suites.drifting import Took, drift
from flowkit.suites.results import Outcome

TESTS = """\
tests:
  - name: rows
    data: [{ticket: A, id: a}, {ticket: B, id: b}]
    metrics: {drafts: {expr: outputs.drafts | length, at_least: 1}, size: {expr: outputs.note | length}}
  - {name: rendered, inputs: {ticket: x}, assert: [{step: extract, messages: x}]}
  - {name: fails, inputs: {ticket: x}, replies: {extract: [{error: {status: 400}}]}, error: bad_request}
  - {name: simulated, inputs: {ticket: x}, replies: replies.yaml}
"""


def reply(body: dict[str, Any]) -> str:
    last = str(body["messages"][-1]["content"])
    if "response_format" not in body:
        return f"Thank you for telling us about this and for all of your patience.\nIt was: {last[:20]}"
    return json.dumps({"kind": "bug", "issues": [{"title": f"On {last}", "severity": 5}]})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    with CountingServer(reply) as server:
        Path("flowkit.toml").write_text(
            f'[providers.p]\nbase_url = "{server.url}"\n[models.m]\nmodel = "p/gpt"\nprice = {{input = 1, output = 2}}\n'
        )
        Path("triage.flow.yaml").write_text(FLOW.replace("openai/m", "m"))
        Path("triage.test.yaml").write_text(TESTS)
        Path("replies.yaml").write_text("extract: {kind: bug, issues: []}\nescalate: Wake up!\n")
        yield server


def call(*args: str) -> Result:
    done = CliRunner().invoke(command, list(args), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done


FILE = Path("baselines/triage.tests.yaml")


def test_what_passed_is_accepted_and_compared(server: CountingServer) -> None:
    """Outputs, tokens, cost and time of what ran, not of what only rendered or was to fail."""
    done = call("--accept")
    assert done.return_value == 0
    assert "baselines/triage.tests.yaml: 3 cases accepted" in done.stderr
    text = FILE.read_text()
    assert "  rows[a]:\n    outputs:\n      kind: bug\n      drafts:\n      - |-\n        Thank you for" in text
    assert re.search(r"    tokens: 45\n    cost: 0.00006\n    seconds: \d", text)
    assert "metrics:\n  rows metric drafts: 1.0\n" in text
    assert "rendered" not in text
    assert "fails" not in text
    assert call().return_value == 0
    assert "3 cases accepted, as before" in call("--accept").stderr
    assert FILE.read_text() == text


def test_a_difference_fails_and_shows_both(server: CountingServer) -> None:
    call("--accept")
    server.reply = lambda body: reply(body).replace("bug", "question")
    done = call("--fresh", "triage.test.yaml::rows[a]")
    assert done.return_value == 1
    assert 'baseline: kind\n     expected  "bug"\n          got  "question"\n' in done.stdout
    assert "baseline: note" in done.stdout
    assert "accepted with --accept" in done.stdout
    assert call("--fresh", "--no-baseline", "triage.test.yaml::rows[a]").return_value == 0


def test_prose_may_vary_in_its_words(server: CountingServer) -> None:
    """As much as is said in the file, or for a case; what is ignored is not compared."""
    call("--accept")
    server.reply = lambda body: reply(body).replace("all of your patience", "your great patience")
    assert call("--fresh").return_value == 0
    server.reply = lambda body: reply(body).replace("Thank you for telling us about this and for all of", "We are grateful that you had")
    assert call("--fresh", "triage.test.yaml::rows[a]").return_value == 1
    FILE.write_text(FILE.read_text().replace("similar: 0.8", "similar: 0.4"))
    assert call("triage.test.yaml::rows[a]").return_value == 0
    FILE.write_text(FILE.read_text().replace("similar: 0.4", "similar: 0.8").replace("ignore: []", "ignore: [note, drafts]"))
    assert call("triage.test.yaml::rows[a]").return_value == 0


def test_more_tokens_and_cost_than_may_be_fail(server: CountingServer) -> None:
    """Fewer never do."""
    call("--accept")
    server.usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    done = call("--fresh", "triage.test.yaml::rows[a]")
    assert "baseline: tokens\n     75, the baseline is 45 and may grow by 20%" in done.stdout
    assert "baseline: cost\n" in done.stdout
    FILE.write_text(FILE.read_text().replace("tokens: 20%\n  cost: 20%", "tokens: 0.7\n  cost: 70%"))
    assert call("triage.test.yaml::rows[a]").return_value == 0
    server.usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    assert call("--fresh", "triage.test.yaml::rows[a]").return_value == 0


def test_latency_is_compared_only_where_servers_were_waited_for(server: CountingServer) -> None:
    call("--accept")
    call("--record")
    text = FILE.read_text()
    said = [line for line in text.splitlines() if "seconds: " in line]
    for line in said:
        text = text.replace(line, "    seconds: 0.001")
    FILE.write_text(text)
    server.delay = 0.05
    done = call("--live", "--fresh", "triage.test.yaml::rows[a]")
    assert done.return_value == 1
    assert "baseline: latency" in done.stdout
    assert call("--live", "triage.test.yaml::rows[a]").return_value == 0  # answers of the record
    assert call("--replay").return_value == 0
    call("--accept", "--replay")
    assert FILE.read_text().count("seconds: 0.001") == 2


def test_a_metric_that_became_worse_fails(server: CountingServer) -> None:
    """In the direction that its bounds forbid; without bounds in both."""
    call("--accept")
    FILE.write_text(
        FILE.read_text().replace("rows metric drafts: 1.0", "rows metric drafts: 1.5").replace("rows metric size: ", "rows metric size: 9")
    )
    done = call()
    assert done.return_value == 1
    assert "rows metric drafts\n   1, the baseline is 1.5 and may be 0.075 worse" in done.stdout
    assert "rows metric size\n" in done.stdout
    FILE.write_text(
        FILE.read_text().replace("rows metric drafts: 1.5", "rows metric drafts: 0.2").replace("  rows metric size", "  was metric size")
    )
    assert call().return_value == 0


def test_accepting_some_touches_no_others_and_tolerances_stay(server: CountingServer) -> None:
    call("--accept")
    text = (
        FILE.read_text().replace("similar: 0.8", "similar: 0.7").replace("  rows[b]:\n", "  rows[b]:\n    tolerances:\n      similar: 0\n")
    )
    FILE.write_text(text)
    server.reply = lambda body: reply(body).replace("bug", "question")
    call("--accept", "--fresh", "triage.test.yaml::rows[a]")
    parts = FILE.read_text().partition("  rows[b]:")
    assert "similar: 0.7" in parts[0]
    assert "kind: question" in parts[0]
    assert "kind: bug" in parts[2]
    assert "tolerances:\n      similar: 0\n" in parts[2]
    assert "rows metric drafts" in parts[2]


def test_cases_that_are_gone_leave_and_those_that_fail_stay(server: CountingServer) -> None:
    call("--accept")
    before = FILE.read_text()
    tests = Path("triage.test.yaml")
    tests.write_text(
        TESTS.replace(
            "data: [{ticket: A, id: a}, {ticket: B, id: b}]", "data: [{ticket: A, id: a}]\n    assert: [{equals: question, path: kind}]"
        )
    )
    call("--accept", "--fresh")
    after = FILE.read_text()
    assert "rows[b]" not in after
    a = before.partition("  rows[a]:")[2].partition("  rows[b]:")[0]
    assert a in after
    tests.write_text("tests: [{name: rendered, inputs: {ticket: x}, assert: [{step: extract, messages: x}]}]\n")
    call("--accept")
    assert not FILE.exists()


def test_a_case_without_a_baseline_is_not_judged_by_one(server: CountingServer) -> None:
    call("--accept", "triage.test.yaml::rows[a]")
    assert call("triage.test.yaml::rows[b]").return_value == 0
    assert "rows[b]" not in FILE.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tolerances: {similar: much}", "the tolerance 'similar' is 'much'; write a number such as 0.2, or 20%"),
        ("tolerances: {tokns: 1}", "'tolerances' has 'tokns'; known are cost, ignore, latency"),
        ("cases: [1]", "'cases' is no mapping"),
        ("cases: {a: {outputs: 1, cost: x}}", "'cost' of case 'a' is no number"),
        ("cases: {a: {outputs_json: '{'}}", "'outputs_json' of case 'a' is no JSON"),
        ("metrics: {m: x}", "metric 'm' is no number"),
        ("cases: {", "line 1"),
        ("tolerances: {ignore: reply}", "'ignore' is no list"),
    ],
)
def test_a_broken_file_is_refused_before_anything_is_asked(server: CountingServer, text: str, said: str) -> None:
    FILE.parent.mkdir()
    FILE.write_text(text)
    with pytest.raises(ConfigError, match="this is no baseline") as caught:
        call()
    assert said in str(caught.value)
    assert server.count == 0


def test_simulated_tests_are_compared_but_not_with_made_up_answers(server: CountingServer) -> None:
    call("--accept")
    Path("replies.yaml").write_text("extract: {kind: bug, issues: []}\nescalate: Sleep well!\n")
    assert "baseline: note" in call("-k", "simulated").stdout
    assert call("-k", "simulated", "--simulate").return_value == 0


# -- the comparison itself -----------------------------------------------------------------------------------


def compare(folder: Path, was: Any, now: Any, output: str, **tolerances: Any) -> list[str]:
    """Reasons why outputs of a type differ."""
    flow = SAY.replace('{prompt: "Say {{ inputs.word }}"}', f'{{prompt: "Say {{{{ inputs.word }}}}", output: "{output}"}}')
    case = suite(folder, "tests: [{name: t, inputs: {word: a}}]\n", flow=flow + "outputs: {it: steps.say.output}\n", name="say").cases()[0]
    said = {**Baseline(Path()).said, **tolerances}
    baseline = Baseline(Path("b.yaml"), said, {"t": Accepted({"it": was})})
    return [
        f"{v.shown} {v.reason}".strip()
        for v in drift(baseline, case, Took({"it": now}, Usage(), Cost(), None))
        if v.outcome is Outcome.FAILED
    ]


SAME = [
    ("string", "We will look into that soon.", "We will look into this soon."),
    ("list(string)", ["a b c d e f"], ["a b c d e g"]),
    ("number", 1, 1.0),
    ("string | null", None, None),
]
OTHER = [
    ("string", "FK-20418", "FK-20419", "baseline: it"),
    ("string", "We will look into that.", "Never.", "baseline: it"),
    ("enum(very good | very bad)", "very good", "very bad", "baseline: it"),
    ("number", 1.0, 1.1, "baseline: it"),
    ("boolean", True, 1, "baseline: it"),
    ("list(string)", ["a"], ["a", "b"], "baseline: it 2 items, not 1"),
    ("list(string)", ["a", "b"], ["a", "c"], "baseline: it[1]"),
    ("string | null", None, "a", "baseline: it"),
    ("map(integer)", {"a": 1}, {"a": 2}, "baseline: it.a"),
]


@pytest.mark.parametrize(("output", "was", "now"), SAME)
def test_what_means_the_same_is_no_difference(tmp_path: Path, output: str, was: Any, now: Any) -> None:
    assert compare(tmp_path, was, now, output) == []


@pytest.mark.parametrize(("output", "was", "now", "said"), OTHER)
def test_what_is_data_is_compared_to_the_letter(tmp_path: Path, output: str, was: Any, now: Any, said: str) -> None:
    assert compare(tmp_path, was, now, output) == [said]


def test_numbers_may_be_off_by_what_is_said(tmp_path: Path) -> None:
    assert compare(tmp_path, 10, 10.9, "number", numbers="10%") == []
    assert compare(tmp_path, 10, 11.1, "number", numbers="10%") == ["baseline: it"]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
)


@given(st.dictionaries(_TEXT.filter(str.strip), _DATA, min_size=1, max_size=3))
def test_any_outputs_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, said: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("baseline")
    own = suite(folder, "tests: [{name: t, inputs: {word: a}}]\n", flow=SAY, name="say")
    path = Baseline.of(own).path
    Baseline(path, cases={key_of(name): Accepted(value) for name, value in said.items()}).write()
    found = Baseline.of(own).cases
    assert json.dumps({name: found[key_of(name)].outputs for name in said}) == json.dumps(said)
