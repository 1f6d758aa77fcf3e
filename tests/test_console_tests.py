"""Results are shown so that a person sees what differs, and so that programs can read them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from suites_files import SAY, ran, suite

from flowkit.console import tests as shown
from flowkit.console import tests_data
from flowkit.console.comparing import compared
from flowkit.errors import ConfigError
from flowkit.suites.measuring import p90
from flowkit.suites.results import Report
from flowkit.suites.running import Bench, run_cases
from flowkit.suites.selecting import chosen, parsed

MIXED = """\
tests:
  - {name: good, inputs: {word: a}, replies: {say: hello}, assert: [{equals: hello}], tags: [smoke]}
  - {name: bad, inputs: {word: a}, replies: {say: "hello\\nyou\\e[31m"}, assert: [{equals: "hello\\nAda"}]}
  - {name: down, inputs: {word: a}, replies: {say: [{error: {status: 401}}]}}
"""


def mixed(folder: Path) -> Report:
    return ran(folder, MIXED, flow=SAY, name="say")


def test_one_cause_is_told_once_and_shares_in_words(tmp_path: Path) -> None:
    down = "replies: {say: [{error: {status: 401}}]}"
    tests = f"tests:\n  - {{name: rows, data: [{{word: a}}, {{word: b}}, {{word: c}}], {down}}}\n"
    tests += "  - {name: some, inputs: {word: a}, replies: {say: hi}, assert: [{equals: ho}], repeat: 2, pass_rate: 0.8}\n"
    tests += "  - {name: all, inputs: {word: a}, replies: {say: hi}, assert: [{equals: ho}], repeat: 2}\n"
    text = shown.text(ran(tmp_path, tests, flow=SAY, name="say"), columns=100)
    assert text.count("the run ended with") == 1
    assert "   the same for 2 more cases: say.test.yaml::rows[2], say.test.yaml::rows[3]\n" in text
    assert "(0 of 2 runs passed, 80 % wanted)" in text
    assert "(0 of 2 runs passed, all wanted)" in text


def test_changes_that_are_the_same_are_one_cause() -> None:
    one, other = (f"no; a/{each}\n--- recorded\n+++ asked now\n@@ -1 +1 @@\n {each}\n-old\n+new" for each in "ab")
    assert shown.alike("say", one) == shown.alike("say", other)
    assert shown.alike("say", one) != shown.alike("say", one.replace("+new", "+newer"))


def test_two_short_values_stand_one_above_the_other() -> None:
    assert compared("bug", "question", columns=80) == ['expected  "bug"', '     got  "question"']
    assert compared("5", 5, columns=80) == ['expected  "5"', "     got  5"]


def test_long_values_stand_side_by_side_where_there_is_room() -> None:
    lines = compared("one\ntwo\nthree", "one\n2\nthree", columns=103)
    assert [line.split("│")[0].strip() for line in lines if "≠" not in line] == ["expected", "─" * 50 + "─┼─" + "─" * 50, "one", "three"]
    assert [[part.strip() for part in line.split("≠")] for line in lines if "≠" in line] == [["two", "2"]]


def test_a_line_too_long_for_its_column_goes_on_below() -> None:
    words = " ".join(["word"] * 40)
    lines = compared(f"{words}\n", f"{words}\nmore", columns=103)
    assert all(len(line) <= 103 for line in lines)
    assert sum(line.count("word") for line in lines) == 80


def test_on_a_narrow_screen_they_are_a_difference() -> None:
    assert compared({"a": "x" * 40, "b": "y" * 40}, {"a": "x" * 40, "b": "z" * 40}, columns=60) == [
        "- expected",
        "+ got",
        "  {",
        f'    "a": "{"x" * 40}",',
        f'-   "b": "{"y" * 40}"',
        f'+   "b": "{"z" * 40}"',
        "  }",
    ]


def test_marks_come_file_by_file_in_whatever_order_cases_end(tmp_path: Path) -> None:
    cases = [case for name in ("a", "b") for case in suite(tmp_path, MIXED, flow=SAY, name=name).cases()]
    results = asyncio.run(run_cases(cases, Bench())).cases
    marks = shown.Marks(cases)
    pieces = [marks.ended(results[at]) for at in (3, 1, 5, 0, 2, 4)]
    assert pieces[:2] == ["", "a.test.yaml ✗"]
    assert "".join(pieces) + marks.rest() == "a.test.yaml ✗✓E\nb.test.yaml ✓E✗\n"


def test_what_did_not_run_ends_its_line(tmp_path: Path) -> None:
    cases = suite(tmp_path, MIXED, flow=SAY, name="say").cases()
    marks = shown.Marks(cases)
    report = asyncio.run(run_cases(cases[:1], Bench()))
    assert marks.ended(report.cases[0]) + marks.rest() == "say.test.yaml ✓\n"


def test_files_that_never_began_have_no_line(tmp_path: Path) -> None:
    cases = [case for name in ("a", "b", "c") for case in suite(tmp_path, MIXED, flow=SAY, name=name).cases()]
    marks = shown.Marks(cases)
    report = asyncio.run(run_cases([*cases[:1], cases[8]], Bench()))
    assert [marks.ended(result) for result in report.cases] == ["a.test.yaml ✓", ""]
    assert marks.rest() == "\nc.test.yaml E\n"


MEASURED = """\
tests:
  - name: rows
    data: [{word: x}, {word: y}]
    replies: {say: hello}
    assert: [{cost: 1}, {llm-rubric: a, model: openai/m}, {contains: "%s"}, {python: 'checks:odd'}]
    metrics: {fine: {expr: outputs.say | length, at_least: 5}, low: {expr: 1, at_least: 2, at_most: 3}, none: {expr: row.word | int, aggregate: 'checks:bad'}}
"""


def test_metrics_and_what_was_not_judged_are_said(tmp_path: Path) -> None:
    checks = "def odd(value): return 0.5\ndef bad(values): raise ValueError('no')\n"
    report = ran(tmp_path, MEASURED % "bye", flow=SAY, name="say", checks__py=checks)
    text = shown.text(report, columns=100, color=True)
    assert "say.test.yaml::rows metric fine: 5, at least 5 wanted (over 2 cases)\n" in text
    assert "FAILED\x1b[0m say.test.yaml::rows metric low\n   1 is not at least 2 and at most 3 (over 2 cases)\n" in text
    assert "ERROR\x1b[0m say.test.yaml::rows metric none\n   checks:bad raised ValueError: no (over 2 cases)\n" in text
    assert '     the text does not\n     │ "hello"\n' in text
    assert '   row 1: {"word": "x"}\n' in text
    assert "1 metric failed\x1b[0m, \x1b[35m1 metric could not be judged\x1b[0m, 4 assertions not judged (simulated) in " in text
    root = ElementTree.fromstring(tests_data.junit(report))
    assert [case.get("name") for case in root.iter("testcase") if case.find("error") is not None] == ["rows metric none"]
    assert json.loads(tests_data.json(report))["metrics"][1]["value"] == 1


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    lines = "\\n".join(f"line {n}" for n in range(40))
    tests = f'tests: [{{inputs: {{word: a}}, replies: {{say: "{lines}"}}, assert: [{{contains: x}}]}}]'
    text = shown.text(ran(tmp_path, tests, flow=SAY, name="say"), columns=80)
    assert "     │ line 11\n     │ … 28 more lines\n" in text


def test_the_text_says_what_failed_and_what_could_not_be_judged(tmp_path: Path) -> None:
    text = shown.text(mixed(tmp_path), columns=80)
    assert "✗ FAILED say.test.yaml::bad\n   line 3: equals: hello Ada  (step 'say')\n" in text
    assert "- Ada\n     + you␛[31m\n" in text
    assert "user: Say a\n" in text
    assert "E ERROR say.test.yaml::down\n   the run ended with auth at step 'say': " in text
    assert text.splitlines()[-1].startswith("1 passed, 1 failed, 1 could not be judged in ")
    assert text.endswith(", no model was asked\n")


def test_the_table_has_cases_and_metrics_by_columns(tmp_path: Path) -> None:
    tests = """\
    matrix: {models: [openai/a, openai/b]}
    tests:
      - {name: one, data: [{word: x}, {word: y}], replies: {say: [{match: x, reply: good}, {match: y, reply: bad}]}, assert: [{equals: good}]}
    metrics: {rate: {expr: outputs.say == 'good'}}
    """
    report = ran(tmp_path, tests, flow=SAY, name="say")
    table = shown.table(report.cases[0].case.suite, report.cases, report.metrics).splitlines()
    assert table[0].split() == ["say.test.yaml", "openai/a", "openai/b"]
    assert [line.split() for line in table[1:4]] == [
        ["one[1]", "✓", "✓"],
        ["one[2]", "✗", "✗"],
        ["metric", "rate", "0.5", "0.5"],
    ]


def test_json_holds_all_that_is_known(tmp_path: Path) -> None:
    document = json.loads(tests_data.json(mixed(tmp_path)))
    assert document["exit_code"] == 1
    assert [(t["id"], t["status"]) for t in document["tests"]] == [
        ("say.test.yaml::good", "passed"),
        ("say.test.yaml::bad", "failed"),
        ("say.test.yaml::down", "error"),
    ]
    (assertion,) = document["tests"][1]["runs"][0]["assertions"]
    assert (assertion["expected"], assertion["got"], assertion["step"], assertion["line"]) == ("hello\nAda", "hello\nyou\x1b[31m", "say", 3)
    assert document["tests"][2]["runs"][0]["error"]["kind"] == "auth"
    assert document["summary"]["passed"] == 1


def test_junit_is_xml_in_which_an_error_is_no_failure(tmp_path: Path) -> None:
    root = ElementTree.fromstring(tests_data.junit(mixed(tmp_path)))
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    cases = {case.get("name"): case for case in root.iter("testcase")}
    failure = cases["bad"].find("failure")
    assert failure is not None
    assert failure.get("message") == "line 3: equals: hello Ada  (step 'say')"
    assert cases["down"].find("error") is not None


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("good", ["good"]),
        ("SMOKE", ["good"]),
        ("not smoke", ["bad", "down"]),
        ("good or down", ["good", "down"]),
        ("say and not (good or down)", ["bad"]),
        ("", ["good", "bad", "down"]),
    ],
)
def test_an_expression_chooses_by_id_and_tag(tmp_path: Path, expression: str, wanted: list[str]) -> None:
    cases = suite(tmp_path, MIXED, flow=SAY, name="say").cases()
    assert [case.name for case in chosen(cases, expression=expression)] == wanted


@pytest.mark.parametrize("expression", ["good and", "(good", "good down", "and good", "not", ")"])
def test_an_expression_that_is_none_is_refused(expression: str) -> None:
    with pytest.raises(ConfigError, match="-k "):
        parsed(expression)


def test_a_tag_chooses_cases(tmp_path: Path) -> None:
    cases = suite(tmp_path, MIXED, flow=SAY, name="say").cases()
    assert [case.name for case in chosen(cases, tags=("smoke", "other"))] == ["good"]


def test_nine_tenths_are_no_larger_than_p90() -> None:
    assert [p90([3, 1, 2]), p90(list(range(1, 11))), p90([5])] == [3, 9, 5]
