"""The store in one SQLite file: WAL, written by one thread, durable at each commit. Damage is noticed, moved aside and never deleted."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from flowkit import printable
from flowkit.errors import StoreError
from flowkit.store import leases, schema
from flowkit.store.place import RECORD
from flowkit.store.reading import Damaged, Reading
from flowkit.store.rows import BatchRow, Row, RunRow, SessionRow
from flowkit.store.writing import Writer, write

FILE = RECORD
LEASES = "sessions"
#: Seconds for which another process may hold the lock; then once more, then it is an error.
BUSY = 5.0
#: Bytes up to which a file is looked through whole whenever it is opened; a larger one after a crash only.
LOOKED_THROUGH = 8 * 1024 * 1024

_R = TypeVar("_R")


class SqliteStore(Reading):
    """Rows in `folder`, which is made, for this user alone. `warn` is told of what was moved aside."""

    def __init__(
        self,
        folder: Path,
        *,
        version: str,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        most_pages: int | None = None,
        busy: float = BUSY,
    ) -> None:
        self.folder = folder
        self.session = uuid.uuid4().hex[:12]
        self._row = SessionRow(self.session, os.getpid(), version, clock())
        self._busy = busy
        self._most_pages = most_pages
        self._warn = warn
        self._lock = threading.Lock()
        self._path = folder / FILE
        self._closed = False
        with _said(self._path):
            _make(folder)
            with leases.opening(folder / LEASES, 2 * busy):
                self._lease = leases.Lease(folder / LEASES, self.session)
                try:
                    self._connection = self._open()
                    self._reader = self._connect()
                    self._reader.execute("PRAGMA query_only = ON")
                except BaseException:
                    self._lease.release()
                    raise
        self._writer = Writer(self.transact, self._connection.close)

    @property
    def where(self) -> str:
        """The path of the file."""
        return str(self._path)

    def _enter(self, connection: sqlite3.Connection) -> list[str]:
        """Note what processes that died left behind; return what of theirs was lost, in words."""
        lost = []
        done = leases.sweep(self.folder / LEASES)
        for other in self.select(SessionRow, "id != ?", (self.session,), connection=connection):
            if self.alive(other.id):
                continue
            which, values = "session = ? AND status = 'running'", (other.id,)
            write(connection, [replace(row, status="interrupted") for row in self.select(RunRow, which, values, connection=connection)])
            write(connection, [replace(row, status="interrupted") for row in self.select(BatchRow, which, values, connection=connection)])
            connection.execute("DELETE FROM sessions WHERE id = ?", (other.id,))
            done[other.id] = done.get(other.id, 0) - other.commits
        missing = sum(count for count in done.values() if count > 0)
        if missing:
            lost.append(
                f"the record {self._path} lost what was written last ({missing} commits of a process that died):"
                " calls among them are made again"
            )
        return lost

    # -- writing ---------------------------------------------------------------------------------------------

    def put(self, *rows: Row) -> None:
        """Take rows to be written."""
        self._writer.put(*rows)

    async def commit(self, *rows: Row) -> None:
        """Take rows, and wait until all is durable. Raises StoreError."""
        if rows:
            self._writer.put(*rows, awaited=True)
        await self._writer.commit()

    def flush(self) -> None:
        """Block until all is durable. Raises StoreError."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and let go. Raises StoreError."""
        if self._closed:
            return
        self._closed = True
        try:
            self._writer.close()
        finally:
            with self._lock:
                self._reader.close()
            with suppress(StoreError):  # then the next one takes it for one that died, which does no harm
                self._apart(lambda connection: connection.execute("DELETE FROM sessions WHERE id = ?", (self.session,)))
            self._lease.release()

    def transact(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Run a function in one transaction, and count it. Raises StoreError."""
        session = replace(self._row, commits=self._row.commits + 1)
        for last in (False, True):
            try:
                with _said(self._path), _transaction(self._connection) as connection:
                    work(connection)
                    write(connection, [session])
                break
            except StoreError as error:
                if last or not _busy(error):
                    raise
        self._row = session
        self._lease.note(session.commits)

    # -- owners ----------------------------------------------------------------------------------------------

    def alive(self, session: str) -> bool:
        """Whether the process of a session still runs."""
        return session == self.session or leases.alive(self.folder / LEASES, session)

    def claim(self, run: RunRow) -> bool:
        """Write a run that goes on here, unless a process that lives has it."""
        return self._claim(RunRow, run)

    def claim_batch(self, batch: BatchRow) -> bool:
        """Write a batch that goes on here, unless a process that lives has it."""
        return self._claim(BatchRow, batch)

    def _claim(self, kind: type[RunRow | BatchRow], row: RunRow | BatchRow) -> bool:
        self.flush()

        def work(connection: sqlite3.Connection) -> bool:
            found = self.select(kind, "id = ?", (row.id,), connection=connection)
            if found and found[0].status == "running" and found[0].session != self.session and self.alive(found[0].session):
                return False
            write(connection, [row])
            return True

        # The thread that writes has nothing to do now; the connection is its own, so a second one does this.
        return self._apart(work)

    def forget(self, runs: Sequence[str], batches: Sequence[str] = ()) -> int:
        """Delete runs with all that belongs to them, and the bodies that no other needs."""
        self.flush()
        before = self._size()

        def work(connection: sqlite3.Connection) -> None:
            for run in runs:
                for table in ("steps", "items", "calls", "attempts", "notes"):
                    connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608 - our own names
                connection.execute("DELETE FROM runs WHERE id = ?", (run,))
            for batch in batches:
                connection.execute("DELETE FROM batches WHERE id = ?", (batch,))
            connection.execute(
                "DELETE FROM bodies WHERE hash NOT IN (SELECT request FROM calls UNION SELECT reply FROM calls WHERE reply IS NOT NULL"
                " UNION SELECT source FROM runs WHERE source IS NOT NULL)"
            )

        self._apart(work)
        with suppress(StoreError), _said(self._path), self._beside() as connection:  # another process reads: the room is used later
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return max(0, before - self._size())

    def _size(self) -> int:
        """Return the bytes of the file with all that was committed, also what is not yet in the file itself."""
        with self.reading() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (bytes_,) = connection.execute("PRAGMA page_size").fetchone()
        return int(pages) * int(bytes_)

    def _apart(self, work: Callable[[sqlite3.Connection], _R]) -> _R:
        """Run a function in a transaction of a connection of its own, in this thread."""
        with _said(self._path), self._beside() as own, _transaction(own) as connection:
            return work(connection)

    @contextmanager
    def _beside(self) -> Iterator[sqlite3.Connection]:
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    # -- reading ---------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection that reads. Raises StoreError."""
        with self._lock, _said(self._path):
            yield self._reader

    # -- opening ---------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=self._busy, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        return connection

    def _open(self) -> sqlite3.Connection:
        """Open the file, or, when it is damaged and no one else has it, move it aside and begin a new one."""
        with _said(self._path):
            others = leases.living(self.folder / LEASES) - {self.session}
        try:
            return self._opened(alone=not others)
        except Damaged as damage:
            if others:
                raise StoreError(f"{damage}; another process has it open, so it was left where it is") from None
            with _said(self._path):
                moved = self._move_aside()
            self._warn(f"{damage}; it was moved to {moved}, and a new one was begun: answers that were paid before are asked again")
            leases.sweep(self.folder / LEASES)  # what they say of the old one is no news
            return self._opened(alone=True)

    def _opened(self, *, alone: bool) -> sqlite3.Connection:
        with _said(self._path):
            self._touch(alone=alone)
            connection = self._connect()
        try:
            with _said(self._path):
                crashed = self._prepare(connection)
                if alone and (crashed or self._path.stat().st_size <= LOOKED_THROUGH):
                    said = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
                    if said != "ok":
                        raise Damaged(f"the record {self._path} is damaged: {said}")
            lost: list[str] = []
            self._connection = connection
            self.transact(lambda connection: lost.extend(self._enter(connection)))
        except BaseException:
            connection.close()
            raise
        for text in lost:
            self._warn(text)
        return connection

    def _touch(self, *, alone: bool) -> None:
        """Make the file if there is none, for this user alone; it is never opened here, since closing it would drop SQLite's locks."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            wal = Path(f"{self._path}-wal")
            if alone and wal.exists() and wal.stat().st_size:
                raise Damaged(f"the record {self._path} is gone, and only its -wal is there") from None
            fresh = self.folder / f"{FILE}.{self.session}"
            os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with suppress(FileExistsError):
                os.link(fresh, self._path)
            fresh.unlink()
            return
        if alone and not size:
            raise Damaged(f"the record {self._path} is empty")
        with suppress(PermissionError):
            self._path.chmod(0o600)

    def _prepare(self, connection: sqlite3.Connection) -> bool:
        """Bring the tables up to date; return whether a process died here."""
        connection.execute("BEGIN")  # another process may be making the tables now
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (ours,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("COMMIT")
        if tables and (ours != schema.APPLICATION_ID or version < 1):
            raise Damaged(f"{self._path} is no record of flowkit")
        if version > schema.VERSION:
            raise StoreError(
                f"the record {self._path} has form {version}, and this flowkit knows forms up to {schema.VERSION}: use the newer flowkit,"
                " or another record with FLOWKIT_HOME"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        if self._most_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self._most_pages:d}")
        while version < schema.VERSION:
            version = _migrate(connection)
        (others,) = connection.execute("SELECT count(*) FROM sessions").fetchone()
        return bool(others)

    def _move_aside(self) -> Path:
        parts = ("-wal", "-shm", "")
        for number in count(1):
            target = self.folder / f"{FILE}.damaged-{number}"
            if not any(Path(f"{target}{part}").exists() for part in parts):
                break
        for part in parts:
            with suppress(FileNotFoundError):
                Path(f"{self._path}{part}").rename(f"{target}{part}")
        return target


def _migrate(connection: sqlite3.Connection) -> int:
    """Go one form further, as one transaction; another process may have done it meanwhile."""
    with _transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        found = int(version)
        if found < schema.VERSION:
            for statement in schema.MIGRATIONS[found].split(";"):
                if statement.strip():
                    connection.execute(statement)
            found += 1
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID:d}")
            connection.execute(f"PRAGMA user_version = {found:d}")
    return found


def _make(folder: Path) -> None:
    """Make the folder for this user alone. One that is there and holds other things is left as it is."""
    for missing in [parent for parent in reversed([folder, *folder.parents]) if not parent.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
    if not (folder / FILE).exists() and any(folder.iterdir()):
        return
    if folder.stat().st_mode & 0o777 != 0o700:
        folder.chmod(0o700)
    with suppress(FileExistsError):
        file = os.open(folder / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(file, b"*\n")
        os.close(file)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back by itself
            connection.execute("ROLLBACK")
        raise


def _busy(error: StoreError) -> bool:
    cause = error.__cause__
    return isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Say in our words what SQLite and the disk say."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if not hasattr(error, "sqlite_errorcode"):  # Python's own: a text that is not UTF-8
            raise Damaged(f"the record {path} is damaged: {printable.line(str(error))}") from error
        raise StoreError(_why(path, error)) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of a schema that is damaged, not even the message is a text
        raise Damaged(f"the record {path} is damaged: {printable.line(str(error))}") from error
    except OSError as error:
        raise StoreError(f"the record {path} cannot be used: {error.strerror or error}; without it: --no-record") from error


def _why(path: Path, error: sqlite3.OperationalError) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"the record {path} cannot be written: the disk is full; nothing more is paid for. Make room, and go on"
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"the record {path} is locked by another process; try again when it is done, or run with --no-record"
    if code == sqlite3.SQLITE_READONLY:
        return f"the record {path} cannot be written: it is read-only; set FLOWKIT_HOME to another folder, or run with --no-record"
    return f"the record {path} cannot be used: {error}; set FLOWKIT_HOME to another folder, or run with --no-record"
