"""Right flows are silent, and a broken one says its one mistake in its place.

Beside each flow of `flows/bad` stands the exact text that people see: `NAME.expected.txt`. After a wanted change of wording run the tests once
with `FLOWKIT_REWRITE=1`, which writes these files again, and read the difference; `index.json` is written by hand and says what a reader wants.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowkit import compiler, config, project
from flowkit.console import problems as shown

if TYPE_CHECKING:
    from flowkit.errors import Problem

FLOWS = Path(__file__).parent / "flows"
REWRITE = os.environ.get("FLOWKIT_REWRITE") == "1"
BAD: list[dict[str, Any]] = json.loads((FLOWS / "bad/index.json").read_text(encoding="utf-8"))["files"]
TRICKY: list[dict[str, Any]] = json.loads((FLOWS / "tricky/index.json").read_text(encoding="utf-8"))["files"]
GOOD = sorted(p.relative_to(FLOWS).as_posix() for p in (FLOWS / "good").rglob("*.flow.yaml"))


def problems_of(path: Path) -> tuple[tuple[Problem, ...], int]:
    """Return what the check of a flow reports where no environment is, and how many files it read."""
    found = project.Project(FLOWS / path.relative_to(FLOWS).parts[0])
    checked = compiler.check(path, cwd=path.parent, models=config.load(found, {}), found=found)
    return checked.problems, len(checked.files)


def among(wanted: Any, given: int) -> bool:
    """Whether a number is the wanted one, or one of several equally good ones."""
    return wanted is None or given in (wanted if isinstance(wanted, list) else [wanted])


def lacking(words: list[Any], text: str) -> list[Any]:
    """Return the words that a text lacks; a list stands for any of its words."""
    return [w for w in words if not any(x.lower() in text.lower() for x in (w if isinstance(w, list) else [w]))]


def ident(entry: dict[str, Any]) -> str:
    return str(entry["file"]).removesuffix(".flow.yaml")


@pytest.mark.parametrize("name", GOOD)
def test_right_flow_is_silent(name: str) -> None:
    assert problems_of(FLOWS / name)[0] == ()


@pytest.mark.parametrize("entry", TRICKY, ids=ident)
def test_right_flow_that_looks_wrong_is_silent(entry: dict[str, Any]) -> None:
    assert problems_of(FLOWS / "tricky" / entry["file"])[0] == (), entry["what"]


@pytest.mark.parametrize("entry", BAD, ids=ident)
def test_one_mistake_is_one_problem_in_its_place(entry: dict[str, Any]) -> None:
    problems, _ = problems_of(FLOWS / "bad" / entry["file"])
    assert len(problems) == 1, problems
    (problem,) = problems
    assert problem.severity == entry["severity"]
    assert problem.place.path == entry.get("problem_file", entry["file"])
    assert among(entry["line"], problem.place.line)
    assert among(entry["column"], problem.place.column)
    assert not lacking(entry["must_mention"], f"{problem.message} {problem.code}")
    assert not lacking(entry["hint_mentions"], f"{problem.hint} {problem.message}")


@pytest.mark.parametrize("entry", BAD, ids=ident)
def test_a_broken_flow_is_reported_in_these_words(entry: dict[str, Any]) -> None:
    problems, files = problems_of(FLOWS / "bad" / entry["file"])
    # A hint may name the folder of the project, which is another one on each machine.
    text = shown.text(problems, files=files).replace(str(FLOWS / "bad"), "PROJECT")
    expected = FLOWS / "bad" / f"{ident(entry)}.expected.txt"
    if REWRITE:
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert not [w for w in entry.get("must_not_mention", ()) if w in text]


def test_the_indexes_name_every_flow() -> None:
    for kind, entries in (("bad", BAD), ("tricky", TRICKY)):
        assert sorted(p.name for p in (FLOWS / kind).glob("*.flow.yaml")) == sorted(e["file"] for e in entries)
    assert sorted(p.name for p in (FLOWS / "bad").glob("*.expected.txt")) == sorted(f"{ident(e)}.expected.txt" for e in BAD)
