"""`flowkit batch`: run a flow over the rows of a file, and write a line for each, in order."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import click

from flowkit import printable
from flowkit.batch import AHEAD, CONCURRENCY, Pulse, Start, Threaded
from flowkit.batch.journal import PRINTED, StoreJournal
from flowkit.batch.progress import FRESH, MEANING
from flowkit.budget import Budget, Limits
from flowkit.commands import changed, columns, given, locked, screen
from flowkit.commands.batch_out import Beginning, begin, begin_again, finish_again, refuse_unwritable
from flowkit.commands.batch_work import Done, Filed, Printed, View, Work
from flowkit.commands.columns import Columns
from flowkit.commands.dataset import Dataset, Selection
from flowkit.commands.keeping import Keeping, keeping
from flowkit.commands.opening import BY_TYPE, FLOW_SUFFIX, NOTHING, Opening, options
from flowkit.commands.per_row import PerRow
from flowkit.commands.verb import Verb
from flowkit.console import batch_board
from flowkit.console.batch_board import Board, Ending
from flowkit.console.batch_plain import PlainBatch
from flowkit.errors import ConfigError
from flowkit.flow import Flow, Started
from flowkit.runner import Spending
from flowkit.runtime import Runtime
from flowkit.simulator import Simulator

_EXAMPLES = (
    (
        "flowkit batch flows/triage.flow.yaml tickets.jsonl -o answers.jsonl",
        "a line for each row; stopped anywhere, the same command goes on",
    ),
    (
        "flowkit batch flows/triage.flow.yaml tickets.csv --map ticket=Body -i tone=formal",
        "a column of another name, an input for all rows",
    ),
    ("flowkit batch flows/triage.flow.yaml tickets.jsonl --sample 20 --simulate", "a try with 20 rows; no model is asked"),
    ("flowkit batch flows/triage.flow.yaml - -o answers.jsonl --json < tickets.jsonl | jq .failed", "for programs"),
)


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("flow", required=False)
@click.argument("data", required=False)
@options
@click.option("--map", "mapped", multiple=True, metavar="INPUT=COLUMN", help="Take an input from a column of another name.")
@click.option("-o", "--output", metavar="FILE", help="Write the lines there; stopped anywhere, the same command goes on.")
@click.option("--simulate", is_flag=False, flag_value=BY_TYPE, metavar="[REPLIES]", help="Ask no model: answer from a file, else by type.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N rows.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="N rows at random, in their order; --seed gives others.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help=f"Rows at work at a time; {CONCURRENCY} unless given.")
@click.option("--keep-going/--fail-fast", default=True, help="Whether the others run when a row fails; they do unless told.")
@click.option("--retry-failed", is_flag=True, help="Run the rows that failed again, and keep the others.")
@keeping
@click.option("--force", is_flag=True, help="Begin with the first row, whatever is in the file of -o. So does --fresh.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object on stdout; needs -o.")
@click.option("--summary", metavar="FILE", help="Write the summary there, as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on stderr.")
def command(opening: Opening, keeping: Keeping, *, data: str | None, simulate: str | None, **chosen: Any) -> int:
    """Run a flow over the rows of a file.

    JSONL or CSV goes in, one line of JSON for each row comes out, in order. A row gives the inputs of one run: each column the input of
    its name. A row that cannot be read, or that fails, has a line that says so, and the others run. Memory does not grow with the number
    of rows.

    Exit codes: 0 ok; 1 rows failed; 2 wrong file, input or configuration, nothing was called; 3 stopped by server, key or quota; 4
    stopped by a limit; 130 interrupted. After 3, 4 and 130 the same command goes on.
    """
    if simulate is not None and simulate.endswith(FLOW_SUFFIX):  # --simulate FLOW DATA: the flow was taken for the replies
        opening, data, simulate = replace(opening, flow=simulate), opening.flow or data, BY_TYPE
    if not opening.flow or not data:
        raise click.UsageError("which flow, and which data? flowkit batch FLOW DATA.jsonl", click.get_current_context())
    return Job(opening, keeping, data, simulate, **chosen).run()


class Job:
    """What one command line asks for, until it is done."""

    def __init__(
        self,
        opening: Opening,
        keeping: Keeping,
        data: str,
        simulate: str | None,
        *,
        mapped: tuple[str, ...] = (),
        output: str | None = None,
        limit: int | None = None,
        sample: int | None = None,
        concurrency: int | None = None,
        keep_going: bool = True,
        retry_failed: bool = False,
        force: bool = False,
        as_json: bool = False,
        summary: str | None = None,
        quiet: bool = False,
    ) -> None:
        self._opening = opening
        self._keeping = keeping
        self._simulate = simulate
        self._mapped = mapped
        self._out = None if output is None else Path(output)
        self._selection = Selection(limit, sample, opening.seed)
        self._concurrency = concurrency
        self._keep_going = keep_going
        self._retry = retry_failed
        self._anew = force or keeping.fresh
        self._json = as_json
        self._summary = None if summary is None else Path(summary)
        self._quiet = quiet
        self._refuse(data)
        self._data = Dataset(data)
        self._responder: PerRow | None = None

    def _refuse(self, data: str) -> None:
        context = click.get_current_context(silent=True)
        if self._opening.seed and self._simulate is None and self._selection.sample is None:
            raise click.UsageError("--seed is for --simulate and --sample", context)
        if self._opening.inputs == "-" and data == "-":
            raise click.UsageError("--inputs - and the data both read stdin; name a file for one of them", context)
        if self._out is None and (self._json or self._retry):
            raise click.UsageError(f"{'--json' if self._json else '--retry-failed'} needs -o FILE", context)
        if self._retry and (self._anew or data == "-"):
            raise click.UsageError("--retry-failed needs the file of -o as it is, and data that can be read again", context)
        if self._out is not None and data != "-" and self._out.exists() and Path(data).exists() and self._out.samefile(data):
            raise click.UsageError("-o is the file of the data, which would be lost", context)

    def run(self) -> int:
        """Do it, and return the exit code. Raises FlowkitError; when it is a FlowError, InputError or ConfigError, nothing was called."""
        flow, runtime = self._opened()
        fixed = self._fixed(flow)
        mapped = columns.pairs(self._mapped, flow.plan.inputs)
        found = Columns(flow.plan.inputs, mapped, fixed, textual=self._data.form == "csv")
        runtime.require(flow.plan)
        self._data.check(found)
        for path, option in ((self._out, "-o"), (self._summary, "--summary")):
            if path is not None:
                refuse_unwritable(path, option)
        about = self._about(flow, mapped, fixed)
        keeper = runtime if self._simulate is None else self._opening.runtime(None, self._keeping)
        try:
            journal = self._journal(flow, keeper, about)
            beginning = self._begin(flow, journal, about, found)
            if journal is not None and beginning.goes_on:
                journal.go_on()
            if beginning.fresh and not self._keeping.fresh:
                self._keeping = replace(self._keeping, fresh=True)
                about |= {FRESH: "yes"}
                if self._simulate is None:
                    keeper.close()
                    flow, keeper = self._opened()
                    runtime = keeper
                    if journal is not None:
                        journal.reopen(lambda: keeper.recorder(flow.plan))
            board = Board(
                flow.name, beginning.tally, self._total(), beginning.kept, simulated=self._simulate is not None, before=beginning.seconds
            )
            with asyncio.Runner() as runner:
                return runner.run(self._work(flow, runtime, keeper, beginning, board, journal, about))
        finally:
            keeper.close()

    # -- before anything is called -----------------------------------------------------------------------------

    def _opened(self) -> tuple[Flow, Runtime]:
        opening = self._opening
        flow = opening.open(simulate=self._simulate, keeping=self._keeping)
        if self._simulate is not None:
            first = opening.simulator(self._simulate, flow.plan)
            self._responder = PerRow(lambda: Simulator(first._replies, seed=opening.seed))
        # Of simulated rows only how far the batch is is kept: nobody paid for them.
        runtime = opening.runtime(self._responder, self._keeping if self._simulate is None else NOTHING)
        return Flow(flow.plan, runtime, warnings=flow.warnings, files=flow.files, options=flow.options, committed=flow.committed), runtime

    def _fixed(self, flow: Flow) -> dict[str, Any]:
        """Return the inputs that are the same for all rows. Raises InputError."""
        opening, declared = self._opening, flow.plan.inputs
        found = given.mapping(opening.inputs, sys.stdin.read) if opening.inputs is not None else {}
        found |= given.values(opening.input, declared)
        unknown = {name: value for name, value in found.items() if declared.get(name) is None}
        if unknown:
            given.require(
                unknown, replace(declared, fields=tuple(replace(f, optional=True) for f in declared.fields)), flow=flow.name, line=""
            )
        return found

    def _about(self, flow: Flow, mapped: Mapping[str, str], fixed: Mapping[str, Any]) -> dict[str, str]:
        opening = self._opening
        simulate = self._simulate
        fresh = {FRESH: "yes"} if self._keeping.fresh else {}
        if simulate not in {None, BY_TYPE}:
            simulate = f"{simulate} {blake2b(Path(str(simulate)).read_bytes(), digest_size=8).hexdigest()}"
        return {
            "flow": str(Path(opening.flow).resolve()),
            "data": self._data.shown if self._data.stream else str(Path(self._data.name).resolve()),
            MEANING: flow.provenance.fingerprint,
            "--map": " ".join(sorted(f"{name}={column}" for name, column in mapped.items())),
            "-i": json.dumps(fixed, ensure_ascii=False, sort_keys=True, default=str) if fixed else "",
            "-m": " ".join(sorted(opening.model)),
            "--set": " ".join(opening.settings),
            "--variant": " ".join(sorted(opening.variant)),
            "--simulate": "" if simulate is None else "by type" if simulate == BY_TYPE else simulate,
            "--seed": opening.seed,
            "--sample": "" if self._selection.sample is None else str(self._selection.sample),
            **fresh,
        }

    def _journal(self, flow: Flow, keeper: Runtime, about: Mapping[str, str]) -> StoreJournal | None:
        """Return what keeps the progress of the batch, None without a record. Raises StoreError."""
        if not self._keeping.record:
            return None
        return StoreJournal(
            lambda: keeper.recorder(flow.plan),
            out=PRINTED if self._out is None else str(self._out.resolve()),
            flow=flow.name,
            path=str(flow.plan.path),
            fingerprint=flow.provenance.fingerprint,
            data=about["data"],
            simulated=self._simulate is not None,
        )

    def _begin(self, flow: Flow, journal: StoreJournal | None, about: Mapping[str, str], found: Columns) -> Beginning:
        if self._out is None:
            return Beginning(self._data.asked(found, self._selection))

        def rows() -> Any:
            return self._data.asked(found, self._selection)

        def explain() -> list[str]:
            before = journal.last_run() if journal is not None else None
            if before is None:
                return []
            row, source, calls = before
            said = json.loads(row.options)
            model, settings, variant = (tuple(said.get(name, ())) for name in ("model", "set", "variant"))
            then = replace(self._opening, model=model, settings=settings, variant=variant)
            return changed.since(row, source, calls, then, self._opening, flow)

        if self._retry:
            return begin_again(self._out, journal, about, rows, explain)
        return begin(self._out, journal, about, rows, anew=self._anew, stream=self._data.stream, explain=explain)

    def _total(self) -> int | None:
        return None if self._quiet and not self._json and self._summary is None else self._data.total(self._selection)

    # -- while it goes on --------------------------------------------------------------------------------------

    async def _work(
        self,
        flow: Flow,
        runtime: Runtime,
        keeper: Runtime,
        beginning: Beginning,
        board: Board,
        journal: StoreJournal | None,
        about: Mapping[str, str],
    ) -> int:
        began = time.monotonic()

        def clock() -> float:
            return time.monotonic() - began

        rows = Threaded(beginning.rows, (self._concurrency or CONCURRENCY) * AHEAD) if self._data.stream else beginning.rows
        temporary = self._out.with_name(f"{self._out.name}.retry") if self._out is not None and self._retry else None
        target = temporary or self._out
        out = Printed() if target is None else Filed(target, beginning.bytes)
        if journal is not None and temporary is None:
            # Noted before the file is cut, so that it is known whose it is whatever happens next.
            await journal.save(beginning.progress(about))
        out.cut()
        if journal is not None and (spent := await journal.spent()) is not None:
            beginning.tally.spent = spent  # a process that was killed could not note what it paid last
        pulse = Pulse(clock)
        work = Work(
            self._start(flow, journal.id if journal is not None else uuid.uuid4().hex[:12], pulse),
            rows,
            out,
            board,
            journal,
            about,
            pulse,
            digest=beginning.digest,
            written=beginning.written,
            noting=temporary is None,
            concurrency=self._concurrency,
            keep_going=self._keep_going,
        )
        try:
            async with keeper:
                with self._view(board, clock) as view:
                    for note in beginning.notes:
                        view.say(note)
                    done = await work.done(runtime, view)
                    if temporary is not None and self._out is not None:
                        await finish_again(temporary, self._out, work, board, journal)
                    if journal is not None:
                        await journal.end(done.status)
        finally:
            out.close()
        if journal is not None and self._simulate is None:
            locked.warn(Path(flow.provenance.path), batch=journal.id)
        return self._report(done, board, clock(), kept=journal is not None)

    def _start(self, flow: Flow, batch: str, pulse: Pulse) -> Start:
        limits = self._keeping.limits
        within = None if limits == Limits() else Spending(Budget(limits, now=asyncio.get_running_loop().time(), name="the batch"))

        def start(row: int, inputs: Mapping[str, Any]) -> Started:
            if self._responder is not None:
                self._responder.begin()
            return flow.start(inputs, emit=pulse.reader(), id=f"{batch}.{row}", within=within, batch=(batch, row))

        return start

    def _view(self, board: Board, clock: Callable[[], float]) -> AbstractContextManager[View]:
        # The lines and a picture on one screen would write into each other.
        shared = self._out is None and screen.terminal(sys.stdout)
        if self._quiet or shared:
            return nullcontext(_Silent())
        if not screen.terminal(sys.stderr):
            return PlainBatch(sys.stderr, board, clock)
        from flowkit.console.batch_live import LiveBatch  # it draws with rich, which is slow to import, and only on a terminal

        return LiveBatch(screen.console(), board, clock)

    # -- when it is over ---------------------------------------------------------------------------------------

    def _ways_on(self, done: Done, board: Board, *, kept: bool) -> Iterator[str]:
        words = [word for word in sys.argv[1:] if word not in {"--fresh", "--force", "--retry-failed"}]
        line = f"flowkit {shlex.join(words)}"
        if done.status in {"stopped", "interrupted"}:
            yield f"to go on: {line}" if kept else "nothing was recorded, so that no other process goes on: --force begins anew"
        elif board.tally.failed.keys() == {"input"} and not self._quiet:
            yield "rows of kind input fail again with the same data: mend them, and the same command runs all that changed"
        elif board.tally.failed and not self._quiet:
            yield f"to run the rows that failed again: {line} --retry-failed"

    def _report(self, done: Done, board: Board, seconds: float, *, kept: bool) -> int:
        ending = Ending(done.status, seconds, self._data.shown, self._out, done.error)
        text = printable.json_text(batch_board.document(board, ending), indent=2) + "\n"
        if not self._quiet:
            screen.say(batch_board.summary(board, ending))
        if done.error is not None:
            where = f"{done.error.place}: " if done.error.place else ""
            step = f"step {done.error.step!r}: " if done.error.step else ""
            screen.complain(printable.block(f"{where}{step}{done.error.message}"), simulated=board.simulated)
        if self._out is not None:
            for line in self._ways_on(done, board, kept=kept):
                screen.say(f"   {line}")
        if self._summary is not None:
            _write_private(self._summary, text)
        if self._json:
            screen.out(text)
        return done.code


def _write_private(path: Path, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)  # errors in it may quote what models said
        with os.fdopen(file, "w", encoding="utf-8") as writer:
            writer.write(text)
    except OSError as error:
        raise ConfigError(f"--summary {path}: {error.strerror}") from None


class _Silent:
    """Shows nothing but what must be said."""

    def __call__(self, result: object) -> None:
        """Nobody watches."""

    def tick(self) -> None:
        """Nobody waits."""

    def say(self, text: str) -> None:
        """Say it."""
        screen.say(text)
