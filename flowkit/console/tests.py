"""Turn results of tests into text for people: marks as cases end, failures with what was expected, a table, a line that sums up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from flowkit import printable
from flowkit.chat import Message
from flowkit.console.comparing import compared, lines_of
from flowkit.suites.assertions import text_of_message
from flowkit.suites.drifting import BASELINE
from flowkit.suites.results import NO_ANSWER, CaseResult, MetricResult, Outcome, Report, Trial, Verdict
from flowkit.suites.spec import Case, Suite

_MARKS: Final = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.ERROR: "E", Outcome.NOT_RUN: "-", Outcome.UNJUDGED: "?"}
_COLORS: Final = {Outcome.PASSED: "\x1b[32m", Outcome.FAILED: "\x1b[31m", Outcome.ERROR: "\x1b[35m", Outcome.NOT_RUN: "\x1b[33m"}
#: What a failure of these kinds is called.
_HEADS: Final = {"config": "the run could not begin", NO_ANSWER: "no recorded answer"}
_BOLD, _END = "\x1b[1m", "\x1b[0m"
#: Characters of messages that are short enough to be shown, and lines of a value that no other stands beside.
_MESSAGES, _VALUE = 700, 12
#: Cases that are named where many have the same failure.
_NAMED = 10


@dataclass(slots=True)
class Marks:
    """Gives the text of marks as cases end: one line a file, files in their order although cases end in any."""

    cases: Sequence[Case]
    color: bool = False
    _waiting: dict[str, list[CaseResult]] = field(default_factory=dict)
    _left: dict[str, int] = field(default_factory=dict)
    _begun: bool = False

    def __post_init__(self) -> None:
        for case in self.cases:
            self._left[case.suite.shown] = self._left.get(case.suite.shown, 0) + 1

    def ended(self, result: CaseResult) -> str:
        """Return what is to be written now that a case has ended."""
        self._waiting.setdefault(result.case.suite.shown, []).append(result)
        return self._written()

    def rest(self) -> str:
        """Return what is to be written when nothing more will end."""
        text = ""
        for path in list(self._left):
            self._left[path] = len(self._waiting.get(path, []))
            text += self._written() or ("\n" if self._begun and path == next(iter(self._left), None) else "")
        return text

    def _written(self) -> str:
        text = ""
        while self._left:
            path = next(iter(self._left))
            ready = self._waiting.pop(path, [])
            if not ready and not (self._begun and self._left[path] == 0):
                if self._left[path] == 0:
                    del self._left[path]
                    continue
                break
            if not self._begun:
                text += f"{printable.line(path)} "
                self._begun = True
            text += "".join(mark(result.outcome, self.color) for result in ready)
            self._left[path] -= len(ready)
            if self._left[path] > 0:
                break
            del self._left[path]
            self._begun = False
            text += "\n"
        return text


def mark(outcome: Outcome, color: bool) -> str:
    """Return the one sign of an outcome."""
    return f"{_COLORS[outcome]}{_MARKS[outcome]}{_END}" if color and outcome in _COLORS else _MARKS[outcome]


def text(report: Report, *, columns: int, color: bool = False) -> str:
    """Return what stands below the marks."""
    parts: list[str] = []
    for suite in dict.fromkeys(result.case.suite for result in report.cases):
        own = [result for result in report.cases if result.case.suite is suite]
        if any(result.case.column.label for result in own):
            parts.append(table(suite, own, report.metrics, color=color))
    numbers = [each for each in report.metrics if each.outcome is Outcome.PASSED]
    if numbers:
        parts.append("".join(f"{_number(each)}\n" for each in numbers))
    told: dict[object, list[CaseResult]] = {}
    for result in report.cases:
        if result.outcome in {Outcome.FAILED, Outcome.ERROR}:
            told.setdefault(_cause(result), []).append(result)
    for first, *more in told.values():
        lines = [*failure(first, columns=columns, color=color), *same_for([each.case.id for each in more])]
        parts.append("\n".join(lines) + "\n")
    for each in report.metrics:
        if each.outcome in {Outcome.FAILED, Outcome.ERROR}:
            head = _painted(f"{'✗ FAILED' if each.outcome is Outcome.FAILED else 'E ERROR'}", each.outcome, color)
            parts.append(
                f"{head} {printable.line(each.id)}\n   {printable.line(each.reason)} (over {printable.plural(each.cases, 'case')})\n"
            )
    return "\n".join([*parts, summary(report, color=color) + "\n"])


def _number(each: MetricResult) -> str:
    bounds = f", {each.metric.bounds} wanted" if str(each.metric.bounds) else ""
    return f"{printable.line(each.id)}: {each.value:.4g}{bounds} (over {printable.plural(each.cases, 'case')})"


def _painted(words: str, outcome: Outcome, color: bool) -> str:
    return f"{_COLORS[outcome]}{words}{_END}" if color else words


# -- one failure -------------------------------------------------------------------------------------------


def failure(result: CaseResult, *, columns: int, color: bool = False) -> list[str]:
    """Return the lines about a case that failed, or that could not be judged."""
    trial = result.telling
    assert trial is not None
    failed = result.outcome is Outcome.FAILED
    head = _painted("✗ FAILED" if failed else "E ERROR", result.outcome, color)
    of = f" ({result.passed} of {len(result.trials)} runs passed, {_wanted(result.pass_rate)})" if len(result.trials) > 1 else ""
    lines = [f"{head} {printable.line(result.case.id)}{of}"]
    if trial.failure is not None:
        at = f" at step {trial.failure.step!r}" if trial.failure.step else ""
        first, *more = printable.block(trial.failure.message).split("\n")
        lines += [f"   the run ended with {trial.failure.kind}{at}: {first}", *(f"   {line}" for line in more)]
        if trial.failure.kind in _HEADS:
            lines[-len(more) - 1] = f"   {_HEADS[trial.failure.kind]}{at}: {first}"
    for verdict in trial.verdicts:
        if verdict.outcome in {Outcome.FAILED, Outcome.ERROR}:
            lines += _verdict(verdict, columns, color)
    lines += _inputs(result, trial)
    return lines


def _wanted(rate: float) -> str:
    return "all wanted" if rate >= 1 else f"{100 * rate:.4g} % wanted"


def _cause(result: CaseResult) -> object:
    """Return what is the same for cases that could not be judged for one and the same cause."""
    trial = result.telling
    if result.outcome is not Outcome.ERROR or trial is None or trial.failure is None:
        return result.case.id
    return trial.failure.kind, alike(trial.failure.step, trial.failure.message)


def alike(step: str | None, message: str) -> object:
    """Return what is the same of messages that say the same; of a recorded question that changed only the change counts."""
    first, *more = message.split("\n")
    changed = [line for line in more if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))]
    return step, (tuple(changed) if changed else (first, *more))


def same_for(ids: Sequence[str]) -> list[str]:
    """Return a line that names more cases of which the same is to be said."""
    if not ids:
        return []
    names = ", ".join(printable.line(each) for each in ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")
    return [f"   the same for {printable.plural(len(ids), 'more case')}: {names}"]


def _verdict(verdict: Verdict, columns: int, color: bool) -> list[str]:
    shown = printable.clip(printable.line(verdict.shown), max(columns - 4, 40))
    step = f"  (step {verdict.step!r})" if verdict.step else ""
    line = f"line {verdict.place.line}: " if verdict.place is not None else ""
    lines = [f"   {line}{_BOLD if color else ''}{shown}{_END if color else ''}{step}"]
    if verdict.reason:
        prefix = "cannot be judged: " if verdict.outcome is Outcome.ERROR else ""
        lines.append(f"     {prefix}{printable.line(verdict.reason)}")
    if verdict.compared:
        lines += [f"     {line}" for line in compared(verdict.expected, verdict.got, columns=columns - 5, color=color)]
    elif verdict.got is not None:
        found = lines_of(verdict.got)
        lines += [f"     │ {line}" for line in found[:_VALUE]]
        lines += [f"     │ … {len(found) - _VALUE} more lines"] if len(found) > _VALUE else []
    if verdict.messages and sum(len(text_of_message(m)) for m in verdict.messages) <= _MESSAGES and verdict.step:
        lines += [f"     what step {verdict.step!r} was sent:", *(line for m in verdict.messages for line in _message(m))]
    return lines


def _message(message: Message) -> list[str]:
    lines = printable.block(text_of_message(message)).rstrip("\n").split("\n")
    return [f"       {message.role}: {lines[0]}", *(f"         {line}" for line in lines[1:])]


def _inputs(result: CaseResult, trial: Trial) -> list[str]:
    if not result.case.row.key or trial.run is None:
        return []
    return [f"   row {result.case.row.key}: {printable.clip(printable.json_text(dict(result.case.row.data)), 160)}"]


# -- the table ---------------------------------------------------------------------------------------------


def table(suite: Suite, results: Sequence[CaseResult], metrics: Sequence[MetricResult], *, color: bool = False) -> str:
    """Return cases by columns of the matrix, with metrics, cost and time below."""
    labels = list(dict.fromkeys(result.case.column.label for result in results))
    rows: dict[str, dict[str, tuple[str, Outcome | None]]] = {}
    for result in results:
        name = f"{result.case.test.name}[{result.case.row.key}]" if result.case.row.key else result.case.test.name
        of = f" {result.passed}/{len(result.trials)}" if len(result.trials) > 1 else ""
        rows.setdefault(name, {})[result.case.column.label] = (f"{_MARKS[result.outcome]}{of}", result.outcome)
    for each in metrics:
        if each.id.startswith(f"{suite.shown}::"):
            value = "-" if each.value is None else f"{each.value:.4g}"
            name = each.id.removeprefix(f"{suite.shown}::").removesuffix(f"[{each.column}]")
            rows.setdefault(name, {})[each.column] = (f"{value}{'' if each.outcome is Outcome.PASSED else ' ✗'}", each.outcome)
    for label in labels:
        own = Report(tuple(result for result in results if result.case.column.label == label))
        rows.setdefault("cost", {})[label] = (str(own.cost), None)
        rows.setdefault("seconds", {})[label] = (printable.seconds(sum(result.seconds for result in own.cases)), None)
    return _grid(printable.line(suite.shown), labels, rows, color)


def _grid(head: str, labels: Sequence[str], rows: dict[str, dict[str, tuple[str, Outcome | None]]], color: bool) -> str:
    wide = max(printable.width(printable.line(name)) for name in (head, *rows))
    widths = {
        label: max(printable.width(label), *(printable.width(row.get(label, ("", None))[0]) for row in rows.values())) for label in labels
    }
    lines = ["  ".join([printable.pad(head, wide), *(printable.pad(label, widths[label]) for label in labels)]).rstrip()]
    for name, row in rows.items():
        cells = []
        for label in labels:
            words, outcome = row.get(label, ("", None))
            filled = printable.pad(words, widths[label])
            cells.append(_painted(filled, outcome, color and outcome in _COLORS) if outcome is not None else filled)
        lines.append("  ".join([printable.pad(printable.line(name), wide), *cells]).rstrip())
    return "\n".join(lines) + "\n"


# -- the end -----------------------------------------------------------------------------------------------


def summary(report: Report, *, color: bool = False) -> str:
    """Return the last line: how many came out how, and what it took."""
    counts = []
    for outcome, word in (
        (Outcome.PASSED, "passed"),
        (Outcome.FAILED, "failed"),
        (Outcome.ERROR, "could not be judged"),
        (Outcome.NOT_RUN, "not run"),
    ):
        number = sum(result.outcome is outcome for result in report.cases)
        if number:
            counts.append(_painted(f"{number} {word}", outcome, color))
    for outcome, word in ((Outcome.FAILED, "failed"), (Outcome.ERROR, "could not be judged")):
        number = sum(each.outcome is outcome for each in report.metrics)
        if number:
            counts.append(_painted(f"{printable.plural(number, 'metric')} {word}", outcome, color))
    if report.deselected:
        counts.append(f"{report.deselected} deselected")
    unjudged = sum(v.outcome is Outcome.UNJUDGED for r in report.cases for t in r.trials for v in t.verdicts)
    if unjudged:
        counts.append(f"{printable.plural(unjudged, 'assertion')} not judged (simulated)")
    lines = [f"{', '.join(counts) or 'no tests'} in {printable.seconds(report.seconds)}, {spent(report)}"]
    lines += [f"stopped: {printable.line(report.limit)}"] if report.limit else []
    lines += ["interrupted: what ended stands above, and answers that came are in the record"] if report.interrupted else []
    if any(v.shown.startswith(BASELINE) and v.outcome is Outcome.FAILED for r in report.cases for t in r.trials for v in t.verdicts):
        lines.append("what differs from a baseline and is right is accepted with --accept")
    return "\n".join(lines)


def spent(report: Report) -> str:
    """Return calls, tokens and cost of what was paid, in words, and how many answers were there before."""
    usage, trials = report.paid.usage, [trial for result in report.cases for trial in result.trials]
    words = ["no model was asked"]
    if usage.calls:
        tokens = f"{printable.count(usage.input_tokens or 0)} tokens in, {printable.count(usage.output_tokens or 0)} out"
        words = [f"{printable.plural(usage.calls, 'call')}, {tokens}, {report.paid.cost}"]
    reused, replayed = sum(trial.reused for trial in trials), sum(trial.usage.calls for trial in trials if trial.replayed)
    words += [f"{printable.plural(reused, 'answer')} of the record used again"] if reused else []
    words += [f"{printable.plural(replayed, 'recorded answer')} replayed"] if replayed else []
    return ", ".join(words)
