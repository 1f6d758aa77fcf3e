"""`flowkit bisect`: find the commit that broke a case of a test, and show what it changed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import click

from flowkit import config, printable, project
from flowkit.bisection import Search, State
from flowkit.client import Responder
from flowkit.commands import screen, test
from flowkit.commands.against import Recorded, fitted, recording
from flowkit.commands.opening import BY_TYPE, pairs
from flowkit.commands.past import Past, Turn
from flowkit.commands.revision import Located
from flowkit.commands.verb import Verb
from flowkit.commands.versions import WORKING_TREE, Reader
from flowkit.comparing import Comparison, Version, compare
from flowkit.console import bisecting
from flowkit.console.bisecting import Looked
from flowkit.console.differences import Look
from flowkit.console.paint import Paint
from flowkit.errors import ConfigError, FlowError, FlowkitError
from flowkit.git import Repository, at
from flowkit.history.words import SHORT
from flowkit.plan import CallWork, ChatWork
from flowkit.runtime import Runtime
from flowkit.suites.bench import Bench, Mode
from flowkit.suites.loading import FLOW_SUFFIX, TEST_SUFFIX, found, load
from flowkit.suites.results import LIMIT, NO_ANSWER, CaseResult
from flowkit.suites.selecting import chosen
from flowkit.suites.side import Account, Origin, without_latency
from flowkit.suites.spec import Case
from flowkit.versus import holds

_EXAMPLES = (
    ("flowkit bisect flows/triage.flow.yaml -k outage", "which commit broke the case that is called outage?"),
    ("flowkit bisect flows/triage.flow.yaml -k outage --good v1.2 --repeat 5", "since a tag; each version is run five times"),
    ("flowkit bisect flows/triage.flow.yaml -k outage --max-cost 0.50", "stop before it costs more; the same command goes on"),
)


class Stopped(FlowkitError):
    """Something kept a version from being judged that has nothing to do with it: the server, a limit."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options ask for; fields are named as the options are."""

    flow: str
    keyword: str | None
    good: str | None
    bad: str | None
    repeat: int | None
    max_cost: float | None
    replay: bool
    simulate: str | None
    models: tuple[str, ...]
    seed: str
    env_file: str | None
    as_json: bool


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow")
@click.option("-k", "keyword", metavar="EXPR", help="The case: words of its id or tags; with and, or, not. Not needed where there is one.")
@click.option("--good", metavar="REV", help="A revision in which it passed. By default one is looked for, further back each time.")
@click.option("--bad", metavar="REV", help="A revision in which it fails. By default the working tree.")
@click.option("--repeat", type=click.IntRange(min=1), metavar="N", help="Run each version so often, whatever the test says.")
@click.option("--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="Stop before all costs more (exit code 4).")
@click.option("--replay", is_flag=True, help="Answer from cassettes alone, those of each version: strictly offline, no key.")
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help="Ask no model: answer from a file, else by type.")
@click.option("-m", "--model", "models", multiple=True, metavar="ALIAS=MODEL", help="Use another model: fast=ollama/qwen3:8b.")
@click.option("--seed", default="", metavar="TEXT", help="Other simulated answers; the same for the same text.")
@click.option("--env-file", metavar="FILE", help="Add variables, such as keys, that are not set. No .env is read unasked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(**options: object) -> int:
    """Find the commit that broke a case of a test.

    The case is the one of the working tree, also for old versions of the flow. Only commits that changed what the flow means are looked
    at: back from the newest to one in which it passes, then by halves, so that of several breaks the latest is found. Those in which
    the flow does not check, or that the case does not fit, are left out and named. Answers are taken from the record where they are
    there, and kept in it, so that the same command goes on where it was stopped.

    Exit codes: 0 found; 1 the case passed in no version; 2 wrong file or revision, or nothing is broken; 3 the server; 4 --max-cost.
    """
    asked = Asked(**options)  # type: ignore[arg-type]  # click gives what the options declare
    work = _Work.of(asked)
    try:
        result = work.search()
    except Stopped as stopped:
        line = shlex.join(["flowkit", *sys.argv[1:]])
        screen.complain(f"{stopped}\n   hint: what was answered is in the record; the same command goes on from there: {line}")
        return stopped.exit_code
    if asked.as_json:
        screen.out(printable.json_text(bisecting.document(result), indent=2) + "\n")
    else:
        columns = max(shutil.get_terminal_size((100, 24)).columns, 40)
        screen.out(bisecting.text(result, Look(Paint(on=screen.color(sys.stdout)), columns)))
    return 0 if result.between else 1


@dataclass(slots=True)
class _Work:
    """The search for one case, with all that was seen on the way."""

    asked: Asked
    case: Case
    repository: Repository
    recorded: Recorded
    reader: Reader
    limit: Decimal | None
    account: Account = field(default_factory=Account)
    looked: dict[str, Looked] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, asked: Asked) -> _Work:
        """Find the case. Raises FlowError, ConfigError."""
        env = None if asked.env_file is None else config.dotenv(Path(asked.env_file), os.environ)

        def make(models: Mapping[str, str], responder: Responder | None, folder: Path | None) -> Runtime:
            return recording({**models, **pairs(asked.models)}, responder, folder, env)

        mode: Mode = "replay" if asked.replay else "live"
        recorded = Recorded(make, Bench(simulate=test._replies(asked.simulate), seed=asked.seed, repeat=asked.repeat, mode=mode))
        case = _case(asked, recorded)
        repository = Repository.open(case.suite.plan.path)
        reader = Reader(repository, (), {}, pairs(asked.models), env)
        limit = None if asked.max_cost is None else Decimal(str(asked.max_cost))
        return cls(asked, case, repository, recorded, reader, limit)

    @property
    def today(self) -> Path:
        """The flow in the working tree."""
        return self.case.suite.plan.path.resolve()

    # -- versions ------------------------------------------------------------------------------------------

    def turns(self) -> list[Turn]:
        """Return the versions from the bad one to the good one, the newest first. Raises ConfigError."""
        bad = None if self.asked.bad is None else self.repository.resolve(self.asked.bad)
        good = None if self.asked.good is None else self.repository.resolve(self.asked.good)
        found_: list[Turn] = []
        for turn in Past(self.reader, self.today, lambda _read: None).turns():
            if bad is not None and (turn.commit is None or not self._within(turn.commit.id, bad)):
                continue
            found_.append(turn)
            if good is not None and turn.commit is not None and self._within(turn.commit.id, good):
                return found_
        if good is not None:
            said = f"--good {self.asked.good}: it is no version of the flow before the bad one"
            raise ConfigError(f"{said}\n   hint: `flowkit log` lists them")
        if not found_:
            raise ConfigError(f"--bad {self.asked.bad}: the flow is not in it")
        return found_

    def _within(self, commit: str, revision: str) -> bool:
        """Whether a revision has a commit in its past, or is it."""
        try:
            return self.repository.fork(commit, revision) == commit
        except ConfigError:
            return False

    # -- one look ------------------------------------------------------------------------------------------

    def look(self, version: Version, name: str, commit: str | None, broken: str | None = None) -> Looked:
        """Run the case in a version as it is in a commit, None: in the working tree; once for each meaning. Raises Stopped."""
        key = version.fingerprint if _whole(version) else None
        if (key or name) not in self.looked:
            self.looked[key or name] = seen = self._look(version, name, commit, broken)
            if not self.asked.as_json:
                screen.say(bisecting.line(seen))
        return self.looked[key or name]

    def _look(self, version: Version, name: str, commit: str | None, broken: str | None) -> Looked:
        if version.meaning is None:
            return Looked(name, "skipped", broken or "the flow is not there")
        if commit is None:
            return self._ran(name, self.case, self.today, Origin(self.case.suite.files))
        with ExitStack() as stack:
            path = self.repository.root / version.shown
            snapshot = stack.enter_context(at(self.repository, commit, path, name=version.shown))
            located = Located(snapshot.path, self.today, snapshot.top, snapshot)
            fit = fitted(self.case.suite, located, self.recorded.config(), name)
            there = [] if fit.fitted is None else [case for case in fit.fitted.suite.cases() if case.name == self.case.name]
            if not there:
                return Looked(name, "skipped", fit.missing(self.case))
            return self._ran(name, there[0], snapshot.path, fit.origin)

    def _ran(self, name: str, case: Case, path: Path, origin: Origin) -> Looked:
        report = self.recorded.run([case], self.today, {path: origin, case.plan.path: origin}, self.limit)
        self.account += Account.of(report)
        if self.limit is not None:
            self.limit = max(self.limit - report.paid.cost.known, Decimal(0))
        if report.limit is not None:
            raise Stopped(f"stopped at {name}: {report.limit}", LIMIT)
        result = report.cases[0]
        if not all(trial.timed for trial in result.trials):
            result = without_latency(result)
        passed = holds(result)
        if passed is None:
            return self._unclear(name, result)
        state: State = "good" if passed else "bad"
        return Looked(name, state, "", result)

    def _unclear(self, name: str, result: CaseResult) -> Looked:
        failure = None if result.telling is None else result.telling.failure
        if failure is None:
            return Looked(name, "skipped", "an assertion cannot be judged there", result)
        if failure.kind in {"config", "input", NO_ANSWER}:
            return Looked(name, "skipped", failure.message.partition("\n")[0], result)
        raise Stopped(f"stopped at {name}: {failure.message}", failure.code)

    # -- the search ----------------------------------------------------------------------------------------

    def search(self) -> bisecting.Found:
        """Return what broke the case. Raises ConfigError where nothing is broken, Stopped."""
        turns = self.turns()
        search = self._searched(turns, None if self.asked.good is None else len(turns) - 1)
        while len(search.between) == 1 and (older := self._elsewhere(turns, search.between[0])) is not None:
            # The version before that commit is bad too: it came from another side of a merge, where the search goes on.
            turns = older
            search = self._searched(turns, None)
        between = [turns[at_] for at_ in search.between]
        before, after = (None if at_ is None else self._seen(turns, at_) for at_ in (search.best, search.worst))
        known = self._known(turns)
        end = len(turns) if search.best is None else search.best
        newer = [each for each in known[: search.worst or 0] if each is None]
        return bisecting.Found(
            self.case.id,
            tuple(turn.commit for turn in between),
            self._comparison(turns, search),
            before,
            after,
            tuple(self.looked.values()),
            self.account,
            time.monotonic() - self.began,
            again=any(each is not None and each.state == "bad" for each in known[end:]),
            assumed=len(newer),
        )

    def _seen(self, turns: Sequence[Turn], number: int) -> Looked:
        """Look at one of the versions. The newest is the one that is said to be bad, with all that is no part of its meaning."""
        turn, bad = turns[number], self.asked.bad
        if number or turn.commit is None or _whole(turn.comparison.after):
            return self._named_look(turn)
        commit = None if bad is None else self.repository.resolve(bad)
        return self.look(turn.comparison.after, bad or WORKING_TREE, commit, turn.comparison.broken)

    def _searched(self, turns: Sequence[Turn], good: int | None) -> Search:
        search = Search(len(turns), good)
        while (number := search.next()) is not None:
            search.told(number, self._seen(turns, number).state)
            for other, seen in enumerate(self._known(turns)):
                # What means the same is as good, and needs no look; a bad one says nothing of those between.
                if other not in search.states and seen is not None and seen.state == "good":
                    search.told(other, "good")
        if search.worst is None:
            first = self._seen(turns, 0)
            said = f"{self.case.id} {_in(first, 'passes')}\n   There is nothing to look for."
            raise ConfigError(f"{said}\n   hint: --bad names a revision in which it fails")
        if good is not None and search.states.get(good) != "good":
            seen = self._seen(turns, good)
            raise ConfigError(
                f"--good {self.asked.good}: {self.case.id} {_in(seen, 'fails already')}\n   hint: name an earlier one, or leave --good out"
            )
        return search

    def _known(self, turns: Sequence[Turn]) -> list[Looked | None]:
        """Return what is known of each version, also by one that means the same."""
        keys = [turn.comparison.after.fingerprint if _whole(turn.comparison.after) else None for turn in turns]
        return [self.looked.get(key or _named(turn)) for key, turn in zip(keys, turns, strict=True)]

    def _elsewhere(self, turns: Sequence[Turn], number: int) -> list[Turn] | None:
        """Return where to search on when the version before a commit is bad too: in its past. None when it is not. Raises ConfigError."""
        turn = turns[number]
        before = turn.comparison.before
        if turn.commit is None or before.meaning is None:
            return None
        own = self._named_look(turn)
        if own.state == "good":
            raise self._outside(own, self._seen(turns, number))
        parent = self.repository.resolve(f"{turn.commit.id}^1")
        seen = self.look(before, parent[:SHORT], parent)
        if seen.state != "bad":
            return None
        older = [each for each in turns[number + 1 :] if each.commit is not None and self._within(each.commit.id, parent)]
        first = next(iter(older), None)
        if first is not None and first.comparison.after.fingerprint == before.fingerprint:
            same = self._named_look(first)
            if same.state == "good":
                raise self._outside(same, seen)
        return older or None

    def _named_look(self, turn: Turn) -> Looked:
        return self.look(turn.comparison.after, _named(turn), None if turn.commit is None else turn.commit.id, turn.comparison.broken)

    def _outside(self, good: Looked, bad: Looked) -> ConfigError:
        """Say that no change of meaning broke the case."""
        return ConfigError(
            f"{self.case.id} passes in {good.name} and fails in {bad.name}, between which the flow means the same.\n"
            "   What broke it is no part of the flow, such as a module that its functions import.\n"
            "   hint: --good and --bad name other revisions"
        )

    def _comparison(self, turns: Sequence[Turn], search: Search) -> Comparison | None:
        """Return what changed from the last good version to the first bad one."""
        if search.best is None or search.worst is None:
            return None
        if len(search.between) == 1:
            return turns[search.worst].comparison
        good, bad = turns[search.best].comparison.after, turns[search.worst].comparison.after
        return compare(bad.shown, good, bad, same_text=False)


def _whole(version: Version) -> bool:
    """Whether what a version means is all that runs: functions may import what is no part of it."""
    works = () if version.plan is None else [step.work for _, _, step in version.plan.walk()]
    return not any(isinstance(work, CallWork) or (isinstance(work, ChatWork) and work.tools) for work in works)


def _in(seen: Looked, said: str) -> str:
    """Say what became of the case in a version: what is said, or what kept it from being judged."""
    if seen.state != "skipped":
        return f"{said} in {seen.name}."
    return f"cannot be judged in {seen.name}:\n   {seen.why.strip().rstrip('.:')}."


def _named(turn: Turn) -> str:
    return WORKING_TREE if turn.commit is None else turn.commit.id[:SHORT]


def _case(asked: Asked, recorded: Recorded) -> Case:
    """Return the one case that is meant. Raises FlowError for wrong files, ConfigError for none or many."""
    path = Path(asked.flow.partition("::")[0])
    if not path.is_file():
        raise ConfigError(f"{str(path)!r} is no file: name a flow such as flows/hello.flow.yaml")
    beside = [file for file in found(path.parent) if file.name.endswith(TEST_SUFFIX) and file.parent == path.parent]
    files = [path, *beside] if path.name.endswith(FLOW_SUFFIX) else [path]
    cases: list[Case] = []
    for file in files:
        loaded = load(file, cwd=Path.cwd(), models=recorded.config().config(file))
        if loaded.errors:
            raise FlowError(loaded.errors)
        if loaded.suite is not None and (file == path or loaded.suite.plan.path.resolve() == path.resolve()):
            cases += loaded.suite.cases()
    name = asked.flow.partition("::")[2]
    exact = [case for case in cases if (asked.keyword or name) in {case.id, case.name}]
    wanted = exact or chosen([case for case in cases if not name or name in {case.name, case.test.name}], expression=asked.keyword)
    if len(wanted) == 1:
        return wanted[0]
    shown = project.shown(path.resolve(), Path.cwd())
    if not wanted:
        known = f"; there are: {', '.join(case.name for case in cases[:10])}" if cases else " beside it or in it"
        raise ConfigError(f"{shown} has no such test{known}")
    names = ", ".join(repr(case.name) for case in wanted[:10]) + (", …" if len(wanted) > 10 else "")
    raise ConfigError(f"{len(wanted)} cases are meant: {names}; choose one with -k")
