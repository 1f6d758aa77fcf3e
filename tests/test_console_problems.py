"""Problems as text, JSON and workflow commands."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.console import problems
from flowkit.errors import Place, Problem, Severity
from flowkit.printable import width

SOURCE = '      - user: "Category: {{ steps.clasify.output }}"'


def _problem(
    source: str = SOURCE,
    column: int = 35,
    end: int = 42,
    *,
    line: int = 12,
    severity: Severity = "error",
    path: str = "flows/triage.flow.yaml",
    message: str = "step 'reply' reads 'steps.clasify', which is not a step",
    hint: str | None = "did you mean 'classify'?",
) -> Problem:
    return Problem(Place(path, line, column, end, source), severity, "unknown-step", message, hint)


def _marked(problem: Problem, columns: int = problems.LINE_COLUMNS) -> str:
    """Return what stands above the carets, found by terminal columns."""
    _, shown, carets, *_ = problems.text([problem], files=1, columns=columns).splitlines()
    start = width(carets) - carets.count("^")
    above, at = "", 0
    for char in shown:
        if start <= at < start + carets.count("^"):
            above += char
        at += width(char)
    return above


def test_layout_is_that_of_the_house() -> None:
    """A problem reads: place, severity, message; the source line with its number; carets; the hint; at the end the count."""
    assert problems.text([_problem()], files=1) == (
        "flows/triage.flow.yaml:12:35: error: step 'reply' reads 'steps.clasify', which is not a step\n"
        '   12 |       - user: "Category: {{ steps.clasify.output }}"\n'
        "      |                                   ^^^^^^^\n"
        "   hint: did you mean 'classify'?\n"
        "1 error in 1 file\n"
    )


@pytest.mark.parametrize(
    ("source", "column", "end", "marked"),
    [
        ("\tmodel: fast", 9, 13, "fast"),
        ("a:\t\tb", 5, 6, "b"),
        ("問い: {{ 答え.x }}", 8, 10, "答え"),
        ("cafe\u0301: {{ x }}", 11, 12, "x"),
        ("👍👍 x", 4, 5, "x"),
        ("name: x", 7, 7, "x"),
        ("name: x", 7, 99, "x"),
        ("\x1b[31m: x", 8, 9, "x"),
    ],
)
def test_carets_stand_under_the_name(source: str, column: int, end: int, marked: str) -> None:
    """Tabs, wide, combining and control characters before a name do not move its carets; an empty range has one."""
    assert _marked(_problem(source, column, end)) == marked


def test_end_of_line_can_be_marked() -> None:
    """What is missing at the end of a line is marked behind it."""
    lines = problems.text([_problem("a: [1", 6, 7)], files=1).splitlines()
    assert lines[2] == "      |      ^"


@pytest.mark.parametrize("before", [0, 30, 5000])
def test_long_line_is_shown_around_its_mark(before: int) -> None:
    """Of a line of ten thousand characters only the part around the mark is shown, and the mark is in it."""
    problem = _problem("x" * before + "NAME" + "y" * 9000, before + 1, before + 5)
    assert _marked(problem, 80) == "NAME"
    assert all(width(line) <= 80 + 8 for line in problems.text([problem], files=1, columns=80).splitlines()[1:3])


@given(st.text(st.characters(codec=None), max_size=40), st.integers(1, 50), st.integers(0, 60), st.integers(20, 60))
def test_no_source_breaks_the_layout(source: str, column: int, end: int, columns: int) -> None:
    """Whatever stands in a file, a problem has its lines, at least one caret, and nothing that a terminal obeys."""
    shown = problems.text([_problem(source, column, end)], files=1, columns=columns)
    lines = shown.split("\n")
    assert len(lines) == (6 if source.strip() else 4)
    assert "^" in lines[2] or not source.strip()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", shown)


def test_place_without_line_has_no_source() -> None:
    """A problem of a whole file names the file alone."""
    shown = problems.text([_problem("", 0, 0, line=0, message="no such file", hint=None)], files=1)
    assert shown.splitlines()[0] == "flows/triage.flow.yaml: error: no such file"


def test_hint_of_several_lines_is_indented() -> None:
    """Further lines of a hint stand under its first."""
    shown = problems.text([_problem(hint="write:\nprompt: |\n  Issue #1")], files=1)
    assert "   hint: write:\n         prompt: |\n           Issue #1\n" in shown


def test_color_changes_nothing_but_color() -> None:
    """With colours taken away, the text is the plain text."""
    found = [_problem(), _problem(severity="warning", line=99_999)]
    colored = problems.text(found, files=3, color=True)
    assert "\x1b[1;31m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == problems.text(found, files=3)


@pytest.mark.parametrize(
    ("severities", "paths", "files", "said"),
    [
        ("", "", 1, "no problems in 1 file"),
        ("", "", 3, "no problems in 3 files"),
        ("eew", "aaa", 1, "2 errors, 1 warning in 1 file"),
        ("w", "a", 3, "1 warning in 1 of 3 files"),
        ("ee", "ab", 2, "2 errors in 2 files"),
    ],
)
def test_summary_counts(severities: str, paths: str, files: int, said: str) -> None:
    """The last line counts errors, warnings and the files that have them."""
    found = [_problem(severity="error" if s == "e" else "warning", path=p) for s, p in zip(severities, paths, strict=True)]
    assert problems.text(found, files=files).splitlines()[-1] == said


def test_json_is_the_documented_object() -> None:
    """`check --format json` prints one object with exactly the documented keys."""
    assert json.loads(problems.json([_problem()], files=2)) == {
        "problems": [
            {
                "path": "flows/triage.flow.yaml",
                "line": 12,
                "column": 35,
                "end_column": 42,
                "severity": "error",
                "code": "unknown-step",
                "message": "step 'reply' reads 'steps.clasify', which is not a step",
                "hint": "did you mean 'classify'?",
            }
        ],
        "files": 2,
    }


def test_github_escapes() -> None:
    """No text can end a workflow command, add a property or begin another command."""
    problem = _problem(path="a,b:c%.yaml", message="50% of\r\n::error::x", hint=None)
    assert problems.github([problem]) == (
        "::error file=a%2Cb%3Ac%25.yaml,line=12,col=35,endColumn=42,title=unknown-step::50%25 of%0D%0A::error::x\n"
    )


def test_github_shows_hint_and_severity() -> None:
    """A warning is a warning, and its hint stands below it."""
    shown = problems.github([_problem(severity="warning", message="unused", hint="remove it")])
    assert shown.startswith("::warning file=")
    assert shown.endswith("::unused%0Ahint: remove it\n")
