"""Every hostile or odd file of the corpus goes through the whole check as its index says: silent, warned or refused, cheaply."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from unwatched import unwatched

from flowkit import compiler, config, project

CORPUS = Path(__file__).parent / "corpus/yaml"
FILES: list[dict[str, Any]] = json.loads((CORPUS / "index.json").read_text(encoding="utf-8"))["files"]


def reported(file: str) -> list[dict[str, Any]]:
    """Return what the check of a file reports, as data."""
    found = project.Project(CORPUS)
    problems = compiler.check(CORPUS / file, cwd=CORPUS, models=config.load(found, {}), found=found).problems
    return [{"severity": p.severity, "code": p.code, "line": p.place.line, "text": f"{p.message} {p.hint}"} for p in problems]


def judge(entry: dict[str, Any], problems: list[dict[str, Any]]) -> None:
    errors = [p for p in problems if p["severity"] == "error"]
    text = " ".join(p["text"] for p in problems)
    assert not [w for w in entry.get("must_not_print", "").split("\0") if w and w in text]
    if entry["outcome"] == "accept":
        assert errors == []
        return
    if entry["outcome"] == "warn":
        assert errors == []
        wanted = [p for p in problems if p["code"] == entry["code"]]
    else:
        assert len(errors) >= entry.get("min_errors", 1), problems
        wanted = [p for p in errors if "code" not in entry or p["code"] == entry["code"]]
    assert wanted, problems
    assert "line" not in entry or entry["line"] in {p["line"] for p in wanted}, problems
    assert [w for w in entry.get("hint", ()) if w not in text] == []


@pytest.mark.parametrize("entry", [e for e in FILES if not e.get("isolate")], ids=lambda e: e["file"])
def test_file_is_judged_as_indexed(entry: dict[str, Any]) -> None:
    judge(entry, reported(entry["file"]))


@pytest.mark.parametrize("entry", [e for e in FILES if e.get("isolate")], ids=lambda e: e["file"])
def test_hostile_file_is_refused_in_little_time_and_memory(entry: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, __file__, entry["file"], str(entry["limit_mb"]), str(entry["limit_s"])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=unwatched(),
    )
    assert done.returncode == 0, done.stderr[-500:]
    judge(entry, json.loads(done.stdout))


@pytest.mark.parametrize("entry", [e for e in FILES if "same_as" in e], ids=lambda e: e["file"])
def test_files_that_say_the_same_make_the_same_plan(entry: dict[str, Any]) -> None:
    found = project.Project(CORPUS)
    one, other = (compiler.check(CORPUS / f, cwd=CORPUS, found=found).valid() for f in (entry["file"], entry["same_as"]))
    assert list(one.steps) == list(other.steps)
    assert one.inputs == other.inputs
    assert one.output_type == other.output_type


if __name__ == "__main__":
    most = int(sys.argv[2]) << 20
    # What Python and its libraries have mapped already is not the file's.
    mapped = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if Path("/proc/self/statm").exists() else 400 << 20
    )
    resource.setrlimit(resource.RLIMIT_AS, (mapped + most, mapped + most))
    seconds = math.ceil(time.process_time() + float(sys.argv[3])) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # of work, so that a busy machine fails nothing
    print(json.dumps(reported(sys.argv[1])))
