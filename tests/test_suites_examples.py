"""The tests of the example flows pass, and ask no model."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from flowkit import config
from flowkit.keys.tests import TABLES
from flowkit.project import find
from flowkit.suites import load
from flowkit.suites.running import Bench, run_cases

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "flows").rglob("*.test.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_an_example_passes_its_own_tests(file: Path) -> None:
    loaded = load(file, cwd=ROOT, models=config.load(find(file), {}))
    assert loaded.problems == ()
    assert loaded.suite is not None
    bench = Bench()
    assert all(bench.said(case) is not None for case in loaded.suite.cases())
    report = asyncio.run(run_cases(loaded.suite.cases(), bench))
    assert [v.reason for r in report.cases for t in r.trials for v in t.verdicts if v.outcome != "passed"] == []
    assert report.exit_code == 0


def test_there_are_such_files() -> None:
    assert len(FILES) >= 2


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
