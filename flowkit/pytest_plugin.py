"""Let pytest collect the tests of flows: the same files and the same ids as `flowkit test`. Imports little until it finds some."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flowkit.suites.results import CaseResult, MetricResult, Outcome
    from flowkit.suites.running import Bench
    from flowkit.suites.spec import Case, Suite

_FLOW, _TESTS = ".flow.yaml", ".test.yaml"
_WIDTH = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `--flowkit-simulate`."""
    group = parser.getgroup("flowkit", "tests of flows")
    group.addoption("--flowkit-simulate", action="store_true", help="Tests of flows ask no model: steps without a reply answer by type.")


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


class FlowTests(pytest.File):
    """One file that holds tests of a flow."""

    suite: Suite
    bench: Bench

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each case, and one for each metric."""
        from flowkit.console import problems  # only pytest runs that find tests of flows pay for it
        from flowkit.errors import ConfigError
        from flowkit.replies import Replies
        from flowkit.runtime import Runtime
        from flowkit.suites.loading import load
        from flowkit.suites.running import Bench

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
        self.bench = Bench(simulate=Replies() if self.config.getoption("--flowkit-simulate") else None)
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


class _Item(pytest.Item):
    results: dict[str, CaseResult]

    def result(self, case: Case) -> CaseResult:
        """Return what became of a case, which runs unless it has."""
        from flowkit.suites.running import run_case  # slow, and paid once a test is there

        if case.name not in self.results:
            bench = self.getparent(FlowTests).bench  # type: ignore[union-attr]  # that is where items come from
            self.results[case.name] = asyncio.run(run_case(case, bench))
        return self.results[case.name]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what failed without a traceback: no code of the user is on it."""
        return str(excinfo.value) if isinstance(excinfo.value, (Failed, Unjudged)) else super().repr_failure(excinfo)


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
        from flowkit.suites.measuring import measure
        from flowkit.suites.results import Outcome

        chosen = {item.name for item in self.session.items if isinstance(item, CaseItem) and item.path == self.path}
        if not chosen.issuperset(case.name for case in self.cases):
            pytest.skip("a metric is over all cases, and not all were chosen")
        self.found = measure(self.name, self.metric, [self.result(case) for case in self.cases])
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
