"""The tests of the example flows pass, and ask no model."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from example_cassettes import calls, cases

from flowkit import config
from flowkit.keys.tests import TABLES
from flowkit.project import find
from flowkit.suites import load, shelves
from flowkit.suites.bench import Bench, own_replies
from flowkit.suites.running import run_cases
from flowkit.suites.spec import Case

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "flows").rglob("*.test.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_an_example_passes_its_own_tests(file: Path) -> None:
    loaded = load(file, cwd=ROOT, models=config.load(find(file), {}))
    assert loaded.problems == ()
    assert loaded.suite is not None
    bench = Bench(mode="replay")
    report = asyncio.run(run_cases(loaded.suite.cases(), bench))
    assert [v.reason for r in report.cases for t in r.trials for v in t.verdicts if v.outcome != "passed"] == []
    assert report.exit_code == 0


def test_every_example_has_tests() -> None:
    assert {file.parent for file in FILES} == {path.parent for path in (ROOT / "flows").glob("*/expected.json")}


@pytest.mark.parametrize("case", list(cases()), ids=repr)
def test_cassettes_of_examples_say_what_their_replies_say_and_who_wrote_it(case: Case) -> None:
    """Written anew by `python tests/example_cassettes.py` when a flow changes."""
    found = shelves.shelf(case).calls
    assert {(call.question, call.item, call.number): call.reply for call in found} == {
        (call.question, call.item, call.number): call.reply for call in calls(case)
    }
    assert all(call.by_hand for call in found)
    texts = [path.read_text(encoding="utf-8") for path in shelves.folder(case.suite).rglob("*.yaml")]
    assert texts
    assert all(text.startswith("# Written by hand, not by a model") for text in texts)
    assert shelves.stale(case.suite, [each for each in case.suite.cases() if own_replies(each) is None]) == []


def blocks() -> list[str]:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(tests:.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("block", blocks(), ids=lambda text: text.split("name: ")[1].split("\n")[0])
def test_the_tests_of_the_page_on_testing_pass(block: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    flow = tmp_path / "flows" / "support_triage" / "support_triage.flow.yaml"
    flow.write_text(flow.read_text(encoding="utf-8") + block, encoding="utf-8")
    loaded = load(flow, cwd=tmp_path, models=config.load(find(flow), {}))
    assert loaded.problems == ()
    assert loaded.suite is not None
    report = asyncio.run(run_cases(loaded.suite.cases(), Bench()))
    assert [f"{v.shown}: {v.reason}" for r in report.cases for t in r.trials for v in t.verdicts if v.outcome != "passed"] == []
    assert [m.reason for m in report.metrics if m.reason] == []
    assert report.exit_code == 0


def test_the_page_names_every_key_and_word() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w-]+)`", page)) | set(re.findall(r"[`{ ]([\w-]+):", page))
    for table in TABLES.values():
        missing = {key.name for key in table.keys if not key.name.startswith("not-")} - named - set(re.findall(r"[\w-]+", page))
        assert not missing, table.name
