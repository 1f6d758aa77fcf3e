"""Run tests on flows as they are and as they were in a revision, and compare what came out."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from flowkit import __version__, config, printable, project
from flowkit.client import Responder
from flowkit.commands import screen
from flowkit.commands.interrupting import Interrupting
from flowkit.commands.revision import Located
from flowkit.commands.versions import called
from flowkit.compiler import Checked
from flowkit.console import versus as shown
from flowkit.console import versus_data, versus_markdown
from flowkit.errors import ConfigError
from flowkit.git import Repository, at
from flowkit.plan import Plan
from flowkit.provenance import Committed
from flowkit.runtime import Runtime
from flowkit.store import home, open_existing
from flowkit.suites.fitting import Fitted, fit
from flowkit.suites.results import CaseResult, MetricResult, Report
from flowkit.suites.running import Bench, run_cases
from flowkit.suites.side import Account, Origin, Side, timed
from flowkit.suites.spec import Case, Suite
from flowkit.versus import Versus, metrics, pair

#: Makes a runtime whose runs are kept in a folder, where one is given; a responder stands in the place of all servers.
MakeRecording = Callable[[Mapping[str, str], Responder | None, Path | None], Runtime]


def recording(
    models: Mapping[str, str], responder: Responder | None, folder: Path | None, env: Mapping[str, str] | None, *, fresh: bool = False
) -> Runtime:
    """Return a runtime that keeps its runs in a folder, and uses what is there unless all is to be asked `fresh`."""
    return Runtime(models=models, simulate=responder or False, env=env, record=folder or False, cache=not fresh, warn=screen.say)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What runs of one side: how to make a runtime, and what the command line says of all runs."""

    make_runtime: MakeRecording
    bench: Bench

    def run(self, cases: Sequence[Case], today: Path, origins: Mapping[Path, Origin], left: Decimal | None) -> Report:
        """Run cases, with the answers that are in the record of a flow's project; their runs are kept there.

        Raises:
            KeyboardInterrupt: it was interrupted, and what was under way has ended.
        """
        folder = home(project.find(today), os.environ)

        def make(models: Mapping[str, str], responder: Responder | None) -> Runtime:
            return self.make_runtime(models, responder, folder if responder is None else None)

        side = Side(replace(self.bench, make_runtime=make), origins, limit=left)

        async def work() -> Report:
            with Interrupting(side.halt, side.cut, screen.say):
                return await run_cases(cases, side)

        report = asyncio.run(work())
        if report.interrupted:
            screen.say("interrupted; what was answered is in the record")
            raise KeyboardInterrupt
        record = open_existing(folder, version=__version__, warn=screen.say)
        if record is None:
            return report
        with record:
            return timed(report, record)

    def config(self) -> Runtime:
        """Return a runtime that only knows the configuration."""
        return self.make_runtime({}, None, None)


@dataclass(frozen=True, slots=True)
class Fit:
    """What became of the tests of one suite on another version: those that fit, or why nothing does."""

    fitted: Fitted | None
    origin: Origin = Origin()
    plan: Plan | None = None
    why: str = ""

    def missing(self, case: Case) -> str:
        """Return why a case has no other side."""
        return self.why or (self.fitted.misfits.get(case.test.name) if self.fitted else None) or "its rows or columns are others there"


def fitted(suite: Suite, located: Located, runtime: Runtime, label: str) -> Fit:
    """Read the tests of a suite for a version of its flow, with the configuration of that version."""
    try:
        models = runtime.config(located.path)
        checked = located.check(models=models)
    except ConfigError as error:
        return Fit(None, why=f"in {label}: {error}")
    if checked.plan is None or checked.errors:
        first = checked.errors[0]
        return Fit(None, why=f"the flow is wrong in {label}: {first.place.path}:{first.place.line}: {first.message}")

    def check(variants: Mapping[str, str]) -> Checked:
        try:
            return located.check(models=models, variants=variants)
        except ConfigError:
            return Checked(None, ())

    committed = None if located.snapshot is None else Committed(located.today, located.snapshot.commit)
    found = fit(suite, checked.plan, check, cwd=Path.cwd(), models=models)
    if located.snapshot is not None:
        # Cassettes are in git, so those of the revision answer what its prompts ask.
        found = replace(found, suite=replace(found.suite, path=_then(suite, located)))
    return Fit(found, Origin(tuple(checked.files), committed), checked.plan)


@dataclass(slots=True)
class _Against:
    """Both sides of a comparison as they are run."""

    revision: str
    recorded: Recorded
    limit: Decimal | None
    account: Account = field(default_factory=Account)
    stopped: str | None = None

    def run(self, cases: Sequence[Case], plan: Plan, today: Path, origin: Origin) -> Report:
        """Run cases of one flow on one side."""
        report = self.recorded.run(cases, today, {plan.path: origin}, self.limit)
        self.account += Account.of(report)
        self.stopped = self.stopped or report.limit
        if self.limit is not None:
            self.limit = max(self.limit - report.paid.cost.known, Decimal(0))
        return report

    def now(self, cases: Sequence[Case]) -> Report:
        """Run the cases on the flows as they are, those of one flow together."""
        return _joined(cases, [self.run(own, own[0].suite.plan, own[0].suite.plan.path, _origin(own[0].suite)) for own in _by_flow(cases)])

    def before(self, cases: Sequence[Case]) -> tuple[dict[str, CaseResult], dict[str, MetricResult], dict[str, str]]:
        """Run the cases on the flows as they were. Return results and metrics by their ids, and why cases have none."""
        results: dict[str, CaseResult] = {}
        numbers: dict[str, MetricResult] = {}
        missing: dict[str, str] = {}
        for own in _by_flow(cases):
            today = own[0].suite.plan.path.resolve()
            repository = Repository.open(today)
            commit = repository.resolve(self.revision)
            name = called(repository, today, commit)
            if name is None:
                missing |= {case.id: f"the flow is not in {self.revision}" for case in own}
                continue
            with ExitStack() as stack:
                snapshot = stack.enter_context(at(repository, self.revision, today, name=name))
                located = Located(snapshot.path, today, snapshot.top, snapshot)
                runtime = self.recorded.config()
                for suite in dict.fromkeys(case.suite for case in own):
                    wanted = {case.name: case for case in own if case.suite is suite}
                    found = fitted(suite, located, runtime, self.revision)
                    there = [] if found.fitted is None else [case for case in found.fitted.suite.cases() if case.name in wanted]
                    missing |= {case.id: found.missing(case) for name, case in wanted.items() if name not in {c.name for c in there}}
                    if not there or found.plan is None:
                        continue
                    report = self.run(there, found.plan, today, found.origin)
                    results |= {result.case.id: result for result in report.cases}
                    numbers |= {each.id: each for each in report.metrics}
        return results, numbers, missing


def tested(
    cases: Sequence[Case],
    revision: str,
    bench: Bench,
    *,
    models: Mapping[str, str],
    env_file: str | None,
    fresh: bool,
    form: str,
    deselected: int,
) -> int:
    """Run cases on both sides, print what came out, and return the exit code.

    Raises:
        ConfigError: there is no repository, no such revision, or the flows are not in it.
    """
    env = None if env_file is None else config.dotenv(Path(env_file), os.environ)

    def make(more: Mapping[str, str], responder: Responder | None, folder: Path | None) -> Runtime:
        return recording({**more, **models}, responder, folder, env, fresh=fresh)

    found = compare(cases, revision, Recorded(make, bench), limit=bench.limit, deselected=deselected)
    told(found, form)
    return found.exit_code


def compare(cases: Sequence[Case], revision: str, recorded: Recorded, *, limit: Decimal | None, deselected: int) -> Versus:
    """Run cases on both sides and compare them.

    Raises:
        ConfigError: there is no repository, or no such revision.
    """
    began = time.monotonic()
    repository = Repository.open(cases[0].suite.plan.path)
    commit = repository.resolve(revision)
    work = _Against(revision, recorded, limit)
    # The working tree first: Python modules of a revision go when it is closed.
    now = work.now(cases)
    results, numbers, missing = work.before(cases)
    pairs = tuple(pair(each, results.get(each.case.id), missing.get(each.case.id, "")) for each in now.cases)
    seconds = time.monotonic() - began
    return Versus(revision, commit, pairs, metrics(now, numbers), work.account, seconds, deselected, work.stopped)


def told(found: Versus, form: str) -> None:
    """Print a comparison as text, markdown or json."""
    if form == "json":
        screen.out(printable.json_text(versus_data.document(found), indent=2) + "\n")
    elif form == "markdown":
        screen.out(versus_markdown.text(found))
    else:
        columns = max(shutil.get_terminal_size((100, 24)).columns, 40)
        screen.out(shown.text(found, columns=columns, color=screen.color(sys.stdout)))


def _then(suite: Suite, located: Located) -> Path:
    """Return where a file of tests would be in a snapshot; it need not be there."""
    assert located.snapshot is not None
    if suite.path == located.today.resolve():
        return located.path
    return Path(os.path.normpath(located.path.parent / os.path.relpath(suite.path, located.today.resolve().parent)))


def _by_flow(cases: Sequence[Case]) -> list[list[Case]]:
    found: dict[Path, list[Case]] = {}
    for case in cases:
        found.setdefault(case.suite.plan.path.resolve(), []).append(case)
    return list(found.values())


def _origin(suite: Suite) -> Origin:
    return Origin(tuple(path for path in suite.files if path != suite.path or path == suite.plan.path.resolve()))


def _joined(cases: Sequence[Case], reports: Sequence[Report]) -> Report:
    """Return one report of many, in the order of the cases."""
    found = {result.case.id: result for report in reports for result in report.cases}
    return Report(tuple(found[case.id] for case in cases), tuple(each for report in reports for each in report.metrics))
