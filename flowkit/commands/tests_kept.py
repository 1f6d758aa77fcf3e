"""Keep in git what a run of tests gave: recorded calls of cases that are gone leave, and what passed becomes a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowkit import printable, project
from flowkit.suites import shelves
from flowkit.suites.baselines import Baseline, key_of
from flowkit.suites.bench import Bench, own_replies
from flowkit.suites.results import Outcome, Report
from flowkit.suites.spec import Suite

#: Folders that are named; of more, how many.
_NAMED = 5


def tidy(suites: Sequence[Suite], report: Report, bench: Bench) -> list[str]:
    """Remove what is recorded of cases that are gone where all of a file was recorded, and return lines about the rest.

    Raises:
        ConfigError: something cannot be removed.
    """
    if bench.simulate is not None:
        return []
    gone: list[Path] = []
    left: list[Path] = []
    for suite in suites:
        (gone if bench.mode == "record" and whole(suite, report) else left).extend(_stale(suite, bench))
    (gone if bench.mode == "record" and not left and not report.deselected else left).extend(
        shelves.orphans(suite.path.parent for suite in suites)
    )
    shelves.remove(gone)
    lines = [f"removed, for no test asks these any more: {_listed(gone)}"] if gone else []
    hint = "`flowkit test --record` without -k, --tag or an id removes them" if bench.mode == "record" else "--record removes them"
    return lines + ([f"recorded calls that no test asks for any more: {_listed(left)}\n   hint: {hint}"] if left else [])


def _stale(suite: Suite, bench: Bench) -> list[Path]:
    return shelves.stale(suite, [case for case in suite.cases() if own_replies(case) is None], bench.repeat)


def accept(suites: Sequence[Suite], report: Report) -> list[str]:
    """Write baselines of what passed, and return lines about them. Raises ConfigError."""
    lines = []
    for suite in suites:
        own = [result for result in report.cases if result.case.suite is suite]
        baseline = Baseline.of(suite).accept(suite, own, report.metrics, whole=whole(suite, report))
        changed = baseline.write()
        shown = project.shown(baseline.path, Path.cwd())
        passed = sum(result.outcome is Outcome.PASSED and key_of(result.case.name) in baseline.cases for result in own)
        if baseline.cases or baseline.metrics or changed:
            lines.append(f"{shown}: {printable.plural(passed, 'case')} accepted{'' if changed else ', as before'}")
    return lines or ["nothing was accepted: no case passed that gives outputs"]


def recorded(report: Report) -> str:
    """Return how many cases were recorded, in words."""
    asked = [r for r in report.cases if r.trials and not r.stopped and own_replies(r.case) is None]
    kept = sum(all(trial.failure is None for trial in result.trials) for result in asked)
    rest = f"; {len(asked) - kept} could not be judged and stay as they were" if kept < len(asked) else ""
    return f"recorded {printable.plural(kept, 'case')}{rest}"


def whole(suite: Suite, report: Report) -> bool:
    """Whether all cases of a file were run to their end."""
    return sum(r.case.suite is suite and r.outcome is not Outcome.NOT_RUN for r in report.cases) == len(suite.cases())


def _listed(places: Sequence[Path]) -> str:
    names = [project.shown(place, Path.cwd()) for place in places[:_NAMED]]
    return ", ".join([*names, *([f"and {len(places) - _NAMED} more"] if len(places) > _NAMED else [])])
