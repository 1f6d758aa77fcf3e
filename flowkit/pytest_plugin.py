"""Let pytest collect the tests of flows: the same files and the same ids as `flowkit test`. Imports little until it finds some."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr  # pytest has no public name for what its summary reads

if TYPE_CHECKING:
    from _pytest._io import TerminalWriter

    from flowkit.suites.bench import Bench, Mode
    from flowkit.suites.results import CaseResult, MetricResult, Outcome
    from flowkit.suites.spec import Case, Suite

_FLOW, _TESTS = ".flow.yaml", ".test.yaml"
_WIDTH = 100
_OPTIONS = {
    "simulate": "Tests of flows ask no model: steps without a reply answer by type.",
    "record": "Tests of flows ask models, and keep each answer in cassettes/ beside the tests.",
    "replay": "Tests of flows answer from cassettes alone.",
    "live": "Tests of flows ask models although their answers are recorded.",
    "no-baseline": "Tests of flows are compared with no baseline.",
}
#: Where answers may come from; of these and `simulate` one may be given.
_SOURCES: tuple[Literal["record", "replay", "live"], ...] = ("record", "replay", "live")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options that say where answers come from; by default as `flowkit test` has it."""
    group = parser.getgroup("flowkit", "tests of flows")
    for name, said in _OPTIONS.items():
        group.addoption(f"--flowkit-{name}", action="store_true", help=said)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that exclude each other. Raises UsageError."""
    said = [f"--flowkit-{name}" for name in (*_SOURCES, "simulate") if config.getoption(f"--flowkit-{name}")]
    if len(said) > 1:
        raise pytest.UsageError(f"{' and '.join(said)} exclude each other")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take `*.test.yaml`, and flows in which the word `tests` stands."""
    if file_path.name.endswith(_TESTS) or (file_path.name.endswith(_FLOW) and _has_tests(file_path)):
        return FlowTests.from_parent(parent, path=file_path)
    return None


def _has_tests(path: Path) -> bool:
    try:
        return b"\ntests:" in b"\n" + path.read_bytes()
    except OSError:
        return False


class Wrong(Exception):
    """A file of tests, or its flow, is wrong; the message is what `flowkit check` says."""


class Failed(Exception):
    """A test failed; the message is what `flowkit test` says."""


class Unjudged(Exception):
    """A test could not be judged; the message is what `flowkit test` says."""


def _bench(config: pytest.Config) -> Bench:
    from flowkit.client import Responder
    from flowkit.replies import Replies
    from flowkit.runtime import Runtime
    from flowkit.suites.bench import Bench, in_ci

    mode: Mode = next((name for name in _SOURCES if config.getoption(f"--flowkit-{name}")), "auto")

    def make(models: Mapping[str, str], responder: Responder | None) -> Runtime:
        return Runtime(models=models, simulate=responder or False, record=responder is None, cache=True)

    simulate = Replies() if config.getoption("--flowkit-simulate") else None
    return Bench(make, simulate=simulate, mode=mode, ci=in_ci(os.environ), compare=not config.getoption("--flowkit-no-baseline"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remove, when all tests of a file are recorded, what is recorded of cases that are gone."""
    if not session.config.getoption("--flowkit-record"):
        return
    from flowkit.suites import shelves
    from flowkit.suites.bench import own_replies

    for file in dict.fromkeys(file for item in session.items if (file := item.getparent(FlowTests)) is not None):
        cases = file.suite.cases()
        chosen = {item.name for item in session.items if isinstance(item, CaseItem) and item.path == file.path}
        if chosen.issuperset(case.name for case in cases):
            shelves.remove(shelves.stale(file.suite, [case for case in cases if own_replies(case) is None]))


class FlowTests(pytest.File):
    """One file that holds tests of a flow."""

    suite: Suite
    bench: Bench

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each case, and one for each metric."""
        from flowkit.console import problems  # only pytest runs that find tests of flows pay for it
        from flowkit.errors import ConfigError
        from flowkit.runtime import Runtime
        from flowkit.suites.loading import load

        cwd = self.config.rootpath
        try:
            loaded = load(self.path, cwd=cwd, models=Runtime().config(self.path))
        except ConfigError as error:
            raise Wrong(str(error)) from None
        if loaded.errors:
            raise Wrong(problems.text(loaded.errors, files=len(loaded.files)).rstrip())
        if loaded.suite is None:
            return
        self.suite = loaded.suite
        self.bench = _bench(self.config)
        results: dict[str, CaseResult] = {}
        for case in self.suite.cases():
            yield CaseItem.from_parent(self, name=case.name, case=case, results=results)
        for owner, metrics in ((None, self.suite.metrics), *((test, test.metrics) for test in self.suite.tests)):
            for metric in metrics:
                name = f"{owner.name} metric {metric.name}" if owner else f"metric {metric.name}"
                own = [case for case in self.suite.cases() if owner is None or case.test is owner]
                yield MetricItem.from_parent(self, name=name, cases=own, results=results, metric=metric)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the problems of the file as they are."""
        return str(excinfo.value) if isinstance(excinfo.value, Wrong) else super().repr_failure(excinfo)


class _Told(TerminalRepr):
    """What failed, as `flowkit test` says it; pytest's short summary takes the message of `reprcrash`: the first assertion."""

    def __init__(self, text: str, path: Path, line: int) -> None:
        self.text = text
        head, *more = (each.strip() for each in text.split("\n"))
        self.reprcrash = ReprFileLocation(str(path), line, next(iter(more), head))

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write the text as it is."""
        tw.line(self.text)


class _Item(pytest.Item):
    results: dict[str, CaseResult]

    def result(self, case: Case) -> CaseResult:
        """Return what became of a case, which runs unless it has."""
        from flowkit.suites.running import run_cases  # slow, and paid once a test is there

        if case.name not in self.results:
            report = asyncio.run(run_cases([case], self.file.bench))
            self.results[case.name] = report.cases[0]
        return self.results[case.name]

    @property
    def file(self) -> FlowTests:
        """The file of the test."""
        found = self.getparent(FlowTests)
        assert found is not None, "that is where items come from"
        return found

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what failed without a traceback: no code of the user is on it."""
        if not isinstance(excinfo.value, (Failed, Unjudged)):
            return super().repr_failure(excinfo)
        path, line, _ = self.reportinfo()
        return _Told(str(excinfo.value), path, line + 1)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it stands."""
        raise NotImplementedError


class CaseItem(_Item):
    """One case. It runs in the setup, so that a server that fails is an error of the test and not its failure."""

    def __init__(self, *, case: Case, results: dict[str, CaseResult], **others: Any) -> None:
        super().__init__(**others)
        self.case = case
        self.results = results
        self.extra_keyword_matches.update(case.test.tags)

    def setup(self) -> None:
        """Run the case. Raises Unjudged."""
        from flowkit.console.tests import failure
        from flowkit.suites.results import Outcome

        result = self.result(self.case)
        if result.outcome is Outcome.ERROR:
            raise Unjudged("\n".join(failure(result, columns=_WIDTH)))

    def runtest(self) -> None:
        """Fail when the case did. Raises Failed."""
        from flowkit.console.tests import failure
        from flowkit.suites.results import Outcome

        result = self.result(self.case)
        if result.outcome is Outcome.FAILED:
            raise Failed("\n".join(failure(result, columns=_WIDTH)))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the test stands."""
        return self.path, self.case.test.place.line - 1, self.name


class MetricItem(_Item):
    """One metric over cases. Those that ran in another process run again here."""

    def __init__(self, *, cases: list[Case], results: dict[str, CaseResult], metric: Any, **others: Any) -> None:
        super().__init__(**others)
        self.cases = cases
        self.results = results
        self.metric = metric
        self.found: list[MetricResult] = []

    def setup(self) -> None:
        """Measure. Raises Unjudged."""
        from flowkit.suites.drifting import drifted
        from flowkit.suites.measuring import measure
        from flowkit.suites.results import Outcome

        chosen = {item.name for item in self.session.items if isinstance(item, CaseItem) and item.path == self.path}
        if not chosen.issuperset(case.name for case in self.cases):
            pytest.skip("a metric is over all cases, and not all were chosen")
        found = measure(self.name, self.metric, [self.result(case) for case in self.cases])
        baseline = self.file.bench.baseline(self.file.suite)
        self.found = found if baseline is None else [drifted(baseline, "", each) for each in found]
        self._refuse(Outcome.ERROR, Unjudged)

    def runtest(self) -> None:
        """Fail when the number is out of bounds. Raises Failed."""
        from flowkit.suites.results import Outcome

        self._refuse(Outcome.FAILED, Failed)

    def _refuse(self, outcome: Outcome, error: type[Exception]) -> None:
        said = [f"{each.id}: {each.reason}" for each in self.found if each.outcome is outcome]
        if said:
            raise error("\n".join(said))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the metric stands."""
        return self.path, self.metric.place.line - 1, self.name
