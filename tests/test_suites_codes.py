"""The codes of tests have one bad example with exactly this code, and one good one without any."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from flowkit import config
from flowkit.codes import Code, Example
from flowkit.codes.tests import CODES
from flowkit.project import Project
from flowkit.suites import load


def codes_of(example: Example) -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "flowkit.toml").touch()
        for path, held in example.files.items():
            (folder / path).write_text(str(held), encoding="utf-8")
        flow = folder / "hello.flow.yaml"
        flow.write_bytes(example.whole())
        return [p.code for p in load(flow, cwd=folder, models=config.load(Project(folder), {})).problems]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_the_bad_example_has_exactly_this_code(code: Code) -> None:
    assert codes_of(code.bad) == [code.code]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_the_good_example_is_silent(code: Code) -> None:
    assert codes_of(code.good) == []
