"""`flowkit test`: run the tests of flows and show what failed, beside what was expected."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import click

from flowkit import config, project, replies, source
from flowkit.client import Responder
from flowkit.commands import against, screen, tests_at, tests_kept
from flowkit.commands.interrupting import INTERRUPTED, Interrupting
from flowkit.commands.opening import BY_TYPE, pairs
from flowkit.commands.verb import Verb
from flowkit.console import tests, tests_data
from flowkit.console.sink import Sink
from flowkit.errors import ConfigError, FlowError, Problem, Problems
from flowkit.project import PathRefused
from flowkit.replies import Replies
from flowkit.runtime import Runtime
from flowkit.spelling import nearest
from flowkit.suites.bench import Bench, Mode, in_ci
from flowkit.suites.loading import Loaded
from flowkit.suites.results import NOTHING, CaseResult, Report
from flowkit.suites.running import run_cases
from flowkit.suites.selecting import chosen
from flowkit.suites.spec import Case, Suite

_EXAMPLES = (
    ("flowkit test", "all tests below this folder"),
    ("flowkit test flows/triage.flow.yaml -k 'outage and not slow'", "some tests of one flow"),
    ("flowkit test --simulate --watch", "no model is asked; again whenever a file changes"),
    ("flowkit test --record --max-cost 0.50", "ask the models, and keep their answers beside the tests, for git"),
    ("flowkit test --replay --junit results.xml", "in CI: neither key nor network"),
    ("flowkit test --against main --repeat 5", "which cases got better or worse than with the flows of main"),
    ("flowkit test flows/triage.flow.yaml@v1.2", "the flow and its tests as they were"),
)
#: Options that say where answers come from.
_MODES: tuple[Mode, ...] = ("record", "replay", "live")
#: Options that mean nothing beside each other.
_APART = (*combinations((*_MODES, "simulate"), 2), ("accept", "simulate"), ("accept", "no_baseline"), ("fresh", "replay"))
#: Options that a comparison of versions does not have.
_NOT_AGAINST = ("record", "accept", "junit", "stop_first")
#: Names of tests in a hint.
_NAMES = 10
#: Seconds between two looks at the files.
_LOOK = 0.5
#: Two files are one when all that is known of them is the same.
_Stamps: TypeAlias = dict[Path, tuple[int, int] | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options ask for; fields are named as the options are."""

    paths: tuple[str, ...]
    keyword: str | None
    stop_first: bool
    repeat: int | None
    tags: tuple[str, ...]
    max_cost: float | None
    junit: str | None
    as_json: bool
    simulate: str | None
    models: tuple[str, ...]
    seed: str
    env_file: str | None
    record: bool = False
    replay: bool = False
    live: bool = False
    fresh: bool = False
    accept: bool = False
    no_baseline: bool = False
    against: str | None = None
    form: str = "text"

    @property
    def mode(self) -> Mode:
        """Where answers come from."""
        return next((name for name in _MODES if getattr(self, name)), "auto")


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("paths", nargs=-1, metavar="[FILE | FOLDER | ID]...")
@click.option("-k", "keyword", metavar="EXPR", help="Only tests whose id or tags hold these words; with and, or, not.")
@click.option("-x", "stop_first", is_flag=True, help="Stop at the first test that fails.")
@click.option("--repeat", type=click.IntRange(min=1), metavar="N", help="Run each test so often, whatever it says.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only tests with this tag, or one of these.")
@click.option(
    "--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="Stop before all tests cost more (exit code 4)."
)
@click.option("--junit", metavar="FILE", help="Write the results as JUnit's XML too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--record", is_flag=True, help="Keep answers in cassettes/ beside the tests; those in the record of runs are used, --fresh asks anew."
)
@click.option("--replay", is_flag=True, help="Answer from cassettes alone: strictly offline, no key.")
@click.option("--live", is_flag=True, help="Ask models although their answers are recorded.")
@click.option("--fresh", is_flag=True, help="Ask again, also what is in the record of runs.")
@click.option("--accept", is_flag=True, help="Write what passes to baselines/, with which later runs are compared.")
@click.option("--no-baseline", is_flag=True, help="Compare with no baseline.")
@click.option("--against", metavar="REV", help="Run the tests on the flows of a revision too, and compare; exit code 1 when one is worse.")
@click.option("--format", "form", type=click.Choice(["text", "markdown"]), default="text", help="How --against is printed.")
@click.option("--watch", is_flag=True, help="Run again whenever a file of the tests or flows changes.")
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help="Ask no model: answer from a file, else by type.")
@click.option("-m", "--model", "models", multiple=True, metavar="ALIAS=MODEL", help="Use another model: fast=ollama/qwen3:8b.")
@click.option("--seed", default="", metavar="TEXT", help="Other simulated answers; the same for the same text.")
@click.option("--env-file", metavar="FILE", help="Add variables, such as keys, that are not set. No .env is read unasked.")
def command(*, watch: bool, **options: object) -> int:
    """Run the tests of flows.

    Tests stand under `tests` in a flow or beside it in *.test.yaml. All files are checked before anything is called. A test with
    `replies`, or one that looks at messages alone, asks no model; one that is recorded is replayed; others ask, but not in CI (where CI
    is set). An ID is what reports show: FILE::NAME or FILE::NAME[ROW].

    Exit codes: 0 all passed; 1 a test failed, or could not be judged (no recorded answer); 2 wrong file or configuration, nothing was
    called; 3 server, key or quota kept tests from being judged; 4 --max-cost; 5 no tests found; 130 interrupted.
    """
    asked = _sorted_out(Asked(**options))  # type: ignore[arg-type]  # click gives what the options declare
    return _watched(asked) if watch else _ran(asked, _loaded(asked))


def _sorted_out(asked: Asked) -> Asked:
    """Refuse options that exclude each other, and sort out `--simulate PATH`, in which tests were taken for the file of replies."""
    for one, other in (*_APART, *(("against", name) for name in _NOT_AGAINST)):
        if getattr(asked, one) and getattr(asked, other):
            said = " and ".join("-x" if name == "stop_first" else f"--{name.replace('_', '-')}" for name in (one, other))
            raise click.UsageError(f"{said} exclude each other", click.get_current_context())
    if (asked.record or asked.accept) and any(tests_at.revision(path) for path in asked.paths):
        said = "--record and --accept write beside the tests of the working tree: leave @REV out"
        raise click.UsageError(said, click.get_current_context())
    path = asked.simulate
    if path in {None, BY_TYPE} or not (Path(str(path)).is_dir() or str(path).endswith((".flow.yaml", ".test.yaml"))):
        return asked
    return replace(asked, paths=(str(path), *asked.paths), simulate=BY_TYPE)


def _ran(asked: Asked, loaded: Sequence[Loaded]) -> int:
    """Run the tests once and return the exit code.

    Raises:
        FlowError: a file is wrong; nothing ran.
        ConfigError: the configuration, or an option.
    """
    problems = tuple(sorted({p for each in loaded for p in each.errors}))
    if problems:
        raise FlowError(problems)
    cases = [case for each in loaded if each.suite is not None for case in each.suite.cases()]
    picked = chosen(_named(cases, asked.paths), expression=asked.keyword, tags=asked.tags)
    if not picked:
        screen.complain(_nothing(asked, cases))
        return NOTHING
    bench = _bench(asked)
    _require(picked, bench)
    if asked.against is not None:
        form = "json" if asked.as_json else asked.form
        return against.tested(
            picked,
            asked.against,
            bench,
            models=pairs(asked.models),
            env_file=asked.env_file,
            fresh=asked.fresh,
            form=form,
            deselected=len(cases) - len(picked),
        )
    report = _run(picked, bench, asked, deselected=len(cases) - len(picked))
    if asked.junit is not None:
        _write(asked.junit, tests_data.junit(report))
    if asked.as_json:
        screen.out(tests_data.json(report))
    else:
        screen.out("\n" + tests.text(report, columns=_columns(), color=screen.color(sys.stdout)))
    for line in _kept(list(dict.fromkeys(case.suite for case in picked)), report, bench, asked):
        screen.say(line)
    return report.exit_code


def _kept(suites: Sequence[Suite], report: Report, bench: Bench, asked: Asked) -> list[str]:
    """Keep what is to go to git, and return lines about it. Raises ConfigError."""
    lines = [tests_kept.recorded(report)] if asked.record else []
    lines += tests_kept.tidy(suites, report, bench)
    return lines + (tests_kept.accept(suites, report) if asked.accept else [])


def _files(asked: Asked) -> list[Path]:
    """Return the files that may hold the tests; of an id such as `a.test.yaml::name` its file."""
    return list(dict.fromkeys(file for path in asked.paths or (".",) for file in tests_at.files(path)))


def _named(cases: Sequence[Case], paths: Sequence[str]) -> list[Case]:
    """Return the cases that ids among the paths name: of a test with rows, its name is all of them. A path without a name is all of it."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(tests_at.place(path).resolve(), set()).add(path.partition("::")[2])

    def wanted(case: Case) -> bool:
        own = names.get(case.suite.path, {""})
        return "" in own or case.name in own or case.test.name in own

    return [case for case in cases if wanted(case)]


def _loaded(asked: Asked) -> list[Loaded]:
    runtime = _runtime(asked, {}, None)
    files = _files(asked)
    return [tests_at.loaded(file, asked.paths, runtime) for file in files]


def _runtime(asked: Asked, models: Mapping[str, str], responder: Responder | None, *, record: bool = False) -> Runtime:
    env = None if asked.env_file is None else config.dotenv(Path(asked.env_file), os.environ)
    chosen = {**models, **pairs(asked.models)}
    return Runtime(models=chosen, simulate=responder or False, env=env, record=record, cache=not asked.fresh, warn=screen.say)


def _bench(asked: Asked) -> Bench:
    def make(models: Mapping[str, str], responder: Responder | None) -> Runtime:
        return _runtime(asked, models, responder, record=responder is None)

    return Bench(
        make,
        simulate=_replies(asked.simulate),
        seed=asked.seed,
        repeat=asked.repeat,
        limit=None if asked.max_cost is None else Decimal(str(asked.max_cost)),
        mode=asked.mode,
        ci=in_ci(os.environ),
        compare=not (asked.accept or asked.no_baseline),
    )


def _replies(simulate: str | None) -> Replies | None:
    """Return what a file says for all tests; a step that a flow does not have is no mistake, since files hold tests of several flows."""
    if simulate is None or simulate == BY_TYPE:
        return None if simulate is None else Replies()
    path, problems = Path(simulate), Problems()
    try:
        data = project.read_bytes(path)
    except PathRefused as refused:
        raise ConfigError(f"--simulate: {refused.message}" + (f" ({refused.hint})" if refused.hint else "")) from None
    shown = project.shown(path.resolve(), Path.cwd())
    said = replies.parse_replies(source.parse(data, path=path, shown=shown, problems=problems), problems)
    if problems.fatal:
        raise FlowError(problems.ordered())
    return said


def _nothing(asked: Asked, known: Sequence[Case]) -> str:
    if known:
        said = f"none of {len(known)} tests was chosen by its id, -k or --tag"
        names = list(dict.fromkeys(name for case in known for name in (case.name, case.test.name)))
        wanted = [name for path in asked.paths if (name := path.partition("::")[2]) and name not in names]
        meant = [near for name in wanted if (near := nearest(name, names)) is not None]
        if meant:
            return f"{said}\n   hint: did you mean {' or '.join(map(repr, meant))}?"
        rest = ", …" if len(names) > _NAMES else ""
        return f"{said}\n   hint: there are {', '.join(map(repr, names[:_NAMES]))}{rest}" if wanted else said
    where = " or ".join(asked.paths) or "this folder"
    return f"there are no tests below {where}\n   hint: write `tests:` in a flow, or a file NAME.test.yaml beside NAME.flow.yaml"


def _require(cases: Sequence[Case], bench: Bench) -> None:
    """Refuse models that cannot be asked, and baselines that cannot be read, before anything is asked. Raises ConfigError."""
    for suite in dict.fromkeys(case.suite for case in cases):
        bench.baseline(suite)
    missing: dict[str, None] = {}
    asking = {(id(plan), *sorted(models.items())): (plan, models) for case in cases for plan, models in bench.asking(case)}
    for plan, models in asking.values():
        try:
            bench.make_runtime(models, None).require(plan)
        except ConfigError as error:
            missing.update(dict.fromkeys(str(error).splitlines()))
    if missing:
        raise ConfigError(
            "\n".join(missing) + "\n   hint: --simulate asks no model, and neither does a test with `replies:` or recorded answers"
        )


def _run(cases: Sequence[Case], bench: Bench, asked: Asked, *, deselected: int) -> Report:
    marks = tests.Marks(cases, color=screen.color(sys.stdout))
    # A reader that went away does not stop calls that are being paid for.
    sink = Sink(sys.stdout)

    def ended(result: CaseResult) -> None:
        if not asked.as_json:
            sink.write(marks.ended(result))

    async def work() -> Report:
        with Interrupting(bench.halt, bench.cut, screen.say):
            return await run_cases(cases, bench, stop_first=asked.stop_first, deselected=deselected, ended=ended)

    report = asyncio.run(work())
    if not asked.as_json:
        sink.write(marks.rest())
    screen.written(sink.failure)
    return report


def _columns() -> int:
    return max(shutil.get_terminal_size((100, 24)).columns, 40)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--junit {path}: {error.strerror}") from None


# -- watching ----------------------------------------------------------------------------------------------


def _watched(asked: Asked) -> int:
    """Run the tests, and again at each change of a file, until interrupted. Return the exit code."""
    read: tuple[Path, ...] = ()
    while True:
        before = _stamps(asked, read)
        try:
            loaded = _loaded(asked)
            read = tuple(dict.fromkeys(path for each in loaded for path in each.files))
            before |= _stamps(asked, read)
            if _ran(asked, loaded) == INTERRUPTED:
                return INTERRUPTED
        except FlowError as error:
            _complain(error.problems)
        except ConfigError as error:
            screen.complain(str(error))
        screen.say("waiting for a change; Ctrl-C ends")
        while _stamps(asked, read) == before:
            time.sleep(_LOOK)
        screen.say("")


def _stamps(asked: Asked, read: Sequence[Path]) -> _Stamps:
    """Return what tells a change of the files that were read, or that may hold tests now."""
    return {path: _stamp(path) for path in (*read, *(file.resolve() for file in _files(asked)))}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size


def _complain(problems: Sequence[Problem]) -> None:
    from flowkit.console import problems as told  # a mistake alone needs it

    screen.say(told.text(problems, files=0, color=screen.color(sys.stderr), columns=screen.columns()).rstrip("\n"))
