"""Find the files that hold tests and turn each into a suite, or into every problem in it. Runs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flowkit import compiler, project, source
from flowkit.compiler import Checked
from flowkit.errors import Place, Problem, Problems
from flowkit.keys.tests import TABLES
from flowkit.parser import files
from flowkit.parser.reading import Reading
from flowkit.parser.values import BAD, value_of
from flowkit.plan import ModelNames, Plan
from flowkit.project import PathRefused, Project
from flowkit.source import Document, Scalar
from flowkit.source import Mapping as MappingNode
from flowkit.suites.reading import Suites
from flowkit.suites.spec import Suite

FLOW_SUFFIX = ".flow.yaml"
TEST_SUFFIX = ".test.yaml"
#: Folders that hold no flows of the project's own.
_FOREIGN = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a file: a suite unless there are errors or no tests, all problems, and the files that were read."""

    suite: Suite | None
    problems: tuple[Problem, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Return the problems that keep the tests from running."""
        return tuple(p for p in self.problems if p.severity == "error")


def found(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder that may hold tests, in order of their names; hidden folders are left out."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _FOREIGN)
        yield from (Path(folder, name) for name in sorted(names) if name.endswith((FLOW_SUFFIX, TEST_SUFFIX)))


def load(path: Path, *, cwd: Path, models: ModelNames | None = None, checked: Checked | None = None) -> Loaded:
    """Return the tests of a flow file or of a `*.test.yaml`, checked whole with the flow.

    `checked` is what the check of a flow file gave, where that is known. A flow without tests has no suite and no problems of its own.
    """
    return _Loading(path.resolve(), cwd, models, project.find(path)).load(checked)


@dataclass(slots=True)
class _Loading:
    path: Path
    cwd: Path
    models: ModelNames | None
    project: Project
    problems: Problems = field(default_factory=Problems)

    def load(self, checked: Checked | None) -> Loaded:
        shown = project.shown(self.path, self.cwd)
        try:
            raw = project.read_bytes(self.path)
        except PathRefused as e:
            self.problems.error("file-not-found", Place(shown, 1, 1, 2), e.message, e.hint)
            return self._ended()
        beside = self.path.name.endswith(TEST_SUFFIX)
        if not beside and b"tests" not in raw:
            return Loaded(None)
        # What is wrong with a flow as YAML is reported with the flow.
        document = source.parse(raw, path=self.path, shown=shown, problems=self.problems if beside else Problems())
        root = document.root
        if root is None:
            if beside and {problem.code for problem in self.problems.found} <= {"empty-file"}:
                self.problems.found.clear()
                self.problems.error("missing-key", Place(shown, 1, 1, 2), "the file holds no tests", "write tests: and a list of them")
            return self._ended(None if beside else checked or compiler.check(self.path, cwd=self.cwd, models=self.models))
        if not beside and not (isinstance(root, MappingNode) and "tests" in root.named):
            return Loaded(None)
        reading = Reading(document.file, self.project, self.problems, None, document.complete)
        flow = self._flow(reading, root) if beside else self.path
        if flow is None:
            return self._ended()
        checked = checked or compiler.check(flow, cwd=self.cwd, models=self.models)
        if checked.plan is None:
            return self._ended(checked)
        suite = self._suite(reading, document, checked, checked.plan, beside=beside)
        return self._ended(checked, suite)

    def _flow(self, r: Reading, root: MappingNode | object) -> Path | None:
        """Return the flow that a file of tests is about."""
        if isinstance(root, MappingNode) and (node := root.get("flow")) is not None:
            if value_of(r, TABLES["suite"]["flow"].shape, node, "'flow'") is BAD or not isinstance(node, Scalar):
                return None
            return files.find(r, node)
        flow = self.path.with_name(self.path.name.removesuffix(TEST_SUFFIX) + FLOW_SUFFIX)
        if not flow.is_file():
            place = Place(r.file.shown, 1, 1, 2, r.file.lines[0] if r.file.lines else "")
            r.error("file-not-found", place, f"there is no flow {flow.name!r} beside the tests", "name the flow: flow: PATH")
            return None
        return flow

    def _suite(self, r: Reading, document: Document, checked: Checked, plan: Plan, *, beside: bool) -> Suite | None:
        root = document.root
        assert root is not None
        node = root
        if not beside:
            inner = root.get("tests") if isinstance(root, MappingNode) else None
            if inner is None or isinstance(inner, Scalar):  # reported with the flow
                return None
            node = inner
            if isinstance(node, MappingNode) and (key := node.key("flow")) is not None:
                r.error("unknown-key", key.place(), "unknown key 'flow' in the tests of a flow", "they are of this very flow")
        reader = Suites(r, plan, self.cwd, self.models)
        read = reader.suite(node)
        r.hide_secrets()
        plans = {frozenset[tuple[str, str]](): plan}
        if not self.problems.fatal:
            for column in (column for test in read.tests for column in test.columns):
                key_ = frozenset(column.variants.items())
                if key_ not in plans:
                    plans[key_] = compiler.check(plan.path, cwd=self.cwd, models=self.models, variants=column.variants).valid()
        paths = tuple(dict.fromkeys((self.path, plan.path.resolve(), *checked.files, *reader.files)))
        return Suite(self.path, r.file.shown, plan, plans, read.tests, read.metrics, paths)

    def _ended(self, checked: Checked | None = None, suite: Suite | None = None) -> Loaded:
        problems = tuple(sorted(dict.fromkeys([*(checked.problems if checked else ()), *self.problems.found])))
        fatal = any(p.severity == "error" for p in problems)
        read = (self.path, *(checked.files if checked else ()), *(suite.files if suite else ()))
        return Loaded(None if fatal else suite, problems, tuple(dict.fromkeys(read)))
