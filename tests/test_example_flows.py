"""Every example flow is checked without a word and gives what its author wrote down, with handwritten replies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import flowkit
from flowkit import replies, source
from flowkit.errors import Problems
from flowkit.results import Run
from flowkit.testing import Simulator

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent / "flows" / "good"
EXAMPLES = sorted(path.parent for path in (ROOT / "flows").glob("*/expected.json"))
PORTS = sorted(path.parent for path in HERE.glob("*/expected.json"))


def cases(folders: list[Path]) -> list[Any]:
    """Each folder's own expectation, and those that stand under `also`."""
    found = []
    for folder in folders:
        expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        for at, case in enumerate([expected, *expected.get("also", [])]):
            found.append(pytest.param(folder, case, id=f"{folder.name}-{at}"))
    return found


def given(folder: Path, args: list[str]) -> dict[str, Any]:
    """The inputs that the arguments of the command line mean."""
    inputs: dict[str, Any] = {}
    file = folder / "inputs.json"
    if "--inputs" not in args and file.exists():
        args = ["--inputs", "inputs.json", *args]
    for flag, value in zip(args[::2], args[1::2], strict=True):
        if flag == "--inputs":
            inputs |= json.loads((folder / value).read_text(encoding="utf-8"))
            continue
        assert flag == "-i", f"{flag} is not known here"
        name, _, text = value.partition("=")
        if name.endswith(":"):
            inputs[name[:-1]] = json.loads(text)
        else:
            inputs[name] = (folder / text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
    return inputs


def server(folder: Path) -> Simulator:
    problems = Problems()
    file = folder / "replies.yaml"
    said = replies.parse_replies(source.parse(file.read_bytes(), path=file, shown="replies.yaml", problems=problems), problems)
    assert not problems.found
    return Simulator(said)


def flow_file(folder: Path) -> Path:
    return folder / f"{folder.name}.flow.yaml"


def check_calls(asked: Simulator, wanted: Mapping[str, int | list[int]]) -> None:
    """As many requests at each step as was written, or one of the numbers where several are right."""
    for step, count in wanted.items():
        made = len(asked.asked(step))
        assert made in count if isinstance(count, list) else made == count, f"{step} was asked {made} times"
    assert {request.step for request in asked.requests} <= set(wanted)


def check_run(run: Run, asked: Simulator) -> None:
    assert run.simulated
    assert 0 < run.usage.calls <= len(asked.requests)
    assert all(step.status in {"succeeded", "skipped"} for step in run.steps.values())


@pytest.mark.parametrize(("folder", "case"), cases(EXAMPLES))
def test_an_example_gives_what_its_author_expects(folder: Path, case: dict[str, Any]) -> None:
    asked = server(folder)
    flow = flowkit.load(flow_file(folder), simulate=asked)
    assert [str(problem) for problem in flow.warnings] == []
    run = flow.run(given(folder, case.get("args", [])))
    assert json.loads(json.dumps(run.outputs)) == case["outputs"]
    check_run(run, asked)
    if "calls" in case:
        check_calls(asked, case["calls"])


def test_the_examples_are_all_here() -> None:
    """Every folder of flows/ has an expectation, and between them they use every kind of step."""
    assert [path.name for path in EXAMPLES] == sorted(
        path.name for path in (ROOT / "flows").iterdir() if path.is_dir() and not path.name.startswith(("_", "."))
    )
    kinds = {step.kind for folder in EXAMPLES for _, _, step in flowkit.load(flow_file(folder), simulate=True).plan.walk()}
    assert kinds == {"chat", "flow", "call", "set"}


@pytest.mark.parametrize(("folder", "case"), cases(PORTS))
def test_a_port_gives_what_the_original_gives(folder: Path, case: dict[str, Any], tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    (copy / "flowkit.toml").touch()
    asked = server(copy)
    flow = flowkit.load(flow_file(copy), simulate=asked)
    assert [p for p in flow.warnings if p.severity == "error"] == []
    run = flow.run(given(copy, case.get("args", [])))
    assert json.loads(json.dumps(run.outputs)) == case["outputs"]
    check_run(run, asked)
    check_calls(asked, case["calls"])
