"""Turn a search for the commit that broke a case into text for people and data for programs. Knows colours, and asks no git."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from flowkit import printable
from flowkit.bisection import State
from flowkit.comparing import Comparison
from flowkit.console import differences
from flowkit.console.comparing import lines_of
from flowkit.console.differences import Look
from flowkit.console.tests import failure
from flowkit.console.versus import passed
from flowkit.console.versus_data import result as data_of
from flowkit.git import Commit
from flowkit.history.words import SHORT
from flowkit.suites.results import CaseResult, Outcome
from flowkit.suites.side import Account

SCHEMA: Final = 1
_WORDS: Final = {"good": "passes", "bad": "fails", "skipped": "left out"}
#: Lines of outputs that are shown.
_LINES: Final = 12


@dataclass(frozen=True, slots=True)
class Looked:
    """One version that was looked at. `why` says what kept it from being judged."""

    name: str
    state: State
    why: str = ""
    result: CaseResult | None = None

    @property
    def unstable(self) -> bool:
        """Whether some runs passed and others did not."""
        return self.result is not None and 0 < self.result.passed < len(self.result.trials)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a search. `between` are the commits one of which broke the case, the newest first; None is what is not committed."""

    case: str
    between: tuple[Commit | None, ...]
    #: What changed from the good version to the bad one.
    comparison: Comparison | None
    good: Looked | None
    bad: Looked | None
    looked: tuple[Looked, ...]
    account: Account
    seconds: float
    #: Whether an older version than the good one fails too.
    again: bool = False
    #: How many newer versions than the first bad one nobody looked at.
    assumed: int = 0

    @property
    def skipped(self) -> list[Looked]:
        """The versions that could not be judged."""
        return [each for each in self.looked if each.state == "skipped"]


def line(seen: Looked) -> str:
    """Return what came of one version in one line."""
    said = seen.why
    if seen.state != "skipped" and seen.result is not None and len(seen.result.trials) > 1:
        said = f"{passed(seen.result)} runs passed{' (not stable)' if seen.unstable else ''}"
    return f"{printable.pad(printable.line(seen.name), 12)}  {_WORDS[seen.state]}{f': {printable.line(said)}' if said else ''}"


def text(found: Found, look: Look) -> str:
    """Return what was found: the commit, what it changed, and the case before and after."""
    lines = list(_never(found) if not found.between else _answer(found, look))
    lines += ["", *_remarks(found)]
    return "".join(f"{each.rstrip()}\n" for each in lines)


def _never(found: Found) -> Iterator[str]:
    yield f"{printable.line(found.case)} passed in no version in which it can run, so no commit broke it"
    if found.bad is not None and found.bad.result is not None:
        yield f"in {found.bad.name}, the oldest that was looked at:"
        yield from failure(found.bad.result, columns=100)[1:]


def _answer(found: Found, look: Look) -> Iterator[str]:
    paint = look.paint
    one = len(found.between) == 1
    yield f"{printable.line(found.case)} was broken by" if one else f"one of these {len(found.between)} broke {printable.line(found.case)}:"
    yield ""
    for commit in found.between:
        yield f"  {_commit(commit, look)}"
    if found.comparison is not None:
        yield ""
        yield "what it changed:" if one else "what they changed together:"
        yield from (f"  {each}" for each in differences.text(found.comparison, look).splitlines())
    for seen, when in ((found.good, "before"), (found.bad, "after")):
        if seen is not None and seen.result is not None:
            yield ""
            yield f"{paint.bold(when)} ({printable.line(seen.name)}), {_WORDS[seen.state]}{_of(seen)}:"
            yield from _case(seen.result, look)


def _commit(commit: Commit | None, look: Look) -> str:
    if commit is None:
        return f"{look.paint.bold('what is not committed')} in the working tree"
    when = datetime.fromtimestamp(commit.seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{look.paint.bold(commit.id[:SHORT])}  {printable.line(commit.subject)}  ({printable.line(commit.author)}, {when})"


def _of(seen: Looked) -> str:
    return "" if seen.result is None or len(seen.result.trials) < 2 else f", {passed(seen.result)} runs passed"


def _case(result: CaseResult, look: Look) -> Iterator[str]:
    """Show what a case gave: what failed, with what was expected; of one that passed its outputs."""
    if result.outcome is not Outcome.PASSED:
        yield from failure(result, columns=look.columns)[1:]
        return
    if result.case.test.renders_only:  # its outputs were made up
        yield "   all that it looks at is in the messages"
        return
    trial = result.telling
    lines = lines_of(None if trial is None else trial.outputs)
    yield from (f"   │ {each}" for each in lines[:_LINES])
    if len(lines) > _LINES:
        yield f"   │ … {printable.plural(len(lines) - _LINES, 'more line')}"


def _remarks(found: Found) -> Iterator[str]:
    """Say what the answer rests on: versions left out, runs that do not agree, what was paid."""
    if found.again:
        yield "it was also broken and mended before: this is the latest break"
    if found.between and found.assumed:
        yield f"{printable.plural(found.assumed, 'newer version')} not looked at: taken to fail as those beside them do"
    yield from _left_out(found.skipped)
    unstable = [each for each in found.looked if each.unstable]
    if unstable:
        yield f"the case is not stable: runs of the same version differ in {_names(unstable)}; more --repeat makes the answer surer"
    elif any(_once(each) for each in found.looked):
        yield "each version was run once: a case that is not stable may mislead; --repeat 5 tells"
    made, reused = found.account.made, found.account.reused
    said = f"{printable.plural(made, 'call')} made, {printable.plural(reused, 'answer')} reused" if made + reused else "no model was asked"
    yield f"{printable.plural(len(found.looked), 'version')} looked at in {printable.seconds(found.seconds)}, {said}"


def _left_out(skipped: Sequence[Looked]) -> Iterator[str]:
    """Name the versions that could not be judged, those with the same reason together."""
    reasons: dict[str, list[Looked]] = {}
    for each in skipped:
        # A reason may name its own version.
        reasons.setdefault(each.why.replace(each.name, ""), []).append(each)
    for same in reasons.values():
        first, *more = same
        rest = f" (the same for {printable.plural(len(more), 'more version')}: {_names(more)})" if more else ""
        yield f"left out: {printable.line(first.name)}: {printable.line(first.why)}{rest}"


def _names(looked: Sequence[Looked]) -> str:
    return ", ".join(printable.line(each.name) for each in looked)


def _once(seen: Looked) -> bool:
    return seen.result is not None and len(seen.result.trials) == 1 and not seen.result.trials[0].simulated


def document(found: Found) -> dict[str, Any]:
    """Return the one object of `flowkit bisect --json`."""
    return {
        "schema": SCHEMA,
        "case": found.case,
        "commits": [
            None
            if commit is None
            else {
                "commit": commit.id,
                "author": commit.author,
                "time": datetime.fromtimestamp(commit.seconds, UTC).isoformat(),
                "subject": commit.subject,
            }
            for commit in found.between
        ],
        "changes": [] if found.comparison is None else [asdict(change) for change in found.comparison.changes],
        "versions": [
            {"version": each.name, "state": each.state, "reason": each.why or None, "result": each.result and data_of(each.result)}
            for each in found.looked
        ],
        "calls_made": found.account.made,
        "answers_reused": found.account.reused,
        "broken_before": found.again,
        "not_looked_at": found.assumed,
        "seconds": round(found.seconds, 6),
    }
