"""Decide where a batch begins: at its first row, behind what an earlier process wrote, or not at all. Calls nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from flowkit.batch import Asked, Journal, Progress, Tally, lines
from flowkit.batch.progress import IDENTITY, changes
from flowkit.commands.batch_work import Work
from flowkit.console.batch_board import Board
from flowkit.errors import ConfigError, FlowkitError


@dataclass(slots=True)
class Beginning:
    """What is kept of the file, and the rows that are asked about behind it."""

    rows: Iterator[Asked]
    #: Lines and bytes of the file that stay.
    kept: int = 0
    bytes: int = 0
    tally: Tally = field(default_factory=Tally)
    digest: str = ""
    seconds: float = 0.0
    #: What people should know, in words.
    notes: list[str] = field(default_factory=list)

    def progress(self, about: Mapping[str, str]) -> Progress:
        """Return what is kept as progress."""
        tally = self.tally
        counts = tally.succeeded, dict(tally.failed), tally.usage, self.seconds, tally.cost, tally.reused
        return Progress(about, self.kept, self.bytes, self.digest, *counts)


#: Reads the data from its first row; a stream only once.
Rows = Callable[[], Iterator[Asked]]


def begin(out: Path, journal: Journal | None, about: Mapping[str, str], rows: Rows, *, anew: bool, stream: bool) -> Beginning:
    """Return where to begin. Raises ConfigError when the file is not ours, or the data of a stream is no longer what it was."""
    there = out.exists() and (not out.is_file() or out.stat().st_size > 0)
    if anew or (there and not out.is_file()):
        return Beginning(rows())
    saved = journal.load() if journal is not None else None
    if saved is None:
        if there:
            raise ConfigError(f"-o {out}: the file is there, and no batch is known that wrote it\n   hint: --force writes it anew")
        return Beginning(rows())
    changed = _changed(out, saved, about)
    if changed:
        return Beginning(rows(), notes=["starting over, for this is not what it was:", *(f"  {each}" for each in changed)])
    if not there:
        # An unfinished batch without a single line has no file worth a word.
        return Beginning(rows(), notes=[f"starting over: {out} is gone"] if saved.rows else [])
    _refuse_damaged(out, saved)
    found = rows()
    if (wrong := _skip(found, saved)) is not None:
        if stream:
            raise ConfigError(f"{wrong}; what was read cannot be read again\n   hint: --force starts over")
        return Beginning(rows(), notes=[f"starting over: {wrong}"])
    return Beginning(found, saved.rows, saved.bytes, Tally.of(saved), saved.digest, saved.seconds)


def begin_again(out: Path, journal: Journal | None, about: Mapping[str, str], rows: Rows) -> Beginning:
    """Return all rows from the first, those that succeeded with their lines. Raises ConfigError as `begin` does."""
    if not out.is_file():
        raise ConfigError(f"--retry-failed: {out} is not there, so no row of it failed")
    saved = journal.load() if journal is not None else None
    beginning = Beginning(rows())
    if saved is not None:
        if changed := _changed(out, saved, about):
            beginning.notes = [
                "rows that succeeded stay as they are, although this is not what it was:",
                *(f"  {each}" for each in changed),
            ]
        _refuse_damaged(out, saved)
        if (wrong := _skip(rows(), saved)) is not None:
            raise ConfigError(f"--retry-failed: {wrong}, so that nobody knows which row is which\n   hint: --force starts over")
        beginning.tally = Tally(usage=saved.usage, cost=saved.cost, reused=saved.reused)
        beginning.seconds = saved.seconds
    beginning.rows = _with_lines(beginning.rows, out, None if saved is None else saved.rows)
    return beginning


async def finish_again(temporary: Path, out: Path, work: Work, board: Board, journal: Journal | None) -> None:
    """Put the new file in the place of the old one, with the old lines of all rows that it did not come to. Raises FlowkitError."""
    written = board.rows
    try:
        size = _completed(temporary, out, board)
    except OSError as error:
        raise FlowkitError(f"{temporary}: {error.strerror}; {out} is as it was") from None
    if journal is not None:
        saved = journal.load()
        digest = saved.digest if saved is not None and board.rows > written else work.digest
        await journal.save(replace(work.progress(), bytes=size, digest=digest))


def _completed(temporary: Path, out: Path, board: Board) -> int:
    with out.open("rb") as old, temporary.open("ab") as new:
        for line in islice(lines.read_all(old), board.rows, None):
            new.write(line.raw)
            board.tally.count(line.error)
        new.flush()
        os.fsync(new.fileno())
        size = new.tell()
    temporary.replace(out)
    return size


def _changed(out: Path, saved: Progress, about: Mapping[str, str]) -> list[str]:
    for name in IDENTITY:
        if saved.about.get(name) != about.get(name):
            other = saved.about.get(name)
            raise ConfigError(
                f"-o {out}: the file holds a batch with another {name}: {other}\n"
                "   hint: name another file, or --force writes this one anew"
            )
    return changes(saved.about, about)


def _refuse_damaged(out: Path, saved: Progress) -> None:
    if saved.rows and lines.last(out, saved.bytes) is None:
        raise ConfigError(
            f"-o {out}: the file was changed since: the {saved.rows} rows that the batch wrote do not end where they did\n"
            "   hint: --force writes it anew; calls that are in the record cost nothing"
        )


def _skip(rows: Iterator[Asked], saved: Progress) -> str | None:
    """Pass over the rows whose lines are written; say what is wrong with them, None when they are what they were."""
    digest = ""
    for number in range(saved.rows):
        row = next(rows, None)
        if row is None:
            return f"the data had {saved.rows} rows at least, and has {number} now"
        digest = row.digest.hex()
    return None if digest == saved.digest else f"the data changed within its first {saved.rows} rows"


def _with_lines(rows: Iterator[Asked], out: Path, known: int | None) -> Iterator[Asked]:
    with out.open("rb") as file:
        old = lines.read_all(file)
        for number, row in enumerate(rows):
            try:
                line = next(old, None) if known is None or number < known else None
            except lines.Damaged as wrong:
                raise ConfigError(f"{out}:{number + 1}: {wrong}") from None
            if line is not None and line.row != row.number:
                raise ConfigError(f"{out}:{number + 1}: holds row {line.row}, where the data has row {row.number}")
            yield row if line is None or line.error is not None else Asked(row.number, None, None, row.place, row.digest, line.raw)
