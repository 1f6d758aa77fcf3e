"""Decide where a batch begins: at its first row, behind what an earlier process wrote, or not at all. Calls nothing."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from flowkit import printable
from flowkit.batch import Asked, Journal, Progress, Tally, lines
from flowkit.batch.progress import FRESH, IDENTITY, MEANING, changes
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
    #: Covers the lines that stay.
    written: blake2b = field(default_factory=lines.chain)
    seconds: float = 0.0
    #: Whether it is the batch that was noted before, and whether that was begun with --fresh.
    goes_on: bool = False
    fresh: bool = False
    #: What people should know, in words.
    notes: list[str] = field(default_factory=list)

    def progress(self, about: Mapping[str, str]) -> Progress:
        """Return what is kept as progress."""
        tally = self.tally
        counts = tally.succeeded, dict(tally.failed), tally.spent, self.seconds
        return Progress(about, self.kept, self.bytes, self.digest, *counts, self.written.hexdigest())


#: Reads the data from its first row; a stream only once.
Rows = Callable[[], Iterator[Asked]]
#: Says in words what changed about the flow.
Explain = Callable[[], list[str]]


def refuse_unwritable(path: Path, option: str) -> None:
    """Refuse a file that cannot be written, before anything is called. Raises ConfigError."""
    folder = path.parent
    if path.is_dir():
        raise ConfigError(f"{option} {path}: that is a folder\n   hint: name a file in it, such as {path / 'answers.jsonl'}")
    if not folder.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {folder}\n   hint: mkdir -p {shlex.quote(str(folder))}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ConfigError(
            f"{option} {path}: {'it' if path.exists() else f'the folder {folder}'} is not yours to write\n   hint: name another"
        )


def begin(
    out: Path, journal: Journal | None, about: Mapping[str, str], rows: Rows, *, anew: bool, stream: bool, explain: Explain
) -> Beginning:
    """Return where to begin. Raises ConfigError when the file is not ours, or the data of a stream is no longer what it was."""
    there = out.exists() and (not out.is_file() or out.stat().st_size > 0)
    if anew or (there and not out.is_file()):
        return Beginning(rows())
    saved = journal.load() if journal is not None else None
    if saved is None:
        if there:
            raise ConfigError(f"-o {out}: the file is there, and no batch is known that wrote it\n   hint: --force writes it anew")
        return Beginning(rows())
    fresh = FRESH in saved.about
    changed = _changed(out, saved, about, explain)
    if changed:
        notes = ["starting over, for this is not what it was:", *(f"  {each}" for each in changed)]
        return Beginning(rows(), notes=[*notes, "answers in the record are used again; --fresh asks anew"] if fresh else notes)
    if not there and saved.rows:
        return Beginning(rows(), notes=[f"starting over: {out} is gone"])
    if not there:
        # An unfinished batch without a single line has no file worth a word, and yet calls that were paid.
        return Beginning(rows(), tally=Tally(spent=saved.spent), seconds=saved.seconds, goes_on=True, fresh=fresh)
    written = _unchanged(out, saved)
    found = rows()
    if (wrong := _skip(found, saved)) is not None:
        if stream:
            raise ConfigError(f"{wrong}; what was read cannot be read again\n   hint: --force starts over")
        return Beginning(rows(), notes=[f"starting over: {wrong}"])
    return Beginning(found, saved.rows, saved.bytes, Tally.of(saved), saved.digest, written, saved.seconds, goes_on=True, fresh=fresh)


def begin_again(out: Path, journal: Journal | None, about: Mapping[str, str], rows: Rows, explain: Explain) -> Beginning:
    """Return all rows from the first, those that succeeded with their lines. Raises ConfigError as `begin` does."""
    if not out.is_file():
        raise ConfigError(f"--retry-failed: {out} is not there, so no row of it failed")
    saved = journal.load() if journal is not None else None
    beginning = Beginning(rows())
    if saved is not None:
        if changed := _changed(out, saved, about, explain):
            beginning.notes = [
                "rows that succeeded stay as they are, although this is not what it was:",
                *(f"  {each}" for each in changed),
            ]
        _unchanged(out, saved)
        if (wrong := _skip(rows(), saved)) is not None:
            raise ConfigError(f"--retry-failed: {wrong}, so that nobody knows which row is which\n   hint: --force starts over")
        beginning.tally = Tally(spent=saved.spent)
        beginning.goes_on, beginning.fresh = True, FRESH in saved.about
        beginning.seconds = saved.seconds
    beginning.rows = _with_lines(beginning.rows, out, None if saved is None else saved.rows)
    return beginning


async def finish_again(temporary: Path, out: Path, work: Work, board: Board, journal: Journal | None) -> None:
    """Put the new file in the place of the old one, with the old lines of all rows that it did not come to. Raises FlowkitError."""
    written = board.rows
    try:
        size = _completed(temporary, out, work, board)
    except OSError as error:
        raise FlowkitError(f"{temporary}: {error.strerror}; {out} is as it was") from None
    if journal is not None:
        saved = journal.load()
        digest = saved.digest if saved is not None and board.rows > written else work.digest
        await journal.save(replace(work.progress(), bytes=size, digest=digest))


def _completed(temporary: Path, out: Path, work: Work, board: Board) -> int:
    with out.open("rb") as old, temporary.open("ab") as new:
        for line in islice(lines.read_all(old), board.rows, None):
            new.write(line.raw)
            work.written.update(line.raw)
            board.tally.count(line.error)
        new.flush()
        os.fsync(new.fileno())
        size = new.tell()
    shutil.copymode(out, temporary)
    temporary.replace(out)
    return size


def _changed(out: Path, saved: Progress, about: Mapping[str, str], explain: Explain) -> list[str]:
    for name in IDENTITY:
        if saved.about.get(name) != about.get(name):
            other = saved.about.get(name)
            raise ConfigError(
                f"-o {out}: the file holds a batch with another {name}: {other}\n"
                "   hint: name another file, or --force writes this one anew"
            )
    said = changes(saved.about, about)
    if saved.about.get(MEANING) != about.get(MEANING):
        said += explain() or ["the flow changed since"]
    return said


def _unchanged(out: Path, saved: Progress) -> blake2b:
    """Return what covers the lines of an earlier process. Raises ConfigError when they are no longer what it wrote."""
    try:
        found = lines.chained(out, saved.bytes)
        foreign = found is not None and lines.foreign(out, saved.bytes)
    except OSError as error:
        raise ConfigError(f"-o {out}: {error.strerror}") from None
    rows = printable.plural(saved.rows, "row")
    if found is None:
        wrong = f"the {rows} that the batch wrote do not end where they did"
    elif saved.lines and found.hexdigest() != saved.lines:
        wrong = f"of the {rows} that the batch wrote, some are not what they were"
    elif foreign:
        wrong = f"behind the {rows} that the batch wrote stands something else"
    else:
        return found
    raise ConfigError(
        f"-o {out}: the file was changed since: {wrong}\n"
        "   hint: --force writes it anew, and calls that are in the record cost nothing; or name another file"
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
