"""pytest collects the tests of flows: the same files, the same ids, a failure is a failure and a broken server an error."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from suites_files import SAY

from flowkit.commands.test import command

pytest_plugins = ["pytester"]

TESTS = """\
tests:
  - {name: good, inputs: {word: a}, replies: {say: hello}, assert: [{equals: hello}], tags: [smoke]}
  - {name: bad, inputs: {word: a}, replies: {say: hello}, assert: [{equals: bye}]}
  - {name: down, inputs: {word: a}, replies: {say: [{error: {status: 401}}]}}
  - name: rows
    data: [{word: x}, {word: y}]
    replies: {say: hello}
    metrics: {length: {expr: outputs.say | length, at_least: 5}, words: {expr: row.word | length, at_most: 0}}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "flowkit.toml").write_text("")
    (pytester.path / "deep").mkdir()
    (pytester.path / "deep" / "say.flow.yaml").write_text(SAY)
    (pytester.path / "deep" / "say.test.yaml").write_text(TESTS)
    (pytester.path / "in.flow.yaml").write_text(SAY + "tests: [{inputs: {word: a}, replies: {say: hello}}]\n")
    (pytester.path / "none.flow.yaml").write_text(SAY)
    return pytester


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args)


def test_outcomes_are_those_of_flowkit_test(project: pytest.Pytester) -> None:
    found = run(project, "-rA")
    found.assert_outcomes(passed=5, failed=2, errors=1)
    found.stdout.fnmatch_lines(["*line 3: equals: bye*", '*expected  "bye"', '*got  "hello"', "*ERROR deep/say.test.yaml::down*"])
    assert "Traceback" not in found.stdout.str()


def test_ids_are_those_of_flowkit_test(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = run(project, "--collect-only", "-q").outlines
    ids = {line for line in listed if "::" in line}
    monkeypatch.chdir(project.path)
    document = json.loads(CliRunner().invoke(command, ["--json"], standalone_mode=False).stdout)
    assert ids == {test["id"] for test in document["tests"]} | {metric["id"] for metric in document["metrics"]}
    assert "deep/say.test.yaml::rows[2]" in ids


def test_a_test_is_chosen_by_its_id_and_by_its_tag(project: pytest.Pytester) -> None:
    run(project, "deep/say.test.yaml::rows[2]").assert_outcomes(passed=1)
    run(project, "-k", "smoke").assert_outcomes(passed=1, deselected=7)


def test_a_metric_is_skipped_when_not_all_of_its_cases_are_chosen(project: pytest.Pytester) -> None:
    run(project, "-k", "rows and not 1").assert_outcomes(passed=1, skipped=2, deselected=5)


def test_the_short_summary_names_the_assertion_that_failed(project: pytest.Pytester) -> None:
    run(project, "-k", "bad").stdout.fnmatch_lines(["FAILED deep/say.test.yaml::bad - line 3: equals: bye*"])


def test_the_plugin_can_be_turned_off(project: pytest.Pytester) -> None:
    found = project.runpytest_subprocess("-p", "no:flowkit")
    found.assert_outcomes()


def test_processes_share_the_work(project: pytest.Pytester) -> None:
    run(project, "-n", "2").assert_outcomes(passed=5, failed=2, errors=1)


def test_a_file_that_is_wrong_is_an_error_with_its_places(project: pytest.Pytester) -> None:
    (project.path / "deep" / "say.test.yaml").write_text("tests: [{inputs: {wrd: a}}]\n")
    found = run(project, "deep")
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["deep/say.test.yaml:1:19: error: *did you mean 'word'?"])
    assert "Traceback" not in found.stdout.str()


def test_no_model_is_asked_when_told(project: pytest.Pytester) -> None:
    (project.path / "deep" / "say.test.yaml").write_text("tests: [{inputs: {word: a}, assert: [{contains: Simulated}]}]\n")
    run(project, "deep", "--flowkit-simulate").assert_outcomes(passed=1)


def test_a_run_without_tests_of_flows_imports_nothing_for_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import sys\ndef test_it():\n    assert not {'flowkit.flow', 'httpx', 'jinja2', 'pydantic'} & set(sys.modules)\n")
    (pytester.path / "plain.flow.yaml").write_text(SAY)
    run(pytester, "-p", "no:hypothesispytest", "-p", "no:anyio").assert_outcomes(passed=1)
