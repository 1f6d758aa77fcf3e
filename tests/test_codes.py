"""The catalogue of problem codes is whole, and each of its examples says what it shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from codes_checking import problems_of

import flowkit
from flowkit.codes import CODES, SECTIONS, Code
from flowkit.keys.tests import TABLES

PACKAGE = Path(flowkit.__file__).parent
#: Rooms that report problems.
ROOMS = ("source", "parser", "checker", "compiler", "types", "templates", "config", "functions.py", "replies.py", "project.py", "suites")
#: Words of these rooms that look like codes and are none.
OTHERS = (
    {"date-time", "python-re", "not-utf8", "sub-flow", "utf-8", "x-", "site-packages"}
    | set(TABLES["assertion"].names())
    | set(TABLES["message_test"].names())
)
_CODE = re.compile(r"[a-z]+\d?(-[a-z0-9]+)+")


def literals() -> dict[str, str]:
    """Every literal that is or looks like a code, with a place of it."""
    found = {}
    for room in ROOMS:
        path = PACKAGE / room
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
                    found[node.value] = f"{file.name}:{node.lineno}"
                reports = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"error", "warning"}
                if reports and node.args and isinstance(node.args[0], ast.Constant):
                    found[node.args[0].value] = f"{file.name}:{node.lineno}"
    return found


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_the_bad_example_has_exactly_this_code(code: Code) -> None:
    found = problems_of(code.bad)
    assert code.code in {p.code for p in found}
    assert {p.code for p in found} <= {code.code} | code.bad.others
    if not code.bad.others:
        assert len(found) == 1, "a mistake is one problem"


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_the_good_example_is_silent(code: Code) -> None:
    assert problems_of(code.good) == ()


def test_the_catalogue_holds_every_code_that_can_be_reported() -> None:
    reasons = {"not-a-file", "too-large", "bad-path", "not-utf8"}  # words of `project`, of which two are codes as well
    strange = {code: place for code, place in literals().items() if code not in CODES and code not in OTHERS | reasons}
    assert not strange


def test_the_catalogue_holds_nothing_else() -> None:
    assert set(CODES) - set(literals()) == set()


def test_each_code_stands_in_one_section() -> None:
    named = [code.code for codes in SECTIONS.values() for code in codes]
    assert sorted(named) == sorted(CODES)
    assert all(code.meaning.endswith(".") for code in CODES.values())
