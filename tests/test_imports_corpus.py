"""Prompts of other tools become the flows that lie beside them, and these pass the check."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flowkit import compiler
from flowkit.imports import layout, prompt_yml, promptflow, prompty
from flowkit.imports.draft import Draft
from flowkit.runtime import Runtime
from flowkit.suites import loading

CORPUS = Path(__file__).parent / "corpus" / "imports"
READERS = {"promptflow": promptflow.read, "prompty": prompty.read, "prompt_yml": prompt_yml.read}
SOURCES = sorted(path for kind in READERS for path in (CORPUS / kind).iterdir() if path.is_dir() or path.suffix in {".prompty", ".yml"})
NAMES = [f"{path.parent.name}/{path.name}" for path in SOURCES]


def imported(path: Path) -> Draft:
    return READERS[path.parent.name](path, cwd=CORPUS)


def told(draft: Draft) -> str:
    """What is expected of an import, as one text."""
    report = draft.report
    lines = [f"renamed: {old} → {new}" for old, new in report.renamed.items()]
    lines += [f"{kind}: {found}" for kind in ("left", "typed", "changed") for found in report.of(kind)]
    lines += [f"file: {name}" for name in sorted(draft.files)]
    return "\n".join(lines) + "\n\n" + layout.flow(draft)


def written(draft: Draft, folder: Path) -> Path:
    for name, held in draft.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held.encode() if isinstance(held, str) else held)
    flow = folder / "imported.flow.yaml"
    flow.write_text(layout.flow(draft))
    return flow


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_import_gives_what_lies_beside_it(path: Path) -> None:
    """Flow and report of each import are those that were read by a person and kept."""
    assert told(imported(path)) == (CORPUS / "expected" / f"{path.name}.txt").read_text()


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_imported_flow_passes_the_check(path: Path, tmp_path: Path) -> None:
    """What is written has no error, whatever was left out."""
    flow = written(imported(path), tmp_path)
    found = compiler.check(flow, cwd=tmp_path, models=Runtime(env={}).config(flow)).problems
    assert [f"{p.code}: {p.message}" for p in found if p.severity == "error"] == []


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_imported_tests_can_be_read(path: Path, tmp_path: Path) -> None:
    """Samples and evaluators become tests that `flowkit test` takes."""
    draft = imported(path)
    flow = written(draft, tmp_path)
    loaded = loading.load(flow, cwd=tmp_path, models=Runtime(env={}).config(flow))
    assert loaded.errors == ()
    assert len(loaded.suite.tests if loaded.suite else ()) == len(draft.tests)


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_import_is_the_same_each_time(path: Path, tmp_path: Path) -> None:
    """Nothing of an import depends on where the files lie."""
    copy = tmp_path / path.parent.name / path.name
    shutil.copytree(path.parent, copy.parent)
    assert layout.flow(READERS[path.parent.name](copy, cwd=tmp_path)) == layout.flow(imported(path))
