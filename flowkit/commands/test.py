"""`flowkit test`: run the tests of flows and show what failed, beside what was expected."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import click

from flowkit import config, project, replies, source
from flowkit.client import Responder
from flowkit.commands import screen
from flowkit.commands.opening import BY_TYPE, pairs
from flowkit.commands.verb import Verb
from flowkit.console import tests, tests_data
from flowkit.console.sink import Sink
from flowkit.errors import ConfigError, FlowError, Problem, Problems
from flowkit.project import PathRefused
from flowkit.replies import Replies
from flowkit.runtime import Runtime
from flowkit.suites.loading import Loaded, found, load
from flowkit.suites.results import NOTHING, CaseResult, Report
from flowkit.suites.running import Bench, run_cases
from flowkit.suites.selecting import chosen
from flowkit.suites.spec import Case

_EXAMPLES = (
    ("flowkit test", "all tests below this folder"),
    ("flowkit test flows/triage.flow.yaml -k 'outage and not slow'", "some tests of one flow"),
    ("flowkit test --simulate --watch", "no model is asked; again whenever a file changes"),
    ("flowkit test --tag smoke --max-cost 0.50 --junit results.xml", "in CI"),
)
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
@click.option("--watch", is_flag=True, help="Run again whenever a file of the tests or flows changes.")
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help="Ask no model: answer from a file, else by type.")
@click.option("-m", "--model", "models", multiple=True, metavar="ALIAS=MODEL", help="Use another model: fast=ollama/qwen3:8b.")
@click.option("--seed", default="", metavar="TEXT", help="Other simulated answers; the same for the same text.")
@click.option("--env-file", metavar="FILE", help="Add variables, such as keys, that are not set. No .env is read unasked.")
def command(*, watch: bool, **options: object) -> int:
    """Run the tests of flows.

    Tests stand under `tests` in a flow or beside it in *.test.yaml. All files are checked before anything is called. A test with
    `replies`, or one that looks at messages alone, asks no model. An ID is what reports show: FILE::NAME or FILE::NAME[ROW].

    Exit codes: 0 all passed; 1 a test failed; 2 wrong file or configuration, nothing was called; 3 server, key or quota kept tests
    from being judged; 4 --max-cost; 5 no tests found; 130 interrupted.
    """
    asked = _sorted_out(Asked(**options))  # type: ignore[arg-type]  # click gives what the options declare
    return _watched(asked) if watch else _ran(asked, _loaded(asked))


def _sorted_out(asked: Asked) -> Asked:
    """Sort out `--simulate PATH`, in which tests were taken for the file of replies."""
    said = asked.simulate
    if said in {None, BY_TYPE} or not (Path(str(said)).is_dir() or str(said).endswith((".flow.yaml", ".test.yaml"))):
        return asked
    return Asked(**{**{name: getattr(asked, name) for name in Asked.__slots__}, "paths": (str(said), *asked.paths), "simulate": BY_TYPE})


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
        screen.complain(_nothing(asked, len(cases)))
        return NOTHING
    bench = _bench(asked)
    _require(picked, bench)
    report = _run(picked, bench, asked, deselected=len(cases) - len(picked))
    if asked.junit is not None:
        _write(asked.junit, tests_data.junit(report))
    if asked.as_json:
        screen.out(tests_data.json(report))
    else:
        screen.out("\n" + tests.text(report, columns=_columns(), color=screen.color(sys.stdout)))
    return report.exit_code


def _files(asked: Asked) -> list[Path]:
    """Return the files that may hold the tests; of an id such as `a.test.yaml::name` its file."""
    return list(dict.fromkeys(file for path in asked.paths or (".",) for file in found(Path(path.partition("::")[0]))))


def _named(cases: Sequence[Case], paths: Sequence[str]) -> list[Case]:
    """Return the cases that ids among the paths name: of a test with rows, its name is all of them. A path without a name is all of it."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        file, _, name = path.partition("::")
        names.setdefault(Path(file).resolve(), set()).add(name)

    def wanted(case: Case) -> bool:
        own = names.get(case.suite.path, {""})
        return "" in own or case.name in own or case.test.name in own

    return [case for case in cases if wanted(case)]


def _loaded(asked: Asked) -> list[Loaded]:
    runtime = _runtime(asked, {}, None)
    files = _files(asked)
    return [load(file, cwd=Path.cwd(), models=runtime.config(file)) for file in files]


def _runtime(asked: Asked, models: Mapping[str, str], responder: Responder | None) -> Runtime:
    env = None if asked.env_file is None else config.dotenv(Path(asked.env_file), os.environ)
    return Runtime(models={**models, **pairs(asked.models)}, simulate=responder or False, env=env)


def _bench(asked: Asked) -> Bench:
    def make(models: Mapping[str, str], responder: Responder | None) -> Runtime:
        return _runtime(asked, models, responder)

    limit = None if asked.max_cost is None else Decimal(str(asked.max_cost))
    return Bench(make, simulate=_replies(asked.simulate), seed=asked.seed, repeat=asked.repeat, limit=limit)


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


def _nothing(asked: Asked, known: int) -> str:
    if known:
        return f"none of {known} tests was chosen by its id, -k or --tag"
    where = " or ".join(asked.paths) or "this folder"
    return f"there are no tests below {where}\n   hint: write `tests:` in a flow, or a file NAME.test.yaml beside NAME.flow.yaml"


def _require(cases: Sequence[Case], bench: Bench) -> None:
    """Refuse models that cannot be asked before anything is. Raises ConfigError."""
    missing: dict[str, None] = {}
    asking = {(id(plan), *sorted(models.items())): (plan, models) for case in cases for plan, models in bench.asking(case)}
    for plan, models in asking.values():
        try:
            bench.make_runtime(models, None).require(plan)
        except ConfigError as error:
            missing.update(dict.fromkeys(str(error).splitlines()))
    if missing:
        raise ConfigError("\n".join(missing) + "\n   hint: --simulate asks no model, and neither does a test with `replies:`")


def _run(cases: Sequence[Case], bench: Bench, asked: Asked, *, deselected: int) -> Report:
    marks = tests.Marks(cases, color=screen.color(sys.stdout))
    # A reader that went away does not stop calls that are being paid for.
    sink = Sink(sys.stdout)

    def ended(result: CaseResult) -> None:
        if not asked.as_json:
            sink.write(marks.ended(result))

    report = asyncio.run(run_cases(cases, bench, stop_first=asked.stop_first, deselected=deselected, ended=ended))
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
    """Run the tests, and again at each change of a file, until interrupted."""
    read: tuple[Path, ...] = ()
    while True:
        before = _stamps(asked, read)
        try:
            loaded = _loaded(asked)
            read = tuple(dict.fromkeys(path for each in loaded for path in each.files))
            before |= _stamps(asked, read)
            _ran(asked, loaded)
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
